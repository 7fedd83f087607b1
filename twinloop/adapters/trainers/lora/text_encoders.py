"""The LoRA on a base model's text encoders, while it is trained: captions are encoded anew in every step, with
gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.utils import recurse_remove_peft_layers
from torch import nn
from torch.utils.checkpoint import checkpoint

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.memory import release_memory
from twinloop.adapters.diffusion.prompts import Joined
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.errors import InputError
from twinloop.families.base import TrainableEncoders
from twinloop.families.lora_names import CLIP


class TextEncoders:
    """The text encoders of a base model that wear a LoRA in training.

    Attributes:
        models: by the pipeline's name of the component.
        learning: whether gradients reach them; without, they encode captions with the LoRA as it is now.
        checkpointing: whether their activations are computed again on the way back.
    """

    def __init__(self, base: BaseModel, trainable: TrainableEncoders, models: dict[str, nn.Module]) -> None:
        self._base, self._trainable = base, trainable
        self.models = models
        self.learning, self.checkpointing = True, False

    def encode(self, texts: Sequence[str], cached: Joined) -> Joined:
        """The embeddings of these texts, with the LoRA.

        Args:
            cached: their embeddings without it, on the training device; those of frozen text encoders are taken from
                there.
        """
        with torch.set_grad_enabled(self.learning and torch.is_grad_enabled()):
            # the activations of a CLIP are few, but its backward pass comes last: recomputed, they are only there when
            # the denoiser's are gone
            made = (
                checkpoint(self._encode, texts, cached, use_reentrant=False)
                if self.checkpointing
                else self._encode(texts, cached)
            )
        return {name: part.to(cached[name]) for name, part in made.items()}

    def _encode(self, texts: Sequence[str], cached: Joined) -> Joined:
        base = self._base
        return self._trainable.encode(base.pipeline, texts, cached, base.compute.device, **base.reading)


@contextmanager
def adapted_encoders(base: BaseModel, plan: AdapterPlan) -> Iterator[TextEncoders]:
    """The text encoders with a fresh LoRA, on the training device; afterwards they are as before, in main memory.

    Raises:
        InputError: the family's cannot be trained, or the model has none of them.
    """
    trainable = base.family.text_encoders()
    models = {name: part for name in trainable.prefixes if (part := getattr(base.pipeline, name, None)) is not None}
    if not models:
        raise InputError(
            "training.text_encoder: this base model comes without text encoders that can be trained. Set it to false."
        )
    try:
        for model in models.values():
            plan.put_on_encoder(model)
            model.to(base.compute.device)
        yield TextEncoders(base, trainable, models)
    finally:
        for model in models.values():
            _remove_lora(model)
            model.to("cpu")
        release_memory()


def _remove_lora(model: Any) -> None:
    recurse_remove_peft_layers(model)
    if hasattr(model, "peft_config"):
        del model.peft_config
    model.requires_grad_(False)


def with_clip_prefix(layer: str) -> str:
    """A layer of a CLIP as LoRA files call it; newer versions of transformers leave the prefix out."""
    return layer if layer.startswith(CLIP) else f"{CLIP}{layer}"
