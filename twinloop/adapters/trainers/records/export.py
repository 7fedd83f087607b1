"""The file of a LoRA in training, at its end and on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from twinloop.adapters.diffusion.loras.writing import write_lora
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel
from twinloop.adapters.trainers.records.header import lora_header
from twinloop.families.base import Family
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class LoraExport:
    """A LoRA in training, and what its file says whatever the step.

    Attributes:
        prediction: what the base answers, as its noise schedule has it. attentions: of the base's denoiser, as
            `write_lora` takes them.
        images: of the subject. date: when the training began, ISO 8601, UTC. texts: of the header; they win over what
            the settings say.
    """

    family: Family
    model: AdaptedModel
    prediction: str
    attentions: frozenset[str]
    images: int
    date: str
    texts: Mapping[str, str]

    def write(self, path: Path, settings: TrainingSettings) -> None:
        """Write the weights that the model has now as those after the settings' last step, and their copy for other
        programs.
        """
        texts = lora_header(settings, self.family, self.prediction, self.images, self.date, self.texts)
        write_lora(path, self.model.weights(torch.float16), self.family, texts, attentions=self.attentions)
