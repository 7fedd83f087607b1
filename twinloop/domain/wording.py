"""Numbers and their nouns, for every text that people read."""

from __future__ import annotations


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 photo``, ``2 photos``; ``many`` where an s is not enough."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
