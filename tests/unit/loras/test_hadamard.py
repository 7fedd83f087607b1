"""LoHa: what a product of two LoRAs is, how files of it are read and made LoRAs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.functional.console import twinloop
from tests.unit.loras.makers import delta
from twinloop.errors import InputError, ModelFileError
from twinloop.loras.actions import Term, convert, merge
from twinloop.loras.adapter import Place, understood
from twinloop.loras.combine import Reduction
from twinloop.loras.components import DENOISER
from twinloop.loras.extraction import as_pairs, extract
from twinloop.loras.hadamard import hadamard
from twinloop.loras.info import describe
from twinloop.loras.lora import Dialect, Layer, read_lora
from twinloop.loras.tensors import RawTensor, encode
from twinloop.ports import SilentReporter

Matrix = np.ndarray[Any, np.dtype[np.float32]]
NAMES = ("down_blocks_1_attentions_1_transformer_blocks_1_attn1_to_q", "mid_block_resnets_1_time_emb_proj")
CONV = "down_blocks_0_resnets_1_conv1"


def parts(out: int, into: int, rank: int, seed: int = 0, dtype: Any = np.float32) -> dict[str, Matrix]:
    draw = np.random.default_rng(seed)
    shapes = {"w1_a": (out, rank), "w1_b": (rank, into), "w2_a": (out, rank), "w2_b": (rank, into)}
    return {name: draw.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def cored(out: int, into: int, rank: int, side: int) -> dict[str, Matrix]:
    draw = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {}
    for number in "12":
        shapes |= {f"w{number}_a": (rank, out), f"w{number}_b": (rank, into), f"t{number}": (rank, rank, side, side)}
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def raw(made: dict[str, Matrix]) -> dict[str, RawTensor]:
    return {name: encode(values, "F16" if values.dtype == np.float16 else "F32") for name, values in made.items()}


def by_lycoris(made: dict[str, Matrix], alpha: float | None) -> Matrix:
    """(out, in x kernel) as LyCORIS writes it down: the two matrices multiplied out first."""
    wide = {name: values.astype(np.float64) for name, values in made.items()}
    if "t1" in made:
        halves = [
            np.einsum("ijkl,jr,ip->prkl", wide[f"t{n}"], wide[f"w{n}_b"], wide[f"w{n}_a"]).reshape(
                wide[f"w{n}_a"].shape[1], -1
            )
            for n in "12"
        ]
    else:
        halves = [wide[f"w{n}_a"] @ wide[f"w{n}_b"] for n in "12"]
    rank = made["w1_b"].shape[0]
    whole: Matrix = halves[0] * halves[1] * (1.0 if alpha is None else alpha / rank)
    return whole


def file_of(path: Path, layers: dict[str, dict[str, Matrix]], alpha: float | None = 2.0) -> Path:
    tensors = {f"lora_unet_{name}.hada_{part}": value for name, made in layers.items() for part, value in made.items()}
    if alpha is not None:
        tensors |= {f"lora_unet_{name}.alpha": np.array(alpha, np.float32) for name in layers}
    save_file(tensors, path, {"ss_network_module": "lycoris.kohya", "ss_network_args": '{"algo": "loha"}', "x": "kept"})
    return path


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.sampled_from([None, 0.5, 4.0]))
def test_the_pair_is_the_product_number_by_number(out: int, into: int, rank: int, alpha: float | None) -> None:
    made = parts(out, into, rank)
    update = hadamard("x", raw(made), alpha)
    up, down = update.pair()
    assert up.shape == (out, rank**2) and (update.outputs, update.inputs, update.rank) == (out, into, rank)
    assert np.allclose(up @ down * update.scale, by_lycoris(made, alpha), atol=1e-9)


def test_with_cores_it_is_a_convolution() -> None:
    made = cored(6, 5, 3, 3)
    update = hadamard("x", raw(made), 1.5)
    up, down = update.pair()
    assert (update.outputs, update.inputs, update.kernel, up.shape) == (6, 5, (3, 3), (6, 9))
    assert np.allclose(up @ down * update.scale, by_lycoris(made, 1.5), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"w2_b": None}, "has the parts w1_a, w1_b, w2_a,"),
        ({"w2_b": np.ones((3, 9), np.float32)}, "do not fit each other"),
        ({"w1_a": np.ones((8, 2), np.int32)}, "do not fit each other"),
        ({"t1": np.ones((2, 2), np.float32)}, "from which no product"),
    ],
)
def test_damaged_parts_are_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    made = {name: value for name, value in {**parts(8, 6, 2), **change}.items() if value is not None}
    with pytest.raises(ModelFileError, match=words):
        read_lora(file_of(tmp_path / "x.safetensors", {NAMES[0]: made}))


def test_it_becomes_the_same_lora(tmp_path: Path) -> None:
    layers = {NAMES[0]: parts(12, 10, 2), NAMES[1]: parts(6, 8, 2, 1), CONV: parts(7, 5 * 9, 2, 2)}
    source, output = file_of(tmp_path / "x.safetensors", layers), tmp_path / "lora.safetensors"
    extract(source, output, None, None, SilentReporter())
    made = read_lora(output)
    assert made.method == "LoRA" and made.dialect is Dialect.DIFFUSERS
    assert made.texts["ss_network_module"] == "networks.lora" and made.texts["x"] == "kept"
    assert "ss_network_args" not in made.texts and "LoRA from a LoHa: exact" in made.texts["ss_training_comment"]
    found = {place.path.replace(".", "_"): layer for place, layer in understood(made).layers.items()}
    assert found.keys() == layers.keys()
    for name, given_parts in layers.items():
        assert np.allclose(delta(found[name]), by_lycoris(given_parts, 2.0), rtol=1e-5, atol=1e-6)
    conv = found[CONV]
    assert isinstance(conv, Layer) and conv.down.shape == (4, 5, 3, 3) and conv.up.shape == (7, 4, 1, 1)


def test_a_smaller_rank_is_the_nearest(tmp_path: Path) -> None:
    made = parts(12, 10, 3)
    file = read_lora(file_of(tmp_path / "x.safetensors", {NAMES[0]: made}))
    pairs, kept = as_pairs(file, Reduction(rank=4), None, SilentReporter())
    values = np.linalg.svd(by_lycoris(made, 2.0), compute_uv=False) ** 2
    (layer,) = pairs.layers.values()
    assert layer.rank == 4 and np.isclose(kept.energy, values[:4].sum() / values.sum())
    rest = np.linalg.norm(by_lycoris(made, 2.0) - delta(layer)) ** 2
    assert np.isclose(rest, values[4:].sum(), rtol=1e-4)


def test_ranks_beyond_the_layer_are_left_out_and_huge_ones_need_a_limit(tmp_path: Path) -> None:
    small = parts(12, 10, 5)
    file = read_lora(file_of(tmp_path / "x.safetensors", {NAMES[0]: small}))
    pairs, kept = as_pairs(file, None, "F32", SilentReporter())
    (layer,) = pairs.layers.values()
    assert layer.rank == 10 and np.isclose(kept.energy, 1.0)
    assert np.allclose(delta(layer), by_lycoris(small, 2.0), rtol=1e-4, atol=1e-4)
    huge = file_of(tmp_path / "y.safetensors", {NAMES[0]: parts(600, 600, 23)})
    with pytest.raises(InputError, match=r"a rank of 529.*--rank N"):
        as_pairs(read_lora(huge), None, None, SilentReporter())


def test_half_precision_keeps_tiny_products(tmp_path: Path) -> None:
    """Half precision holds the numbers of the two left matrices, not their products."""
    drawn = parts(8, 6, 2, dtype=np.float16)
    made = {name: value * np.float16(3e-4) if name.endswith("a") else value for name, value in drawn.items()}
    file = read_lora(file_of(tmp_path / "x.safetensors", {NAMES[0]: made}, alpha=None))
    pairs, _ = as_pairs(file, None, None, SilentReporter())
    (layer,) = pairs.layers.values()
    assert isinstance(layer, Layer) and layer.down.dtype == "F16"
    whole = by_lycoris(made, None)
    assert np.linalg.norm(delta(layer) - whole) < 0.002 * np.linalg.norm(whole)


def test_it_takes_part_in_a_merge_and_is_looked_at(tmp_path: Path) -> None:
    made = parts(12, 10, 2)
    source = file_of(tmp_path / "x.safetensors", {NAMES[0]: made})
    said = merge([Term(source, 0.5)], tmp_path / "m.safetensors", Dialect.DIFFUSERS, None, None, SilentReporter())
    assert said["extracted"][0]["method"] == "LoHa"
    place = Place(DENOISER, "down_blocks.1.attentions.1.transformer_blocks.1.attn1.to_q")
    layer = understood(read_lora(tmp_path / "m.safetensors")).layers[place]
    assert np.allclose(delta(layer), 0.5 * by_lycoris(made, 2.0), rtol=1e-5, atol=1e-6)
    data = describe(read_lora(source), SilentReporter())
    assert (data["method"], data["layers"], data["ranks"]) == ("LoHa", 1, {"2": 1})
    assert np.isclose(data["norms"]["total"], np.linalg.norm(by_lycoris(made, 2.0)), rtol=1e-5)


def test_what_needs_a_lora_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = file_of(tmp_path / "x.safetensors", {NAMES[0]: parts(12, 10, 2)})
    with pytest.raises(
        ModelFileError, match=r"x\.safetensors: a LoHa is no LoRA.*twinloop lora convert FILE --to lora"
    ):
        convert(source, Dialect.DIFFUSERS, tmp_path / "d.safetensors")
    output = tmp_path / "lora.safetensors"
    said = twinloop(capsys, "lora", "convert", str(source), "--to", "lora", "--output", str(output))
    assert said.code == 0 and "LoHa -> LoRA of rank 4" in said.out and not said.err
    assert convert(output, Dialect.KOHYA, tmp_path / "k.safetensors")["layers"] == 1
    nothing = twinloop(capsys, "lora", "info", str(source))
    assert nothing.code == 0 and "LoHa" in nothing.out


def test_a_loha_of_peft_becomes_the_same_lora(tmp_path: Path) -> None:
    """PEFT's own names, settings beside the file, and the difference that PEFT itself makes of the weights."""
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")

    class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.attn = torch.nn.ModuleDict({"to_q": torch.nn.Linear(10, 12)})

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.transformer_blocks = torch.nn.ModuleList([Block()])

    torch.manual_seed(0)
    model = peft.get_peft_model(Model(), peft.LoHaConfig(r=2, alpha=3, target_modules=["to_q"], init_weights=False))
    model.save_pretrained(str(tmp_path))
    file = read_lora(tmp_path / "adapter_model.safetensors")
    assert file.method == "LoHa" and file.bare
    pairs, _ = as_pairs(file, None, None, SilentReporter())
    layer = model.base_model.model.transformer_blocks[0].attn["to_q"]
    (made,) = pairs.layers.values()
    assert np.allclose(delta(made), layer.get_delta_weight("default").detach().numpy(), rtol=1e-5, atol=1e-6)
