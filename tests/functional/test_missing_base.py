"""Before a base model of many gigabytes is fetched: a dry run and the doctor say all that needs none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from twinloop.adapters.diffusion import hub_cache

BASE = "nobody/some-sdxl-of-theirs"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))

    def never(*_: object) -> Path:
        raise AssertionError("something was downloaded")

    monkeypatch.setattr(hub_cache, "_downloaded", never)
    return tmp_path


def test_a_dry_run_goes_on_without_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, base_model=BASE, training={"steps": 3, "preset": "sdxl"})
    said = twinloop(capsys, "run", "--config", config, "--dry-run", "--json")
    assert said.code == 0 and said.data["gaps"]["gap_count"] > 0 and said.data["plan"]["prompts"]
    assert said.data["plan"]["training_steps"] == 3
    assert f"base_model: {BASE} is neither a folder here" in said.err and f"hf download {BASE}" in said.err
    assert "Without --dry-run this is refused" in said.err and "for the preset 'sdxl'.\n" in said.err
    assert said.err.count(f"hf download {BASE}") == 1
    assert not Path("out").exists() and not Path("loras").exists()
    refused = twinloop(capsys, "run", "--config", config)
    assert refused.code == 2 and f"hf download {BASE}" in refused.err


@pytest.mark.parametrize("wrong", ["../sdxl", "modèles/sdxl", "my--models/sdxl"])
@pytest.mark.parametrize("leave", [False, True])
def test_a_path_that_looks_like_a_name_of_the_hub_is_told_as_a_path(
    wrong: str, leave: bool, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, base_model=wrong, allow_download=leave)
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and f"base_model: no folder or file at {wrong}. Correct the path" in said.err


def test_photos_that_are_small_for_it_are_told_before_any_training(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, base_model=BASE, training={"preset": "sdxl"})
    planned = twinloop(capsys, "run", "--config", config, "--dry-run").err
    assert "pictures are smaller than 1024 x 1024 and are trained at their own size, not enlarged" in planned
    looked = twinloop(capsys, "doctor", "--config", config).err
    assert "14 of 14 pictures are smaller than 1024 x 1024" in looked and "the smallest at 64 x 64" in looked
    small = configuration(home, base_model=BASE, training={"preset": "sdxl", "resolution": 64})
    assert "are smaller than" not in twinloop(capsys, "run", "--config", small, "--dry-run").err
    nano = configuration(home, base_model="nano", training={"preset": "nano"})
    assert "are enlarged: this base model knows no other size" in twinloop(capsys, "doctor", "--config", nano).err


def test_the_style_of_prompts_is_a_guess_from_the_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, base_model="nobody/illustrious-of-theirs")
    said = twinloop(capsys, "run", "--config", config, "--dry-run")
    assert said.code == 0 and "a guess from the model's name" in said.err
    assert "masterpiece" in said.out, "prompts of tags"


def test_leave_to_download_downloads_nothing_in_a_dry_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, base_model=BASE, allow_download=True)
    said = twinloop(capsys, "run", "--config", config, "--dry-run")
    assert said.code == 0 and f"{BASE} is not here yet; the run fetches it when it begins" in said.err
    wrong = configuration(home, base_model="checkpoints/sdxl.safetensors", allow_download=True)
    said = twinloop(capsys, "run", "--config", wrong, "--dry-run")
    assert said.code == 0 and "no file at checkpoints/sdxl.safetensors. Correct the path." in said.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generation": {"extra_loras": [{"path": "style.safetensors"}]}}, "generation.extra_loras: no such file: sty"),
        ({"training": {"assistant_lora": "adapter.safetensors"}}, "training.assistant_lora: no such file: adapter"),
        ({"training": {"initial_lora": "mine.safetensors"}}, "training.initial_lora: no such file: mine"),
        ({"training": {"start_from": "mine.safetensors"}}, "training.start_from: no such file: mine"),
        ({"training": {"prior_images": "others"}}, "training.prior_images: no such folder: others"),
        ({"training": {"masks": "photos_masks"}}, "training.masks: no such folder: photos_masks"),
        ({"training": {"trainer": "kohya", "trainer_path": "sd-scripts"}}, "training.trainer_path: sd-scripts is not"),
        ({"generation": {"offload": "blocks"}}, 'generation.offload: "blocks" moves parts'),
        ({"training": {"blocks_to_swap": 4}}, "training.blocks_to_swap saves memory of a CUDA GPU"),
        ({"precision": "float16"}, 'precision: "float16" weights need a GPU'),
    ],
)
def test_what_only_the_run_itself_needs_is_warned_of(
    changes: dict[str, Any], words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, base_model=BASE, device="cpu", **changes)
    said = twinloop(capsys, "run", "--config", config, "--dry-run", "--json")
    assert said.code == 0 and said.data["plan"]["prompts"]
    assert said.err.count(words) == 1 and f"Without --dry-run this is refused: {words}" in said.err
    assert not Path("out").exists() and not Path("loras").exists()
    refused = twinloop(capsys, "run", "--config", config)
    assert refused.code == 2 and words in refused.err and not Path("out").exists()


def test_a_lora_that_lies_beside_the_configuration_is_told_so_in_a_dry_run(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = home / "configured"
    beside.mkdir()
    config = configuration(beside, base_model=BASE, training={"initial_lora": "mine.safetensors"})
    (beside / "mine.safetensors").write_bytes(b"")
    said = twinloop(capsys, "run", "--config", config, "--dry-run")
    assert said.code == 0 and f"It lies beside the configuration: write {beside.as_posix()}/mine" in said.err


def test_anything_else_that_cannot_work_is_refused_all_the_same(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, base_model=BASE, generation={"num_per_gap": 2, "width": 1001})
    said = twinloop(capsys, "run", "--config", config, "--dry-run")
    assert said.code == 2 and "width 1001" in said.err


def test_the_doctor_says_what_needs_no_base(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, base_model=BASE, training={"steps": 3, "preset": "sdxl"})
    said = twinloop(capsys, "doctor", "--config", config)
    assert said.code == 2 and "1 mistake" in said.err and f"hf download {BASE}" in said.err
    assert "14 files, before photos are left out" in said.out and "3 steps:" in said.out
    assert "prompts and captions as prose" in said.out
    assert "see the mistakes at the end" in said.out and "Facets:" in said.out
