"""Says that weights in prompts, as A1111 and ComfyUI read them, do nothing here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_WEIGHTED = re.compile(r"(?<!\\)\(\s*([^()]*[^()\d\s:])\s*:\s*(?:\d+(?:\.\d*)?|\.\d+)\s*\)")
"""``(smile:1.3)``, and no time of day. Brackets with a backslash before them are letters in A1111, too."""


class WeightedPrompts:
    """Tells of the first weight in a prompt.

    Args:
        notice: told what it does here, and how to write the prompt.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._told = False

    def look_at(self, texts: Iterable[str]) -> None:
        """Tell of it, where one of the texts has the first."""
        found = None if self._told else next((found for text in texts if (found := _WEIGHTED.search(text))), None)
        if found is not None:
            self._told = True
            self._notice(
                f"A prompt has a weight: {found[0]}. Weights as in A1111 and ComfyUI do nothing here: the brackets and"
                f" the number are read as ordinary text. Write it without: {found[1]}"
            )
