"""Whether a caption has the form of tags that bases were taught: words with spaces, divided by commas, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from twinloop.domain.captions import parts_of, plain
from twinloop.domain.weighted_text import WeightedText, read_weights

_KINDS: Mapping[str, re.Pattern[str]] = {
    "scores or ratings": re.compile(r"(?:score|rating|source)[_:]\w+", re.IGNORECASE),
    "escaped brackets": re.compile(r"\\[()]"),
    # not in the faces among the tags, such as o_o and ^_^
    "underscores": re.compile(r"[^\W_]{2,}_+\w|[^\W_]_+[^\W_]{2,}|_\("),
}
"""What stands in lists that were made for prompts or for a tagger's own files."""
_ONE_TAG = 3
"""Words of a caption without a comma up to which it may be one tag, such as "looking at viewer"."""
NO_COMMAS = "no commas"


def other_than_tags(caption: str, trigger: str) -> dict[str, str]:
    """What keeps a caption from being tags, each with the words that show it; {} = nothing.

    Args:
        trigger: its parts may be as they are.
    """
    names = {plain(part) for part in parts_of(trigger)}
    parts = [part for part in parts_of(caption) if plain(part) not in names]
    found: dict[str, str] = {}
    for part in parts:
        weighted = isinstance(read_weights(part), WeightedText)
        kind = "weights" if weighted else next((kind for kind, form in _KINDS.items() if form.search(part)), None)
        if kind is not None:
            found.setdefault(kind, part)
    if len(parts) == 1 and len(parts[0].split()) > _ONE_TAG:
        found[NO_COMMAS] = parts[0]
    return found
