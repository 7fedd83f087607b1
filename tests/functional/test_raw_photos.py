"""Raw photos in every command that takes photos: seen as they look, and never handed on as they are."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import configuration, twinloop
from tests.helpers.external_trainers import sd_scripts
from tests.helpers.raw_files import dng, jpeg
from twinloop.adapters.fakes import FakeTruth, fake_image
from twinloop.store.pictures import raw
from twinloop.store.pictures.raw import DAMAGED, MISSING, is_raw

FAKE = ("--models-dir", "fake", "--min-face", "20")
SIDE = 256


def raw_photo(path: Path, seed: int, orientation: int = 1) -> None:
    """What the fake detectors find a face in, once it is developed and upright."""
    upright = Image.fromarray(fake_image(FakeTruth(), seed, SIDE))
    turns = {1: None, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}
    turn = turns[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dng(np.asarray(stored), orientation, linear=True))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, orientation in enumerate((1, 3, 6, 8)):
        raw_photo(tmp_path / "photos" / f"{number}.dng", number, orientation)
    return tmp_path / "photos"


def test_a_scan(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (photos / "0.dng").read_bytes()
    for number in range(2):
        raw_photo(photos / f"pair{number}.NEF", 50 + number)
        (photos / f"pair{number}.jpg").write_bytes(jpeg(fake_image(FakeTruth(), 70 + number, SIDE)))
        (photos / f"cut{number}.ARW").write_bytes(whole[: len(whole) // 2 + number])
    (photos / "a.CR2").write_bytes(b"garbage that no camera made")
    said = twinloop(capsys, "vault", "scan", photos, "--vault", "vault", *FAKE, "--workers", 2)
    assert said.code == 0 and "6 photos with 6 faces in 6 files" in said.out, said.out + said.err
    assert "Raw photos beside a JPEG or HEIC of the same shot, which is used instead: 2" in said.out
    assert "Skipped: 3" in said.out and "skipped 3" in said.out
    assert f"cut0.ARW and 1 more: {DAMAGED}" in said.out
    again = twinloop(capsys, "vault", "scan", "--vault", "vault", "--json")
    assert [again.data[name] for name in ("measured", "unchanged", "gone")] == [0, 6, 0]
    reasons = {Path(item["path"]).name: item["reason"] for item in again.data["skipped"]}
    assert "beside pair0.jpg" in reasons["pair0.NEF"] and len(reasons) == 5
    (photos / "pair0.jpg").unlink()
    assert twinloop(capsys, "vault", "scan", "--vault", "vault", "--json").data["measured"] == 1


def test_a_scan_decodes_in_its_workers_only(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)  # in this process, which a crash of LibRaw would end
    monkeypatch.setattr(raw, "available", lambda: True)
    said = twinloop(capsys, "vault", "scan", photos, "--vault", "vault", *FAKE, "--workers", 2, "--json")
    assert said.code == 0 and said.data["photos"] == 4 and not said.data["skipped"]


def test_without_the_library_one_line_says_what_to_install(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "a.jpg").write_bytes(jpeg(fake_image(FakeTruth(), 9, SIDE)))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rawpy", None)
        said = twinloop(capsys, "vault", "scan", photos, "--vault", "vault", *FAKE, "--workers", 0)
        assert said.code == 0 and said.out.count(MISSING) == 1 and f"0.dng and 3 more: {MISSING}" in said.out
        looked = twinloop(capsys, "analyze", photos, "--models-dir", "fake", "--output", "plan.json")
        assert looked.err.count(MISSING) == 1 and f"skipped 0.dng and 3 more: {MISSING}" in looked.err
    later = twinloop(capsys, "vault", "scan", "--vault", "vault", *FAKE, "--json")
    assert later.code == 0 and later.data["measured"] == 4 and not later.data["skipped"]


def test_a_prepared_folder_holds_no_raw_photo(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4, 7):
        raw_photo(photos / f"{number}.dng", number)
    for argv in (
        ("scan", photos, *FAKE, "--workers", 0),
        ("cluster",),
        ("label", "p001", "--trigger", "ohwx ana", "--class", "woman", "--name", "ana", "--consent", "fictional"),
        ("prep", "ana", "--layout", "kohya", "--keep-alike"),
    ):
        said = twinloop(capsys, "vault", *argv, "--vault", "vault")
        assert said.code == 0, said.err
    made = [path for path in (Path("vault") / "organized" / "ana").rglob("*") if path.is_file()]
    pictures = [path for path in made if path.suffix not in (".txt", ".json")]
    assert len(pictures) == 7 and {path.suffix for path in pictures} == {".png"}
    for path in pictures:
        with Image.open(path) as image:
            assert image.format == "PNG"


def test_the_gap_analysis_sees_them(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "analyze", photos, "--models-dir", "fake", "--output", "plan.json", "--observations", "seen.jsonl"
    )
    assert said.code == 0, said.err
    seen = [json.loads(line) for line in Path("seen.jsonl").read_text().splitlines()]
    assert len(seen) == 4 and all(len(one["faces"]) == 1 for one in seen)


@pytest.mark.parametrize("target", ["kohya", "ai-toolkit", "onetrainer", "simpletuner"])
def test_a_dataset_for_another_program_holds_none(
    target: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw_photo(photos / "named.png", 20)
    raw_photo(photos / "named.jpg", 21, 6)
    (photos / "jpeg.dng").write_bytes(jpeg(fake_image(FakeTruth(), 9, SIDE)))
    config = configuration(Path(), base_model="stabilityai/stable-diffusion-xl-base-1.0")
    said = twinloop(capsys, "export", target, "--dataset", photos, "--config", config, "--output", "out")
    assert said.code == 0, said.err
    pictures = [path for path in Path("out").rglob("*") if path.suffix in (".png", ".jpg", ".webp", ".dng", ".tif")]
    assert len(pictures) == 7
    for path in pictures:
        data = path.read_bytes()
        assert path.suffix == ".png" and data.startswith(b"\x89PNG") and not is_raw(data)
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (SIDE, SIDE)


def test_another_trainer_is_given_none(
    photos: Path,
    tiny_base: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAND_IN", "crash")  # what it was given stays
    training = {
        "trainer": "kohya",
        "trainer_python": sys.executable,
        "trainer_path": str(sd_scripts(tmp_path / "sd-scripts")),
        "steps": 4,
        "rank": 2,
        "checkpoint_every": 2,
    }
    config = configuration(tmp_path, base_model=str(tiny_base), training=training)
    said = twinloop(capsys, "train", photos, "--config", config, "--output", "ana.safetensors")
    assert said.code == 2 and "CUDA out of memory" in said.err, said.err
    given = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(photos)]
    pictures = [path for path in given if path.suffix in (".png", ".jpg", ".dng", ".tif")]
    assert len(pictures) == 4 and not any(is_raw(path.read_bytes()) for path in given), given
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_training_here_takes_them(
    photos: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = configuration(tmp_path, base_model=str(tiny_base), training={"steps": 1, "rank": 2})
    said = twinloop(capsys, "train", photos, "--config", config, "--output", "ana.safetensors")
    assert said.code == 0 and Path("ana.safetensors").exists(), said.err


def test_a_dry_run_of_the_loop_takes_them(photos: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = configuration(tmp_path)
    said = twinloop(capsys, "train", photos, "--config", config, "--output", "ana.safetensors")
    assert said.code == 0 and b"fake.skill" in Path("ana.safetensors").read_bytes(), said.err
