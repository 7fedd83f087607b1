"""Says that weights in prompts, as A1111 and ComfyUI read them, do nothing where a language model reads the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twinloop.domain.weighted_text import WeightedText, read_weights
from twinloop.families.clip import Text


class WeightedPrompts:
    """Tells of the first prompt that has a weight.

    Args:
        notice: told what the weight does here, and how to write the prompt.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._told = False

    def look_at(self, texts: Iterable[Text]) -> None:
        """Tell of it, where one of the texts has the first."""
        read = (read_weights(str(text)) for text in texts)
        found = None if self._told else next((text for text in read if isinstance(text, WeightedText)), None)
        if found is not None:
            self._told = True
            words = next(words for words, weight in found.parts if weight != 1.0)
            self._notice(
                f"A prompt has weights: {found}. Weights as in A1111 and ComfyUI work with SDXL and SD 1.5. With this"
                " base model, brackets and numbers are read as ordinary text. Write it without, as in:"
                f" {words.strip()}"
            )
