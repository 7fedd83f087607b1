"""DoRAs: at every strength as far from the base as ComfyUI draws them, and in the copy in ComfyUI's form, which is read
back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import GENERATION  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.adapters.diffusion.loras.random_loras import random_lora  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.dora_layers import interpolate  # noqa: E402
from twinloop.adapters.diffusion.loras.dora_rows import RowNorms, both_norms  # noqa: E402
from twinloop.adapters.diffusion.preflight import Wanted, checks  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import MAGNITUDE, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.errors import InputError, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.dora import BASE_NORM, DORA_TEXT  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SDXL = FAMILIES["sdxl"]
LINEAR = "mid_block.attentions.0.transformer_blocks.0.ff.net.2"
CONVOLUTION = "mid_block.resnets.0.conv1"
ENCODER = "encoder.layers.0.self_attn.q_proj"


@pytest.fixture
def base(full_base: Path) -> Iterator[BaseModel]:
    made = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    made.lora.use(None)
    yield made
    made.lora.hold_steady(False)
    made.lora.use(None)


def dora(base: BaseModel, path: Path) -> Path:
    """One whose pairs and lengths have moved, on linear layers, convolutions and text encoders."""
    plan = AdapterPlan(SDXL.targets, 4, 2.0, dora=True, text_encoder=True, conv_rank=2, conv_alpha=1.0)
    with adapted(base, plan, 0) as model, torch.no_grad():
        torch.manual_seed(1)
        for name, parameter in model.parameters.items():
            if name.endswith("lora_B"):
                parameter.normal_(std=0.3)
            elif name.endswith(MAGNITUDE):
                parameter.mul_(1.0 + 0.4 * torch.rand_like(parameter))
        write_lora(path, model.weights(torch.float32), SDXL, {})
    return path


def modules(base: BaseModel) -> dict[str, Any]:
    encoder = base.pipeline.text_encoder
    return {
        "linear": base.denoiser.get_submodule(LINEAR),
        "convolution": base.denoiser.get_submodule(CONVOLUTION),
        "encoder": getattr(encoder, "text_model", encoder).get_submodule(ENCODER),
    }


def answers(base: BaseModel) -> dict[str, Any]:
    random = torch.Generator().manual_seed(3)
    made = {}
    with torch.no_grad():
        for name, layer in modules(base).items():
            bare = getattr(layer, "base_layer", layer)
            shape = (2, bare.in_channels, 5, 5) if name == "convolution" else (2, bare.in_features)
            made[name] = layer(torch.randn(shape, generator=random))
    return made


def on_the_way(start: dict[str, Any], end: dict[str, Any], share: float, found: dict[str, Any]) -> bool:
    """Whether all answers lie that share of the way."""
    return all(
        torch.allclose(found[name], start[name] + share * (end[name] - start[name]), atol=1e-4) for name in start
    )


@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("copy", [False, True])
def test_a_strength_is_that_share_of_its_change(base: BaseModel, steady: bool, copy: bool, tmp_path: Path) -> None:
    path = dora(base, tmp_path / "x.safetensors")
    path = kohya_path(path) if copy else path
    bare = answers(base)
    base.lora.hold_steady(steady)
    base.lora.use(path)
    full = answers(base)
    assert not any(torch.allclose(full[name], bare[name], atol=0.05) for name in bare)
    for strength in (0.0, 0.25, 0.5, 1.5, 1.0):
        base.lora.use(path, strength)  # stays in place
        assert on_the_way(bare, full, strength, answers(base)), strength
    base.lora.use(None)
    base.lora.use(path, 0.25)  # put on at that strength
    assert on_the_way(bare, full, 0.25, answers(base))


def test_beside_another_lora(base: BaseModel, tmp_path: Path) -> None:
    """Each has the strength that it has alone, also after the other one was exchanged."""
    path = dora(base, tmp_path / "x.safetensors")
    loras = [tmp_path / f"{n}.safetensors" for n in range(2)]
    for number, file in enumerate(loras):
        write_lora(file, random_lora(base.denoiser, seed=number), SDXL, {})
    bare = answers(base)
    base.lora.use(path)
    full = answers(base)
    alone = []
    for file in loras:
        base.lora.use(file)
        alone.append(answers(base))
    for file, plain in zip(loras, alone, strict=True):
        base.lora.wear([(path, 0.3), (file, 1.0)])
        wanted = {name: bare[name] + 0.3 * (full[name] - bare[name]) + plain[name] - bare[name] for name in bare}
        assert on_the_way(wanted, wanted, 0.0, answers(base))
        base.lora.wear([(path, 0.0), (file, 1.0)])
        assert on_the_way(plain, plain, 0.0, answers(base))


def test_layers_that_are_offloaded_one_by_one_follow_too(base: BaseModel, tmp_path: Path) -> None:
    from accelerate.hooks import ModelHook, add_hook_to_module

    path = dora(base, tmp_path / "x.safetensors")
    base.pipeline.load_lora_weights(str(path), adapter_name="other")
    layer: Any = base.denoiser.get_submodule(LINEAR)
    full = layer(inputs := torch.ones(1, layer.in_features))
    add_hook_to_module(layer.lora_magnitude_vector["other"], ModelHook())
    interpolate(base.denoiser, "other")
    base.pipeline.set_adapters(["other"], [0.5])
    half = layer(inputs)
    base.pipeline.unload_lora_weights()
    without = base.denoiser.get_submodule(LINEAR)(inputs)
    assert torch.allclose(half, (full + without) / 2, atol=1e-5)


def test_layer_by_layer_offloading_and_a_dora_are_one_error(base: BaseModel, full_base: Path, tmp_path: Path) -> None:
    """Before anything is loaded, too."""
    path = dora(base, tmp_path / "x.safetensors")
    slow = replace(GENERATION, offload="sequential")
    for file in (path, kohya_path(path)):
        base.lora.use(file)
        with pytest.raises(InputError, match=r"generation.offload: 'sequential'.*a DoRA.*'blocks'"):
            base.offload("sequential")
        wanted = Wanted(BaseChoice(str(full_base), "cpu"), SDXL, slow, (file,))
        with pytest.raises(InputError, match=r"generation.offload: 'sequential'.*a DoRA.*'blocks'"):
            look_at_all(checks(wanted))
        look_at_all(checks(replace(wanted, generation=GENERATION)))


def as_comfyui(weight: Any, tensors: dict[str, Any], name: str, strength: float) -> Any:
    """ComfyUI's weights: its ``weight_decompose`` where ``dora_scale`` has a number for each output."""
    down, up, alpha, scale = (
        tensors[f"{name}.{part}"] for part in ("lora_down.weight", "lora_up.weight", "alpha", "dora_scale")
    )
    assert scale.shape[0] == weight.shape[0]
    changed = weight + (up.flatten(1) @ down.flatten(1)).view_as(weight) * (float(alpha) / len(down))
    norms = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.ndim - 1))
    return weight + strength * (changed * (scale / norms) - weight)


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_comfyui_draws_the_copy_as_it_was_trained(base: BaseModel, strength: float, tmp_path: Path) -> None:
    path = dora(base, tmp_path / "x.safetensors")
    weights = {name: layer.weight.detach().clone() for name, layer in modules(base).items()}
    biases = {name: layer.bias for name, layer in modules(base).items()}
    base.lora.use(path, strength)
    found, random = answers(base), torch.Generator().manual_seed(3)
    copy = load_file(kohya_path(path))
    stems = {
        "linear": f"lora_unet_{LINEAR.replace('.', '_')}",
        "convolution": f"lora_unet_{CONVOLUTION.replace('.', '_')}",
        "encoder": f"lora_te1_text_model_{ENCODER.replace('.', '_')}",
    }
    for name, weight in weights.items():
        theirs = as_comfyui(weight, copy, stems[name], strength)
        conv = weight.ndim > 2
        inputs = torch.randn((2, weight.shape[1], 5, 5) if conv else (2, weight.shape[1]), generator=random)
        run = torch.nn.functional.conv2d if conv else torch.nn.functional.linear
        wanted = run(inputs, theirs, biases[name], **({"padding": 1} if conv else {}))
        assert torch.allclose(found[name], wanted.detach(), atol=1e-4), name


