"""Quantised base models, every family and every kind of weight: computed for real on the CPU, with the libraries that
quantise.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("torchao", reason="the quant extra is not installed")
pytest.importorskip("bitsandbytes", reason="the quant extra is not installed")

from peft.utils.integrations import dequantize_module_weight

from tests.helpers.single_file import write_single_file
from tests.helpers.tiny_families import BUILDERS, build_tiny
from tests.unit.adapters.diffusion.quantised_models import answer, opened, torch
from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.compute import Compute, choose_compute
from twinloop.adapters.diffusion.offloading import check_offload
from twinloop.adapters.diffusion.quantised.model import large_parts, quantisable, quantise
from twinloop.adapters.diffusion.quantised.sizes import bytes_if, plain_shape, real_bytes
from twinloop.domain.quantised import QUANTIZATIONS, Quantization
from twinloop.errors import InputError, MissingExtra
from twinloop.families import FAMILIES

ERROR = {"int8": 0.02, "fp8": 0.06, "nf4": 0.25}
"""Largest distance of a tiny model's answer from that of its own float weights, relative to its length."""


@pytest.fixture(scope="module", params=["sdxl", *sorted(BUILDERS)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build_tiny(request.param, tmp_path_factory.mktemp("models") / request.param)


def weights_of(base: BaseModel) -> list[dict[str, Any]]:
    """The weights of all quantised layers as plain numbers, part by part."""
    return [
        {name: dequantize_module_weight(layer).detach().float().clone() for name, layer in quantisable(part, "int8")}
        for part in large_parts(base.pipeline, base.family)
    ]


@pytest.mark.slow
def test_every_family_on_every_kind_of_weight(folder: tuple[str, Path]) -> None:
    """Smaller to the byte as predicted, near the float model, and the same in answer and gradient as a float model with
    these very numbers.
    """
    family, path = folder
    plain = opened(family, path)
    made, before = answer(plain)[0], real_bytes(plain.denoiser)
    parts = large_parts(plain.pipeline, plain.family)
    predicted = {how: [bytes_if(part, how, torch.float32) for part in parts] for how in QUANTIZATIONS}
    found = {}
    for how in QUANTIZATIONS:
        base = opened(family, path, how)
        assert [real_bytes(part) for part in large_parts(base.pipeline, base.family)] == predicted[how]
        assert real_bytes(base.denoiser) < before
        found[how] = (*answer(base), weights_of(base))
        assert (found[how][0] - made).norm() / made.norm() < ERROR[how], how
    for how, (near, learned, weights) in found.items():
        for part, numbers in zip(parts, weights, strict=True):
            for name, weight in numbers.items():
                part.get_submodule(name).weight.data.copy_(weight)
        plain.prompts.forget()
        same, gradients = answer(plain)
        assert torch.allclose(near, same, atol=1e-4 * float(same.abs().max())), how
        assert torch.cosine_similarity(learned, gradients, 0) > 0.9999, how


@pytest.fixture
def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(64, 48).requires_grad_(False)


class Blocks(torch.nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList([layer])
        self.outside = torch.nn.Linear(4, 4)


def quantised(layer: Any, how: Quantization) -> Any:
    model = Blocks(layer)
    quantise(model, how, torch.device("cpu"))
    assert type(model.outside) is torch.nn.Linear
    return model.blocks[0]


@pytest.mark.parametrize("how", QUANTIZATIONS)
@pytest.mark.parametrize("mixed", [None, torch.bfloat16])
def test_the_gradient_is_that_of_the_unpacked_weight_and_nothing_is_kept_for_it(
    how: Quantization, mixed: Any, layer: Any
) -> None:
    packed = quantised(layer, how)
    plain = torch.nn.Linear(64, 48)
    plain.weight, plain.bias = torch.nn.Parameter(dequantize_module_weight(packed).detach().float()), packed.bias
    found, kept = [], []
    for one in (plain.requires_grad_(False), packed):
        x = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        keep = (lambda tensor: (kept.append(tensor), tensor)[1]) if one is packed else (lambda tensor: tensor)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", mixed, enabled=mixed is not None),
        ):
            made = one(x)
        assert made.dtype == (mixed or torch.float32)
        torch.autograd.backward(made.float().square().sum())
        found.append((made.float(), x.grad))
    for theirs, ours in zip(*found, strict=True):
        assert (ours - theirs).norm() / theirs.norm() < (0.01 if mixed else 1e-5)
    own = packed.weight
    numbers = (one for one in kept if isinstance(one, torch.Tensor) and one is not own and one.is_floating_point())
    assert sum(tensor.nbytes for tensor in numbers) < 2 * 64 * 48


@pytest.mark.parametrize("how", QUANTIZATIONS)
def test_generating_leaves_a_layer_as_it_was(how: Quantization, layer: Any) -> None:
    """Libraries may lay weights out anew for reading them faster, and then no gradient passes any more."""
    packed = quantised(layer, how).eval()
    x = torch.randn(2, 64)
    before = packed(x.clone().requires_grad_(True))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        packed(x)
    after = packed(x.clone().requires_grad_(True))
    assert torch.equal(before, after) and after.requires_grad
    assert plain_shape(packed.weight) == (48, 64) and packed.bias.dtype == torch.float32


def test_int8_sums_stay_within_float16() -> None:
    """The library's product of bare integers would be 80,000, before its scale makes 12.8 of it."""
    layer = torch.nn.Linear(64, 8, bias=False, dtype=torch.float16).requires_grad_(False)
    torch.nn.init.constant_(layer.weight, 0.02)
    x = torch.full((2, 64), 10.0, dtype=torch.float16)
    assert torch.allclose(quantised(layer, "int8")(x), torch.full((2, 8), 12.8, dtype=torch.float16), rtol=0.01)


@pytest.mark.parametrize("how", QUANTIZATIONS)
def test_it_can_be_compiled_in_one_piece(how: Quantization, layer: Any) -> None:
    packed = quantised(layer, how)
    compiled = torch.compile(packed, backend="aot_eager", fullgraph=True)
    found = []
    for one in (packed, compiled):
        x = torch.ones(2, 64, requires_grad=True)
        torch.autograd.backward(one(x).sum())
        with torch.no_grad():
            found.append((one(x), x.grad))
    assert all(torch.allclose(ours, theirs, atol=1e-5) for ours, theirs in zip(*found, strict=True))


def test_the_numbers_are_those_of_diffusers_own_loader(folder: tuple[str, Path]) -> None:
    import diffusers
    from diffusers import TorchAoConfig
    from torchao.quantization import Int8WeightOnlyConfig

    family, path = folder
    ours = opened(family, path, "int8").denoiser
    kind = getattr(diffusers, type(ours).__name__)
    theirs = kind.from_pretrained(
        path,
        subfolder=FAMILIES[family].denoiser,
        quantization_config=TorchAoConfig(Int8WeightOnlyConfig()),
        torch_dtype=torch.float32,
        use_safetensors=True,
    )
    layers = list(quantisable(theirs, "int8"))
    assert layers
    for name, layer in layers:
        own = ours.get_submodule(name)
        assert torch.equal(own.weight.qdata, layer.weight.qdata) and torch.equal(
            own.weight.scale, layer.weight.scale
        ), name


def test_clips_stay_as_they_are_and_language_models_do_not(tmp_path: Path) -> None:
    base = opened("flux", build_tiny("flux", tmp_path / "flux"), "nf4")
    assert [type(part).__name__ for part in large_parts(base.pipeline, base.family)] == [
        "FluxTransformer2DModel",
        "T5EncoderModel",
    ]
    kinds = {type(part).__name__ for part in base.pipeline.text_encoder.modules() if isinstance(part, torch.nn.Linear)}
    assert kinds == {"Linear"}
    # T5 asks the weight of ``wo`` for its precision, where packed numbers would say uint8
    assert {
        name.rpartition(".")[2]: type(part).__name__ for name, part in quantisable(base.pipeline.text_encoder_2, "int8")
    }["wo"] == "Linear"


@pytest.mark.parametrize("how", QUANTIZATIONS)
def test_what_tells_chromas_blocks_the_time_stays_as_it_is(how: Quantization, tmp_path: Path) -> None:
    """It is a list of layers, too, and every block multiplies with what it says."""
    folder = build_tiny("chroma", tmp_path / "base")
    plain, packed = (opened("chroma", folder, kind).denoiser.distilled_guidance_layer for kind in (None, how))
    given = torch.randn(1, 5, plain.in_proj.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(packed(given), plain(given))


def test_a_single_file_is_quantised_as_its_folder_is(full_base: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(full_base)
    write_single_file(full_base, tmp_path / "model.safetensors")
    found = [answer(opened("sdxl", path, "int8"))[0] for path in (full_base, tmp_path / "model.safetensors")]
    assert torch.allclose(*found, atol=1e-5)  # the file's text encoder rounds otherwise, quantised or not


def test_what_was_computed_with_other_weights_is_kept_apart(tmp_path: Path) -> None:
    """Caches, training records and generators are named after this fingerprint."""
    path = build_tiny("zimage", tmp_path / "zimage")
    prints = [opened("zimage", path, how).fingerprint for how in (None, *QUANTIZATIONS)]
    assert len(set(prints)) == 4 and prints[0] in prints[1]


@pytest.mark.parametrize(("how", "library"), [("nf4", "bitsandbytes"), ("int8", "torchao"), ("fp8", "torchao")])
def test_a_missing_library_is_named_with_its_pip_line(how: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == library else real(name, *rest))
    with pytest.raises(MissingExtra, match=rf"no module '{library}'.*pip install .*-e \"\.\[quant\]\""):
        choose_compute("cpu", "auto", how)


def test_what_cannot_be_combined() -> None:
    with pytest.raises(InputError, match=r"quantization: unknown value 'int3'. Known: int8, fp8, nf4"):
        choose_compute("cpu", "auto", "int3")
    gpu = Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    check_offload("sequential", gpu)
    for offload in ("model", "blocks"):
        check_offload(offload, replace(gpu, quantization="nf4"))
    with pytest.raises(InputError, match=r'generation.offload: "sequential".*Set it to "blocks"'):
        check_offload("sequential", replace(gpu, quantization="nf4"))


def test_an_apple_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(InputError, match=r'"nf4" weights need a CUDA GPU or a CPU'):
        choose_compute("mps", "auto", "nf4")
