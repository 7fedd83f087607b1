"""What the loss is taken from: noise, targets and weights by time, from the base model's own scheduler settings and the
family's kind of loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, get_args

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from twinloop.adapters.trainers.loss.more_noise import PLAIN, MoreNoise, with_coarser
from twinloop.domain.choices import FlowSampling
from twinloop.domain.shots import derive_seed
from twinloop.domain.training_rules import LAST_TIME
from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import Family
from twinloop.families.losses import FlowLoss
from twinloop.ports import TrainingSettings

NO_SIGNAL = 1e-6
"""Share of the picture's variance under which a time counts as pure noise (SDXL ends at 0.0047)."""
MOST_SNR = 1000.0
"""Signal-to-noise ratio beyond which weights by debiased estimation fall no further, as sd-scripts has it."""
ALL_TIMES = (0, LAST_TIME)


@dataclass(frozen=True, eq=False)
class StepNoise:
    """Times (n,) as the denoiser is told them, and noise (n, c, h, w) of one batch of a step, on the CPU.

    Attributes:
        perturbed: the noise that is on the pictures, where that is not the one that the denoiser should answer.
    """

    times: Tensor
    noise: Tensor
    perturbed: Tensor | None = None

    @property
    def mixed(self) -> Tensor:
        """What is on the pictures."""
        return self.noise if self.perturbed is None else self.perturbed

    def part(self, start: int, stop: int) -> StepNoise:
        """Of the pictures from ``start`` up to ``stop``."""
        cut = slice(start, stop)
        return StepNoise(self.times[cut], self.noise[cut], None if self.perturbed is None else self.perturbed[cut])


class Schedule(Protocol):
    """How noisy which time is. Times are those of the base model's scheduler, 0..1000."""

    prediction: str
    """What the denoiser answers: ``epsilon``, ``v_prediction`` or ``flow``."""
    takes_offset: bool
    """Whether an offset of the noise has a use: not where the last time is pure noise, which teaches dark and bright
    pictures by itself."""

    def times(self, places: Tensor, shape: Sequence[int]) -> Tensor:
        """(n,) places in 0..1 -> (n,) times for latents of this shape (n, c, h, w)."""
        ...

    def noisy(self, clean: Tensor, drawn: StepNoise) -> tuple[Tensor, Tensor]:
        """Latents (n, c, h, w) with noise, and what the denoiser should answer, of the same shape."""
        ...

    def weights(self, times: Tensor, gamma: float, *, debiased: bool = False) -> Tensor:
        """(n,) weights of the error by time step; ``gamma`` limits them by signal-to-noise ratio (0 = all count the
        same), ``debiased`` are those of debiased estimation, times the others.
        """
        ...

    def noise_ratio(self, times: Tensor) -> Tensor | None:
        """(n,) noise over signal; None = a flow, whose robust losses go by time alone."""
        ...


def schedule_for(family: Family, config: Any, settings: TrainingSettings | None = None) -> Schedule:
    """The schedule of a family, for a base model whose scheduler has this configuration.

    Args:
        settings: of a training, which may draw the times of a flow in another way, or only some.

    Raises:
        ModelFileError: a prediction type that this trainer does not know. InputError: settings it does not know.
    """
    times = ALL_TIMES if settings is None else (settings.min_timestep, settings.max_timestep)
    if not isinstance(family.loss, FlowLoss):
        return NoiseSchedule(config, times)
    return FlowSchedule(_as_asked(family.loss, settings), config, family.patch, times)


def _as_asked(loss: FlowLoss, settings: TrainingSettings | None) -> FlowLoss:
    if settings is None:
        return loss
    known: dict[str, FlowSampling] = {"": loss.sampling, **{name: name for name in get_args(FlowSampling)}}
    if settings.flow_sampling not in known:
        raise InputError(
            f"training.flow_sampling: unknown '{settings.flow_sampling}'. Known: {', '.join(get_args(FlowSampling))}."
        )
    return replace(loss, sampling=known[settings.flow_sampling], shift=settings.flow_shift or loss.shift)


def draw_noise(
    schedule: Schedule, shapes: Sequence[tuple[int, ...]], offset: float, seed: int, step: int,
    more: MoreNoise = PLAIN,
) -> list[StepNoise]:  # fmt: skip
    """Noise for the batches of a step, latents of these shapes; depends on them and on (seed, step) only.

    Places are even over 0..1, one from each of as many equal ranges as the step has pictures, so that the loss of a
    small batch varies less. ``offset`` adds one value per picture and channel, ``more`` what comes after that.
    """
    generator = torch.Generator("cpu").manual_seed(derive_seed(seed, "noise", step))
    count = sum(shape[0] for shape in shapes)
    places = (
        torch.randperm(count, generator=generator) + torch.rand(count, generator=generator, dtype=torch.float64)
    ) / count
    drawn = list[StepNoise]()
    for shape, own in zip(shapes, torch.split(places, [shape[0] for shape in shapes]), strict=True):
        noise = torch.randn(shape, generator=generator)
        if offset:
            noise = noise + offset * torch.randn(*shape[:2], 1, 1, generator=generator)
        if more.iterations:
            noise = with_coarser(noise, more, generator)
        perturbed = noise + more.gamma * torch.randn(shape, generator=generator) if more.gamma else None
        drawn.append(StepNoise(schedule.times(own, shape), noise, perturbed))
    return drawn


