"""LoKr: how widths are divided, what a product is, how files of it are read, renamed, made LoRAs and made smaller."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.unit.loras.kronecker_files import FACTORS, WIDTHS, lokr, product, saved
from tests.unit.loras.makers import delta, matrix
from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.loras.actions import Term, convert, merge
from twinloop.loras.adapter import Adapter, Place, understood
from twinloop.loras.combine import Reduction, resized
from twinloop.loras.components import DENOISER
from twinloop.loras.container import read_tensors
from twinloop.loras.extraction import as_pairs, convolutions
from twinloop.loras.info import describe
from twinloop.loras.kronecker import Kronecker, factorization
from twinloop.loras.lora import Dialect, Layer, LoraFile, read_lora
from twinloop.loras.products import Decomposed, as_pair, cut_rows, product_norm, shrunk, stacked
from twinloop.loras.tensors import RawTensor, encode
from twinloop.loras.write import written
from twinloop.ports import SilentReporter


@given(WIDTHS, FACTORS)
def test_a_width_is_divided_without_rest(width: int, factor: int) -> None:
    small, large = factorization(width, factor)
    assert small * large == width
    if factor > 0 and width % factor == 0:
        assert small == factor
    else:
        assert small <= large and (factor < 0 or small <= factor)
        between = [m for m in range(small + 1, math.isqrt(width) + 1) if width % m == 0 and (factor < 0 or m <= factor)]
        assert not between  # nothing nearer to the square root was passed over


def tensors(path: Path) -> dict[str, RawTensor]:
    return read_tensors(path)[1]


def test_a_product_is_what_lycoris_says() -> None:
    """kron(w1, w2) x alpha / rank of a pair; without the quotient where both matrices are whole."""
    draw = np.random.default_rng(1)
    w1, w2, w2_a, w2_b = (draw.normal(size=shape).astype(np.float32) for shape in ((2, 3), (4, 5), (4, 2), (2, 5)))
    raw = {name: encode(values, "F32") for name, values in {"w1": w1, "w2": w2, "w2_a": w2_a, "w2_b": w2_b}.items()}
    whole = Kronecker({"w1": raw["w1"], "w2": raw["w2"]}, 100000.0)
    assert np.allclose(delta(whole), np.kron(w1, w2)) and whole.scale == 1.0 and whole.rank is None
    pair = Kronecker({"w1": raw["w1"], "w2_a": raw["w2_a"], "w2_b": raw["w2_b"]}, 8.0)
    assert np.allclose(delta(pair), np.kron(w1, w2_a @ w2_b) * (8.0 / 2)) and (
        pair.rank,
        pair.outputs,
        pair.inputs,
    ) == (2, 8, 15)
    assert np.allclose(delta(Kronecker(pair.parts, None)), np.kron(w1, w2_a @ w2_b))


def test_a_product_with_a_tucker_core_is_what_lycoris_says() -> None:
    draw = np.random.default_rng(2)
    w1, t2, w2_a, w2_b = (draw.normal(size=shape) for shape in ((2, 3), (2, 2, 3, 3), (2, 4), (2, 5)))
    made = Kronecker(
        {name: encode(v, "F64") for name, v in {"w1": w1, "t2": t2, "w2_a": w2_a, "w2_b": w2_b}.items()}, 1.0
    )
    w2 = np.einsum("ijkl,ip,jr->prkl", t2, w2_a, w2_b)
    wanted = np.kron(w1[:, :, None, None], w2) / 2
    assert np.allclose(delta(made), wanted.reshape(8, -1)) and made.kernel == (3, 3)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"lokr_w1": (2, 2)}, "has the parts w1, from which no product"),
        ({"lokr_w1": (2, 2), "lokr_w2": (3, 3), "lokr_w2_a": (3, 1)}, "no product can be made"),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (3, 2), "lokr_w2_b": (4, 3)}, r"do not fit each other: w1 \(2, 2\), w2_a"),
        (
            {"lokr_w1": (2, 2), "lokr_w2": (3, 3), "lora_up.weight": (3, 1), "lora_down.weight": (1, 3)},
            "a LoRA and a LoKr at once",
        ),
    ],
)
def test_wrong_products_are_named(parts: dict[str, tuple[int, ...]], words: str, tmp_path: Path) -> None:
    save_file(
        {f"lora_unet_x.{name}": np.ones(shape, np.float32) for name, shape in parts.items()}, tmp_path / "x.safetensors"
    )
    with pytest.raises(ModelFileError, match=rf"{words}.*again\.$"):
        read_lora(tmp_path / "x.safetensors")


def test_an_alpha_that_half_precision_cannot_hold_is_read_where_it_says_nothing(tmp_path: Path) -> None:
    """ai-toolkit writes 9,999,999,999 for full rank, which is infinite in float16."""
    whole = {"lora_unet_x.lokr_w1": np.ones((2, 2), np.float16), "lora_unet_x.lokr_w2": np.ones((3, 3), np.float16)}
    save_file({**whole, "lora_unet_x.alpha": np.array(np.inf, np.float16)}, tmp_path / "x.safetensors")
    (found,) = read_lora(tmp_path / "x.safetensors").products.values()
    assert found.scale == 1.0
    pair = {
        "lora_unet_x.lokr_w1": np.ones((2, 2), np.float16),
        "lora_unet_x.lokr_w2_a": np.ones((3, 1), np.float16),
        "lora_unet_x.lokr_w2_b": np.ones((1, 3), np.float16),
    }
    save_file({**pair, "lora_unet_x.alpha": np.array(np.inf, np.float16)}, tmp_path / "y.safetensors")
    with pytest.raises(ModelFileError, match="alpha of 'lora_unet_x' is not a finite number"):
        read_lora(tmp_path / "y.safetensors")


def test_weight_decomposition_is_named_and_not_converted(tmp_path: Path) -> None:
    whole = {"lora_unet_x.lokr_w1": np.ones((2, 2), np.float16), "lora_unet_x.lokr_w2": np.ones((3, 3), np.float16)}
    save_file({**whole, "lora_unet_x.dora_scale": np.ones((6, 1), np.float16)}, tmp_path / "x.safetensors")
    file = read_lora(tmp_path / "x.safetensors")
    assert file.method == "LoKr with weight decomposition"
    with pytest.raises(ModelFileError, match=r"LoKr with weight decomposition weights.*not converted"):
        understood(file)


@pytest.mark.parametrize("rank", [None, 1])
@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux", "flux2", "sd35", "qwen-image", "zimage"])
def test_there_and_back_every_bit_is_the_same(family: str, rank: int | None, tmp_path: Path) -> None:
    made = lokr(family, 4, rank)
    first = saved(tmp_path / "diffusers.safetensors", made, Dialect.DIFFUSERS)
    for dialect in (Dialect.KOHYA, Dialect.COMFYUI):
        copy = saved(tmp_path / f"{dialect}.safetensors", understood(first, family), dialect)
        again = saved(tmp_path / "again.safetensors", understood(copy, family), Dialect.DIFFUSERS)
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "diffusers.safetensors").read_bytes()
        assert all(
            a.same(tensors(tmp_path / "diffusers.safetensors")[name])
            for name, a in tensors(tmp_path / "again.safetensors").items()
        )
        assert {place: delta(layer).tobytes() for place, layer in _products(again, family)} == {
            place: delta(layer).tobytes() for place, layer in made.layers.items() if isinstance(layer, Kronecker)
        }


def _products(file: LoraFile, family: str) -> list[tuple[Place, Kronecker]]:
    return [(place, layer) for place, layer in understood(file, family).layers.items() if isinstance(layer, Kronecker)]


@pytest.mark.parametrize(
    ("family", "start"),
    [("flux", "lycoris_"), ("sd35", "lycoris_"), ("sdxl", "lora_unet_input_blocks_5_1_"), ("qwen-image", "lora_unet_")],
)
def test_layers_that_cannot_be_fused_keep_diffusers_paths(family: str, start: str, tmp_path: Path) -> None:
    """Products over query, key and value are no product over the three of them."""
    file = saved(tmp_path / "x.safetensors", lokr(family), Dialect.KOHYA)
    assert any(name.startswith(start) for name in file.layers)
    assert start != "lycoris_" or all(name.startswith(start) for name in file.layers)


def test_one_product_over_a_fused_layer_becomes_three_and_one_again(tmp_path: Path) -> None:
    """As sd-scripts trains FLUX.1, where the rows of the small matrix fall to one part each."""
    whole = product(72, 24, 12, None, 1.0, "F16")
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    data = {f"{name}.lokr_{part}": raw.bits for part, raw in whole.parts.items()} | {
        f"{name}.alpha": np.array(1.0, np.float16)
    }
    save_file(data, tmp_path / "x.safetensors")
    parts = understood(read_lora(tmp_path / "x.safetensors"), "flux")
    assert np.allclose(
        np.concatenate([delta(layer) for layer in parts.layers.values() if isinstance(layer, Kronecker)]),
        delta(whole),
    )
    assert all(isinstance(layer, Kronecker) and layer.rows is None for layer in parts.layers.values())
    saved(tmp_path / "again.safetensors", parts, Dialect.KOHYA)
    again = tensors(tmp_path / "again.safetensors")
    assert again.keys() == data.keys() and all(np.array_equal(again[key].bits, data[key]) for key in data)


def test_one_product_whose_rows_are_shared_is_worn_but_not_split(tmp_path: Path) -> None:
    whole = product(72, 24, 8, None, 1.0, "F16")
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    save_file({f"{name}.lokr_{part}": raw.bits for part, raw in whole.parts.items()}, tmp_path / "x.safetensors")
    parts = understood(read_lora(tmp_path / "x.safetensors"), "flux")
    layers = [layer for layer in parts.layers.values() if isinstance(layer, Kronecker)]
    assert [layer.rows for layer in layers] == [(0, 24), (24, 48), (48, 72)] and {
        layer.outputs for layer in layers
    } == {24}
    assert np.array_equal(np.concatenate([delta(layer) for layer in layers]), delta(whole))
    with pytest.raises(ModelFileError, match=r"shares one LoKr with its neighbours.*--to lora"):
        written(parts, Dialect.DIFFUSERS, {})
    assert stacked(layers) is not None and list(saved(tmp_path / "again.safetensors", parts, Dialect.KOHYA).layers) == [
        name
    ]


SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))


@settings(deadline=None, max_examples=60)
@given(
    SIZES,
    st.integers(0, 10**6),
    st.one_of(st.none(), st.integers(1, 3)),
    st.floats(-4, 4).filter(lambda x: abs(x) > 0.05),
)
def test_the_nearest_lora_is_that_of_the_whole_matrix(
    sizes: tuple[int, int, int, int], seed: int, rank: int | None, alpha: float
) -> None:
    """Against the decomposition of the product multiplied out."""
    a, c, b, d = sizes
    draw = np.random.default_rng(seed)
    large = (
        {"w2": matrix(b, d, "F64", draw)}
        if rank is None
        else {"w2_a": matrix(b, rank, "F64", draw), "w2_b": matrix(rank, d, "F64", draw)}
    )
    made = Kronecker({"w1": matrix(a, c, "F64", draw), **large}, alpha)
    dense = delta(made)
    left, values, right = np.linalg.svd(dense, full_matrices=False)
    found = Decomposed(made)
    for wanted in {1, found.rank}:
        nearest = (left[:, :wanted] * values[:wanted]) @ right[:wanted]
        pair = found.lora(wanted, "F64")
        assert np.linalg.norm(dense - delta(pair)) == pytest.approx(np.linalg.norm(dense - nearest), abs=1e-9)
        assert found.energy[:wanted].sum() == pytest.approx((values[:wanted] ** 2).sum())
    assert product_norm(made) == pytest.approx(np.linalg.norm(dense))
    assert np.allclose(delta(found.lora(found.rank, "F64")), dense)


@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_smaller_rank_is_the_nearest_with_the_same_small_matrix(rank: int, seed: int) -> None:
    made = product(24, 32, 2, None, 7.0, "F64", seed)
    small, kept = shrunk(made, rank, None, None)
    values = np.linalg.svd(made.right(), compute_uv=False)
    left_out = np.linalg.norm(made.left()) * np.linalg.norm(values[rank:])
    assert np.linalg.norm(delta(made) - delta(small)) == pytest.approx(left_out, abs=1e-9)
    assert (
        kept == pytest.approx((values[:rank] ** 2).sum() / (values**2).sum())
        and small.rank == rank
        and small.parts["w1"] is made.parts["w1"]
    )


def test_resizing_leaves_what_is_small_enough_as_it_is() -> None:
    layers = {"one": product(24, 32, 2, 2, 4.0), "other": product(24, 32, 2, 6, 3.0)}
    made = resized(layers, Reduction(rank=3), None, SilentReporter())
    assert (
        made.layers["one"] is layers["one"]
        and made.layers["other"].rank == 3
        and made.worst == "other"
        and 0 < made.worst_kept < 1
    )
    assert made.layers["other"].scale == pytest.approx(layers["other"].scale)
    with pytest.raises(NothingToDo, match=r"ranks \(2 to 6\) are within"):
        resized(layers, Reduction(rank=8), None, SilentReporter())
    most = resized({"whole": product(24, 32, 2, None, 1.0)}, Reduction(energy=0.5), None, SilentReporter())
    assert most.layers["whole"].rank is not None and 0.5 <= most.kept < 1


@pytest.mark.parametrize("part", ["w1", "w2"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_broken_weights_are_named(part: str, wrong: float) -> None:
    good = product(6, 8, 2, None, 1.0)
    broken = Kronecker({**good.parts, part: encode(np.full(good.parts[part].shape, wrong), "F32")}, 1.0)
    with pytest.raises(ModelFileError, match="not finite"):
        Decomposed(broken)
    with pytest.raises(ModelFileError, match="not finite"):
        resized({"one": good, "other": broken}, Reduction(rank=1), None, SilentReporter())


def test_a_sum_of_lokrs_is_not_called_one(tmp_path: Path) -> None:
    """What both were trained with says nothing of their sum, which is a LoRA."""
    told = {
        "ss_network_module": "lycoris.kohya",
        "ss_network_args": '{"algo": "lokr"}',
        "ss_resolution": "(1024, 1024)",
    }
    for name in ("a", "b"):
        saved(tmp_path / f"{name}.safetensors", lokr("sdxl", 8, 1), Dialect.KOHYA, told)
    merge(
        [Term(tmp_path / f"{name}.safetensors", 0.5) for name in ("a", "b")],
        tmp_path / "sum.safetensors",
        None,
        Reduction(rank=2),
        None,
        SilentReporter(),
    )
    made = read_lora(tmp_path / "sum.safetensors")
    assert made.method == "LoRA" and made.texts["ss_network_module"] == "networks.lora"
    assert "ss_network_args" not in made.texts and made.texts["ss_resolution"] == "(1024, 1024)"


def test_why_a_lokr_is_not_written_for_comfyui_once_more(tmp_path: Path) -> None:
    for family, words in (("flux", "LoKrs of their own"), ("sdxl", "For UNets")):
        path = saved(tmp_path / f"{family}.safetensors", lokr(family), Dialect.KOHYA).path
        with pytest.raises(NothingToDo, match=f"in the dialect kohya already.*{words}"):
            convert(path, Dialect.COMFYUI, tmp_path / "out.safetensors")
    with pytest.raises(NothingToDo, match=r"nothing was written\.$"):
        convert(path, Dialect.KOHYA, tmp_path / "out.safetensors")


def test_a_file_of_pairs_and_products_becomes_a_lora(tmp_path: Path) -> None:
    """With convolutions in the shape that PEFT wants, although a pair does not tell its kernel."""
    conv = Kronecker(
        {
            "w1": encode(np.ones((2, 2)), "F32"),
            "w2_a": encode(np.ones((160, 1)), "F32"),
            "w2_b": encode(np.ones((1, 160 * 9)), "F32"),
        },
        1.0,
    )
    base = lokr("sdxl", 8, 1)
    mixed = Adapter("sdxl", {**base.layers, Place(DENOISER, "down_blocks.0.resnets.1.conv1"): conv})
    file = saved(tmp_path / "x.safetensors", mixed, Dialect.KOHYA)
    pairs, kept = as_pairs(file, None, None, SilentReporter())
    made = convolutions(understood(pairs, "sdxl"))
    assert kept.energy == pytest.approx(1.0) and pairs.method == "LoRA" and not pairs.products
    folded = made.layers[Place(DENOISER, "down_blocks.0.resnets.1.conv1")]
    assert isinstance(folded, Layer) and folded.down.shape[1:] == (320, 3, 3) and folded.up.shape[2:] == (1, 1)
    for place, layer in base.layers.items():
        found = made.layers[place]
        assert isinstance(found, Layer) and isinstance(layer, Kronecker)
        if max(layer.small[0] * layer.large[0], layer.inputs) < 100:
            # rounded to half precision
            assert np.allclose(delta(found), delta(layer), atol=np.abs(delta(layer)).max() * 4e-3)
    assert convolutions(
        Adapter(
            "sd15",
            {
                Place(DENOISER, "mid_block.attentions.0.proj_in"): Layer(
                    matrix(1, 8, "F32", np.random.default_rng(0)), matrix(8, 1, "F32", np.random.default_rng(0)), 1.0
                )
            },
        )
    ).layers.popitem()[1].down.shape == (1, 8, 1, 1)  # type: ignore[attr-defined]


def test_exactly_is_refused_where_it_would_be_as_large_as_the_model(tmp_path: Path) -> None:
    made = Adapter("sdxl", {Place(DENOISER, "mid_block.attentions.0.proj_in"): product(640, 640, 2, None, 1.0, "F16")})
    with pytest.raises(InputError, match=r"as a LoRA this has a rank of 640.*--rank N"):
        as_pairs(saved(tmp_path / "x.safetensors", made, Dialect.KOHYA), None, None, SilentReporter())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_a_pair_is_a_product_too(out: int, into: int, rank: int) -> None:
    draw = np.random.default_rng(out * 31 + into)
    pair = Layer(matrix(rank, into, "F64", draw), matrix(out, rank, "F64", draw), 2.5)
    assert np.allclose(delta(as_pair(pair)), delta(pair))


@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.sampled_from([1, 2, 3, 4, 6]))
def test_rows_come_together_again(shares: list[int], height: int) -> None:
    """Whether or not the borders, at multiples of 12, fall between rows of the small matrix."""
    total = 12 * sum(shares)
    draw = np.random.default_rng(total)
    for large in (height, total // height):
        made = Kronecker({"w1": matrix(total // large, 2, "F32", draw), "w2": matrix(large, 2, "F32", draw)}, 1.0)
        parts = cut_rows(made, [int(edge) for edge in 12 * np.cumsum(shares)])
        assert np.array_equal(np.concatenate([delta(part) for part in parts]), delta(made))
        whole = stacked(parts)
        assert whole is not None and np.array_equal(delta(whole), delta(made))


def test_a_file_is_described(tmp_path: Path) -> None:
    made = Adapter(
        "sdxl",
        {**lokr("sdxl", 8, 1).layers, Place(DENOISER, "mid_block.attentions.0.proj_in"): product(64, 64, 8, None, 1.0)},
    )
    data = describe(
        saved(tmp_path / "x.safetensors", made, Dialect.KOHYA, {"modelspec.trigger_phrase": "ohwx ana"}),
        SilentReporter(),
    )
    assert (data["method"], data["family"], data["trigger"]) == ("LoKr", "sdxl", "ohwx ana")
    assert data["ranks"] == {"1": len(made.layers) - 1, "whole": 1} and "8x8" in data["factors"]
    assert (
        data["norms"]["zero"] == 0 and data["norms"]["largest"] > 0 and data["parts"] == {"denoiser": len(made.layers)}
    )
