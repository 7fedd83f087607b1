"""The forecast of memory: against what PyTorch really keeps and allocates, and what is made of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.saved_tensors import bytes_kept  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.training_memory import demand_of, forecast, memory_plan  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join, placed  # noqa: E402
from twinloop.adapters.diffusion.quantised.model import quantise  # noqa: E402
from twinloop.adapters.diffusion.quantised.sizes import real_bytes  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.memory import planning, speed  # noqa: E402
from twinloop.adapters.trainers.memory.demand import CONTEXT, DEQUANTISING, PASSES, STATE_BYTES, Demand, WeightSizes  # noqa: E402
from twinloop.adapters.trainers.memory.dry_run import Footprint, footprint  # noqa: E402
from twinloop.domain.forecast import GIB  # noqa: E402
from twinloop.domain.quantised import QUANTIZATIONS, Quantization  # noqa: E402
from twinloop.errors import OutOfMemory, StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSize  # noqa: E402

ONE = Footprint(
    weights=4 * GIB,
    adapter=50_000_000,
    activations=6 * GIB,
    checkpointed=GIB,
    largest_block=GIB,
    largest_tensor=GIB // 8,
    forward=6_000_000_000_000,
)


@pytest.fixture(params=["sdxl", "flux", "chroma", "qwen-image"])
def any_base(request: pytest.FixtureRequest, tmp_path: Path) -> BaseModel:
    return open_base(
        BaseChoice(str(build_tiny(request.param, tmp_path / request.param)), "cpu", "float32"), FAMILIES[request.param]
    )


def latents_of(base: BaseModel) -> tuple[int, ...]:
    import numpy as np

    from twinloop.adapters.diffusion.pixels import encode

    return (1, *encode(base, np.zeros((64, 64, 3), np.uint8)).shape)


def really_kept(base: BaseModel, latents: tuple[int, ...], words: Any, checkpointing: bool) -> int:
    """Bytes that autograd holds after a forward pass with numbers, weights aside."""
    with adapted(base, AdapterPlan(base.family.targets, 4, 4.0), 0, checkpointing=checkpointing) as denoiser:
        inputs = (
            torch.zeros(latents),
            torch.tensor([500.0]),
            placed(words, torch.device("cpu"), torch.float32),
            torch.zeros(1, 6),
        )
        return bytes_kept([base.denoiser], lambda: denoiser(*inputs))


def test_it_counts_what_autograd_really_keeps(any_base: BaseModel) -> None:
    """One part in fifteen, because a CPU's attention keeps a little less than a GPU's."""
    latents, words = latents_of(any_base), join([any_base.prompts.embed("photo of ohwx ana")], any_base.family.joining)
    found = footprint(any_base, AdapterPlan(any_base.family.targets, 4, 4), latents, words)
    assert found.activations == pytest.approx(really_kept(any_base, latents, words, False), rel=1 / 15)
    assert found.checkpointed == pytest.approx(really_kept(any_base, latents, words, True), rel=0.01)
    assert found.checkpointed + found.largest_block < found.activations
    assert found.weights == sum(
        tensor.nbytes for tensor in (*any_base.denoiser.parameters(), *any_base.denoiser.buffers())
    )


@pytest.mark.parametrize("name", ["sdxl", "sd15", "flux", "chroma", "flux2", "qwen-image", "zimage"])
def test_the_shape_of_latents_is_known_without_encoding(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the autoencoder still lies in main memory when a forecast is asked for."""
    base = open_base(BaseChoice(str(build_tiny(name, tmp_path / name)), "cpu", "float32"), FAMILIES[name])
    assert latent_shape(base, 64, 64) == latents_of(base)
    monkeypatch.setattr(base.pipeline.vae, "encode", pytest.fail)
    demand, cached = demand_of(base, replace(TRAINING, resolution=64))
    assert demand.footprint.forward > 0 and cached > 4 * math.prod(latent_shape(base, 64, 64))


