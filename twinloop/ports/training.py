"""What trains LoRAs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from twinloop.domain.forecast import Forecast
from twinloop.domain.optimizer_args import Arguments
from twinloop.domain.optimizers import WEIGHT_DECAY
from twinloop.domain.records import TrainingSample
from twinloop.domain.validation_loss import ValidationLoss
from twinloop.domain.validation_plan import ValidationPlan, usual_validations

T = TypeVar("T")
_FREE, _SELDOM = "free", "seldom"
"""Roles of fields, in their metadata."""


def _free(usual: T) -> T:
    """A field that decides no weight of a LoRA: a training goes on when it changes."""
    made: Any = field(default=usual, metadata={_FREE: True})
    return cast("T", made)


def _seldom(usual: T) -> T:
    """A field that is told only where it is set: a training that knows nothing of it is one without."""
    made: Any = field(default=usual, metadata={_SELDOM: True})
    return cast("T", made)


@dataclass(frozen=True)
class TrainingSettings:
    """How a LoRA is trained.

    All sizes in pixels, rates per optimizer step. docs/training.md says when which option makes sense.

    Attributes:
        batch_size, gradient_accumulation: a step sees their product of pictures, ``batch_size`` of them at once.
        optimizer: one of `domain.choices.OPTIMIZERS`.
        optimizer_args: what it takes beside rate and weight decay, as `domain.optimizer_args.ordered` gives it.
        schedule: of the learning rate after the warm-up: ``cosine``, ``constant``, ``linear`` or ``cosine_restarts``
            (``restarts`` times).
        clip_norm: longest gradient, 0 = any.
        min_snr_gamma: limit of the loss weight by signal-to-noise ratio (arXiv 2303.09556); 0 = all time steps count
            the same.
        loss: ``l2``, or ``huber`` or ``smooth_l1``, for which errors beyond a threshold count less; ``huber_c`` is the
            threshold at pure noise, ``huber_schedule`` how it rises towards none (``constant``, ``exponential``,
            ``snr``; "" = `huber_schedule_of`).
        debiased_estimation_loss: errors count by the root of noise over signal instead (arXiv 2310.08442), of v models
            as sd-scripts has it. noise_offset: share of noise that is one value per channel, for darker darks; only for
            bases without zero terminal SNR.
        multires_noise_iterations: so many coarser noises are added, each ``multires_noise_discount`` times as strong as
            the one before; 0 = none. ip_noise_gamma: strength of further noise on the pictures that the denoiser is not
            told of (input perturbation, arXiv 2301.11706); 0 = none. None of the last four for flow models.
        min_timestep, max_timestep: the times that are trained, of 0..1000.
        caption_dropout: share of draws that see no caption, or the trigger alone (``keep_trigger``).
        shuffle_captions: the parts of captions, between commas, come in changing orders, but for the first
            ``keep_tokens`` (0 = those of the trigger and the count tags beside it).
        caption_tag_dropout_rate: share of the parts behind these that a draw leaves out.
        trigger, class_word: the subject's words, and what it is one of ("person").
        output_preservation: weight of the loss that holds the base's own answer for ``class_word`` in the place of
            ``trigger``.
        prior_weight: weight of the loss on the samples that are marked as prior.
        face_weight: weight of the loss inside of a sample's face box against outside of it; 1 = the same everywhere.
        mask_floor: how much is learned where a sample's mask is black, of what is learned where it is white.
        ema_decay: of the average over the weights that is written instead of the last ones; 0 = none.
        gradient_checkpointing: compute activations again on the way back, to save memory; None = where memory is tight.
        blocks_to_swap: so many of the denoiser's blocks wait in main memory and are on the GPU only while they compute;
            None = as many as it takes where nothing else makes the training fit.
        memory: GiB that the training may use, 0 = what the GPU has; where it is short, batches go through in
            micro-batches.
        flip: also train on mirror images, which loses what is asymmetric in a face.
        smaller_resolutions: each picture is also trained at these, as often altogether as with ``resolution`` alone.
        flow_sampling, flow_shift: how much noise the pictures of a flow model get: ``logit_normal`` or ``uniform``,
            then moved towards noise; "" and 0 = as the family has it.
        only_layers, skip_layers: adapt only layers whose names hold one of these texts, and none whose names hold one
            of those.
        adapter: ``lora``, ``dora`` (arXiv 2402.09353) or ``lokr`` (arXiv 2309.14859).
        conv_rank, conv_alpha: of the 3x3 convolutions of a U-Net's resnets and samplers; rank 0 = the LoRA leaves these
            alone, alpha 0 = `convolution_alpha`.
        rank_stabilized: outputs count alpha / root of rank instead of alpha / rank, in linear layers and convolutions
            (rsLoRA, arXiv 2312.03732); `network_alpha` and `convolution_alpha` are what gives that by alpha / rank.
        lokr_factor: by how much a LoKr divides a layer's widths, -1 = near their square roots.
        clip_skip: which layer from the end of a CLIP captions are read from, 1 = the last; for the record. The trainer
            was built with it.
        text_encoder: the LoRA adapts the family's CLIP text encoders too, at ``text_encoder_learning_rate`` (0 =
            `text_encoder_rate`) and for the first ``text_encoder_share`` of the steps.
        network_dropout, rank_dropout, module_dropout: shares of a LoRA that a step leaves out: of the numbers between
            its matrices, of a picture's ranks, of its layers.
        loraplus_lr_ratio: how many times faster than the others the matrices learn that start at zero (LoRA+, arXiv
            2402.12354); 0 = as fast. scale_weight_norms: longest change of a layer, beyond which a LoRA is shortened
            after each step; 0 = any.
        compile: the denoiser's repeated blocks: ``regional`` or ``off``; None = on a CUDA GPU, where the steps make it
            pay.
        start_from: a LoRA file that it begins from, "" = from nothing; ``start_sha256`` is that file's hash, which
            decides what comes of it.
        assistant_lora: a LoRA file that the denoiser wears while it is trained, "" = none; ``assistant_sha256`` is that
            file's hash, which decides what comes of it.
        checkpoint_every: steps; at most so many are trained again after a kill.
        stop_at: write the LoRA as it is after this step and leave the checkpoints for more; 0 = at the end. Decides no
            other step.
        save_every: also write the LoRA as it is after every so many steps (`store.step_saves`), beside the file
            ``saves_beside``, "" = beside the one that is trained; 0 = do not. max_step_saves_to_keep: 0 = all.
        validate_every: measure the loss on the held-out samples (those of weight 0) after every so many steps and after
            the last; 0 = never, None = as `validations` says. validation_times: with the noise of so many times, each
            photo. Decide no weight.
        tensorboard: write event files where the library is there. wandb: project to report to, "" = nothing leaves this
            machine.
    """

    preset: str
    steps: int
    rank: int
    alpha: float
    learning_rate: float
    batch_size: int
    resolution: int
    seed: int
    optimizer: str = "adamw"
    optimizer_args: Arguments = ()
    weight_decay: float = WEIGHT_DECAY
    clip_norm: float = 1.0
    schedule: str = "cosine"
    warmup_steps: int = 10
    restarts: int = 1
    gradient_accumulation: int = 1
    gradient_checkpointing: bool | None = _free(None)
    blocks_to_swap: int | None = _free(None)
    memory: int = _free(0)
    ema_decay: float = 0.0
    min_snr_gamma: float = 5.0
    loss: str = "l2"
    huber_c: float = 0.1
    huber_schedule: str = ""
    debiased_estimation_loss: bool = _seldom(False)
    noise_offset: float = 0.0
    multires_noise_iterations: int = _seldom(0)
    multires_noise_discount: float = _seldom(0.3)
    ip_noise_gamma: float = _seldom(0.0)
    min_timestep: int = _seldom(0)
    max_timestep: int = _seldom(1000)
    caption_dropout: float = 0.05
    keep_trigger: bool = True
    shuffle_captions: bool = False
    keep_tokens: int = 0
    caption_tag_dropout_rate: float = 0.0
    trigger: str = ""
    class_word: str = "person"
    output_preservation: float = 0.0
    prior_weight: float = 1.0
    face_weight: float = 1.0
    mask_floor: float = 0.0
    flip: bool = False
    smaller_resolutions: tuple[int, ...] = ()
    flow_sampling: str = ""
    flow_shift: float = 0.0
    only_layers: tuple[str, ...] = ()
    skip_layers: tuple[str, ...] = ()
    adapter: str = "lora"
    conv_rank: int = 0
    conv_alpha: float = 0.0
    lokr_factor: int = -1
    network_dropout: float = 0.0
    rank_dropout: float = 0.0
    module_dropout: float = 0.0
    loraplus_lr_ratio: float = _seldom(0.0)
    scale_weight_norms: float = _seldom(0.0)
    rank_stabilized: bool = _seldom(False)
    clip_skip: int = _seldom(1)
    text_encoder: bool = False
    text_encoder_learning_rate: float = 0.0
    text_encoder_share: float = 1.0
    compile: str | None = None
    start_from: str = _free("")
    start_sha256: str = ""
    assistant_lora: str = _free("")
    assistant_sha256: str = ""
    checkpoint_every: int = 50
    stop_at: int = _free(0)
    save_every: int = _free(0)
    max_step_saves_to_keep: int = _free(0)
    saves_beside: str = _free("")
    validate_every: int | None = _free(0)
    validation_times: int = _free(4)
    tensorboard: bool = _free(True)
    wandb: str = _free("")

    @property
    def effective_batch(self) -> int:
        """Pictures of one optimizer step."""
        return self.batch_size * self.gradient_accumulation

    @property
    def lokr(self) -> int:
        """The factor of the LoKr that is trained, -1 = automatic; 0 = none is."""
        return self.lokr_factor if self.adapter == "lokr" else 0

    @property
    def network_alpha(self) -> float:
        """What trainers, files and other programs take, which divide it by the rank."""
        return self._stabilized(self.alpha, self.rank)

    @property
    def convolution_alpha(self) -> float:
        """`network_alpha` of the convolutions: of the one that is given, else of one in the proportion to their rank
        that alpha has to rank.
        """
        return self._stabilized(self.conv_alpha or self.conv_rank * self.alpha / self.rank, self.conv_rank)

    def _stabilized(self, alpha: float, rank: int) -> float:
        return alpha * math.sqrt(rank) if self.rank_stabilized else alpha

    def huber_schedule_of(self, *, flow: bool) -> str:
        """As asked, else the usual one: of flow models, for which sd-scripts has no ``snr``, ``exponential``."""
        return self.huber_schedule or ("exponential" if flow else "snr")

    @property
    def text_encoder_rate(self) -> float:
        """Peak rate of the text encoders: as given, else half of the denoiser's; Prodigy knows one rate for all."""
        return self.text_encoder_learning_rate or self.learning_rate * (1.0 if self.optimizer == "prodigy" else 0.5)

    @property
    def text_encoder_steps(self) -> int:
        """After so many steps the text encoders stay as they are; 0 where they are not trained."""
        return max(1, round(self.steps * self.text_encoder_share)) if self.text_encoder else 0

    @property
    def last_step(self) -> int:
        """The step whose weights are written."""
        return min(self.stop_at or self.steps, self.steps)

    def validations(self, held_out: int) -> ValidationPlan:
        """How often the validation loss is measured where so many photos are held out: as asked and on all of them,
        else as is usual.
        """
        if self.validate_every is None:
            return usual_validations(self.steps, self.effective_batch, self.validation_times, held_out)
        return ValidationPlan(self.validate_every if held_out else 0, held_out)

    def validates_at(self, step: int) -> bool:
        """Whether the validation loss is measured after a step: that of the weights which are written is among them."""
        every = self.validate_every or 0
        return every > 0 and (step % every == 0 or step == self.last_step)


