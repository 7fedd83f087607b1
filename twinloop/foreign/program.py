"""One other trainer: its files, how it starts, and which settings it can be told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from twinloop.foreign import TITLES
from twinloop.foreign.job import Job
from twinloop.ports import TrainingSettings

COMMON = frozenset(
    (
        "steps",
        "rank",
        "alpha",
        "rank_stabilized",
        "learning_rate",
        "batch_size",
        "resolution",
        "seed",
        "optimizer",
        "weight_decay",
        "clip_norm",
        "schedule",
        "warmup_steps",
        "restarts",
        "gradient_accumulation",
        "gradient_checkpointing",
        "min_snr_gamma",
        "noise_offset",
        "caption_dropout",
        "keep_trigger",
        "flip",
        "save_every",
        "blocks_to_swap 0",
    )
)
"""Fields of `TrainingSettings`, or single values of one, that every program is told or has by itself, or of which its
notes say what becomes of them."""
OWN = frozenset(
    (
        "preset trigger class_word checkpoint_every compile tensorboard saves_beside validate_every validation_times "
        "start_sha256 assistant_sha256"
    ).split()
)
"""Fields that ask for nothing of which another program would have to know: what is in the captions, how this one saves
its own work, computes faster and watches itself, and hashes of files that other fields name."""
NOT_HERE = frozenset(("save_every", "max_step_saves_to_keep", "validate_every", "validation_times"))
"""Fields that come to nothing where this program starts the training (`Job.run_here`): it takes the last LoRA alone."""
MASKED = "masks"
"""Among what a program is able to do: pictures have masks (`Job.masked`)."""
_NAMES = {"stop_at": "training.keep_checkpoints", "clip_skip": "clip_skip"}
"""Field -> its name in the configuration, where it is another, or stands outside of ``training``."""


def _nothing_to_say(job: Job) -> tuple[str, ...]:
    return ()


def _as_asked(job: Job) -> TrainingSettings:
    return job.settings


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        name: as in ``training.trainer`` and in ``twinloop export``.
        files: job -> name of a file beside the folder of pictures -> its text. Raises InputError for what the program
            does not train.
        start: how a training begins, lines for people; paths as a shell takes them.
        notes: what of the settings becomes something else, in words.
        able: as `COMMON`, beyond it (``adapter lokr`` is one value of a field); `MASKED`.
        quantizations: how it calls those that it knows.
        followed: the settings that it trains with, where it cannot follow some of the job's: what the LoRA's header
            says.
        own_adapters: preset -> the training adapter on the hub that it is told where none is named.
        masks_beside: masks lie beside the pictures under OneTrainer's names, not in a folder of their own.
    """

    name: str
    files: Callable[[Job], Mapping[str, str]]
    start: Callable[[Job], tuple[str, ...]]
    notes: Callable[[Job], tuple[str, ...]] = _nothing_to_say
    able: frozenset[str] = frozenset()
    quantizations: Mapping[str, str] = field(default_factory=dict)
    followed: Callable[[Job], TrainingSettings] = _as_asked
    own_adapters: Mapping[str, str] = field(default_factory=dict)
    masks_beside: bool = False

    @property
    def title(self) -> str:
        """For people."""
        return TITLES[self.name]


def beyond(
    settings: TrainingSettings, able: frozenset[str] = frozenset(), *, run_here: bool = False
) -> tuple[str, ...]:
    """Fields of ``training`` that are set and that a program has no word for: all that are not known to be told.

    Args:
        able: as in `Program`. run_here: as in `Job`.
    """
    told = (COMMON | OWN | able) - (NOT_HERE if run_here else frozenset())
    asked = (
        (one.name, value)
        for one in fields(TrainingSettings)
        if one.name not in told and (value := getattr(settings, one.name)) != _off(one)
    )
    return tuple(
        _NAMES.get(name, f"training.{name}") + (f" {value}" if name == "adapter" else "")
        for name, value in asked
        if f"{name} {value}" not in told
    )


def _off(one: Field[Any]) -> object:
    """The value that asks for nothing; `MISSING` for a field that always asks."""
    return one.default if one.default_factory is MISSING else one.default_factory()
