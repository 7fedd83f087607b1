"""Coarser noises, noise that the denoiser is not told of, debiased weights and ranges of times, against the formulas of
sd-scripts, written out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDPMScheduler  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batch  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.loss.more_noise import MoreNoise  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import (  # noqa: E402
    NoiseSchedule,
    StepNoise,
    draw_noise,
    schedule_for,
)
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.adapters.trainers.preflight import check_fits  # noqa: E402
from twinloop.domain.shots import derive_seed  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import decisive_settings  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SDXL, FLOW = FAMILIES["sdxl"], FAMILIES["zimage"]
EPSILON = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "epsilon"}
V = {**EPSILON, "prediction_type": "v_prediction"}
ZERO_SNR = {**V, "rescale_betas_zero_snr": True}
SHAPE = (3, 4, 24, 16)


def drawn(more: MoreNoise, config: Any = EPSILON) -> StepNoise:
    return draw_noise(NoiseSchedule(config), [SHAPE], 0.0, 5, 2, more)[0]


def source() -> Any:
    """The generator of that step, after what every step draws."""
    generator = torch.Generator().manual_seed(derive_seed(5, "noise", 2))
    torch.randperm(3, generator=generator)
    torch.rand(3, generator=generator, dtype=torch.float64)
    return generator


@pytest.mark.parametrize("discount", [0.3, 0.8])
@pytest.mark.parametrize("iterations", [1, 3, 20])
def test_coarser_noises(iterations: int, discount: float) -> None:
    generator = source()
    noise = torch.randn(SHAPE, generator=generator)
    upsample = torch.nn.Upsample(size=SHAPE[2:], mode="bilinear")
    for i in range(iterations):
        r = float(torch.rand(1, generator=generator)) * 2 + 2
        wn, hn = max(1, int(SHAPE[2] / (r**i))), max(1, int(SHAPE[3] / (r**i)))
        noise = noise + upsample(torch.randn(3, 4, wn, hn, generator=generator)) * discount**i
        if wn == 1 or hn == 1:
            break
    made = drawn(MoreNoise(iterations, discount)).noise
    assert torch.allclose(made, noise / noise.std(), atol=1e-6)
    assert float(made.std()) == pytest.approx(1.0) and not torch.equal(made, drawn(MoreNoise()).noise)


@pytest.mark.parametrize("config", [EPSILON, V])
def test_noise_that_is_on_the_picture_alone(config: dict[str, Any]) -> None:
    generator, gamma = source(), 0.1
    noise = torch.randn(SHAPE, generator=generator)
    one = drawn(MoreNoise(gamma=gamma), config)
    assert torch.equal(one.noise, noise)
    scheduler, clean = DDPMScheduler.from_config(config), torch.randn(SHAPE)
    noisy, wanted = NoiseSchedule(config).noisy(clean, one)
    perturbed = noise + gamma * torch.randn(SHAPE, generator=generator)
    assert torch.allclose(noisy, scheduler.add_noise(clean, perturbed, one.times), atol=1e-5)
    right = noise if config is EPSILON else scheduler.get_velocity(clean, noise, one.times)
    assert torch.allclose(wanted, right, atol=1e-5)


def test_a_part_of_a_step_has_the_noise_of_its_pictures() -> None:
    whole = drawn(MoreNoise(2, 0.3, 0.1))
    part = whole.part(1, 3)
    assert torch.equal(part.noise, whole.noise[1:3]) and torch.equal(part.times, whole.times[1:3])
    assert part.perturbed is not None and torch.equal(part.mixed, whole.mixed[1:3])
    assert not torch.equal(part.mixed, part.noise)
    plain = drawn(MoreNoise()).part(1, 3)
    assert plain.perturbed is None and torch.equal(plain.mixed, plain.noise)


@pytest.mark.parametrize("gamma", [0.0, 5.0])
@pytest.mark.parametrize("config", [EPSILON, V, ZERO_SNR])
def test_debiased_weights(config: dict[str, Any], gamma: float) -> None:
    alphas = DDPMScheduler.from_config(config).alphas_cumprod.double()
    times = torch.tensor([0, 1, 20, 400, 998, 999])
    snr = alphas[times] / (1 - alphas[times])
    limited = torch.minimum(snr, torch.full_like(snr, 1000))
    right = 1 / torch.sqrt(limited) if config is EPSILON else 1 / (limited + 1)
    if gamma:
        right = right * torch.minimum(snr, torch.full_like(snr, gamma)) / (snr if config is EPSILON else snr + 1)
    made = NoiseSchedule(config).weights(times, gamma, debiased=True)
    assert torch.allclose(made.double(), right, rtol=1e-3, atol=1e-9)


def test_an_epsilon_model_without_signal_has_finite_weights() -> None:
    made = NoiseSchedule({**ZERO_SNR, "prediction_type": "epsilon"}).weights(torch.tensor([999]), 0.0, debiased=True)
    assert torch.isfinite(made).all()


class Answering:
    """A denoiser whose answer is 1 everywhere."""

    def encode(self, texts: Any, cached: Any) -> Any:
        return cached

    def __call__(self, noisy: Any, *_: Any) -> Any:
        return torch.ones_like(noisy)


def test_a_step_minimises_the_weighted_error() -> None:
    times, noise = torch.tensor([10, 900]), torch.zeros(2, 4, 2, 2)
    model: Any = Answering()
    batch = Batch(torch.zeros(2, 4, 2, 2), {}, torch.zeros(2, 6))
    for changes in ({}, {"debiased_estimation_loss": True}):
        schedule = schedule_for(SDXL, EPSILON)
        made = replace(TRAINING, min_snr_gamma=0.0, **changes)
        (term,) = Objective(model, schedule, made).terms(batch, StepNoise(times, noise))
        weights = schedule.weights(times, 0.0, debiased=bool(changes))
        assert float(term) == pytest.approx(float(weights.mean()))


ASKED: list[dict[str, Any]] = [
    {"debiased_estimation_loss": True},
    {"ip_noise_gamma": 0.1},
    {"multires_noise_iterations": 6},
]


@pytest.mark.parametrize("changes", ASKED)
@pytest.mark.parametrize("name", FAMILIES)
def test_they_are_for_epsilon_and_v_models(name: str, changes: dict[str, Any]) -> None:
    family, (field,) = FAMILIES[name], changes
    settings = replace(family.preset(next(iter(family.presets))).training, **changes)
    if not family.flow:
        check_fits(settings, family)
        return
    with pytest.raises(InputError, match=rf"training\.{field}: {field} is for models .* those of {name} are flow"):
        check_fits(settings, family)


@pytest.mark.parametrize("changes", [*ASKED, {"min_timestep": 200, "max_timestep": 700}])
def test_what_is_not_asked_for_is_not_told(changes: dict[str, Any]) -> None:
    plain, asked = decisive_settings(TRAINING), decisive_settings(replace(TRAINING, **changes))
    assert not plain.keys() & changes.keys()
    assert {name: asked[name] for name in changes} == changes


@pytest.mark.parametrize("changes", [*ASKED, {"min_timestep": 300}, {"max_timestep": 600}])
def test_they_change_a_lora_and_its_header(changes: dict[str, Any], tmp_path: Path) -> None:
    base, photos, found = build_tiny("sd15", tmp_path / "base"), samples(tmp_path / "photos"), []
    for settings in (TRAINING, replace(TRAINING, **changes), replace(TRAINING, **changes)):
        home = tmp_path / str(len(found))
        trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), FAMILIES["sd15"])
        trainer.train(
            photos, replace(settings, steps=2, tensorboard=False), home / "lora.safetensors", home / "work",
            {"modelspec.date": "then"}, lambda *_: None,
        )  # fmt: skip
        found.append((home / "lora.safetensors").read_bytes())
    assert found[0] != found[1] and found[1] == found[2]
    told = {name.removeprefix("ss_") for name in header_texts(tmp_path / "1" / "lora.safetensors")}
    named = {
        "debiased_estimation_loss": {"debiased_estimation"}, "ip_noise_gamma": {"ip_noise_gamma"},
        "multires_noise_iterations": {"multires_noise_iterations", "multires_noise_discount"},
    }.get(next(iter(changes)), set())  # fmt: skip
    assert named <= told and not named & {
        name.removeprefix("ss_") for name in header_texts(tmp_path / "0" / "lora.safetensors")
    }


EVENLY = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("first", "last"), [(0, 1000), (200, 700), (0, 1), (999, 1000), (0, 300)])
def test_no_time_is_outside_of_the_range(first: int, last: int, name: str) -> None:
    family = FAMILIES[name]
    plain = family.preset(next(iter(family.presets))).training
    settings = replace(plain, min_timestep=first, max_timestep=last)
    check_fits(settings, family)
    config = {} if family.flow else EPSILON
    times = schedule_for(family, config, settings).times(EVENLY, (1, 16, 64, 64))
    whole = schedule_for(family, config, plain).times(EVENLY, (1, 16, 64, 64))
    if (first, last) == (0, 1000):
        assert torch.equal(times, whole) and torch.equal(
            times, schedule_for(family, config).times(EVENLY, (1, 16, 64, 64))
        )
    if family.flow:  # t * (t_max - t_min) + t_min, of times in 0..1
        assert torch.allclose(times, whole * (last - first) / 1000 + first, atol=1e-2)
        assert float(times.min()) >= first and float(times.max()) <= last
    else:  # torch.randint(first, last)
        assert sorted(set(times.tolist())) == list(range(first, last))


def test_a_range_without_any_time_is_refused() -> None:
    for first, last in ((500, 500), (700, 300)):
        with pytest.raises(InputError, match=f"min_timestep {first} is not below max_timestep {last}"):
            check_fits(replace(TRAINING, min_timestep=first, max_timestep=last), SDXL)