def test_the_copy_is_read_back_as_the_file(base: BaseModel, tmp_path: Path) -> None:
    """Its header says in which form it is; without that lengths are those of LyCORIS and OneTrainer, which divide as
    PEFT does.
    """
    path = dora(base, tmp_path / "x.safetensors")
    copy, own = kohya_path(path), load_file(path)
    assert header_texts(copy)[DORA_TEXT] == BASE_NORM and DORA_TEXT not in header_texts(path)
    theirs = load_file(copy)
    for name in theirs:  # of the same lengths as LyCORIS would write them
        if name == f"lora_unet_{LINEAR.replace('.', '_')}.dora_scale":
            theirs[name] = own[f"unet.{LINEAR}.lora_magnitude_vector"].view(-1, 1)
    save_file(theirs, tmp_path / "lycoris.safetensors")
    base.lora.use(path)
    wanted = answers(base)
    base.lora.use(copy)
    assert on_the_way(wanted, wanted, 0.0, answers(base))
    base.lora.use(tmp_path / "lycoris.safetensors")
    assert torch.allclose(answers(base)["linear"], wanted["linear"], atol=1e-4)
    assert not torch.allclose(answers(base)["convolution"], wanted["convolution"], atol=1e-2)


def test_a_fused_layers_lengths_are_shared_out(tmp_path: Path) -> None:
    """In other programs' names, such as OneTrainer's and sd-scripts', of a model whose attention is one matrix."""
    flux = FAMILIES["flux"]
    base = open_base(BaseChoice(str(build_tiny("flux", tmp_path / "base")), "cpu", "float32"), flux)
    block = "transformer_blocks.0.attn"
    parts = [base.denoiser.get_submodule(f"{block}.to_{part}") for part in "qkv"]
    weight = torch.cat([part.weight.detach() for part in parts])
    down, up, lengths = torch.randn(2, weight.shape[1]), torch.randn(len(weight), 2), torch.rand(len(weight), 1) + 1
    stem = "lora_unet_double_blocks_0_img_attn_qkv"
    save_file(
        {
            f"{stem}.lora_down.weight": down,
            f"{stem}.lora_up.weight": up,
            f"{stem}.alpha": torch.tensor(1.0),
            f"{stem}.dora_scale": lengths,
        },
        tmp_path / "x.safetensors",
    )
    changed = weight + up @ down / 2
    wanted = changed * lengths / changed.norm(dim=1, keepdim=True)
    inputs = torch.randn(3, weight.shape[1])
    base.lora.use(tmp_path / "x.safetensors")
    found = torch.cat([base.denoiser.get_submodule(f"{block}.to_{part}")(inputs) for part in "qkv"], dim=1)
    base.lora.use(None)
    biases = torch.cat([part.bias for part in parts])
    assert torch.allclose(found, torch.nn.functional.linear(inputs, wanted, biases), atol=1e-4)


