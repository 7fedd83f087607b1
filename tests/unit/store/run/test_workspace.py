"""The tree of a run, and time stamps."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from twinloop.errors import InputError, Locked, StorageError
from twinloop.store.clock import SystemClock
from twinloop.store.lock import locked
from twinloop.store.noted_process import note_process
from twinloop.store.run.workspace import Workspace, lies_in, shown_path


def test_the_seeds_tree() -> None:
    space = Workspace(Path("outputs/bootstrap"), Path("outputs/lora_models/alice"))
    named = [
        space.history,
        space.gaps(1),
        space.synthetic(2),
        space.approved(1),
        space.rejected(1),
        space.final_lora,
        space.report,
    ]
    assert [path.as_posix() for path in named] == [
        "outputs/bootstrap/iteration_history.json",
        "outputs/bootstrap/gaps_iter1.json",
        "outputs/bootstrap/synthetic_iter2",
        "outputs/bootstrap/approved_iter1",
        "outputs/bootstrap/rejected_iter1",
        "outputs/lora_models/alice/lora.safetensors",
        "outputs/bootstrap/report.html",
    ]


def test_no_two_things_share_a_path() -> None:
    space = Workspace(Path("out"), Path("loras"))
    single = [
        space.history,
        space.journal,
        space.run_record,
        space.report,
        space.catalog,
        space.identity,
        space.panel,
        space.final_lora,
    ]
    numbered = [
        space.gaps,
        space.shots,
        space.synthetic,
        space.approved,
        space.rejected,
        space.unsure,
        space.verdicts,
        space.dataset,
    ]
    versioned = [space.panel_images, space.panel_score, space.training_work, space.lora, space.lora_record]
    paths = [*single, *(make(n) for make in (*numbered, *versioned) for n in (1, 2, 11))]
    assert len(set(paths)) == len(paths) == 8 + 13 * 3


def test_paths_in_artefacts_are_relative_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "photos" / "a b.jpg") == "photos/a b.jpg"
    assert shown_path(Path("photos/../photos/a.jpg")) == "photos/a.jpg"
    assert shown_path(tmp_path.parent / "elsewhere.jpg") == (tmp_path.parent / "elsewhere.jpg").as_posix()


def test_a_stamp_is_a_time_and_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")
    assert SystemClock().stamp() == "20241226_143022"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert re.fullmatch(r"\d{8}_\d{6}", SystemClock().stamp())
    assert os.environ.get("SOURCE_DATE_EPOCH") is None


def test_of_a_shared_folder_of_loras_only_those_of_the_run_are_put_aside(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run", tmp_path / "loras")
    space.root.mkdir()
    own = (
        "lora.safetensors",
        "lora_kohya.safetensors",
        "lora_v1.safetensors",
        "lora_v12_kohya.safetensors",
        "lora_v1.json",
        "final.json",
    )
    others = ("anime.safetensors", "lora_v1_portrait.safetensors", "lora_very_good.safetensors")
    for name in (*own, *others):
        (tmp_path / "loras" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "loras" / name).write_text(name)
    moved = dict(space.put_aside())
    assert moved == {space.lora_dir: tmp_path / "loras.old1", space.root: tmp_path / "run.old1"}
    assert sorted(path.name for path in space.lora_dir.iterdir()) == sorted(others)
    assert sorted(path.name for path in (tmp_path / "loras.old1").iterdir()) == sorted(own)


def test_a_folder_that_holds_nothing_of_a_run_stays(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run", tmp_path / "loras")
    space.lora_dir.mkdir()
    (space.lora_dir / "anime.safetensors").write_text("x")
    assert space.put_aside() == [] and (space.lora_dir / "anime.safetensors").exists()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files of a run in it."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    for path in (Path("out/journal.jsonl"), Path("loras/lora_v1.safetensors")):
        path.parent.mkdir()
        path.write_text("x")
    return tmp_path / "home"


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file())


@pytest.mark.parametrize("root", [".", "", "..", "out/.."])
def test_the_working_directory_is_not_put_aside(home: Path, root: str) -> None:
    """Nothing is moved, not even the LoRAs."""
    before = everything(home.parent)
    with pytest.raises(InputError, match=r"the folder that this command runs in \(output_dir: "):
        Workspace(Path(root), Path("loras")).put_aside()
    assert everything(home.parent) == before


def test_loras_in_the_working_directory_are_put_aside_file_by_file(home: Path) -> None:
    Path("lora_v1.safetensors").write_text("x")
    moved = Workspace(Path("out"), Path()).put_aside()
    assert moved == [(Path("out"), Path("out.old1")), (Path(), home.parent / "home.old1")]
    assert everything(home.parent / "home.old1") == ["lora_v1.safetensors"]
    assert everything(home) == ["loras/lora_v1.safetensors", "out.old1/journal.jsonl"]


def test_a_folder_of_both_is_put_aside_as_a_whole(home: Path) -> None:
    assert Workspace(Path("out"), home / "out").put_aside() == [(Path("out"), Path("out.old1"))]
    Path("out.old2").symlink_to("nowhere")
    Path("out").mkdir()
    assert Workspace(Path("out"), Path("none")).put_aside() == [(Path("out"), Path("out.old3"))], "names of all kinds"


def test_loras_in_the_output_folder_go_with_it(home: Path) -> None:
    Path("loras").rename("out/loras")
    assert Workspace(Path("out"), Path("out/loras")).put_aside() == [(Path("out"), Path("out.old1"))]
    assert everything(home) == ["out.old1/journal.jsonl", "out.old1/loras/lora_v1.safetensors"]


def open_below(folder: Path) -> list[Path]:
    """Files below a folder that this process has open."""
    places = [handle.resolve() for handle in Path("/proc/self/fd").iterdir()]
    return [place for place in places if place.is_relative_to(folder.resolve()) and place.is_file()]


def test_no_folder_is_moved_while_a_file_in_it_is_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses that; the lock is such a file."""
    real, moved = os.replace, list[str]()

    def replace(source: Path, target: Path) -> None:
        assert not open_below(Path(source)), "the lock is held"
        moved.append(source.name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    Workspace(Path("out"), Path("loras")).put_aside()
    assert [name for name in moved if not name.endswith(".tmp")] == ["out", "loras"]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("error", [PermissionError(13, "in use"), KeyboardInterrupt()])
def test_what_was_moved_is_moved_back_where_the_rest_cannot_be(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, shared: bool
) -> None:
    """Whether the folder of LoRAs is moved as a whole or file by file."""
    Path("loras/lora_v2.safetensors").write_text("y")
    if shared:
        Path("loras/anime.safetensors").write_text("z")
    before, real = everything(home.parent), os.replace
    last = Path("loras/lora_v2.safetensors") if shared else Path("loras")

    def replace(source: Path, target: Path) -> None:
        if source == last:
            raise error
        real(source, target)

    space = Workspace(Path("out"), Path("loras"))
    with monkeypatch.context() as held:
        held.setattr(os, "replace", replace)
        told = f"write {last}\\." if isinstance(error, OSError) else None
        with pytest.raises(StorageError if told else KeyboardInterrupt, match=told):
            space.put_aside()
    assert everything(home.parent) == before
    assert not Path("out.old1").exists() and not Path("loras.old1").exists()
    assert len(space.put_aside()) == 2


def test_what_a_kill_between_the_two_leaves_is_moved_by_a_second_call(home: Path) -> None:
    Path("out").rename("out.old1")
    assert dict(Workspace(Path("out"), Path("loras")).put_aside())[Path("loras")] == Path("loras.old1")
    assert everything(home) == ["loras.old1/lora_v1.safetensors", "out.old1/journal.jsonl"]


def test_another_run_that_took_the_old_lock_meanwhile_keeps_its_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = os.replace, ExitStack()

    def replace(source: Path, target: Path) -> None:
        if source == Path("out"):
            other.enter_context(locked(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with other, pytest.raises(Locked):
        Workspace(Path("out"), Path("loras")).put_aside()
    assert everything(home) == ["loras/lora_v1.safetensors", "out/journal.jsonl"]


def test_a_run_for_which_another_program_still_trains_is_not_put_aside(home: Path) -> None:
    note = Path("loras/.training_v2/trainer.pid")
    note_process(note, os.getpid())
    with pytest.raises(Locked, match=rf"\.training_v2 \(process {os.getpid()}\)"):
        Workspace(Path("out"), Path("loras")).put_aside()
    assert Path("out").is_dir() and Path("loras").is_dir()


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    """By the names, and by where links lead."""
    (tmp_path / "out").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "way").symlink_to(tmp_path / "out")
    for inside in ("out", "out/a/b", "out/link", "way/a", "photos/../out/a"):
        assert lies_in(tmp_path / inside, tmp_path / "out")
    for outside in ("photos", "out/../photos", "outer"):
        assert not lies_in(tmp_path / outside, tmp_path / "out")
