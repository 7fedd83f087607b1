"""A size that a base model cannot make is refused before anything is trained, and can be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.functional import loops
from twinloop.config import Settings
from twinloop.errors import InputError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"), 8)


def wanted(base: Path, width: int, **training: Any) -> Settings:
    """The tiny base's autoencoder halves four times: multiples of 16, where SDXL takes those of 8."""
    generation = {"num_per_gap": 1, "width": width, "height": 64, "num_inference_steps": 1, "batch_size": 4}
    learned = {"preset": "sdxl", "steps": 1, "batch_size": 1, "resolution": 64, "rank": 2, **training}
    return loops.settings(
        base_model=str(base),
        device="cpu",
        generation=generation,
        training=learned,
        max_iterations=1,
        panel={"images": 2},
    )


def test_nothing_is_trained_for_a_size_that_cannot_be_made(tiny_base: Path) -> None:
    for width, step in ((68, 8), (72, 16)):
        with pytest.raises(InputError, match=rf"width {width}: .*multiples of {step}, such as width 64"):
            loops.run(wanted(tiny_base, width))
        assert not list(Path().rglob("lora_v1*")) and not Path("out").exists()
    loops.run(wanted(tiny_base, 64))
    assert Path("loras/lora_v1.safetensors").exists(), "the size could be corrected"
