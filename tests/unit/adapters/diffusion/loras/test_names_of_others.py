"""LoRAs under every naming form that `twinloop lora info` understands: each layer of every family's model gets its own
change at its own alpha, or the file is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from peft.tuners.lora import LoraLayer  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import adapted_layers  # noqa: E402
from twinloop.errors import ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import Adapter, Place  # noqa: E402
from twinloop.loras.components import DENOISER  # noqa: E402
from twinloop.loras.container import file_bytes  # noqa: E402
from twinloop.loras.lora import Dialect, Layer, read_lora  # noqa: E402
from twinloop.loras.tensors import encode  # noqa: E402
from twinloop.loras.write import written  # noqa: E402

AB, DOWN_UP = ("lora_A", "lora_B"), ("lora_down", "lora_up")
Pairs = dict[str, tuple[Any, Any, float]]
FORMS: dict[str, tuple[Callable[[str, str], str], tuple[str, str]]] = {
    "kohya, diffusers' paths": (lambda _, path: f"lora_unet_{path.replace('.', '_')}", DOWN_UP),
    "OneTrainer": (lambda _, path: f"lora_transformer_{path.replace('.', '_')}", DOWN_UP),
    "LyCORIS": (lambda _, path: f"lycoris_{path.replace('.', '_')}", DOWN_UP),
    "ComfyUI": (lambda _, path: f"diffusion_model.{path}", AB),
    "ComfyUI, down and up": (lambda _, path: f"diffusion_model.{path}", DOWN_UP),
    "component": (lambda component, path: f"{component}.{path}", AB),
    "component, down and up": (lambda component, path: f"{component}.{path}", DOWN_UP),
    "PEFT": (lambda component, path: f"base_model.model.{component}.{path}", AB),
    "bare": (lambda _, path: path, AB),
    "bare, down and up": (lambda _, path: path, DOWN_UP),
    "bare, PEFT's adapter named": (lambda _, path: path, ("lora_A.default", "lora_B.default")),
    "bare PEFT": (lambda _, path: f"base_model.model.{path}", AB),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = build_tiny(request.param, tmp_path_factory.mktemp("base") / request.param)
    return open_base(BaseChoice(str(folder), "cpu", "float32"), FAMILIES[request.param])


@pytest.fixture(scope="module")
def pairs(base: BaseModel) -> Pairs:
    """(down, up, alpha) of every layer that is adapted usually; alphas differ."""
    base.lora.use(None)
    generator = torch.Generator().manual_seed(0)
    made = {}
    for number, name in enumerate(adapted_layers(base.denoiser, base.family.targets, base.family.blocks)):
        out, into, *kernel = base.denoiser.get_submodule(name).weight.shape
        down = torch.randn(2, into, *kernel, generator=generator)
        made[name] = (down, torch.randn(out, 2, *(1 for _ in kernel), generator=generator), float(1 + number % 3))
    return made


def worn_wrongly(base: BaseModel, path: Path, pairs: Pairs) -> list[str]:
    """The layers that a file changes in another way than these pairs say."""
    base.lora.use(path)
    try:
        worn = {
            name: layer.get_delta_weight("twinloop").flatten(1)
            for name, layer in base.denoiser.named_modules() if isinstance(layer, LoraLayer)
        }  # fmt: skip
    finally:
        base.lora.use(None)
    assert worn.keys() == pairs.keys()
    wanted = {name: up.flatten(1) @ down.flatten(1) * alpha / 2 for name, (down, up, alpha) in pairs.items()}
    return [name for name, change in wanted.items() if not torch.allclose(worn[name], change, atol=1e-4)]


@pytest.mark.parametrize("form", FORMS)
def test_every_layer_gets_its_change(base: BaseModel, pairs: Pairs, form: str, tmp_path: Path) -> None:
    name, (down_name, up_name) = FORMS[form]
    tensors = {}
    for layer, (down, up, alpha) in pairs.items():
        stem = name(base.family.denoiser, layer)
        tensors |= {f"{stem}.{down_name}.weight": down, f"{stem}.{up_name}.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(alpha)
    save_file(tensors, tmp_path / "x.safetensors")
    assert worn_wrongly(base, tmp_path / "x.safetensors", pairs) == []


@pytest.mark.parametrize("dialect", [Dialect.DIFFUSERS, Dialect.KOHYA, Dialect.COMFYUI])
def test_what_is_converted_is_the_same(base: BaseModel, pairs: Pairs, dialect: Dialect, tmp_path: Path) -> None:
    """The original code's names, fused where that fuses layers."""
    adapter = Adapter(
        base.family.name,
        {
            Place(DENOISER, name): Layer(encode(down.numpy(), "F32"), encode(up.numpy(), "F32"), alpha)
            for name, (down, up, alpha) in pairs.items()
        },
    )
    path = tmp_path / "x.safetensors"
    path.write_bytes(file_bytes(*written(adapter, dialect, {})))
    assert read_lora(path).layers
    assert worn_wrongly(base, path, pairs) == []


@pytest.mark.parametrize("inside", ["", ".nothing"])
def test_names_that_lead_to_no_layer_are_an_error(base: BaseModel, pairs: Pairs, inside: str, tmp_path: Path) -> None:
    """A block has no weight of its own."""
    block = next(iter(pairs)).rpartition(".")[0].removesuffix(".net.0").removesuffix(".to_out") + inside
    tensors = {f"{base.family.denoiser}.{block}.lora_{side}.weight": torch.zeros(2, 2) for side in "AB"}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ModelFileError, match="does not fit this base model"):
        base.lora.use(tmp_path / "x.safetensors")


DIFFSYNTH = {
    "blocks.0.attn.a_to_qkv": [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"],
    "blocks.0.attn.b_to_qkv": [f"transformer_blocks.0.attn.add_{part}_proj" for part in "qkv"],
    "blocks.0.attn.a_to_out": ["transformer_blocks.0.attn.to_out.0"],
    "blocks.0.attn.b_to_out": ["transformer_blocks.0.attn.to_add_out"],
    "blocks.0.ff_a.0": ["transformer_blocks.0.ff.net.0.proj"],
    "blocks.0.ff_b.2": ["transformer_blocks.0.ff_context.net.2"],
    "single_blocks.0.to_qkv_mlp": [
        *(f"single_transformer_blocks.0.attn.to_{part}" for part in "qkv"),
        "single_transformer_blocks.0.proj_mlp",
    ],
    "single_blocks.0.proj_out": ["single_transformer_blocks.0.proj_out"],
}
"""What DiffSynth-Studio's trainer calls layers of FLUX.1 -> diffusers' layers that they are made of."""


def test_flux_in_the_names_of_diffsynth(tmp_path: Path) -> None:
    """Its alpha is the rank, and its file says none."""
    base = open_base(BaseChoice(str(build_tiny("flux", tmp_path / "base")), "cpu", "float32"), FAMILIES["flux"])
    generator, tensors, wanted = torch.Generator().manual_seed(0), {}, Pairs()
    for theirs, ours in DIFFSYNTH.items():
        sizes = [base.denoiser.get_submodule(name).weight.shape for name in ours]
        down = torch.randn(2, sizes[0][1], generator=generator)
        up = torch.randn(sum(out for out, _ in sizes), 2, generator=generator)
        tensors |= {f"{theirs}.lora_A.default.weight": down, f"{theirs}.lora_B.default.weight": up}
        parts = up.split([out for out, _ in sizes])
        wanted |= {name: (down, part, 2.0) for name, part in zip(ours, parts, strict=True)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert worn_wrongly(base, tmp_path / "x.safetensors", wanted) == []
