"""Where libraries of extras are not installed: said before anything is measured or rendered, all of it in one line to
install; and what needs none of them goes on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.console import configuration
from tests.helpers.without_libraries import TRAIN, without

NANO = {"base_model": "nano", "training": {"preset": "nano", "steps": 3}}
SDXL = {"base_model": "nobody/some-sdxl-of-theirs", "training": {"preset": "sdxl", "optimizer": "prodigy"}}
pytestmark = pytest.mark.usefixtures("home")


def line(*extras: str) -> str:
    return f'pip install -c constraints.txt -e ".[{",".join(extras)}]"'


@pytest.mark.parametrize("lacking", [TRAIN, ("accelerate",)])
def test_a_training_says_so_before_it_looks_at_photos(home: Path, lacking: tuple[str, ...]) -> None:
    said = without(lacking, "train", "photos", "--base-model", "nano", "--models-dir", "fake", cwd=home)
    assert said.code == 2 and line("train") in said.err and f"no module '{lacking[0]}'" in said.err
    assert said.out == "" and "defect" not in said.err


def test_generate_says_so_before_it_counts_images(home: Path) -> None:
    gap = {"facet": "face_angle", "value": "profile", "type": "face_angle", "target": "profile", "count": 3}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap]}))
    said = without(TRAIN, "generate", "gaps.json", "--base-model", "nano", "--person", "ohwx ana", cwd=home)
    assert said.code == 2 and line("train") in said.err and "to make" not in said.out


def test_the_demo_names_both_extras_before_it_renders(home: Path) -> None:
    said = without([*TRAIN, "numba"], "demo", "--output", "d", cwd=home)
    assert said.code == 2 and line("train", "nano") in said.err
    assert said.out == "" and not Path("d").exists()


def test_a_dry_run_of_the_core_alone_shows_the_gaps(home: Path) -> None:
    config = configuration(home, **NANO)
    said = without(TRAIN, "--config", config, "--dry-run", cwd=home, script="bootstrap_loop.py")
    assert said.code == 0, said.err
    assert "Prompts of round 1" in said.out and "refused: Generating images" in said.err
    assert said.err.count(line("train")) == 1


def quantized(home: Path) -> Path:
    """A configuration whose training needs libraries of three more extras."""
    training = {**SDXL["training"], "wandb": "faces"}  # type: ignore[dict-item]
    return configuration(home, **{**SDXL, "training": training, "quantization": "int8"})


@pytest.mark.parametrize("lacking", [("prodigyopt", "torchao", "wandb"), ("huggingface_hub",)])
def test_a_dry_run_needs_no_library_of_the_training(home: Path, lacking: tuple[str, ...]) -> None:
    planned = without(lacking, "run", quantized(home), "--dry-run", cwd=home)
    assert planned.code == 0, planned.err
    assert "Without --dry-run this is refused: " in planned.err and "Prompts of round 1" in planned.out


def test_a_run_that_lacks_libraries_of_its_training_is_refused(home: Path) -> None:
    refused = without(("prodigyopt", "torchao", "wandb"), "run", quantized(home), cwd=home)
    assert refused.code == 2 and "Prompts" not in refused.out


def test_all_that_cannot_work_is_named_at_once(home: Path) -> None:
    """By the doctor and by a run: a field, a place, the base model, and the libraries in one line."""
    asked = {**SDXL, "quantization": "int8", "max_iterations": -1, "models_dir": "nowhere"}
    config = configuration(home, **{**asked, "generation": {"num_per_gap": 2, "width": 1001}})
    for argv in (("doctor", "--config", config), ("run", "--config", config)):
        said = without(["prodigyopt", "torchao"], *argv, cwd=home)
        assert said.code == 2 and "5 mistakes" in said.err, said.err
        assert line("quant", "optimizers") in said.err and "width 1001" in said.err
        assert "max_iterations: " in said.err and "models_dir: no such folder" in said.err and "hf download" in said.err


def test_the_doctor_warns_of_no_extra_that_nobody_asked_for(home: Path) -> None:
    said = without([*TRAIN, "torchao", "gguf", "bitsandbytes", "wandb"], "doctor", "--models-dir", "fake", cwd=home)
    assert said.code == 0 and "not installed" not in said.err
    assert "quant: not installed (for int8, fp8, nf4, .gguf)" in said.out and "wandb: not installed" in said.out
    assert "train: not installed (for making images and LoRAs)" in said.out
