"""Says which words of prompts and captions are not read, because they stand beyond the chunks that CLIP is given of a
text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import shorten

from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.domain.records import TrainingSample
from twinloop.domain.wording import agree, plural
from twinloop.families.clip import Split, Text

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
        self._seen: set[Text] = set()
        self._cut = 0

    def look_at(self, texts: Sequence[Text]) -> None:
        """Tell of those among the texts that were not looked at before."""
        for text in dict.fromkeys(texts):
            if text not in self._seen:
                self._seen.add(text)
                self._tell(text, self._prompts.split(text))

    def _tell(self, text: Text, split: Split | None) -> None:
        if split is None or not split.left_out:
            return
        self._cut += 1
        if self._cut <= NAMED:
            self._notice(
                f"Only the first {split.tokens} tokens of this prompt are read; left out: {_brief(split.left_out)} (of:"
                f" {_brief(str(text))})"
            )
        elif self._cut == NAMED + 1:
            self._notice("More prompts are cut off in the same way; they are not named one by one.")


def remark_on_captions(prompts: PromptEmbedder, samples: Sequence[TrainingSample]) -> str:
    """What to say about captions that are too long: how many, and what the first one loses; "" = all are read whole."""
    splits = ((sample, prompts.split(sample.caption)) for sample in samples)
    cut = [(sample, split.left_out) for sample, split in splits if split is not None and split.left_out]
    if not cut:
        return ""
    first, lost = cut[0]
    return (
        f"{plural(len(cut), 'caption')} of {len(samples)} {agree(len(cut), 'does', 'do')} not fit into the"
        f" {prompts.room} tokens that are read of one; what stands beyond is left out, as of {first.path}:"
        f" {_brief(lost)}"
    )


def _brief(text: str) -> str:
    return shorten(text, SHOWN, placeholder=" ...")
