"""The clean latents of a step are those that the schedulers themselves work with."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from twinloop.adapters.diffusion.early.clean_latents import clean_latents  # noqa: E402
from twinloop.families.base import FLOW_SCHEDULERS, SCHEDULERS  # noqa: E402

SAYS_ITSELF = {
    "DDIMScheduler": {"clip_sample": False},
    "DDPMScheduler": {"clip_sample": False},
    "EulerDiscreteScheduler": {},
    "EulerAncestralDiscreteScheduler": {},
    "LCMScheduler": {},
}
"""Schedulers whose step also returns its x0, with what would cut it off."""
CONVERTS = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler")
"""Schedulers that turn the denoiser's answer into x0 first."""
KINDS = ("epsilon", "v_prediction", "sample")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def scheduler_of(name: str, **options: Any) -> Any:
    made = getattr(diffusers, name)(**{**BETAS, **options})
    made.set_timesteps(10)
    return made


def step(scheduler: Any, number: int) -> tuple[Any, Any, Any]:
    """(answer, time, noisy) as a pipeline has them at a step; the steps before it are taken."""
    torch.manual_seed(number)
    noisy = torch.randn(2, 4, 8, 8) * scheduler.init_noise_sigma
    for time in scheduler.timesteps[:number]:
        scheduler.scale_model_input(noisy, time)
        noisy = scheduler.step(torch.randn_like(noisy), time, noisy, return_dict=False)[0]
    time = scheduler.timesteps[number]
    scheduler.scale_model_input(noisy, time)
    return torch.randn_like(noisy), time, noisy


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in SAYS_ITSELF for k in KINDS if (n, k) != ("EulerAncestralDiscreteScheduler", "sample")],
)
@pytest.mark.parametrize("number", [0, 6])
def test_as_the_step_says(name: str, kind: str, number: int) -> None:
    scheduler = scheduler_of(name, prediction_type=kind, **SAYS_ITSELF[name])
    answer, time, noisy = step(scheduler, number)
    ours = clean_latents(scheduler, answer, time, noisy)
    made = scheduler.step(answer, time, noisy)
    theirs = made.denoised if name == "LCMScheduler" else made.pred_original_sample
    if name == "LCMScheduler":  # mixes x0 with the noisy latents, by how much each timestep counts
        skip, out = scheduler.get_scalings_for_boundary_condition_discrete(time)
        theirs = (theirs - skip * noisy) / out
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONVERTS)
def test_as_the_solvers_convert_it(name: str, kind: str) -> None:
    algorithm = {"algorithm_type": "deis"} if name.startswith("DEIS") else {}
    scheduler = scheduler_of(name, prediction_type=kind, **algorithm)
    answer, time, noisy = step(scheduler, 6)
    converted = scheduler.convert_model_output(answer, sample=noisy)
    if name.startswith("DEIS"):  # works with the noise, so x0 is what is left without it
        alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[scheduler.step_index])
        converted = (noisy - sigma * converted) / alpha
    torch.testing.assert_close(clean_latents(scheduler, answer, time, noisy), converted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted({kind for kind, _ in SCHEDULERS.values()} | {"PNDMScheduler"}))
@pytest.mark.parametrize("number", [0, 5])
def test_a_perfect_denoiser_of_noise_gives_the_picture_back(name: str, number: int) -> None:
    scheduler = scheduler_of(name)
    picture, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    time = scheduler.timesteps[number]
    noisy = scheduler.add_noise(picture, noise, time.reshape(1))
    scheduler.scale_model_input(noisy, time)
    torch.testing.assert_close(clean_latents(scheduler, noise, time, noisy), picture, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [changes for _, changes in FLOW_SCHEDULERS.values()] + [{"shift": 3.0}])
def test_a_perfect_flow_gives_the_picture_back(options: dict[str, Any]) -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(**options)
    scheduler.set_timesteps(10)
    picture, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    time = scheduler.timesteps[6]
    noisy = scheduler.scale_noise(picture, time.reshape(1), noise)
    torch.testing.assert_close(clean_latents(scheduler, noise - picture, time, noisy), picture, rtol=1e-4, atol=1e-4)


def test_the_step_itself_is_not_disturbed() -> None:
    watched, alone = (scheduler_of("DPMSolverMultistepScheduler") for _ in range(2))
    answer, noisy = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    clean_latents(watched, answer, watched.timesteps[0], noisy)
    results = [s.step(answer, s.timesteps[0], noisy, return_dict=False)[0] for s in (watched, alone)]
    assert torch.equal(*results) and watched.step_index == alone.step_index
