"""The shipped base model: its files, and that it is a real SDXL folder that loads offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinloop import nano

BASE = Path(nano.__file__).parent / "base"
pytestmark = pytest.mark.skipif(
    not (BASE / "model_index.json").exists(), reason="the base model is not in this checkout"
)


def test_files_are_small_and_no_pickles() -> None:
    files = [path for path in BASE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
    assert max(path.stat().st_size for path in files) < 16e6
    assert {path.suffix for path in files} <= {".json", ".txt", ".md", ".safetensors"}


def test_the_card_is_there() -> None:
    assert "MIT" in (BASE / "README.md").read_text()


def test_latents_mean_is_unset() -> None:
    assert "latents_mean" not in json.loads((BASE / "vae" / "config.json").read_text())


@pytest.fixture(scope="module")
def pipeline() -> Any:
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    torch.set_num_threads(1)
    made = diffusers.StableDiffusionXLPipeline.from_pretrained(BASE, local_files_only=True, torch_dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    return made


def test_generates_the_same_picture_twice(pipeline: Any) -> None:
    import torch

    def make() -> np.ndarray[Any, Any]:
        options = {"num_inference_steps": 4, "guidance_scale": 4.0, "height": 256, "width": 256, "output_type": "np"}
        return np.asarray(
            pipeline("a woman, close-up portrait", generator=torch.Generator().manual_seed(1), **options).images[0]
        )

    first = make()
    assert first.shape == (256, 256, 3)
    assert np.isfinite(first).all()
    assert first.std() > 0.05
    np.testing.assert_array_equal(first, make())


def test_prompt_and_latents_have_the_documented_shapes(pipeline: Any) -> None:
    assert pipeline.tokenizer.model_max_length == 77
    assert pipeline.vae_scale_factor == 16
    assert pipeline.unet.config.in_channels == 16
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
