"""LoKr layers that never multiply their product out: against PEFT's own and LyCORIS's formula, worn beside LoRAs, and
from foreign files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from peft import LoKrConfig, LoKrModel  # noqa: E402
from peft.tuners.lokr.layer import factorization as of_peft  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from tests.contract.makers import GENERATION  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.lora_files import write_lora  # noqa: E402
from tests.unit.adapters.diffusion.loras.random_loras import random_lora  # noqa: E402
from tests.unit.loras.kronecker_files import FACTORS, WIDTHS, product  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.loras.kronecker_layers import add_lokr, wear_product  # noqa: E402
from twinloop.adapters.diffusion.preflight import Wanted, checks  # noqa: E402
from twinloop.errors import InputError, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.kronecker import factorization  # noqa: E402
from twinloop.loras.lokr_texts import factor_of, lokr_settings  # noqa: E402

SDXL = FAMILIES["sdxl"]
KEY = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


@given(WIDTHS, FACTORS)
def test_widths_are_divided_as_peft_does(width: int, factor: int) -> None:
    assert factorization(width, factor) == of_peft(width, factor)


def test_what_peft_is_told_makes_the_same_matrices() -> None:
    """The header's JSON: PEFT divides, decomposes and scales by it as the file is."""
    layers = {
        "one": product(48, 64, 8, 2, 6.0),
        "two": product(48, 64, 8, None, 6.0),
        "three": product(16, 64, 8, 1, 2.0),
    }
    told = lokr_settings(layers)
    assert factor_of(layers.values()) == 8 == told["decompose_factor"]
    model = torch.nn.ModuleDict({name: torch.nn.Linear(layer.inputs, layer.outputs) for name, layer in layers.items()})
    made: Any = LoKrModel(model, LoKrConfig(**told), "x")
    for name, layer in layers.items():
        found = made.model[name]
        assert found.scaling["x"] == pytest.approx(layer.scale)
        for part, raw in layer.parts.items():
            assert getattr(found, f"lokr_{part}")["x"].shape == raw.shape


class Small(torch.nn.Module):
    """Stands for a diffusers model, as far as adapters go."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(24, 36)
        self.flat, self.wide = torch.nn.Conv2d(8, 12, 1, bias=False), torch.nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.apart = torch.nn.Conv2d(8, 8, 3, padding=1, groups=2)

    def set_adapter(self, name: str) -> None:
        """diffusers' models switch adapters here; new layers use theirs."""


INPUTS = {"line": (2, 5, 24), "flat": (2, 8, 6, 6), "wide": (2, 8, 6, 6), "apart": (2, 8, 6, 6)}


@pytest.mark.parametrize(
    "options", [{"r": 1}, {"r": 1, "decompose_both": True}, {"r": 1, "use_effective_conv2d": True}, {"r": 100}], ids=str
)
@pytest.mark.parametrize("layer", list(INPUTS))
def test_the_answer_and_its_gradients_are_those_of_the_product(layer: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = Small()
    add_lokr(
        model, LoKrConfig(alpha=3.0, decompose_factor=4, target_modules=[layer], init_weights=False, **options), "x"
    )
    worn: Any = getattr(model, layer)
    x = torch.randn(INPUTS[layer])
    base = worn.base_layer
    weight = worn.get_delta_weight("x")
    written = (
        torch.nn.functional.linear(x, base.weight + weight, base.bias)
        if layer == "line"
        else torch.nn.functional.conv2d(
            x, base.weight + weight, base.bias, base.stride, base.padding, base.dilation, base.groups
        )
    )
    parameters = [parameter for name, parameter in model.named_parameters() if name.endswith(".x")]
    answers = []
    for made in (worn(x), written):
        answers.append((made, torch.autograd.grad(made.square().sum(), parameters, retain_graph=True)))
    assert torch.allclose(answers[0][0], answers[1][0], atol=1e-4)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(answers[0][1], answers[1][1], strict=True))
    assert torch.allclose(weight, super(type(worn), worn).get_delta_weight("x"), atol=1e-6)


