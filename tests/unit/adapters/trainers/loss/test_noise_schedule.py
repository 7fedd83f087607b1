"""The loss: signal, targets and weights of epsilon and v models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters.trainers.loss.noise_schedule import (  # noqa: E402
    FlowSchedule,
    NoiseSchedule,
    StepNoise,
    draw_noise,
    schedule_for,
)
from twinloop.errors import InputError, ModelFileError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.losses import FlowLoss  # noqa: E402

SDXL: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}
EPSILON = {**SDXL, "prediction_type": "epsilon"}
ZERO_SNR = {**SDXL, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}


def test_weights_of_an_epsilon_model() -> None:
    schedule = NoiseSchedule(EPSILON)
    weights = schedule.weights(torch.arange(1000), 5.0)
    assert weights[999] == 1.0  # far below the limit: plain squared error
    assert float(weights[0]) == pytest.approx(5.0 / (0.99915 / 0.00085), rel=1e-3)
    assert ((weights > 0) & (weights <= 1)).all()
    assert (schedule.weights(torch.arange(1000), 0.0) == 1).all()


def test_weights_of_a_v_model_without_signal_at_the_end() -> None:
    weights = NoiseSchedule(ZERO_SNR).weights(torch.arange(1000), 5.0)
    assert torch.isfinite(weights).all() and weights[999] == 0.0
    assert weights.max() <= 5 / 6 + 1e-6  # reached where the ratio is the limit itself


def test_an_epsilon_model_without_signal_has_finite_weights() -> None:
    weights = NoiseSchedule({**ZERO_SNR, "prediction_type": "epsilon"}).weights(torch.tensor([998, 999]), 5.0)
    assert torch.allclose(weights, torch.ones(2))


@pytest.mark.parametrize("config", [EPSILON, ZERO_SNR])
def test_the_picture_follows_from_noisy_latents_and_target(config: dict[str, Any]) -> None:
    schedule = NoiseSchedule(config)
    clean = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    drawn = StepNoise(torch.tensor([0, 500, 900]), torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2)))
    noisy, wanted = schedule.noisy(clean, drawn)
    signal, level = (
        schedule._signal[drawn.times][:, None, None, None],
        schedule._noise[drawn.times][:, None, None, None],
    )
    again = (noisy - level * wanted) / signal if schedule.prediction == "epsilon" else signal * noisy - level * wanted
    assert torch.allclose(again, clean, atol=1e-3)


def test_pure_noise_at_the_last_step_of_zero_terminal_snr() -> None:
    schedule = NoiseSchedule(ZERO_SNR)
    clean, noise = torch.ones(1, 4, 2, 2), torch.full((1, 4, 2, 2), 0.5)
    noisy, wanted = schedule.noisy(clean, StepNoise(torch.tensor([999]), noise))
    assert torch.equal(noisy, noise) and torch.equal(wanted, -clean)


def test_other_predictions_are_refused() -> None:
    with pytest.raises(ModelFileError, match="sample"):
        NoiseSchedule({**SDXL, "prediction_type": "sample"})


def test_another_kind_of_noise_is_refused() -> None:
    """Playground v2.5 has SDXL's pipeline and EDM's noise; taken for SDXL's it trains to nothing."""
    with pytest.raises(ModelFileError, match="EDM"):
        NoiseSchedule({**SDXL, "sigma_data": 0.5, "prediction_type": "epsilon"})


@pytest.mark.parametrize(
    ("asked", "below_half"),
    [({}, 0.24), ({"flow_shift": 1.0}, 0.5), ({"flow_sampling": "uniform"}, 1 / 3), ({"flow_shift": 4.0}, 0.08)],
)
def test_the_times_of_a_flow_can_be_chosen(asked: dict[str, Any], below_half: float) -> None:
    """Z-Image's own is logit-normal with a shift of 2."""
    schedule = schedule_for(FAMILIES["zimage"], {}, replace(FAMILIES["zimage"].preset("zimage").training, **asked))
    times = schedule.times((torch.arange(20000) + 0.5) / 20000, (1, 16, 128, 128))
    assert float((times < 500).float().mean()) == pytest.approx(below_half, abs=0.006)


def test_an_unknown_sampling_is_refused() -> None:
    settings = replace(FAMILIES["zimage"].preset("zimage").training, flow_sampling="cosmap")
    with pytest.raises(InputError, match="logit_normal, uniform"):
        schedule_for(FAMILIES["zimage"], {}, settings)


def test_noise_depends_on_seed_and_step_only() -> None:
    torch.manual_seed(1)
    first = draw_noise(NoiseSchedule(EPSILON), [(8, 4, 4, 4)], 0.0, seed=3, step=7)[0]
    torch.manual_seed(2)
    again = draw_noise(NoiseSchedule(EPSILON), [(8, 4, 4, 4)], 0.0, seed=3, step=7)[0]
    other = draw_noise(NoiseSchedule(EPSILON), [(8, 4, 4, 4)], 0.0, seed=3, step=8)[0]
    assert torch.equal(first.noise, again.noise) and torch.equal(first.times, again.times)
    assert not torch.equal(first.noise, other.noise)


