"""The robust losses against the formulas of sd-scripts, written out number by number; and what a step minimises with
them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDPMScheduler  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.contract.makers import TRAINING  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batch  # noqa: E402
from twinloop.adapters.trainers.loss.huber import errors, thresholds  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import StepNoise, schedule_for  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.adapters.trainers.preflight import check_fits  # noqa: E402
from twinloop.adapters.trainers.records.header import lora_header  # noqa: E402
from twinloop.config.training import TrainingConfig  # noqa: E402
from twinloop.domain.choices import HUBER_SCHEDULES, LOSSES  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SDXL, FLOW = FAMILIES["sdxl"], FAMILIES["zimage"]
CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "epsilon"}


def by_hand(kind: str, difference: float, c: float) -> float:
    if kind == "l2":
        return difference * difference
    bent = math.sqrt(difference * difference + c * c) - c
    return 2 * c * bent if kind == "huber" else 2 * bent


def threshold_by_hand(how: str, c: float, time: int, alpha_bar: float) -> float:
    if how == "constant":
        return c
    if how == "exponential":
        return math.exp(time * math.log(c) / 1000)
    sigma = math.sqrt((1 - alpha_bar) / alpha_bar)
    return (1 - c) / (1 + sigma) ** 2 + c


@given(st.sampled_from(LOSSES[1:]), st.floats(-50, 50, width=32), st.floats(0.015625, 1, width=32))
@settings(deadline=None)
def test_each_error_counts_as_the_formula_says(kind: str, difference: float, c: float) -> None:
    made = errors(kind, torch.tensor([[difference]], dtype=torch.float64), torch.tensor([c], dtype=torch.float64))
    assert float(made) == pytest.approx(by_hand(kind, difference, c), rel=1e-9, abs=1e-12)


def test_small_errors_keep_their_digits_in_single_precision() -> None:
    """sd-scripts subtracts two numbers that are nearly the same, and a difference of 1e-4 is nothing to it."""
    made = errors("huber", torch.tensor([[1e-4]]), torch.tensor([1.0]))
    assert float(made) == pytest.approx(1e-8, rel=1e-4)


@given(st.sampled_from(HUBER_SCHEDULES), st.floats(0.015625, 1, width=32), st.integers(0, 999))
@settings(deadline=None)
def test_thresholds_are_those_of_the_base_models_noise(how: str, c: float, time: int) -> None:
    schedule, alphas = schedule_for(SDXL, CONFIG), DDPMScheduler.from_config(CONFIG).alphas_cumprod
    times = torch.tensor([time])
    made = thresholds(how, c, times, schedule.noise_ratio(times))
    assert float(made) == pytest.approx(threshold_by_hand(how, c, time, float(alphas[time])), rel=2e-4)
    assert c * 0.999 <= float(made) <= 1


def test_without_any_signal_the_threshold_is_the_least() -> None:
    schedule = schedule_for(SDXL, {**CONFIG, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
    times = torch.tensor([999])
    assert float(thresholds("snr", 0.1, times, schedule.noise_ratio(times))) == pytest.approx(0.1)


def test_a_flows_thresholds_go_by_time() -> None:
    schedule = schedule_for(FLOW, {})
    times = torch.tensor([0.0, 500.0, 1000.0])
    assert schedule.noise_ratio(times) is None
    assert thresholds("exponential", 0.1, times, None).tolist() == pytest.approx([1.0, 0.1**0.5, 0.1])
    assert thresholds("constant", 0.1, times, None).tolist() == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("kind", ["huber", "smooth_l1"])
def test_the_smallest_threshold_that_may_be_asked_for_gives_gradients(kind: str) -> None:
    """The square of a much smaller one is zero in 32 bits, and the slope of a root at zero no number."""
    least = next(given.ge for given in TrainingConfig.model_fields["huber_c"].metadata if hasattr(given, "ge"))
    error = torch.zeros(1, 1, 1, 1, requires_grad=True)
    torch.autograd.backward(errors(kind, error, torch.tensor([least])).sum())
    assert error.grad is not None and float(error.grad) == 0.0


class Answering:
    """A denoiser whose answer is fixed."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def encode(self, texts: Any, cached: Any) -> Any:
        return cached

    def __call__(self, *_: Any) -> Any:
        return self.answer