def test_a_window_of_rows_is_this_layers_part() -> None:
    layer = torch.nn.ModuleDict({"q": torch.nn.Linear(12, 6), "k": torch.nn.Linear(12, 6)})
    w1, w2 = torch.randn(3, 4), torch.randn(4, 3)
    for name, rows in (("q", (0, 6)), ("k", (6, 12))):
        wear_product(layer, name, "x", {"lokr_w1": w1, "lokr_w2": w2}, 0.5, rows)
        x = torch.randn(2, 12)
        wanted = layer[name].base_layer(x) + x @ (0.5 * torch.kron(w1, w2)[slice(*rows)]).T
        assert torch.allclose(layer[name](x), wanted, atol=1e-5)


def test_a_window_goes_with_its_file() -> None:
    layer = torch.nn.ModuleDict({"k": torch.nn.Linear(12, 6)})
    wear_product(layer, "k", "x", {"lokr_w1": torch.randn(3, 4), "lokr_w2": torch.randn(4, 3)}, 0.5, (6, 12))
    w1, w2 = torch.randn(3, 4), torch.randn(2, 3)
    wear_product(layer, "k", "x", {"lokr_w1": w1, "lokr_w2": w2}, 0.5, None)
    x = torch.randn(2, 12)
    assert torch.allclose(layer["k"](x), layer["k"].base_layer(x) + x @ (0.5 * torch.kron(w1, w2)).T, atol=1e-5)


def lycoris(w1: Any, w2: Any, scale: float = 1.0) -> Any:
    """LyCORIS's formula, written out."""
    return (
        torch.stack(
            [torch.cat([w1[i, j] * w2 for j in range(w1.shape[1])], dim=1) for i in range(w1.shape[0])]
        ).flatten(0, 1)
        * scale
    )


def delta_of(base: BaseModel, key: str = KEY) -> Any:
    """How much the layer at ``key`` now changes its answer to every unit vector: the update, transposed."""
    layer: Any = base.denoiser.get_submodule(key)
    unit = torch.eye(layer.in_features)
    with torch.no_grad():
        return (layer(unit) - layer.get_base_layer()(unit)).T


@pytest.fixture
def base(full_base: Path) -> Any:
    opened = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    yield opened
    opened.lora.use(None)


