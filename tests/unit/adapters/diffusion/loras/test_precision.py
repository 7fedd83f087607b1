"""A LoRA on packed weights computes in the model's precision, not in that of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("bitsandbytes", reason="the quant extra is not installed")
pytest.importorskip("gguf", reason="the quant extra is not installed")

from peft.tuners.lora import LoraLayer  # noqa: E402

from tests.helpers.gguf_files import build_gguf_zimage  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import compute  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras import slot  # noqa: E402
from twinloop.adapters.diffusion.loras.writing import LoraWeights  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

LARGE = 1e5
"""An activation that bfloat16 holds and float16 does not."""


def on_nf4(home: Path) -> BaseModel:
    return open_base(BaseChoice(str(build_tiny("flux", home / "flux")), "cpu", "bfloat16", "nf4"), FAMILIES["flux"])


def on_gguf(home: Path) -> BaseModel:
    return open_base(BaseChoice(str(build_gguf_zimage(home, "Q8_0")), "cpu", "bfloat16"), FAMILIES["zimage"])


@pytest.mark.parametrize("opened", [on_nf4, on_gguf])
def test_an_activation_beyond_float16_stays_a_number(
    opened: Callable[[Path], BaseModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "_cpu_computes_bfloat16", lambda: True)
    monkeypatch.setattr(slot, "stays_in_place", lambda model: True)  # as where the weights lie on a GPU
    base = opened(tmp_path)
    base.lora.use(lora(base, tmp_path / "lora.safetensors"))
    layers = [layer for layer in base.denoiser.modules() if isinstance(layer, LoraLayer)]
    kinds = {parameter.dtype for name, parameter in base.denoiser.named_parameters() if "lora_" in name}
    assert layers and kinds == {torch.bfloat16}
    packed: Any = next(layer for layer in layers if not layer.get_base_layer().weight.is_floating_point())
    x = torch.zeros(1, 2, packed.in_features, dtype=torch.bfloat16)
    x[..., 0] = LARGE
    with torch.no_grad():
        assert bool(packed.get_base_layer()(x).isfinite().all()) and bool(packed(x).isfinite().all())
    base.lora.use(None)


def lora(base: BaseModel, path: Path) -> Path:
    random, layers = torch.Generator().manual_seed(0), dict[str, Any]()
    bare = type(base.denoiser).from_config(base.denoiser.config)
    for name in adapted_layers(bare, base.family.targets):
        out, into = bare.get_submodule(name).weight.shape
        layers[name] = tuple(torch.randn(shape, generator=random) * 0.1 for shape in ((4, into), (out, 4)))
    write_lora(path, LoraWeights(layers, 4, 4.0), base.family, {})
    return path
