"""Bulk: one change to many captions, shown before it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from twinloop.domain.captions import one_line, parts_of
from twinloop.domain.vault import Label
from twinloop.errors import InputError
from twinloop.stages.vault.dataset.own_captions import as_written

KINDS = ("add", "remove", "replace")


@dataclass(frozen=True)
class Change:
    """What is done to each caption.

    Attributes:
        kind: ``add`` words as a part of their own at the end, where they are not there yet; ``remove`` whole words,
            upper and lower case alike; ``replace`` text, as it stands.
        words: which. by: what takes their place (``replace``).
    """

    kind: str
    words: str
    by: str = ""

    def check(self) -> None:
        """Raises InputError: a change that cannot be."""
        if self.kind not in KINDS:
            raise InputError(f"Unknown change '{self.kind}'. Known: {', '.join(KINDS)}.")
        if not one_line(self.words):
            raise InputError("Which words? Type them first.")


def preview(captions: Mapping[str, str], change: Change, label: Label) -> dict[str, str]:
    """What each caption would be, by photo; those that stay as they are are left out. The trigger is never lost.

    Raises:
        InputError: a change that cannot be.
    """
    change.check()
    found = {}
    for sha256, text in captions.items():
        after = as_written(label, _changed(text, change)) or label.trigger
        if after != text:
            found[sha256] = after
    return found


def _changed(text: str, change: Change) -> str:
    if change.kind == "replace":
        return text.replace(change.words, change.by)
    words = one_line(change.words)
    if change.kind == "add":
        there = {part.casefold() for part in parts_of(text)}
        return text if words.casefold() in there else f"{text}, {words}" if text else words
    return _without(text, words)


def _without(text: str, words: str) -> str:
    """A caption without whole words; parts that they leave empty go with them."""
    pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)
    if not pattern.search(text):
        return text
    return ", ".join(parts_of(one_line(pattern.sub("", text)).replace(" ,", ",")))
