"""The file of a LoRA in training, at its end and on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from twinloop.adapters.diffusion.loras.writing import LoraWeights, write_lora
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel
from twinloop.adapters.trainers.records.header import lora_header
from twinloop.errors import TrainingDiverged
from twinloop.families.base import Family
from twinloop.ports import TrainingSettings

DIVERGED = "Lower training.learning_rate and start again; the last checkpoint before it is kept."


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

        Raises:
            TrainingDiverged: they are no numbers in float16.
        """
        broken = [name for name, values in self.model.parameters.items() if not values.detach().half().isfinite().all()]
        if broken:
            raise TrainingDiverged(
                f"{len(broken)} matrices of the LoRA are no longer numbers after step {settings.last_step}, such as"
                f" {min(broken)}. {DIVERGED}"
            )
        weights = self.model.weights(torch.float16)
        if isinstance(weights, LoraWeights) and any(name.endswith(".to_out") for name in weights.magnitudes):
            # safetensors puts wider numbers first. diffusers takes a file whose first tensor is no lora_A for an old
            # one, and renames this layer's magnitudes so that they fit nowhere
            weights = self.model.weights(torch.float32)
        texts = lora_header(settings, self.family, self.prediction, self.images, self.date, self.texts)
        write_lora(path, weights, self.family, texts, attentions=self.attentions)