def loss_of(changes: dict[str, Any], family: Any = SDXL, mask: Any = None) -> tuple[float, Any, Any]:
    """The loss of two pictures; what is wrong with each number of the answer; the times."""
    generator = torch.Generator().manual_seed(3)
    noise, answer = torch.randn(2, 4, 3, 3, generator=generator), 2 * torch.randn(2, 4, 3, 3, generator=generator)
    schedule = schedule_for(family, CONFIG if family is SDXL else {})
    times = torch.tensor([20, 800]) if family is SDXL else torch.tensor([20.0, 800.0])
    batch = Batch(torch.zeros(2, 4, 3, 3), {}, torch.zeros(2, 6), mask=mask)
    model: Any = Answering(answer)
    made = replace(TRAINING, min_snr_gamma=0.0, **changes)
    (term,) = Objective(model, schedule, made).terms(batch, StepNoise(times, noise))
    return float(term), answer - noise, times  # the picture is zero: noise is what either kind of model should answer


@pytest.mark.parametrize("family", [SDXL, FLOW], ids=lambda family: family.name)
@pytest.mark.parametrize("kind", LOSSES[1:])
@pytest.mark.parametrize("how", HUBER_SCHEDULES)
def test_a_step_minimises_it(how: str, kind: str, family: Any) -> None:
    if family is FLOW and how == "snr":
        return  # refused, below
    mask = torch.linspace(0, 2, 9).view(1, 1, 3, 3).repeat(2, 1, 1, 1)
    told = {"loss": kind, "huber_c": 0.2, "huber_schedule": how}
    made, difference, times = loss_of(told, family, mask)
    alphas = DDPMScheduler.from_config(CONFIG).alphas_cumprod
    wanted = 0.0
    for picture, time in zip(range(2), times.tolist(), strict=True):
        c = threshold_by_hand(how, 0.2, time, float(alphas[int(time)]))
        for channel in range(4):
            for place in range(9):
                one = by_hand(kind, float(difference[picture, channel].flatten()[place]), c)
                wanted += one * float(mask[0, 0].flatten()[place])
    assert made == pytest.approx(wanted / (2 * 4 * 9), rel=1e-4)


def test_the_usual_loss_is_the_mean_square() -> None:
    made, difference, _ = loss_of({})
    assert made == float(difference.square().mean(dim=(1, 2, 3)).mean())


def test_the_usual_schedule_is_the_families_own() -> None:
    huber = {"loss": "huber"}
    assert loss_of(huber)[0] == loss_of({**huber, "huber_schedule": "snr"})[0]
    assert loss_of(huber, FLOW)[0] == loss_of({**huber, "huber_schedule": "exponential"}, FLOW)[0]


def test_what_there_is_not_is_one_error() -> None:
    check_fits(replace(TRAINING, loss="huber"), FLOW)
    check_fits(replace(TRAINING, huber_schedule="snr"), FLOW)  # of a loss that is not asked for
    with pytest.raises(InputError, match="'snr' is not known for zimage"):
        check_fits(replace(TRAINING, loss="huber", huber_schedule="snr"), FLOW)


def test_the_header_names_it() -> None:
    def header(family: Any, **changes: Any) -> dict[str, str]:
        texts = lora_header(replace(TRAINING, **changes), family, "epsilon", 10, "2026-01-01T00:00:00Z", {})
        return {name: text for name, text in texts.items() if "loss_type" in name or "huber" in name}

    assert header(SDXL) == {"ss_loss_type": "l2"}
    assert header(SDXL, loss="smooth_l1", huber_c=0.2) == {
        "ss_loss_type": "smooth_l1", "ss_huber_schedule": "snr", "ss_huber_c": "0.2",
    }  # fmt: skip
    assert header(FLOW, loss="huber")["ss_huber_schedule"] == "exponential"
