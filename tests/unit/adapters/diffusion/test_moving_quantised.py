"""Quantised layers change device wherever this program or a hook moves them; PyTorch's ``meta`` device stands for the
GPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("torchao", reason="the quant extra is not installed")

from PIL import Image  # noqa: E402

from tests.contract.makers import GENERATION, shots  # noqa: E402
from twinloop.adapters.diffusion import pixels  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.prompts import PromptEmbedder  # noqa: E402
from twinloop.adapters.diffusion.quantised.eight_bits import EightBits  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SDXL = FAMILIES["sdxl"]


class Encoder(torch.nn.Module):
    """A text encoder with one quantised layer."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer = EightBits(torch.nn.Linear(64, 64, dtype=torch.bfloat16).requires_grad_(False), how)
        self.been: list[str] = []

    def to(self, device: Any) -> Any:
        copy.deepcopy(self.layer).to("meta")  # the other way nothing would be left of its numbers
        self.been.append(str(device))
        return self


class Pipeline:
    def __init__(self, encoder: Encoder) -> None:
        self.components = {"text_encoder": encoder}


@pytest.fixture(params=["int8", "fp8"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return Encoder(request.param)


def test_text_encoders_come_over_and_go_back(encoder: Encoder) -> None:
    def encode(*_: Any) -> Any:
        assert not torch.is_grad_enabled()
        return {"prompt_embeds": torch.ones(1, 2, 4)}

    family = replace(SDXL, encode=encode)
    prompts = PromptEmbedder(Pipeline(encoder), family, torch.device("meta"))
    assert prompts.embed("photo of ohwx ana")["prompt_embeds"].shape == (1, 2, 4)
    assert encoder.been == ["meta", "cpu"]


@pytest.fixture
def base(full_base: Path) -> Iterator[BaseModel]:
    opened = open_base(BaseChoice(str(full_base), "cpu"), SDXL)
    yield opened
    opened.lora.use(None)


@pytest.mark.parametrize("from_photo", [False, True])
def test_the_denoiser_comes_over_while_pictures_are_made(
    encoder: Encoder,
    from_photo: bool,
    full_base: Path,
    base: BaseModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the hooks of ``"offload": "model"`` bring it: at its call, in the middle of a pipeline."""
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    shot = replace(shots(1)[0], source=str(tmp_path / "photo.png") if from_photo else None)
    generator = DiffusersGenerator(BaseChoice(str(full_base), "cpu"), SDXL)
    called = hooked(monkeypatch, base.denoiser, "forward", encoder)
    assert len(list(generator.generate([shot], GENERATION))) == 1
    assert called


@pytest.mark.parametrize(
    ("name", "work"),
    [
        ("decode", lambda base: pixels.decode(base, torch.zeros(4, 8, 8))),
        ("encode", lambda base: pixels.encode_raw(base, np.zeros((64, 64, 3), np.uint8))),
        ("encode", lambda base: pixels.encode(base, np.zeros((64, 64, 3), np.uint8))),
    ],
)
def test_so_do_parts_while_pictures_are_encoded_and_decoded(
    name: str, work: Callable[[BaseModel], Any], encoder: Encoder, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = hooked(monkeypatch, base.pipeline.vae, name, encoder)
    made = work(base)
    assert called and not getattr(made, "requires_grad", False)


def hooked(monkeypatch: pytest.MonkeyPatch, part: Any, method: str, encoder: Encoder) -> list[str]:
    """Move a quantised layer whenever a part is called; where to."""
    inner = getattr(part, method)

    def moving(*args: Any, **named: Any) -> Any:
        encoder.to("cuda")
        return inner(*args, **named)

    monkeypatch.setattr(part, method, moving)
    return encoder.been