@pytest.mark.parametrize("form", ["diffusers", "lycoris", "comfyui"])
def test_layers_without_magnitudes_are_those_of_a_lora(base: BaseModel, form: str, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(5)
    tensors, wanted = {}, {}
    for number in (0, 1):
        name = f"mid_block.attentions.0.transformer_blocks.0.attn{number + 1}.to_q"
        layer = base.denoiser.get_submodule(name)
        weight = layer.weight.detach()
        down, up = (torch.randn(shape, generator=random) for shape in ((2, weight.shape[1]), (len(weight), 2)))
        if form == "diffusers":
            stem, parts = f"unet.{name}", ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")
        else:
            stem, parts = f"lora_unet_{name.replace('.', '_')}", ("lora_down.weight", "lora_up.weight", "dora_scale")
        tensors |= {f"{stem}.{parts[0]}": down, f"{stem}.{parts[1]}": up}
        changed = weight + up @ down
        if number == 0:
            lengths = torch.rand(len(weight), 1, generator=random) + 1
            tensors[f"{stem}.{parts[2]}"] = lengths.flatten() if form == "diffusers" else lengths
            changed = changed * lengths / (weight if form == "comfyui" else changed).norm(dim=1, keepdim=True)
        inputs = torch.randn(3, weight.shape[1], generator=random)
        wanted[name] = inputs, torch.nn.functional.linear(inputs, changed, layer.bias)
    save_file(tensors, tmp_path / "x.safetensors", {DORA_TEXT: BASE_NORM} if form == "comfyui" else {})
    base.lora.use(tmp_path / "x.safetensors")
    for name, (inputs, made) in wanted.items():
        assert torch.allclose(base.denoiser.get_submodule(name)(inputs), made, atol=1e-4), name


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_magnitudes_of_inputs_are_refused(family: str, tmp_path: Path) -> None:
    """OneTrainer's, which diffusers drops in silence; before anything is loaded, too."""
    known = FAMILIES[family]
    choice = BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32")
    base = open_base(choice, known)
    named = base.denoiser.named_modules()
    name, layer = next((name, layer) for name, layer in named if name.endswith(("attn.to_q", "attn1.to_q")))
    stem = f"lora_{known.denoiser}_{name.replace('.', '_')}"
    path = tmp_path / "x.safetensors"
    parts = {
        "lora_down.weight": torch.ones(2, layer.in_features),
        "lora_up.weight": torch.ones(layer.out_features, 2),
        "alpha": torch.tensor(1.0),
        "dora_scale": torch.ones(1, layer.in_features),
    }
    save_file({f"{stem}.{part}": tensor for part, tensor in parts.items()}, path)
    with pytest.raises(ModelFileError, match=r"magnitudes are of inputs.*output axis"):
        base.lora.use(path)
    with pytest.raises(ModelFileError, match=r"magnitudes are of inputs.*output axis"):
        look_at_all(checks(Wanted(choice, known, GENERATION, (path,))))


def test_rows_of_zeros_stay_finite() -> None:
    layer = torch.nn.Linear(3, 2)
    torch.nn.init.zeros_(layer.weight)
    norms = both_norms(layer, torch.ones(1, 3), torch.tensor([[1.0], [0.0]]), 1.0, torch.device("cpu"))
    assert norms.for_comfyui(torch.ones(2)).isfinite().all()
    assert norms.for_peft(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_forms_are_each_others_way_back() -> None:
    norms, lengths = RowNorms(torch.rand(8) + 0.5, torch.rand(8) + 0.5), torch.rand(8)
    assert torch.allclose(norms.for_peft(norms.for_comfyui(lengths)), lengths)


def test_pairs_in_half_precision_keep_their_lengths_on_flux2(tmp_path: Path) -> None:
    """diffusers by itself renames those of the single blocks' last layers, and they fit nowhere."""
    family = FAMILIES["flux2"]
    opened = open_base(BaseChoice(str(build_tiny("flux2", tmp_path / "base")), "cpu", "float32"), family)
    with adapted(opened, AdapterPlan(family.targets, 4, 2.0, dora=True), 0) as model, torch.no_grad():
        for parameter in model.parameters.values():
            parameter.mul_(1.25)
        half, whole = model.weights(torch.float16), model.weights(torch.float32)
    path = tmp_path / "x.safetensors"
    write_lora(path, replace(half, magnitudes=whole.magnitudes), family, {})
    assert "lora_A" not in next(iter(load_file(path)))
    opened.lora.use(path)
    assert any(name.endswith(".attn.to_out") for name in whole.magnitudes)
    for name, lengths in whole.magnitudes.items():
        layer: Any = opened.denoiser.get_submodule(name)
        assert torch.allclose(layer.lora_magnitude_vector["twinloop"].weight.flatten(), lengths.flatten()), name
        assert layer.scaling["twinloop"] * layer.lora_A["twinloop"].weight.abs().sum() > 0
