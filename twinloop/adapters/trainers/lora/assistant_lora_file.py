"""The training adapter that a distilled base wears while a LoRA is trained on it: what can be known of it before a base
model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.diffusion.loras.given_lora import check_lora
from twinloop.adapters.trainers.lora.given_file import given_file
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.lora import Update, read_lora
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class AssistantLoraFile:
    """The denoiser's layers of a training adapter by diffusers' path, and the names of the text encoders that it
    adapts, too.
    """

    path: Path
    layers: Mapping[Place, Update]
    encoders: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What the user should know of it, "" = nothing."""
        if not self.encoders:
            return ""
        return (
            f"{self.path}: its layers of {' and '.join(self.encoders)} are left out. A training adapter is worn by the"
            " denoiser alone; captions are embedded without it."
        )


def check_assistant(settings: TrainingSettings, family: Family) -> None:
    """Whether the file that ``training.assistant_lora`` names can be worn by the family's models, as far as it tells by
    itself. Errors as `assistant_file`.
    """
    if settings.assistant_lora:
        assistant_file(settings, family)


def assistant_file(settings: TrainingSettings, family: Family) -> AssistantLoraFile:
    """The file that ``training.assistant_lora`` names.

    Raises:
        InputError: not there. StateError: it is no longer the same file.
        ModelFileError: damaged, a pickle, neither LoRA nor LoKr, for another family, or nothing of it is for the
            denoiser.
    """
    path = given_file(settings.assistant_lora, settings.assistant_sha256, "assistant_lora")
    check_lora(path, family)
    file = read_lora(path)
    layers = understood(file, family.name).layers
    own = {place: layer for place, layer in layers.items() if place.component == DENOISER}
    if not own:
        raise ModelFileError(
            f"training.assistant_lora: {path} adapts text encoders alone, and it is the denoiser that wears a training"
            " adapter. Name another file."
        )
    others = sorted({place.component for place in layers} - {DENOISER})
    return AssistantLoraFile(path, own, tuple(others))