class NoiseSchedule:
    """Signal and noise of each time step of an epsilon or v model.

    Args:
        config: of the base model's scheduler (its betas and prediction type are read).
        times: the first that is drawn, and the first beyond those that are.

    Raises:
        ModelFileError: a kind of noise or of prediction that this trainer does not know.
    """

    def __init__(self, config: Any, times: tuple[int, int] = ALL_TIMES) -> None:
        if "sigma_data" in config:
            raise ModelFileError(
                "This base model was made with EDM's noise (as Playground v2.5), which training does not know. Choose"
                " another base_model."
            )
        scheduler: Any = DDPMScheduler.from_config(config)
        kept = scheduler.alphas_cumprod.double()
        self.prediction = str(scheduler.config.prediction_type)
        if self.prediction not in ("epsilon", "v_prediction"):
            raise ModelFileError(
                f"This base model predicts '{self.prediction}'; training knows epsilon and v_prediction. Choose another"
                " base_model."
            )
        self._signal, self._noise = kept.sqrt().float(), (1 - kept).sqrt().float()
        self._snr = (kept / (1 - kept)).float()
        self.takes_offset = float(kept[-1]) > NO_SIGNAL
        self._first, self._end = times[0], min(times[1], len(self._snr))

    def times(self, places: Tensor, shape: Sequence[int]) -> Tensor:
        """(n,) places in 0..1 -> (n,) whole numbers, evenly over the time steps that are drawn: those of sd-scripts'
        ``torch.randint(min_timestep, max_timestep)``.
        """
        return (places * (self._end - self._first)).long().add(self._first).clamp(self._first, self._end - 1)

    def noisy(self, clean: Tensor, drawn: StepNoise) -> tuple[Tensor, Tensor]:
        """Latents (n, c, h, w) with noise, and the noise or the velocity, of the same shape."""
        signal = self._signal[drawn.times][:, None, None, None].to(clean)
        level = self._noise[drawn.times][:, None, None, None].to(clean)
        noise = drawn.noise.to(clean)
        wanted = noise if self.prediction == "epsilon" else signal * noise - level * clean
        return signal * clean + level * drawn.mixed.to(clean), wanted

    def weights(self, times: Tensor, gamma: float, *, debiased: bool = False) -> Tensor:
        """min-SNR, arXiv 2303.09556, and debiased estimation, arXiv 2310.08442.

        min-SNR, epsilon: min(snr, gamma) / snr, which is 1 where there is no signal at all; v: min(snr, gamma) /
        (snr + 1). Debiased, as in sd-scripts, epsilon: 1 / root of min(snr, `MOST_SNR`), likewise; v: 1 / (that + 1).
        """
        snr = self._snr[times]
        if gamma <= 0:
            found = torch.ones_like(snr)
        elif self.prediction == "v_prediction":
            found = snr.clamp(max=gamma) / (snr + 1)
        else:
            found = torch.where(snr > 0, snr.clamp(max=gamma) / snr.clamp(min=1e-12), 1.0)
        if not debiased:
            return found
        least = snr.clamp(max=MOST_SNR)
        return found * (
            1 / (least + 1)
            if self.prediction == "v_prediction"
            else torch.where(snr > 0, least.clamp(min=1e-12).rsqrt(), 1.0)
        )

    def noise_ratio(self, times: Tensor) -> Tensor:
        """(n,) times -> (n,) standard deviations, noise over signal; infinite where there is no signal."""
        return torch.as_tensor(self._snr[times].rsqrt())


class FlowSchedule:
    """Shares of noise of a flow model.

    Args:
        config: of the base model's scheduler; its shift is used where the loss has none of its own.
        patch: latent cells that the denoiser takes as one, along a side: the shift of some models depends on their
            number.
        times: the least and the largest that are drawn.
    """

    def __init__(self, loss: FlowLoss, config: Any, patch: int, times: tuple[int, int] = ALL_TIMES) -> None:
        self._loss, self._config, self._patch, self._times = loss, dict(config), patch, times
        self.prediction, self.takes_offset = "flow", False

    def times(self, places: Tensor, shape: Sequence[int]) -> Tensor:
        """(n,) places in 0..1 -> (n,) shares of noise x 1000, as the family samples and shifts them."""
        shares = places.double().clamp(1e-6, 1 - 1e-6)
        if self._loss.sampling == "logit_normal":
            shares = torch.sigmoid(self._loss.mean + self._loss.std * torch.special.ndtri(shares))
        shift, (first, last) = self._shift(shape), self._times
        # brought into the range after the shift, as sd-scripts does it (sd3_train_utils'
        # get_noisy_model_input_and_timesteps)
        return (shift * shares / (1 + (shift - 1) * shares) * (last - first) + first).float()

    def _shift(self, shape: Sequence[int]) -> float:
        if self._loss.shift is not None:
            return self._loss.shift
        config = self._config
        if not config.get("use_dynamic_shifting"):
            return float(config.get("shift", 1.0))
        first, last = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        low, high = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
        tokens = shape[-2] * shape[-1] / self._patch**2
        mu = low + (high - low) * (tokens - first) / (last - first)
        return math.exp(mu) if config.get("time_shift_type", "exponential") == "exponential" else mu

    def noisy(self, clean: Tensor, drawn: StepNoise) -> tuple[Tensor, Tensor]:
        """On the straight line from picture to noise, and its direction."""
        share = (drawn.times / LAST_TIME)[:, None, None, None].to(clean)
        noise = drawn.noise.to(clean)
        return (1 - share) * clean + share * noise, noise - clean

    def weights(self, times: Tensor, gamma: float, *, debiased: bool = False) -> Tensor:
        """All 1: the sampling of times does what weights do elsewhere, and min-SNR is not made for a flow."""
        return torch.ones_like(times)

    def noise_ratio(self, times: Tensor) -> None:
        """None for any (n,) times: a flow's robust losses go by time alone, not by a ratio of noise to signal."""
