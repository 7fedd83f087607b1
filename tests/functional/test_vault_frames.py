"""``twinloop vault frames``: a filmed turn of the head becomes photos that a scan takes in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import twinloop
from tests.helpers.videos import fake_video, head_turn, lay_on_its_side, set_creation_time
from twinloop.store.pictures.images import decode
from twinloop.store.pictures.photo_file import read_photo
from twinloop.store.pictures.provenance import is_marked_synthetic

FAKE = ("--models-dir", "fake", "--workers", 0)
JUNE = 1_750_000_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    (tmp_path / "films").mkdir()
    return tmp_path


def test_a_turn_of_the_head_gives_every_angle_in_workers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head_turn(here / "films/turn.mp4", [*np.linspace(-80, 80, 40), *[2.0] * 60])
    (here / "films/broken.mp4").write_bytes(b"\x00\x00\x00\x1cftypisom and no more")
    said = twinloop(
        capsys, "vault", "frames", "films", "--output", "out", "--models-dir", "nano", "--workers", 1,
        "--per-second", 4, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    frames = read_manifest(here)["frames"]
    angles = {frame["angle"] for frame in frames}
    assert angles == {"front", "three_quarter_left", "three_quarter_right", "profile_left", "profile_right"}
    assert sum(frame["second"] > 4.5 for frame in frames) <= 2, "sixty frames of one view are one picture, or two"
    assert said.data["videos"][0]["frames"] == [frame["file"] for frame in frames]
    assert said.data["written"] == len(frames) == len(list((here / "out").glob("*.jpg")))
    (failed,) = said.data["failed"]
    assert failed["path"] == "films/broken.mp4" and "damaged" in failed["reason"]


def read_manifest(here: Path) -> dict[str, list[dict[str, object]]]:
    (video,) = json.loads((here / "out/frames.json").read_text())["videos"]
    return video


def test_pictures_are_real_photos_with_their_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = fake_video(here / "films/clip.mp4", [0.0, 40.0, -70.0])
    set_creation_time(video, JUNE)
    said = twinloop(capsys, "vault", "frames", video, "--output", "out", *FAKE)
    assert said.code == 0 and "Next: twinloop vault run out --person NAME\n" in said.out
    record = read_manifest(here)
    assert (record["video"], record["taken_from"], record["taken"]) == (
        "clip.mp4", "container", "2025-06-15T15:06:40+00:00",
    )  # fmt: skip
    assert [round(frame["yaw"]) for frame in record["frames"]] == [0, 40, -70]
    for frame in record["frames"]:
        path = here / "out" / frame["file"]
        with Image.open(path) as image:
            exif = image.getexif().get_ifd(0x8769)
        assert exif[0x9003].startswith("2025:06:15 15:06:4") and exif[0x9011] == "+00:00"
        assert exif[0x9291] == f"{round(1000 * frame['second']) % 1000:03d}"
        assert not is_marked_synthetic(read_photo(path)[1])


def test_a_scan_takes_the_pictures_in_and_names_the_way_to_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_video(here / "films/clip.mp4", [0.0, 40.0, -70.0])
    assert twinloop(capsys, "vault", "frames", "films", "--output", "films", *FAKE).code == 0
    said = twinloop(capsys, "vault", "scan", "films", *FAKE)
    assert "3 photos with 3 faces" in said.out
    assert "left alone: 1 .json, 1 .mp4; " in said.out
    assert "; videos among them: twinloop vault frames takes pictures out of" in said.out
    assert twinloop(capsys, "vault", "dedup").code == 0


def test_a_phone_held_upright_gives_upright_pictures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = fake_video(here / "films/clip.mp4", [0.0])
    plain = twinloop(capsys, "vault", "frames", video, "--output", "plain", "--workers", 0)
    lay_on_its_side(video)
    turned = twinloop(capsys, "vault", "frames", video, "--output", "turned", "--workers", 0)
    assert plain.code == turned.code == 0
    (one,), (other,) = (list((here / name).glob("*.jpg")) for name in ("plain", "turned"))
    want = np.rot90(decode(one.read_bytes()), -1).astype(float)
    assert np.abs(want - decode(other.read_bytes())).mean() < 8


def test_without_detectors_the_sharpest_are_taken_and_that_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_video(here / "films/clip.avi", [0.0, 40.0, -70.0])
    said = twinloop(capsys, "vault", "frames", "films", "--output", "out", "--workers", 0)
    assert said.code == 0 and "no detectors" in said.err and "3 new pictures in out" in said.out
    assert read_manifest(here)["taken_from"] == "file"


def test_nothing_but_broken_videos_is_an_error_with_the_reasons(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "films/list.mp4").write_bytes(b"#EXTM3U\nhttp://example.org/a.ts\n")
    said = twinloop(capsys, "vault", "frames", "films", "--output", "out", *FAKE)
    assert said.code == 2 and "list.mp4: is damaged, or no video of a kind this tool opens" in said.out


@pytest.mark.parametrize("rate", ["0", "31", "nan", "many"])
def test_rates_that_make_no_sense_are_refused(here: Path, capsys: pytest.CaptureFixture[str], rate: str) -> None:
    said = twinloop(capsys, "vault", "frames", "films", "--output", "out", "--per-second", rate)
    assert said.code == 2 and "--per-second: expected a number up to 30" in said.err
