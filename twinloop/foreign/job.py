"""A training as told to another program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeVar

from twinloop.domain.captions import head_length
from twinloop.errors import InputError
from twinloop.families import Family
from twinloop.families.predictions import USUAL, Prediction
from twinloop.foreign.pictures import Folder
from twinloop.ports import TrainingSettings

T = TypeVar("T")
MASKS = "masks"
"""Folder beside the dataset's folders, with one of the same name for each."""


@dataclass(frozen=True)
class Job:
    """One LoRA to be trained elsewhere.

    Attributes:
        name: of the LoRA's file, without ending. base: folder, file or hub id. trigger: words that stand for the
            person.
        root: folder of the dataset's folders, as the other program will see it. output: where it shall write.
        prediction: what the base model predicts; other programs have to be told.
        quantization: of the base model's weights, as the configuration has it; None = what the program usually does.
        float16: compute in it instead of in bfloat16, which older cards do not know.
        parts: diffusers' name -> file of parts of the base that do not come with it.
        run_here: this program starts the training and takes the LoRA: what is saved on the way is only for going on.
    """

    name: str
    base: str
    family: Family
    settings: TrainingSettings
    trigger: str
    root: PurePath
    output: PurePath
    folders: Sequence[Folder]
    prediction: Prediction = USUAL
    quantization: str | None = None
    float16: bool = False
    run_here: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)

    def place(self, folder: Folder) -> str:
        """The path of one of the dataset's folders."""
        return str(self.root / folder.name)

    def file(self, name: str) -> str:
        """The path of one of the configuration's files, which lie beside the dataset."""
        return str(self.root.parent / name)

    @property
    def masked(self) -> bool:
        """Whether any picture has a mask."""
        return any(picture.mask is not None for folder in self.folders for picture in folder.pictures)

    def place_of_masks(self, folder: Folder) -> str:
        """The path of the masks of one of the dataset's folders."""
        return str(self.root / MASKS / folder.name)

    @property
    def precision(self) -> str:
        """The half precision to compute in, as these programs call it."""
        return "fp16" if self.float16 else "bf16"

    @property
    def noise_offset(self) -> float:
        """0 where it has no use: with flows, and where the last time is pure noise."""
        return 0.0 if self.family.flow or self.prediction.zero_snr else self.settings.noise_offset

    @property
    def min_snr_gamma(self) -> float:
        """0 with flows, which know no such weights."""
        return 0.0 if self.family.flow else self.settings.min_snr_gamma

    @property
    def save_every(self) -> int:
        """Steps after which the other program saves: as asked for, else as often as checkpoints are written."""
        return self.settings.save_every or self.settings.checkpoint_every

    @property
    def saves_kept(self) -> int:
        """How many of these LoRAs the user wants to find; 0 = all."""
        return 1 if self.run_here else self.settings.max_step_saves_to_keep

    @property
    def keep_tokens(self) -> int:
        """Parts at the beginning of a caption that stay where they are, where the others are shuffled."""
        captions = [picture.caption for folder in self.folders for picture in folder.pictures if not folder.prior]
        heads = [head_length(caption, self.trigger) for caption in captions]
        return self.settings.keep_tokens or max(heads, default=head_length("", self.trigger))

    @property
    def pictures(self) -> int:
        return sum(len(folder.pictures) for folder in self.folders)

    @property
    def subject_pictures(self) -> int:
        """Without the prior images."""
        return sum(len(folder.pictures) for folder in self.folders if not folder.prior)

    @property
    def drawn(self) -> int:
        """How many of the subject's pictures one pass has, each as often as its folder says."""
        return sum(folder.repeats * len(folder.pictures) for folder in self.folders if not folder.prior)

    @property
    def prior_pictures(self) -> int:
        return self.pictures - self.subject_pictures

    def whole_repeats(self, folder: Folder) -> int:
        """How often a pass has each picture of a folder, where it has about as many prior images as pictures of the
        subject and each a whole number of times: where there are more prior images than that, the subject's come more
        often.
        """
        passes = max(1, math.ceil(self.prior_pictures / self.drawn))
        return round(passes * self.drawn / self.prior_pictures) if folder.prior else folder.repeats * passes

    def in_turns(self, steps: int) -> int:
        """So many of our steps, each with a batch of the subject's pictures and one of prior images, for a program of
        whose batches, or whose pictures, every second one is a prior image.
        """
        return steps * 2 if self.prior_pictures else steps


def more_steps(program: str, job: Job) -> tuple[str, ...]:
    """What is to be said of a program that learns prior images in place of the subject's pictures."""
    if not job.prior_pictures:
        return ()
    steps = job.settings.steps
    return (
        f"{job.in_turns(steps)} steps instead of {steps}: every second picture that {program} learns is a prior image,"
        " while a step of this program has a batch of both",
    )


SHIFTS = {"anima": 1.0, "chroma": 1.0, "sd35": 3.0, "zimage": 2.0}
"""Of flow families whose times are shifted by one number; with the others it follows from the size of the pictures."""


def quantized(program: str, table: Mapping[str, str], how: str | None) -> str | None:
    """What a program calls a quantization; None = none is asked for.

    Raises:
        InputError: it has none of that kind.
    """
    if how is not None and how not in table:
        raise InputError(
            f'quantization: {program} does not know "{how}"; it knows {", ".join(table)}. Set one of these, leave it'
            ' out, or use "trainer": "builtin".'
        )
    return None if how is None else table[how]


def without_parts(program: str, job: Job) -> None:
    """For a program that is told of one base model, as a whole.

    Raises:
        InputError: parts of it come from files of their own.
    """
    if job.parts:
        raise InputError(
            f"base_parts.{next(iter(job.parts))}: {program} is told of the base model as a whole here. Leave it out,"
            ' name a base model that has it, or use "trainer": "builtin".'
        )


def check_convolutions(program: str, family: Family) -> None:
    """Whether a program trains the convolutions of a family's models.

    Raises:
        InputError: these have none around their attentions.
    """
    if family.denoiser != "unet":
        raise InputError(
            f"training.conv_rank: {program} trains convolutions of U-Nets, SD 1.5 and SDXL; {family.name} has a"
            " transformer. Leave it out."
        )


def known(program: str, table: Mapping[str, T], family: Family) -> T:
    """What a program calls a family, or how it trains it.

    Raises:
        InputError: it does not train that family, as far as this program knows.
    """
    if family.name not in table:
        raise InputError(
            f"{program} does not train {family.name} LoRAs, as far as this program knows; it knows {', '.join(table)}. "
            'Use another trainer ("training": {"trainer": "builtin"}).'
        )
    return table[family.name]


def trigger_goes(program: str, job: Job) -> tuple[str, ...]:
    """What is to be said of a program that drops captions as a whole, where the trigger should stay."""
    if not (job.settings.keep_trigger and job.settings.caption_dropout):
        return ()
    return (
        f"dropped captions lose the trigger words, too: {program} has no setting to keep them (training.keep_trigger)",
    )
