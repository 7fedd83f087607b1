"""Which classes of a detector are the wanted part: people train hand and eye detectors under many names."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

from twinloop.errors import ModelFileError

_WORDS: Mapping[str, str] = {
    "hand": r"hand(?!bag|le|rail|cuff|kerchief)|palm|fist|finger",
    "eye": r"eye(?!brow|lash|glass|lid)|iris|pupil",
}
"""Part -> how class names speak of it. A handbag is no hand, and COCO has one."""
_CLOSED = re.compile(r"closed?|shut|blink")
_OTHERS = frozenset({"face", "person", "head", "body", "human", "people", "car", "dog", "cat"})
"""Words of detectors for something else."""
_SHOWN = 8


def part_classes(kind: str, names: Sequence[str], source: str) -> tuple[int, ...]:
    """Indices of the classes that count as ``kind`` (``hand``, ``eye``).

    Those whose name speaks of it, without closed eyes; all of them where no name does (gestures, or a model without
    names).

    Raises:
        ModelFileError: the classes are those of another kind of detector.
    """
    low = [name.lower() for name in names]
    speaking = [i for i, name in enumerate(low) if re.search(_WORDS.get(kind, re.escape(kind)), name)]
    if speaking:
        return tuple(i for i in speaking if not _CLOSED.search(low[i])) or tuple(speaking)
    words = {word for name in low for word in re.split(r"[\W_]+", name)}
    if words & _OTHERS:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise ModelFileError(f"{source}: finds {shown}, not {kind}s; it is another model.")
    return tuple(range(len(names)))


def exported_names(text: str | None) -> list[str] | None:
    """Class names as Ultralytics writes them into its exports (``{0: 'hand'}``); None where they cannot be read."""
    try:
        stored = ast.literal_eval(text) if text and len(text) < 1 << 20 else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    if not isinstance(stored, dict) or not stored or set(stored) != set(range(len(stored))):
        return None
    return [str(stored[index]) for index in range(len(stored))]
