"""Says which words of prompts and captions a model does not read, because they stand beyond what its text encoders take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import shorten

from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.domain.records import TrainingSample
from twinloop.domain.wording import agree, plural

NAMED = 5
"""Cut prompts that are named one by one; a long negative prompt makes every shot's one."""
SHOWN = 120
"""Characters of a prompt, or of what is left out of it, that a message shows."""


class LongPrompts:
    """Tells of each prompt that is too long, once.

    Args:
        notice: told what is left out of it.
    """

    def __init__(self, prompts: PromptEmbedder, notice: Callable[[str], None]) -> None:
        self._prompts, self._notice = prompts, notice
        self._seen: set[str] = set()
        self._cut = 0

    def look_at(self, texts: Sequence[str]) -> None:
        """Tell of those among the texts that were not looked at before."""
        for text in dict.fromkeys(texts):
            if text not in self._seen:
                self._seen.add(text)
                self._tell(text, self._prompts.left_out(text))

    def _tell(self, text: str, lost: str) -> None:
        if not lost:
            return
        self._cut += 1
        if self._cut <= NAMED:
            self._notice(
                f"Only the first {self._prompts.room} tokens of this prompt are read by this model; left out: {_brief(lost)} (of: {_brief(text)})"
            )
        elif self._cut == NAMED + 1:
            self._notice("More prompts are cut off in the same way; they are not named one by one.")


def remark_on_captions(prompts: PromptEmbedder, samples: Sequence[TrainingSample]) -> str:
    """What to say about captions that are too long: how many, and what the first one loses; "" = all are read whole."""
    cut = [(sample, lost) for sample in samples if (lost := prompts.left_out(sample.caption))]
    if not cut:
        return ""
    first, lost = cut[0]
    return (
        f"{plural(len(cut), 'caption')} of {len(samples)} {agree(len(cut), 'is', 'are')} longer than the {prompts.room} tokens that this model reads; "
        f"what stands beyond is left out, as of {first.path}: {_brief(lost)}"
    )


def _brief(text: str) -> str:
    return shorten(text, SHOWN, placeholder=" ...")