def test_a_small_gpu_computes_activations_again_also_where_nothing_can_be_predicted(
    full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise NotImplementedError("looks into its numbers")

    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    monkeypatch.setattr(planning, "demand_of", unknown)
    monkeypatch.setattr(planning, "is_small", lambda compute: True)
    for asked, wanted in ((None, True), (False, False), (True, True)):
        said = list[str]()
        plan = memory_plan(
            base, replace(TRAINING, memory=8, gradient_checkpointing=asked), tmp_path / str(asked), said.append
        )
        assert plan.checkpointing is wanted and "cannot be predicted" in said[0]


def test_text_encoders_that_do_not_fit_are_no_model_that_cannot_be_predicted(
    full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come onto the card for the forecast; no plan is kept that the next start would go by."""

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    monkeypatch.setattr(planning, "demand_of", full)
    with pytest.raises(
        OutOfMemory, match=r'text encoders of the base model do not fit.*8\.0 GiB are there.*"quantization" to int8'
    ):
        memory_plan(base, replace(TRAINING, memory=8), tmp_path, pytest.fail)
    assert not list(tmp_path.iterdir())


def test_it_counts_the_parameters_of_the_lora(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    demand, cached = demand_of(base, TRAINING)
    with adapted(base, AdapterPlan(base.family.targets, TRAINING.rank, 1.0), 0) as denoiser:
        assert demand.footprint.adapter == sum(parameter.numel() for parameter in denoiser.parameters.values())
    assert cached > 0


def test_the_predicted_activations_are_what_the_allocator_gives_out(full_base: Path) -> None:
    """The rise of memory during a step, counted by the profiler, against the formula without what is there before."""
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    settings = replace(TRAINING, batch_size=4, resolution=128)
    demand, _ = demand_of(base, settings)
    words = join([base.prompts.embed("photo")] * 4, base.family.joining)
    side = 128 // base.vae_scale
    with adapted(base, AdapterPlan(base.family.targets, settings.rank, 1.0), 0) as denoiser:
        with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            denoiser(
                torch.zeros(4, 4, side, side), torch.full((4,), 500.0), words, torch.zeros(4, 6)
            ).square().mean().backward()
        peak = peak_of(profile)
    predicted = demand.peak(4, False) - demand.footprint.weights - demand.resident - int(demand.footprint.adapter * 12)
    assert predicted == pytest.approx(peak, rel=0.25)


def demand(**changes: Any) -> Demand:
    return Demand(ONE, replace(TRAINING, batch_size=4, **changes), resident=GIB // 2, gpu=True)


def test_the_fastest_way_that_fits_is_taken() -> None:
    ways = [(plan.micro_batch, plan.checkpointing) for plan in demand().plans()]
    assert ways == [(4, False), (4, True), (2, True), (1, True)]
    peaks = [plan.peak for plan in demand().plans()]
    assert peaks == sorted(peaks, reverse=True)
    found = {budget: plan and (plan.micro_batch, plan.checkpointing) for budget, plan in demand().budgets().items()}
    assert found == {8: None, 12: (2, True), 16: (4, True), 24: (4, True)}
    assert demand().fitting(peaks[-1] - 1) is None
    each = ONE.activations + 2 * ONE.largest_tensor
    gradients = 4 * ONE.adapter
    assert demand().peak(4, False) - demand().peak(1, False) == 3 * each - gradients, (
        "more pictures that go through, and no gradients that wait for the next ones"
    )


def test_gradients_take_the_place_of_activations() -> None:
    """They grow while the backward pass gives activations back; at its end they are all that is left, and the block
    that was computed again last.
    """
    large = replace(ONE, adapter=2 * GIB)  # 8 GiB of gradients, more than any activations of one picture
    found = Demand(large, replace(TRAINING, batch_size=1), resident=0, gpu=False)
    kept = ONE.weights + 12 * large.adapter + 2 * ONE.largest_tensor
    assert found.peak(1, False) == kept + 4 * large.adapter
    assert found.peak(1, True) == kept + 4 * large.adapter + ONE.largest_block
    assert replace(found, prior=True).peak(1, False) == kept + 4 * large.adapter + ONE.activations
    preserving = replace(found, settings=replace(found.settings, output_preservation=1.0))
    assert preserving.peak(1, False) == replace(found, prior=True).peak(1, False), "a second pass for the class word"


def test_copies_in_the_precision_of_the_products_are_made_once_for_all_pictures() -> None:
    copied = replace(ONE, copies=GIB)
    one, two = (Demand(copied, replace(TRAINING, batch_size=n), resident=0, gpu=True).peak(n, False) for n in (1, 2))
    assert two - one == ONE.activations - GIB + 2 * ONE.largest_tensor


def test_what_the_user_fixed_stays() -> None:
    assert {plan.checkpointing for plan in demand(gradient_checkpointing=False).plans()} == {False}
    assert {plan.checkpointing for plan in demand(gradient_checkpointing=True).plans()} == {True}


def test_optimizers_and_the_average_cost_memory() -> None:
    names = ("adafactor", "adamw8bit", "lion", "came", "adamw", "prodigy")
    peaks = {name: demand(optimizer=name).peak(1, True) for name in names}
    assert list(peaks.values()) == sorted(peaks.values())
    assert demand(optimizer="adamw_schedulefree").peak(1, True) == peaks["adamw"]
    assert demand(ema_decay=0.99).peak(1, True) - peaks["adamw"] == 4 * ONE.adapter
    thinned = demand(optimizer="prodigy", optimizer_args=(("slice_p", 2),))
    assert peaks["prodigy"] - thinned.peak(1, True) == 3 * ONE.adapter, "half of its sums and of the start"


def test_an_update_of_all_parameters_at_once_counts_where_it_is_the_fullest_moment() -> None:
    wide = replace(ONE, adapter=8 * GIB)

    def peak(footprint: Footprint, optimizer: str) -> int:
        return Demand(footprint, replace(TRAINING, optimizer=optimizer), resident=0, gpu=True).peak(1, True)

    beside = {name: peak(wide, name) - peak(wide, "adafactor") for name in ("lion", "adamw_schedulefree")}
    states = {name: int(wide.adapter * (STATE_BYTES[name] - STATE_BYTES["adafactor"])) for name in beside}
    assert beside["lion"] - states["lion"] == pytest.approx(4 * wide.adapter, rel=0.1)
    assert beside["adamw_schedulefree"] - states["adamw_schedulefree"] == pytest.approx(8 * wide.adapter, rel=0.1)
    assert peak(ONE, "adamw_schedulefree") == peak(ONE, "adamw"), "activations need more"


BLOCKS = replace(ONE, blocks=(GIB, GIB // 2, GIB // 2, GIB // 4))


def swapping(**changes: Any) -> Demand:
    return Demand(BLOCKS, replace(TRAINING, batch_size=2, **changes), resident=GIB // 2, gpu=True, swaps=True)


def test_as_few_blocks_as_it_takes_are_swapped_where_nothing_else_helps() -> None:
    """The largest first; one of them at a time is on the GPU."""
    ways = [(plan.micro_batch, plan.checkpointing, plan.blocks_to_swap) for plan in swapping().plans()]
    assert ways == [(2, False, 0), (2, True, 0), (1, True, 0), *((1, True, count) for count in (1, 2, 3, 4))]
    whole = swapping().peak(1, True)
    assert [whole - swapping().peak(1, True, count) for count in range(5)] == [0, 0, GIB // 2, GIB, GIB // 4 * 5]
    found = swapping().fitting(whole - GIB // 2 - 1)
    assert found is not None and found.blocks_to_swap == 3 and "3 blocks swapped" in str(found)
    least = list(swapping().plans())[-1].peak
    assert swapping().fitting(least) is not None and swapping().fitting(least - 1) is None
    assert swapping().floor == CONTEXT + ONE.weights - GIB // 4 * 5 + GIB // 2


def test_how_many_blocks_are_swapped_may_be_fixed_or_forbidden() -> None:
    fixed = [(plan.micro_batch, plan.checkpointing, plan.blocks_to_swap) for plan in swapping(blocks_to_swap=3).plans()]
    assert fixed == [(2, True, 3), (1, True, 3)]
    for demand in (
        swapping(blocks_to_swap=0),
        swapping(gradient_checkpointing=False),
        replace(swapping(), swaps=False),
    ):
        assert {plan.blocks_to_swap for plan in demand.plans()} == {0}
        assert demand.settings.gradient_checkpointing is False or demand.floor == CONTEXT + ONE.weights + GIB // 2


@pytest.mark.parametrize(("asked", "counts"), [(None, [0, 0, 0, 1, 2]), (1, [1, 1]), (0, [0, 0, 0])])
def test_quantised_weights_are_proposed_with_swapping_but_for_nf4(asked: int | None, counts: list[int]) -> None:
    sizes = {how: replace(one, blocks=(GIB // 2, GIB // 4)) for how, one in QUANTISED.items()}
    found = dict(replace(swapping(blocks_to_swap=asked), quantised_sizes=sizes).quantised())
    assert [plan.blocks_to_swap for plan in found["int8"].plans()] == counts
    assert [plan.blocks_to_swap for plan in found["nf4"].plans()] == [0] * 3
    assert found["int8"].peak(1, True) - found["int8"].peak(1, True, 2) == GIB // 4


@pytest.fixture
def swappable_base(full_base: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """On a CPU, taken for a GPU as far as swapping goes."""
    real = planning.demand_of

    def demand_of(*given: Any, **named: Any) -> tuple[Demand, int]:
        demand, cached = real(*given, **named)
        return replace(demand, swaps=True), cached

    monkeypatch.setattr(planning, "demand_of", demand_of)
    return open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])


def test_a_plan_that_swaps_is_told_and_kept_and_may_be_changed(
    swappable_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, said = replace(TRAINING, batch_size=1), list[str]()
    peak = demand_of(swappable_base, settings)[0].peak(1, True, 3)
    monkeypatch.setattr(planning, "available_memory", lambda *_: int(peak / planning.MARGIN) + 1000)
    plan = memory_plan(swappable_base, settings, tmp_path, said.append)
    assert (plan.checkpointing, plan.blocks_to_swap) == (True, 3)
    assert "3 of the model's 4 blocks wait in main memory" in said[0] and "slower" in said[0]
    assert memory_plan(swappable_base, settings, tmp_path, pytest.fail) == plan
    for asked in (0, 4):
        changed = memory_plan(swappable_base, replace(settings, blocks_to_swap=asked), tmp_path, pytest.fail)
        assert changed == replace(plan, blocks_to_swap=asked)
    kept = memory_plan(swappable_base, replace(settings, gradient_checkpointing=False), tmp_path, pytest.fail)
    assert (kept.checkpointing, kept.blocks_to_swap) == (False, 0)
    for forbidden in ({"blocks_to_swap": 0}, {"gradient_checkpointing": False}):
        with pytest.raises(OutOfMemory, match=r"would fit with training\.blocks_to_swap .* left out"):
            memory_plan(swappable_base, replace(settings, **forbidden), tmp_path / "other", pytest.fail)


def test_a_forecast_tells_of_swapped_blocks(
    swappable_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TRAINING, batch_size=1)
    peak = demand_of(swappable_base, settings)[0].peak(1, True, 4)
    monkeypatch.setattr(planning, "available_memory", lambda *_: int(peak / planning.MARGIN) + 10)
    found = forecast(swappable_base, settings, images=3)
    assert found.plan.blocks_to_swap == 4 == found.to_json()["plan"]["blocks_to_swap"]
    assert "4 blocks of the model wait in main memory" in found.line and "not measured" in found.line
    assert "swap" not in replace(found, plan=replace(found.plan, blocks_to_swap=0)).line


QUANTISED = {"int8": WeightSizes(2 * GIB, GIB // 2, GIB), "nf4": WeightSizes(GIB, GIB // 2, GIB // 2)}


def test_quantised_weights_are_proposed_where_the_configured_ones_do_not_fit() -> None:
    one = replace(ONE, weights=20 * GIB, quantisable=10_000_000)
    found = Demand(
        one, replace(TRAINING, batch_size=1), resident=GIB // 2, gpu=True, quantised_sizes=QUANTISED
    ).budgets()
    assert {budget: plan and plan.quantization for budget, plan in found.items()} == {
        8: "int8",
        12: "int8",
        16: "int8",
        24: "int8",
    }
    assert str(found[8]).endswith('with "quantization": "int8"')
    tight = {"int8": WeightSizes(9 * GIB, GIB // 2, GIB), "nf4": QUANTISED["nf4"]}
    (eight,) = (
        plan
        for budget, plan in Demand(one, TRAINING, resident=GIB // 2, gpu=True, quantised_sizes=tight).budgets().items()
        if budget == 8
    )
    assert eight is not None and eight.quantization == "nf4"


def test_text_encoders_that_are_moved_over_count() -> None:
    """They alone lie on the GPU while they embed captions."""
    moved = replace(demand(), frozen_encoders=30 * GIB)
    assert moved.peak(1, True) == moved.floor == CONTEXT + 30 * GIB
    assert replace(demand(), frozen_encoders=GIB).peak(1, True) == demand().peak(1, True)


@pytest.mark.parametrize("how", ["int8", "nf4"])
def test_dequantising_a_layer_takes_memory(how: Any) -> None:
    quantised = replace(demand(), footprint=replace(ONE, quantised=1000), quantization=how)
    assert quantised.peak(1, True) - demand().peak(1, True) == DEQUANTISING[how] * 1000


@pytest.mark.parametrize("how", QUANTIZATIONS)
def test_the_bytes_of_dequantising_are_those_that_the_allocator_gives_out(how: Quantization) -> None:
    pytest.importorskip("torchao")
    pytest.importorskip("bitsandbytes")
    model = torch.nn.Module()
    model.blocks = torch.nn.ModuleList([torch.nn.Linear(1024, 2048, dtype=torch.bfloat16)])
    quantise(model.requires_grad_(False), how, torch.device("cpu"))
    made = model.blocks[0](torch.zeros(1, 1024, dtype=torch.bfloat16, requires_grad=True)).sum()
    with torch.profiler.profile(profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        made.backward()
    assert peak_of(profile) / (1024 * 2048) == pytest.approx(DEQUANTISING[how], rel=0.15)


def peak_of(profile: Any) -> int:
    """Bytes at the fullest moment, over those at the beginning."""
    level = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda entry: entry.start_ns()):
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak


@pytest.mark.parametrize("name", ["sdxl", "flux", "qwen-image"])
def test_quantised_bytes_are_predicted_and_counted(name: str, tmp_path: Path) -> None:
    """What a float base is told of quantised weights is what a quantised base really takes, text encoders included."""
    pytest.importorskip("torchao")
    pytest.importorskip("bitsandbytes")
    folder, settings = build_tiny(name, tmp_path / name), replace(TRAINING, resolution=64)
    plain, _ = demand_of(open_base(BaseChoice(str(folder), "cpu", "float32"), FAMILIES[name]), settings)
    assert list(plain.quantised_sizes) == ["int8", "nf4"] and plain.footprint.quantised == 0
    for how, promised in plain.quantised():
        base = open_base(BaseChoice(str(folder), "cpu", "float32", how), FAMILIES[name])
        real, _ = demand_of(base, settings)
        parts = [part for part in base.pipeline.components.values() if isinstance(part, torch.nn.Module)]
        assert promised.footprint.weights == real.footprint.weights == real_bytes(base.denoiser)
        assert promised.footprint.blocks == real.footprint.blocks != plain.footprint.blocks
        assert promised.resident == real.resident == sum(map(real_bytes, parts)) - real.footprint.weights
        assert (promised.footprint.quantised, list(real.quantised_sizes)) == (
            real.footprint.quantised,
            ["nf4"] if how == "int8" else [],
        )


@pytest.mark.parametrize("how", ["int8", "nf4"])
def test_quantised_layers_keep_nothing_and_the_forecast_knows(how: str, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    pytest.importorskip("bitsandbytes")
    base = open_base(BaseChoice(str(build_tiny("flux", tmp_path / "flux")), "cpu", "float32", how), FAMILIES["flux"])
    latents, words = latents_of(base), join([base.prompts.embed("photo of ohwx ana")], base.family.joining)
    found = footprint(base, AdapterPlan(base.family.targets, 4, 4), latents, words)
    assert found.activations == pytest.approx(really_kept(base, latents, words, False), rel=1 / 15)


def test_too_little_names_the_quantization_that_fits(
    full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    settings = replace(TRAINING, batch_size=1)
    found, _ = demand_of(base, settings)
    least = min(plan.peak for _, lighter in found.quantised() for plan in lighter.plans())
    assert least < min(plan.peak for plan in found.plans())
    monkeypatch.setattr(planning, "available_memory", lambda *_: int(least / planning.MARGIN) + 1000)
    with pytest.raises(OutOfMemory, match=r'It would fit with "quantization": "(int8|nf4)"'):
        memory_plan(base, settings, tmp_path, pytest.fail)


def test_a_plan_is_made_once_and_kept(full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    settings, said = replace(TRAINING, batch_size=4), list[str]()
    tight = demand_of(base, settings)[0].peak(2, True)
    monkeypatch.setattr(planning, "available_memory", lambda *_: int(tight / planning.MARGIN) + 1000)
    plan = memory_plan(base, settings, tmp_path, said.append)
    assert (plan.micro_batch, plan.checkpointing) == (2, True) and "go through 2 at a time" in said[0]
    monkeypatch.setattr(planning, "available_memory", lambda *_: 0)
    assert memory_plan(base, settings, tmp_path, pytest.fail) == plan
    for asked in (False, True):  # which changes no sum
        changed = memory_plan(base, replace(settings, gradient_checkpointing=asked), tmp_path, pytest.fail)
        assert changed == replace(plan, checkpointing=asked)
    (tmp_path / "plan.json").write_text('{"micro_batch": 2}')
    with pytest.raises(StateError, match="is damaged"):
        memory_plan(base, settings, tmp_path, pytest.fail)


@pytest.mark.parametrize(
    ("spared", "said"), [(1000, r"Lower training\.resolution"), (-1000, "the weights alone do not fit")]
)
def test_too_little_is_one_error_before_anything_is_trained(
    spared: int, said: str, full_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the bytes that are needed whatever the settings are, ``spared`` ones are there."""
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu"), FAMILIES["sdxl"])
    floor = demand_of(open_base(BaseChoice(str(full_base), "cpu"), FAMILIES["sdxl"]), TRAINING)[0].floor
    monkeypatch.setattr(planning, "available_memory", lambda *_: int((floor + spared) / planning.MARGIN) + 1)
    with pytest.raises(OutOfMemory, match=rf"needs .* GiB at least.*{said}.*doctor --config"):
        trainer.train(
            samples(tmp_path / "photos"), TRAINING, tmp_path / "lora.safetensors", tmp_path / "work", {}, pytest.fail
        )
    assert not (tmp_path / "work" / "cache").exists()


def test_a_budget_that_suffices_changes_nothing(full_base: Path, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    plan = memory_plan(base, replace(TRAINING, memory=8), tmp_path, pytest.fail)
    assert (plan.micro_batch, plan.checkpointing) == (TRAINING.batch_size, False)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_clock_waits_for_a_gpu(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[str]()
    for name in ("cuda", "mps"):
        monkeypatch.setattr(getattr(torch, name), "synchronize", lambda name=name: waited.append(name))
    speed.finish(Compute(torch.device(kind), torch.float16, torch.float16))
    assert waited == [kind]


def test_the_forecast_of_a_whole_training(full_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    monkeypatch.setattr(planning, "_speed", lambda *_: (4e8, ""))
    demand, cached = demand_of(base, TRAINING)
    short, long = forecast(base, TRAINING, 10), forecast(base, replace(TRAINING, steps=60), 1000)
    assert short.seconds == pytest.approx(6 * demand.operations(False) / 4e8)
    assert long.seconds is not None and long.seconds == pytest.approx(10 * short.seconds)
    assert long.disk - short.disk == pytest.approx(990 * cached, abs=2)
    saving = forecast(base, replace(TRAINING, save_every=2), 10)
    assert saving.disk - short.disk == pytest.approx(3 * 4 * demand.footprint.adapter, abs=2), "files of 3 steps"
    assert short.memory is None and short.plan.micro_batch == TRAINING.batch_size
    assert json.loads(json.dumps(short.to_json()))["budgets_gib"]["8"]["micro_batch"] == TRAINING.batch_size
    assert "GiB of memory" in short.line and len(short.details) == 4


def test_prior_images_double_the_time(full_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second batch goes forward and back in every step; its pictures are cached as the subject's are."""
    monkeypatch.setattr(planning, "_speed", lambda *_: (4e8, ""))
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    _, cached = demand_of(base, TRAINING)
    alone, both = forecast(base, TRAINING, 10), forecast(base, TRAINING, 10, prior_images=200)
    assert alone.seconds is not None and both.seconds == pytest.approx(2 * alone.seconds)
    assert both.disk - alone.disk == pytest.approx(200 * cached, abs=2)
    # one batch after the other, with the gradients of the first
    gradients = 4 * demand_of(base, TRAINING)[0].footprint.adapter
    assert both.plan == replace(alone.plan, peak=alone.plan.peak + gradients)


def test_captions_that_are_known_count_as_they_do_in_the_training(
    full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two and of three chunks of 14 tokens: a step's are six chunks long."""
    monkeypatch.setattr(planning, "_speed", lambda *_: (4e8, ""))
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    unknown, short, long = (
        trainer.forecast(TRAINING, TrainingSize(10, captions=captions))
        for captions in ((), ("photo of ohwx ana",), ("woman " * 20, "woman " * 40))
    )
    assert unknown is not None and long is not None and unknown == short
    assert long == forecast(base, TRAINING, 10, chunks=6) and long.plan.peak > unknown.plan.peak


def test_the_answer_to_the_class_word_is_not_asked_of_prior_images() -> None:
    passes, forward = PASSES, ONE.forward
    kept = demand(output_preservation=1.0)
    assert demand().operations(False) == pytest.approx(4 * passes * forward)
    assert kept.operations(False) == pytest.approx(4 * (2 * passes + 1) * forward)
    assert kept.operations(False, prior=True) == pytest.approx(4 * (3 * passes + 1) * forward)


@pytest.mark.parametrize(("share", "learning"), [(1.0, 6), (0.5, 3)])
def test_text_encoders_cost_their_backward_pass_while_they_learn(share: float, learning: int) -> None:
    """After their share of the steps they still embed the captions, once per picture."""
    asked = demand(text_encoder=True, text_encoder_share=share)
    trained = replace(asked, footprint=replace(ONE, encoder_forward=1_000_000))
    for prior in (False, True):
        more = trained.training_operations(False, prior=prior, validation_passes=0)
        more -= asked.training_operations(False, prior=prior, validation_passes=0)
        assert more == pytest.approx((1 + prior) * 4 * 1_000_000 * (learning * PASSES + (6 - learning)), rel=1e-6)


def test_validations_cost_time(full_base: Path) -> None:
    """Each is a pass forward for each held-out photo at each time."""
    trained = replace(demand(), footprint=replace(ONE, encoder_forward=1_000_000))
    more = trained.training_operations(False, prior=False, validation_passes=24)
    more -= trained.training_operations(False, prior=False, validation_passes=0)
    assert more == pytest.approx(24 * (ONE.forward + 1_000_000))
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    asked = replace(TRAINING, resolution=64, validate_every=3, validation_times=5)
    found = list[int]()
    with pytest.MonkeyPatch.context() as patch:
        real = Demand.training_operations
        patch.setattr(
            Demand, "training_operations",
            lambda self, *args, **said: found.append(said["validation_passes"]) or real(self, *args, **said),
        )  # fmt: skip
        trainer.forecast(asked, TrainingSize(30, held_out=4))
        trainer.forecast(asked, TrainingSize(30))
    assert found == [2 * 4 * 5, 0]


def test_mirrored_and_smaller_pictures_take_room_in_the_cache(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"])
    plain, flipped, smaller = (
        demand_of(base, replace(TRAINING, resolution=64, **changes))[1]
        for changes in ({}, {"flip": True}, {"smaller_resolutions": (32,)})  # type: ignore[arg-type]
    )
    latents = 4 * math.prod(latent_shape(base, 64, 64))
    assert flipped - plain == latents and smaller - plain == latents // 4