FREE_SETTINGS = tuple(one.name for one in fields(TrainingSettings) if _FREE in one.metadata)
"""Those made with `_free`."""
SELDOM_SETTINGS = tuple(one.name for one in fields(TrainingSettings) if _SELDOM in one.metadata)
"""Those made with `_seldom`."""


def decisive_settings(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that decide the weights, as JSON has them."""
    usual = {one.name: one.default for one in fields(TrainingSettings) if one.name in SELDOM_SETTINGS}
    return {
        name: _json(value)
        for name, value in asdict(settings).items()
        if name not in FREE_SETTINGS and (name not in usual or value != usual[name])
    }


def decisive_samples(samples: Sequence[TrainingSample]) -> list[list[Any]]:
    """What of the samples decides the weights, as JSON has it: where the files lie does not matter, nor those that are
    held out.
    """
    return [
        [
            sample.sha256,
            sample.caption,
            sample.weight,
            sample.prior,
            sample.face and list(astuple(sample.face)),
            sample.mask and sample.mask.sha256,
        ]
        for sample in samples
        if sample.weight > 0
    ]


def _json(value: Any) -> Any:
    return [_json(part) for part in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Trained:
    """What a trainer tells of the file that it wrote.

    Attributes:
        steps: after which the weights are written. loss: at the last of them, smoothed as the trainer does it.
        validation: after the last of them, where it was measured.
    """

    steps: int
    loss: float
    validation: ValidationLoss | None = None


@dataclass(frozen=True)
class TrainingSize:
    """How much a training learns from, as far as its cost depends on that.

    Attributes:
        images: of the subject. prior: of others of its class. held_out: so many of the images are not trained on,
            about.
        captions: of the images, where they are known; else they are taken for short ones.
    """

    images: int
    prior: int = 0
    held_out: int = 0
    captions: tuple[str, ...] = ()


class Progress(Protocol):
    """Told after every step."""

    def __call__(self, step: int, steps: int, loss: float, validation: float | None = None, /) -> None:
        """``loss``: smoothed. ``validation``: the newest validation loss; left out where there is none."""


class Trainer(Protocol):
    """Trains one LoRA from a base model.

    Killed and called again with the same arguments it goes on from its checkpoint, bit for bit.
    """

    @property
    def fingerprint(self) -> str: ...

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> Trained:
        """Write ``output`` (safetensors) as a whole or not at all, and on the way the files that ``save_every`` asks
        for, of which trainers that are other programs know nothing.

        Args:
            work: folder for checkpoints and caches of this training; may be deleted when it is done.
            metadata: strings for the safetensors header.
            progress: told after every step.
        """
        ...

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> Forecast | None:
        """What such a training will need here; None where it cannot be told, as of other programs' trainings.

        Raises:
            InputError, OutOfMemory: it cannot work here, which is known already.
        """
        ...

    def notes(self, settings: TrainingSettings, *, prior: bool) -> Sequence[str]:
        """What this trainer does otherwise than such settings ask for, a sentence each; none where it follows them all.

        Args:
            prior: there are prior images.
        """
        ...

    def steps_done(self, work: Path) -> int:
        """How many steps a training that was interrupted in ``work`` has kept; 0 where nothing is known of it."""
        ...
