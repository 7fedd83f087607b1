"""Prompts -> embeddings, each distinct text once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KEPT = 512


@dataclass(frozen=True, eq=False)
class Embedding:
    """One embedded text: ``words`` (1, tokens, width) and ``pooled`` (1, width), on the CPU in the model's precision."""

    words: Tensor
    pooled: Tensor


class PromptEmbedder:
    """The text encoders of a pipeline, with a memory.

    Attributes:
        encoded: how many texts went through the encoders so far; a text that is remembered does not count again.
    """

    def __init__(self, pipeline: Any, device: torch.device) -> None:
        self._pipeline = pipeline
        self._device = device
        self._known: OrderedDict[str, Embedding] = OrderedDict()
        self.encoded = 0

    def forget(self) -> None:
        """Drop everything, because the encoders changed."""
        self._known.clear()

    def embed(self, text: str) -> Embedding:
        """The embedding of one text. Texts are encoded one by one, so that none depends on its neighbours in a batch.

        The empty text is what the model knows as "no prompt": zeros where its configuration says so.
        """
        if text in self._known:
            self._known.move_to_end(text)
            return self._known[text]
        made = self._encode(text)
        self._known[text] = made
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return made

    @torch.inference_mode()
    def _encode(self, text: str) -> Embedding:
        self.encoded += 1
        words, _, pooled, _ = self._pipeline.encode_prompt(
            prompt=text, device=self._device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        if not text and self._pipeline.config.force_zeros_for_empty_prompt:
            words, pooled = torch.zeros_like(words), torch.zeros_like(pooled)
        # cloned outside of inference mode's reach, because training differentiates through what they are multiplied with
        return Embedding(words.cpu(), pooled.cpu())