def test_time_steps_are_spread_over_the_whole_range() -> None:
    for step in range(1, 20):
        times = draw_noise(NoiseSchedule(EPSILON), [(8, 1, 1, 1)], 0.0, seed=0, step=step)[0].times
        assert sorted((times // 125).tolist()) == list(range(8))


def test_pictures_of_several_sizes_share_the_ranges_of_a_step() -> None:
    for step in range(1, 20):
        drawn = draw_noise(NoiseSchedule(EPSILON), [(3, 1, 4, 4), (5, 1, 4, 6)], 0.0, seed=0, step=step)
        assert [tuple(one.noise.shape) for one in drawn] == [(3, 1, 4, 4), (5, 1, 4, 6)]
        assert sorted((torch.cat([one.times for one in drawn]) // 125).tolist()) == list(range(8))


def test_offset_shifts_whole_channels() -> None:
    plain = draw_noise(NoiseSchedule(EPSILON), [(2, 3, 4, 4)], 0.0, seed=0, step=1)[0].noise
    shifted = draw_noise(NoiseSchedule(EPSILON), [(2, 3, 4, 4)], 0.1, seed=0, step=1)[0].noise
    moved = shifted - plain
    assert moved.abs().max() > 0.01
    assert torch.allclose(moved, moved[..., :1, :1].expand_as(moved), atol=1e-6)
    assert len({round(value, 4) for value in moved[..., 0, 0].flatten().tolist()}) == 6  # one for each channel of each


DYNAMIC = {
    "use_dynamic_shifting": True,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "shift": 3.0,
}
SHAPE = (8, 16, 64, 64)


def flow(config: dict[str, Any], **loss: Any) -> FlowSchedule:
    return FlowSchedule(FlowLoss(**loss), config, patch=2)


def test_a_flow_is_a_straight_line() -> None:
    schedule = flow({"shift": 1.0})
    clean, noise = torch.randn(2, 4, 2, 2), torch.randn(2, 4, 2, 2)
    noisy, wanted = schedule.noisy(clean, StepNoise(torch.tensor([250.0, 1000.0]), noise))
    assert torch.allclose(noisy[0], 0.75 * clean[0] + 0.25 * noise[0]) and torch.equal(noisy[1], noise[1])
    assert torch.equal(wanted, noise - clean)
    assert torch.allclose(noisy - torch.tensor([0.25, 1.0])[:, None, None, None] * wanted, clean, atol=1e-6)


def test_the_middle_of_the_sampling_is_shifted() -> None:
    middle = torch.tensor([0.5], dtype=torch.float64)
    assert float(flow({"shift": 1.0}).times(middle, SHAPE)) == pytest.approx(500.0)
    assert float(flow({"shift": 3.0}).times(middle, SHAPE)) == pytest.approx(750.0)  # 3 x 0.5 / (1 + 2 x 0.5)
    assert float(flow({"shift": 3.0}, shift=2.0).times(middle, SHAPE)) == pytest.approx(1000 * 2 / 3)


def test_the_shift_follows_the_size_where_the_scheduler_says_so() -> None:
    """64 x 64 cells are 1024 tokens: mu 0.5 + 0.65 x 768 / 3840 = 0.63, and the shift is e to that."""
    schedule = flow(DYNAMIC)
    assert schedule._shift(SHAPE) == pytest.approx(1.8776, abs=1e-4)
    assert schedule._shift((1, 16, 32, 32)) == pytest.approx(1.6487, abs=1e-4)
    # the 3.1582 that trainers of Flux write down
    assert schedule._shift((1, 16, 128, 128)) == pytest.approx(3.1582, abs=1e-4)


def test_the_shift_of_a_scheduler_may_be_linear() -> None:
    assert flow({**DYNAMIC, "time_shift_type": "linear"})._shift(SHAPE) == pytest.approx(0.63)


def test_flow_times_are_spread_as_asked() -> None:
    places = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    uniform = flow({"shift": 1.0}, sampling="uniform").times(places, SHAPE)
    normal = flow({"shift": 1.0}).times(places, SHAPE)
    assert torch.allclose(uniform, (places * 1000).float(), atol=1e-2)
    inside = ((normal > 268.9) & (normal < 731.1)).float().mean()  # sigmoid of one deviation to either side
    assert float(inside) == pytest.approx(0.683, abs=0.01)
    assert bool((normal > 0).all()) and bool((normal < 1000).all())


def test_a_flow_knows_no_signal_to_noise_weights() -> None:
    assert (flow({}).weights(torch.tensor([1.0, 999.0]), 5.0) == 1).all()
    assert isinstance(schedule_for(FAMILIES["zimage"], {}), FlowSchedule)
    assert isinstance(schedule_for(FAMILIES["sd15"], EPSILON), NoiseSchedule)


def test_an_offset_is_left_out_where_the_last_time_is_pure_noise() -> None:
    assert (
        NoiseSchedule(EPSILON).takes_offset and not NoiseSchedule(ZERO_SNR).takes_offset and not flow({}).takes_offset
    )


def test_the_shift_of_flux_2_counts_its_tokens() -> None:
    """Its latents are two-by-two patches already: 64 x 64 of them are the 4096 tokens of a
    megapixel, as with FLUX.1.
    """
    for name, shape in (("flux2", (1, 128, 64, 64)), ("flux2-klein", (1, 128, 64, 64)), ("flux", (1, 16, 128, 128))):
        schedule = schedule_for(FAMILIES[name], DYNAMIC)
        assert isinstance(schedule, FlowSchedule) and schedule._shift(shape) == pytest.approx(3.1582, abs=1e-4), name
