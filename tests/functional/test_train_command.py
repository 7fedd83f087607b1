"""``twinloop train``: a LoRA by hand, and the first LoRA of a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop

FAKES = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "3")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(tmp_path / "photos")
    return tmp_path


def test_a_folder_becomes_a_lora_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora_v2.safetensors", "--json")
    assert said.code == 0, said.err
    assert said.data["path"] == "lora_v2.safetensors" and said.data["steps"] == 3
    before = (home / "lora_v2.safetensors").stat().st_mtime_ns
    again = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora_v2.safetensors", "--json")
    assert again.data == said.data and (home / "lora_v2.safetensors").stat().st_mtime_ns == before
    assert not list(home.glob(".training_*"))


def test_another_training_does_not_overwrite_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "train", "photos", *FAKES, "--output", "mine.safetensors")
    before = (home / "mine.safetensors").read_bytes()
    said = twinloop(capsys, "train", "photos", *FAKES, "--seed", "5", "--output", "mine.safetensors")
    assert said.code == 2 and "exists and was made from other photos or settings" in said.err
    assert (home / "mine.safetensors").read_bytes() == before


def test_the_first_lora_of_a_run_is_the_one_that_the_loop_goes_on_from(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home)
    said = twinloop(capsys, "train", "--config", config)
    assert said.code == 0, said.err
    first = (home / "loras/lora_v1.safetensors").read_bytes()
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert (home / "loras/lora_v1.safetensors").read_bytes() == first
    split = loops.tree("out", "loras")
    shutil.rmtree("out")
    shutil.rmtree("loras")
    assert twinloop(capsys, "run", "--config", config).code == 0
    whole = loops.tree("out", "loras")
    assert {name for name in whole if "_2" not in name} == {name for name in split if "_2" not in name}
    assert whole["loras/lora_v1.safetensors"] == split["loras/lora_v1.safetensors"]


def test_approved_images_copied_into_the_folder_count_less_than_photos(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Option B of the loop: what was generated and approved is merged by hand, and its mark still tells it from a photo."""
    config = configuration(home)
    assert twinloop(capsys, "run", "--config", config).code == 0
    approved = sorted((home / "out/approved_iter1").glob("*.png"))
    assert approved
    for path in approved:
        shutil.copy(path, home / "photos" / path.name)
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "by_hand.safetensors")
    assert said.code == 0 and f"({len(approved)} synthetic)" in said.out, said.out
    record = json.loads((home / "by_hand.json").read_text())
    assert record["path"] == "by_hand.safetensors"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "Name the folder of photos"),
        (("photos", "--output", "lora.ckpt"), "LoRAs are written as .safetensors"),
        (("nowhere", *FAKES), "Folder not found: nowhere"),
    ],
)
def test_wrong_command_lines(home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str) -> None:
    said = twinloop(capsys, "train", *argv)
    assert said.code == 2 and words in said.err
