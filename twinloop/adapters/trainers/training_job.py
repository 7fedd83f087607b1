"""What one training learns, on which base and with which settings: checked before anything of it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.trainers.data.batches import drops_class_captions
from twinloop.adapters.trainers.data.prepare import caption_chunks, measured_photos
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel, adapted
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.lora.assistant_lora import AssistantLora, assistant_of
from twinloop.adapters.trainers.lora.warm_start import begin_from, check_start
from twinloop.adapters.trainers.lora.warm_start_file import Start, start_of
from twinloop.adapters.trainers.loss.noise_schedule import schedule_for
from twinloop.adapters.trainers.preflight import check_on_base
from twinloop.adapters.trainers.records.begun import inputs_hash
from twinloop.domain.records import TrainingSample
from twinloop.domain.wording import NO_PHOTO_TO_TRAIN_ON
from twinloop.errors import NothingToDo
from twinloop.ports import TrainingSettings, nobody_listens

_NOT_FOR_A1111 = (
    "A1111 draws this DoRA wrongly: it takes the magnitudes of outputs for those of inputs. Use it here, in ComfyUI or"
    ' in a current version of Forge, or set training.adapter to "lora".'
)

DROPPED_TOO = "the captions of the class are dropped with the subject's"
"""Among what decides a training: one that an earlier version began, which kept them, begins anew."""


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """One training that can be begun, or gone on with.

    Attributes:
        settings: those that mean something for the base.
        learned: the samples with a weight, of the subject and prior images. measured: the held-out photos that the
            validation loss is of where it is measured.
        start: what it begins from; None = nothing. assistant: the training adapter that the base wears, None = none.
        chunks: in how many of them its captions are read, one number for each length.
    """

    base: BaseModel
    settings: TrainingSettings
    learned: tuple[TrainingSample, ...]
    measured: tuple[TrainingSample, ...]
    start: Start | None
    assistant: AssistantLora | None
    chunks: frozenset[int]

    @classmethod
    def of(
        cls,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        base: BaseModel,
        notice: Callable[[str], None] = nobody_listens,
    ) -> TrainingJob:
        """The training that is asked for.

        Args:
            notice: told what of it the user should know.

        Raises:
            NothingToDo: no sample of the subject with a weight. InputError, MissingExtra, ModelFileError, StateError:
                settings, or files that they name, which do not go with the base.
        """
        learned = tuple(sample for sample in samples if sample.weight > 0)
        if all(sample.prior for sample in learned):
            raise NothingToDo(NO_PHOTO_TO_TRAIN_ON)
        held_out = [sample for sample in samples if not sample.weight and not sample.prior]
        validations = settings.validations(len(held_out))
        settings = replace(applicable(settings, base), validate_every=validations.every)
        check_on_base(settings, base)
        start = start_of(settings, base.family)
        if start is not None:
            check_start(start, settings, base.family, base.denoiser)
        assistant = assistant_of(settings, base, notice)
        if settings.adapter == "dora" and base.family.denoiser == "unet":
            notice(_NOT_FOR_A1111)
        measured = tuple(measured_photos(held_out, validations.photos))
        chunks = frozenset(caption_chunks(base, [sample.caption for sample in learned], settings))
        return cls(base, settings, learned, measured, start, assistant, chunks)

    @property
    def images(self) -> int:
        """How many samples are of the subject."""
        return sum(not sample.prior for sample in self.learned)

    @property
    def has_prior(self) -> bool:
        """Whether prior images are learned, too."""
        return self.images < len(self.learned)

    def inputs(self, trainer: str) -> str:
        """As `inputs_hash`. ``trainer``: its fingerprint."""
        others = [DROPPED_TOO] * drops_class_captions(self.settings)
        return inputs_hash(self.learned, self.settings, trainer, *others)

    @contextmanager
    def adapted(self, *, checkpointing: bool) -> Iterator[AdaptedModel]:
        """The base with the adapter that is trained, which begins where it is to; errors as of `adapted` and
        `begin_from`.
        """
        plan = AdapterPlan.of(self.settings, self.base.family)
        with adapted(self.base, plan, self.settings.seed, checkpointing=checkpointing) as model:
            if self.start is not None:
                begin_from(self.start, model)
            yield model

    def assisted(self) -> AbstractContextManager[None]:
        """The base with the training adapter, inside; to be entered within `adapted`."""
        return nullcontext() if self.assistant is None else self.assistant.worn(self.base.denoiser)


def applicable(settings: TrainingSettings, base: BaseModel) -> TrainingSettings:
    """The settings without those that mean nothing for the base: signal-to-noise weights for a flow, a noise offset
    where it has no use; and with the layer that the base's CLIP is read from, for the record.
    """
    noise = schedule_for(base.family, base.scheduler_config)
    gamma = 0.0 if base.family.flow else settings.min_snr_gamma
    offset = settings.noise_offset if noise.takes_offset else 0.0
    skip = base.reading.get("clip_skip", 1)
    return replace(settings, min_snr_gamma=gamma, noise_offset=offset, clip_skip=skip)
