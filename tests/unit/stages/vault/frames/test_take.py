"""Videos to a folder of photos: interrupted and gone on with, broken ones named, nobody's files touched."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from twinloop.cli.vault.frames import lines_of
from twinloop.domain.video import SeenFrame, SeenVideo, VideoTask
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.ports import FrameDesk, SilentReporter
from twinloop.stages.vault.frames.take import FramePlan, TakenFrames, take_frames


class Reader:
    """A taker without pictures: five different frames in every video, but for those that have "broken" in their name.

    ``stops_after``: pictures after which the power goes.
    """

    notes = ()

    def __init__(self, stops_after: int = 1000) -> None:
        self.left, self.asked = stops_after, []  # type: tuple[int, list[tuple[str, tuple[int, ...] | None]]]

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None: ...

    def take(self, tasks: Iterable[VideoTask], count: int, desk: FrameDesk) -> Iterator[tuple[VideoTask, str]]:
        for task in tasks:
            self.asked.append((task.path.name, task.chosen))
            if "broken" in task.path.name:
                yield task, "is damaged"
                continue
            chosen = task.chosen
            if chosen is None:
                empty = "empty" in task.path.name
                frames = (
                    ()
                    if empty
                    else tuple(SeenFrame(n, n / 2, 50.0, f"{0x0F0F << 12 * n:016x}"[-16:]) for n in range(5))
                )
                chosen = desk.choose(task, SeenVideo(frames, 3, 2.5, 20.0))
            for index in chosen:
                if not self.left:
                    raise KeyboardInterrupt
                self.left -= 1
                desk.keep(task, index, f"picture {index}".encode())
            yield task, ""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("a.mp4", "broken.mp4", "c.mov"):
        (folder / name).write_bytes(name.encode())
    return folder


def take(reader: Reader, *sources: Path, most: int = 40) -> TakenFrames:
    first = sources[0]
    output = (first if first.is_dir() else first.parent).parent / "out"
    return take_frames(FramePlan(sources, output, most, 2.0, lambda: reader), SilentReporter())


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder.parent / "out").glob("*.jpg"))


def test_a_broken_video_stops_nothing_and_is_named(films: Path) -> None:
    done = take(Reader(), films)
    assert [path.name for path, _ in done.videos] == ["a.mp4", "c.mov"] and done.written == 10
    assert [(path.name, reason) for path, reason in done.failed] == [("broken.mp4", "is damaged")]
    assert len(pictures(films)) == 10


def test_a_second_call_adds_nothing_also_under_another_name(films: Path) -> None:
    take(Reader(), films)
    before = pictures(films)
    (films / "c.mov").rename(films / "d.mov")
    (films / "copy.mp4").write_bytes(b"a.mp4")
    (films.parent / "out" / before[0]).unlink()  # not wanted by the user
    again = Reader()
    done = take(again, films, most=80)
    assert done.written == 0 and sorted(path.name for path in done.known) == ["a.mp4", "copy.mp4", "d.mov"]
    assert pictures(films) == before[1:] and again.asked == [("broken.mp4", None)]


def test_videos_that_hold_the_same_are_told_with_the_other_of_the_run(films: Path) -> None:
    for name, like in (("d.mp4", "a.mp4"), ("e.mp4", "broken.mp4")):
        (films / name).write_bytes(like.encode())
    done = take(Reader(), films)
    assert not done.known and done.written == 10
    assert [(path.name, first.name) for path, first in done.same] == [("d.mp4", "a.mp4"), ("e.mp4", "broken.mp4")]
    assert done.to_json()["same"][0] == {"path": str(films / "d.mp4"), "as": str(films / "a.mp4")}
    (line,) = [line for line in lines_of(done) if "same as others" in line]
    named = f"{films / 'd.mp4'} ({films / 'a.mp4'}), {films / 'e.mp4'} ({films / 'broken.mp4'})"
    assert line == f"2 videos hold the same as others of this run: {named}"


def test_an_interrupted_run_goes_on_where_it_was(films: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        take(Reader(stops_after=7), films)
    assert len(pictures(films)) == 7
    again = Reader()
    done = take(again, films, most=2)
    assert again.asked == [("broken.mp4", None), ("c.mov", (2, 3, 4))]
    assert done.written == 3 and len(pictures(films)) == 10
    assert all(video["complete"] for video in json.loads((films.parent / "out/frames.json").read_text())["videos"])


def test_files_of_others_stay_as_they_are(films: Path) -> None:
    take(Reader(), films / "a.mp4")
    name = pictures(films)[0]
    out = films.parent / "out"
    for path in out.iterdir():
        path.unlink()
    (out / name).write_bytes(b"mine")
    take(Reader(), films / "a.mp4")
    assert (out / name).read_bytes() == b"mine" and len(pictures(films)) == 6
    assert (out / f"{Path(name).stem}_2.jpg").read_bytes() == b"picture 0"


def test_a_list_of_another_program_is_not_overwritten(films: Path) -> None:
    out = films.parent / "out"
    out.mkdir()
    (out / "frames.json").write_text('{"frames": []}')
    with pytest.raises(StateError, match=r"frames\.json does not hold what .* with --output, or move that file away"):
        take(Reader(), films)
    assert not pictures(films) and (out / "frames.json").read_text() == '{"frames": []}'


def test_a_video_without_a_face_is_named_and_looked_at_again(films: Path) -> None:
    (films / "empty.mp4").write_bytes(b"nobody")
    for reader in (Reader(), Reader()):
        done = take(reader, films / "empty.mp4")
        assert done.failed[0][1] == "no face was found in it (3 places looked at)" and len(reader.asked) == 1


def test_a_video_that_ends_early_is_told(films: Path) -> None:
    (note,) = take(Reader(), films / "a.mp4").notes
    assert note.endswith("a.mp4 could be read for 2.5 of its 20.0 seconds")


def test_sources_that_are_none_are_errors(films: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        take(Reader(), films, tmp_path / "gone.mp4")
    (tmp_path / "photos").mkdir()
    with pytest.raises(NothingToDo, match=r"No videos in .*photos"):
        take(Reader(), tmp_path / "photos")
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_is_named_and_not_waited_for(films: Path) -> None:
    os.mkfifo(films / "pipe.mp4")
    done = take(Reader(), films / "pipe.mp4", films / "a.mp4")
    assert [(path.name, reason) for path, reason in done.failed] == [("pipe.mp4", "is no regular file")]
    assert [path.name for path, _ in done.videos] == ["a.mp4"]


@pytest.mark.parametrize("name", ["../autostart.desktop", "..\\a.jpg", "C:a.jpg", "below/a.jpg", "/tmp/a.jpg", "", 5])
def test_a_list_that_names_pictures_elsewhere_is_refused(films: Path, name: str | int) -> None:
    """It may come with the folder from anywhere, and a picture that is not there is written."""
    with pytest.raises(KeyboardInterrupt):
        take(Reader(stops_after=2), films / "a.mp4")
    manifest = films.parent / "out" / "frames.json"
    data = json.loads(manifest.read_text())
    data["videos"][0]["frames"][4]["file"] = name
    manifest.write_text(json.dumps(data))
    before = sorted(films.parent.rglob("*"))
    with pytest.raises(StateError, match=r"frames\.json does not hold what this program writes there"):
        take(Reader(), films / "a.mp4")
    assert sorted(films.parent.rglob("*")) == before


def test_a_video_whose_name_is_a_path_on_windows_is_gone_on_with(films: Path) -> None:
    (films / "a.mp4").rename(films / "c:\\12:30.mp4")
    with pytest.raises(KeyboardInterrupt):
        take(Reader(stops_after=2), films / "c:\\12:30.mp4")
    assert take(Reader(), films / "c:\\12:30.mp4").written == 3
    assert len(pictures(films)) == 5 and all(name.startswith("c__12_30_") for name in pictures(films))
