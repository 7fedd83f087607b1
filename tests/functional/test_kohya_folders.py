"""A folder that was prepared for kohya's sd-scripts: repeats, captions and regularization images arrive as meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import twinloop
from tests.unit.things import Recording
from twinloop.adapters.fakes import FakeTrainer

FAKES = ("--base-model", "fake", "--models-dir", "fake", "--steps", 2, "--catalog", "c.sqlite")
OFTEN, SELDOM, OTHERS = "10_ohwx woman", "3_ohwx woman", "reg/1_woman"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """14 photos in two folders of repeats, three of them with captions, and two regularization images."""
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("all"), 16)
    for number, photo in enumerate(sorted(Path("all").iterdir())):
        place = Path("photos", OTHERS if number > 13 else SELDOM if number > 8 else OFTEN)
        place.mkdir(parents=True, exist_ok=True)
        photo.rename(place / photo.name)
    Path("photos", OFTEN, "IMG_0000.txt").write_text("ohwx woman at the sea\n")
    Path("photos", OFTEN, "IMG_0001.txt").write_text("\nohwx woman, in a café\nohwx woman, drinking\nclose-up\n")
    Path("photos", SELDOM, "IMG_0009.txt").write_text("in the rain")
    return tmp_path / "photos"


def expected(name: str) -> tuple[str, float]:
    number = int(name[4:8])
    said = {0: "ohwx woman at the sea", 1: "ohwx woman, in a café", 9: "ohwx woman, in the rain"}
    return said.get(number, "ohwx woman"), 0.3 if number > 8 else 1.0


def state(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_train_sees_the_repeats_and_the_captions(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    usual, before = FakeTrainer.train, state(folder)

    def watched(self: FakeTrainer, samples: Any, *args: Any) -> Any:
        seen.extend(samples)
        return usual(self, samples, *args)

    monkeypatch.setattr(FakeTrainer, "train", watched)
    said = twinloop(capsys, "train", "photos", *FAKES, "--keep-all")
    assert said.code == 0, said.err
    assert {one.path.name: (one.caption, round(one.weight, 6)) for one in seen} == {
        f"IMG_{number:04d}.png": expected(f"IMG_{number:04d}.png") for number in range(14)
    }
    assert f"'{OFTEN}' 9 pictures of weight 1, '{SELDOM}' 5 pictures of weight 0.3; 11 without a caption" in said.out
    assert "photos/reg: 2 regularization images, not taken for the subject" in said.out
    assert '"training": {"prior_images": "photos/reg"}' in said.out
    assert "1 caption file has more than one line" in said.out
    assert "Trigger: ohwx woman\n" in said.out and "Dataset: 14 images used" in said.out
    assert state(folder) == before


def test_the_setting_that_is_named_learns_the_regularization_images(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    usual = FakeTrainer.train

    def watched(self: FakeTrainer, samples: Any, *args: Any) -> Any:
        seen.extend(samples)
        return usual(self, samples, *args)

    monkeypatch.setattr(FakeTrainer, "train", watched)
    asked = loops.settings(training={"preset": "fake", "steps": 2, "prior_images": "photos/reg"})
    Path("config.json").write_text(json.dumps(asked.model_dump(mode="json", exclude_unset=True)))
    said = twinloop(capsys, "train", "photos", "--config", "config.json", "--keep-all", "--catalog", "c.sqlite")
    assert said.code == 0, said.err
    assert sorted(one.path.name for one in seen if one.prior) == ["IMG_0014.png", "IMG_0015.png"]


def test_a_run_begins_with_the_same_weights_and_finds_no_new_photos() -> None:
    shares = {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}
    chosen = loops.settings(
        person_trigger="ohwx woman",
        analysis={"facets": ["face_angle"], "shares": shares, "keep_all": True},
        validation={"identity": False},
    )
    loops.run(chosen)
    record = json.loads(Path("out/dataset_iter0.json").read_text())
    found = {Path(one["path"]).name: (one["caption"], round(one["weight"], 6)) for one in record["members"]}
    assert found == {name: expected(name) for name in found} and len(found) == 14
    again = Recording()
    loops.run(chosen, reporter=again)
    assert not any("came after this run" in line for line in [*again.lines, *again.warnings])


def test_an_export_for_another_trainer_keeps_the_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "export", "kohya", "--dataset", "photos", "--output", "package", "--base-model", "fake.safetensors"
    )
    assert said.code == 0, said.err
    for name, repeats in ((OFTEN, 10), (SELDOM, 3)):
        assert f"dataset/{name}: {9 if repeats == 10 else 5} pictures, each {repeats} x" in said.out
    texts = {path.read_text().strip() for path in Path("package/dataset").rglob("*.txt")}
    assert texts == {"ohwx woman", "ohwx woman at the sea", "ohwx woman, in a café", "ohwx woman, in the rain"}
    assert "regularization images" in said.err and "more than one line" in said.err
    assert "photos/reg" not in Path("package/README.txt").read_text()


def test_the_folder_alone_is_trained_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", f"photos/{SELDOM}", *FAKES, "--keep-all")
    assert said.code == 0, said.err
    assert "Trigger: ohwx woman\n" in said.out and f"'{SELDOM}' 5 pictures of weight 1" in said.out