@pytest.fixture
def foreign(base: BaseModel, tmp_path: Path) -> tuple[Path, Any]:
    """A file as sd-scripts with LyCORIS writes it, over the denoiser and a text encoder, and the update of the layer
    ``KEY``.
    """
    torch.manual_seed(1)
    width = base.denoiser.get_submodule(KEY).in_features
    a = 4
    w1, w2_a, w2_b = torch.randn(a, a), torch.randn(width // a, 2) * 0.1, torch.randn(2, width // a) * 0.1
    name = f"lora_unet_{KEY.replace('.', '_')}"
    hidden = base.pipeline.text_encoder.config.hidden_size
    heard = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"
    save_file(
        {
            f"{name}.lokr_w1": w1,
            f"{name}.lokr_w2_a": w2_a,
            f"{name}.lokr_w2_b": w2_b,
            f"{name}.alpha": torch.tensor(1.0),
            f"{heard}.lokr_w1": torch.randn(2, 2),
            f"{heard}.lokr_w2": torch.randn(hidden // 2, hidden // 2),
            f"{heard}.alpha": torch.tensor(1e10),
        },
        tmp_path / "foreign.safetensors",
    )
    return tmp_path / "foreign.safetensors", lycoris(w1, w2_a @ w2_b, 1 / 2)


def test_a_foreign_file_is_worn_as_it_is_with_any_strength(base: BaseModel, foreign: tuple[Path, Any]) -> None:
    path, update = foreign
    said = base.prompts.embed("photo")["prompt_embeds"]
    base.lora.use(path)
    assert torch.allclose(delta_of(base), update, atol=1e-5)
    heard = base.prompts.embed("photo")["prompt_embeds"]
    assert not torch.allclose(heard, said, atol=1e-3)
    base.lora.use(path, 0.25)
    assert torch.allclose(delta_of(base), 0.25 * update, atol=1e-5)
    assert not torch.allclose(base.prompts.embed("photo")["prompt_embeds"], heard, atol=1e-4)
    base.lora.use(None)
    assert torch.equal(base.prompts.embed("photo")["prompt_embeds"], said)
    assert not any("lokr" in name for name, _ in base.denoiser.named_parameters())


def test_a_lokr_is_worn_beside_loras_and_exchanged(base: BaseModel, foreign: tuple[Path, Any], tmp_path: Path) -> None:
    path, update = foreign
    write_lora(tmp_path / "style.safetensors", random_lora(base.denoiser, seed=9), SDXL, {})
    style = tmp_path / "style.safetensors"
    base.lora.use(style)
    alone = delta_of(base)
    for files in ([(path, 1.0), (style, 0.5)], [(style, 0.5), (path, 1.0)], [(style, 0.5), (path, 0.5), (path, 0.5)]):
        base.lora.wear(files)
        assert torch.allclose(delta_of(base), update + 0.5 * alone, atol=1e-4), files
    base.lora.wear([(path, 1.0)])
    assert torch.allclose(delta_of(base), update, atol=1e-5)
    base.lora.use(style)
    assert torch.allclose(delta_of(base), alone, atol=1e-6)


def test_a_lokr_of_another_base_or_kind_is_named(base: BaseModel, tmp_path: Path) -> None:
    parts = {"lokr_w1": torch.ones(2, 2), "lokr_w2": torch.ones(3, 3)}
    name = f"lora_unet_{KEY.replace('.', '_')}"
    for stem, more, words in (
        (name, {}, r"does not fit this base model: down_blocks.*takes \d+ channels here, 6 in the file"),
        (
            "lora_unet_down_blocks_7_attentions_0_proj_in",
            {},
            "this base has no layer down_blocks.7.attentions.0.proj_in",
        ),
        ("transformer.single_transformer_blocks.0.attn.to_q", {}, "this base has no layer single_transformer_blocks"),
        ("lora_te3_encoder_block_0_layer_0_SelfAttention_q", {}, "it adapts a text_encoder_3, which this base has not"),
        (name, {"dora_scale": torch.ones(6, 1)}, "LoKr with weight decomposition"),
    ):
        save_file(
            {f"{stem}.{part}": tensor.clone() for part, tensor in {**parts, **more}.items()}, tmp_path / "x.safetensors"
        )
        with pytest.raises(ModelFileError, match=words):
            base.lora.use(tmp_path / "x.safetensors")
        assert not any("lokr" in key for key, _ in base.denoiser.named_parameters())


def test_layer_by_layer_offloading_and_a_lokr_are_one_error(base: BaseModel, foreign: tuple[Path, Any]) -> None:
    base.lora.use(foreign[0])
    with pytest.raises(InputError, match=r"generation.offload: 'sequential'.*--to lora"):
        base.offload("sequential")


def test_layer_by_layer_offloading_and_a_lokr_are_known_not_to_go_together_before_anything_is_loaded(
    full_base: Path, foreign: tuple[Path, Any], tmp_path: Path
) -> None:
    write_lora(
        tmp_path / "style.safetensors",
        random_lora(open_base(BaseChoice(str(full_base), "cpu"), SDXL).denoiser),
        SDXL,
        {},
    )
    slow = replace(GENERATION, offload="sequential")
    wanted = Wanted(BaseChoice(str(full_base), "cpu"), SDXL, slow, (foreign[0],))
    with pytest.raises(InputError, match=r"generation.offload: 'sequential'.*--to lora"):
        look_at_all(checks(wanted))
    with pytest.raises(InputError, match="CUDA GPU"):  # all that is wrong with a LoRA here is the machine
        look_at_all(checks(replace(wanted, loras=(tmp_path / "style.safetensors",))))
    look_at_all(checks(replace(wanted, generation=GENERATION)))


def test_files_of_any_precision_are_read_exactly(base: BaseModel, tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        width = base.denoiser.get_submodule(KEY).in_features
        w1, w2 = torch.randn(4, 4).to(dtype), torch.randn(width // 4, width // 4).to(dtype)
        save_file({f"unet.{KEY}.lokr_w1": w1, f"unet.{KEY}.lokr_w2": w2}, tmp_path / "x.safetensors")
        base.lora.use(tmp_path / "x.safetensors")
        assert torch.allclose(delta_of(base), lycoris(w1.float(), w2.float()), atol=1e-4)
        base.lora.use(None)
