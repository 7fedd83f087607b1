"""Sums and smaller ranks, against full matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.loras.makers import adapter, delta, layer
from tests.unit.things import Recording
from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.loras.adapter import Adapter, Place
from twinloop.loras.algebra import Addend, cut, norm, peaks, spectrum, total
from twinloop.loras.combine import Part, Reduction, merged, resized
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Dialect, Layer
from twinloop.loras.tensors import RawTensor, encode
from twinloop.loras.write import named_layers

SIDES = st.integers(1, 12)
ALPHAS = st.one_of(st.none(), st.floats(0.25, 16))


@given(
    out=SIDES,
    into=SIDES,
    ranks=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    alpha=ALPHAS,
    weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_a_sum_is_the_sum_of_the_updates(
    out: int, into: int, ranks: list[int], alpha: float | None, weights: list[float]
) -> None:
    layers = [layer(out, into, rank, alpha, seed=n) for n, rank in enumerate(ranks)]
    terms = list(zip(layers, weights, strict=False))
    addends = [Addend(part, weight, peaks(part, weight)) for part, weight in terms]
    made = total(addends, "F64")
    wanted = sum(delta(part) * weight for part, weight in terms)
    assert made.rank == sum(ranks) and made.scale == 1.0
    assert np.allclose(delta(made), wanted, atol=1e-9)
    assert np.allclose(delta(total(addends, "F32")), wanted, atol=1e-4)


@given(
    out=SIDES,
    into=SIDES,
    rank=st.integers(1, 5),
    loud=st.floats(-8, 8),
    share=st.floats(-12, 12),
    scale=st.floats(-6, 3),
    seed=st.integers(0, 9),
)
@example(out=3, into=3, rank=2, loud=-5.0, share=4.0, scale=-4.0, seed=0)
@settings(max_examples=100, deadline=None)
def test_half_precision_holds_small_and_large_changes(
    out: int, into: int, rank: int, loud: float, share: float, scale: float, seed: int
) -> None:
    """10 to the power of ``loud`` is about the size of the sum, however the matrices, alpha and weight share it."""
    draw = np.random.default_rng(seed)
    weight = 10.0 ** (scale / 2)
    up = draw.normal(size=(out, rank)) * 10.0 ** ((loud - scale + share) / 2)
    down = draw.normal(size=(rank, into)) * 10.0 ** ((loud - scale - share) / 2)
    part = Layer(encode(down, "F32"), encode(up, "F32"), rank * weight)
    made = total([Addend(part, weight, peaks(part, weight))], "F16")
    wanted = delta(part) * weight
    # each column of the one by its row of the other
    size = np.abs(part.up.values()) @ np.abs(part.down.values()) * part.scale * weight
    rounding = 2**-9 * size.max() if loud > -6 else 2**-5 * size.max()
    assert np.abs(delta(made) - wanted).max() <= rounding


def test_what_half_precision_holds_stays_as_it_is() -> None:
    part = layer(6, 5, 3, 1.5, "F16")
    made = total([Addend(part, 1.0, peaks(part, 1.0))], "F16")
    assert made.down.same(part.down) and np.array_equal(made.up.values(), part.up.values() / 2)


def test_parts_of_one_matrix_go_on_sharing_theirs() -> None:
    """Also where the numbers of one of them alone are too small for half precision."""
    draw = np.random.default_rng(0)
    down = encode(draw.normal(size=(4, 24)), "F32")
    ups = [encode(draw.normal(size=(24, 4)) * size, "F32") for size in (1.0, 1.0, 1e-7)]
    names = [Place(DENOISER, f"transformer_blocks.0.attn.{name}") for name in ("to_q", "to_k", "to_v")]
    one = Adapter("flux", {name: Layer(down, up, 4e-4) for name, up in zip(names, ups, strict=True)})
    made = merged([Part("a", one, 0.01)], "F16")
    (fused,) = named_layers(made, Dialect.KOHYA).values()
    assert fused.rank == 4 and fused.outputs == 72
    for name in names[:2]:
        assert np.allclose(delta(made.layers[name]), delta(one.layers[name]) * 0.01, rtol=0.01, atol=1e-9)


@given(out=SIDES, into=SIDES, rank=st.integers(1, 6), alpha=ALPHAS, kept=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_cut_is_the_nearest_matrix_of_that_rank(
    out: int, into: int, rank: int, alpha: float | None, kept: int
) -> None:
    part = layer(out, into, rank, alpha)
    found = spectrum(part)
    values = np.linalg.svd(delta(part), compute_uv=False)
    possible = min(out, into, rank)
    assert np.allclose(found.values[:possible] * abs(part.scale), values[:possible], atol=1e-6 * values[0])
    kept = min(kept, len(found.values))
    short = cut(part, found, kept, "F64")
    assert short.rank == kept and short.scale == pytest.approx(part.scale)
    assert np.linalg.norm(delta(short) - delta(part)) == pytest.approx(
        np.linalg.norm(values[kept:]), abs=1e-6 * values[0]
    )


@given(rank=st.integers(1, 6), alpha=ALPHAS)
@settings(max_examples=30, deadline=None)
def test_the_norm_without_the_matrix(rank: int, alpha: float | None) -> None:
    part = layer(9, 7, rank, alpha)
    assert norm(part) == pytest.approx(np.linalg.norm(delta(part)), rel=1e-6)


def test_the_rank_for_a_share_of_the_energy() -> None:
    up, down = np.diag([3.0, 2.0, 1.0, 0.0]), np.eye(4)
    found = spectrum(Layer(encode(down, "F32"), encode(up, "F32"), None))
    assert [found.rank_for(share) for share in (0.5, 9 / 14, 0.65, 13 / 14, 0.95, 1.0)] == [1, 1, 2, 2, 3, 3]
    nothing = spectrum(Layer(encode(down, "F32"), encode(np.zeros((4, 4)), "F32"), None))
    assert nothing.rank_for(0.95) == 1


def test_convolutions_are_cut_over_their_kernels() -> None:
    draw = np.random.default_rng(0)
    down, up = draw.normal(size=(4, 3, 3, 3)), draw.normal(size=(5, 4, 1, 1))
    part = Layer(encode(down, "F32"), encode(up, "F32"), 2.0)
    short = cut(part, spectrum(part), 2, "F32")
    assert short.down.shape == (2, 3, 3, 3) and short.up.shape == (5, 2, 1, 1) and short.alpha == 1.0
    assert np.linalg.norm(delta(part) - delta(short)) == pytest.approx(
        np.linalg.norm(np.linalg.svd(delta(part), compute_uv=False)[2:]), rel=1e-5
    )


def test_resizing_says_what_is_kept_and_leaves_small_layers_alone() -> None:
    layers = {"wide": layer(20, 20, 8, 4.0, "F16"), "small": layer(20, 20, 2, 1.0, "F16", 1)}
    quiet = Recording()
    made = resized(layers, Reduction(rank=4), None, quiet)
    assert made.layers["small"] is layers["small"] and made.layers["wide"].down.dtype == "F16"
    before, after = (np.linalg.svd(delta(part), compute_uv=False) for part in (layers["wide"], layers["small"]))
    energy = (before[:4] ** 2).sum() + (after**2).sum()
    assert made.kept == pytest.approx(energy / ((before**2).sum() + (after**2).sum()), rel=1e-6)
    assert made.worst == "wide" and made.worst_kept == pytest.approx(
        (before[:4] ** 2).sum() / (before**2).sum(), rel=1e-6
    )
    assert made.ranks == (2, 4) and quiet.steps[-1] == ("Decomposing", 2, 2)


def test_what_is_kept_counts_layers_by_what_they_do() -> None:
    """The same numbers with another alpha do sixteen times as much."""
    values = encode(np.diag([1.0, 1.0]), "F32")
    one, four = Layer(values, values, 2.0), Layer(values, encode(np.diag([1.0, 0.0]), "F32"), 8.0)
    made = resized({"one": one, "four": four}, Reduction(rank=1), None, Recording())
    assert made.kept == pytest.approx((1 + 16) / (2 + 16)) and made.worst == "one"


def test_by_energy_each_layer_gets_its_own_rank() -> None:
    even = Layer(encode(np.eye(4), "F32"), encode(np.eye(4), "F32"), 4.0)
    steep = Layer(encode(np.eye(4), "F32"), encode(np.diag([10.0, 1.0, 0.1, 0.01]), "F32"), 4.0)
    made = resized({"even": even, "steep": steep}, Reduction(energy=0.95), None, Recording())
    assert (made.layers["even"].rank, made.layers["steep"].rank) == (4, 1)
    both = resized({"even": even, "steep": steep}, Reduction(rank=2, energy=0.95), None, Recording())
    assert (both.layers["even"].rank, both.layers["steep"].rank) == (2, 1)


def test_nothing_to_make_smaller_and_no_limit() -> None:
    with pytest.raises(NothingToDo, match=r"ranks \(2 to 2\) are within the limit"):
        resized({"a": layer(4, 4, 2, 1.0)}, Reduction(rank=2), None, Recording())
    with pytest.raises(InputError, match="How small"):
        Reduction()
    assert str(Reduction(8, 0.95)) == "rank 8, energy 0.95"


def test_broken_weights_are_named() -> None:
    broken = Layer(RawTensor("F32", np.array([[np.nan]], np.float32)), encode(np.ones((1, 1)), "F32"), None)
    with pytest.raises(ModelFileError, match="not finite"):
        spectrum(broken)
    assert np.isnan(norm(broken))


def test_a_cut_that_its_type_cannot_hold_is_refused() -> None:
    made = adapter("sd15", rank=4, encoders=False)
    place, part = next(iter(made.layers.items()))
    assert isinstance(part, Layer)
    large = {place: Layer(part.down, encode(np.full(part.up.shape, 3e12), "F32"), None)}
    with pytest.raises(ModelFileError, match=r"too large for float16\. Take float32 or bfloat16"):
        resized(large, Reduction(rank=1), "F16", Recording())
    assert resized(large, Reduction(rank=1), "BF16", Recording()).ranks == (1, 1)


def test_a_merge_takes_the_union_and_refuses_what_does_not_fit() -> None:
    one, other = adapter("sd15", seed=0), adapter("sd15", rank=2, seed=50, encoders=False)
    made = merged([Part("a", one, 0.7), Part("b", other, 0.3)], "F32")
    assert made.family == "sd15" and made.layers.keys() == one.layers.keys() | other.layers.keys()
    for place, part in made.layers.items():
        wanted = 0.7 * delta(one.layers[place]) + (0.3 * delta(other.layers[place]) if place in other.layers else 0)
        assert np.allclose(delta(part), wanted, atol=1e-4)
    with pytest.raises(InputError, match=r"different base models.*a is for sd15, c is for flux"):
        merged([Part("a", one, 1.0), Part("c", adapter("flux"), 1.0)], "F32")
    place = Place(DENOISER, "mid_block.attentions.0.proj_in")
    wide = Adapter("", {place: layer(1280, 1290, 2, 1.0)})
    with pytest.raises(ModelFileError, match=r"a and d do not go together.*1280 x 1280.*1280 x 1290"):
        merged([Part("a", one, 1.0), Part("d", wide, 1.0)], "F32")
