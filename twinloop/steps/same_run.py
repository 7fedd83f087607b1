"""Two records of what a run's folder is for: what differs between them, and what only an older
version wrote otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

from twinloop.config import SAYS_NOTHING_WITHOUT, Settings
from twinloop.domain.flattened import flattened
from twinloop.stages.observe import Observer

OBSERVER = "observer"
_LIMITS = "settings.validation."
_ONE_FOR_ALL = {"min_face_quality": 0.4, "sharpness_share": 0.3}
"""Limits of ``validation`` that had one default for all detectors; null now: each pack of detectors knows its own."""


def changes(kept: Any, record: Mapping[str, Any]) -> dict[str, str]:
    """Every field that differs -> the old and the new value, in order of name."""
    old, new = flattened(_complete(kept)), flattened(json.loads(json.dumps(record)))
    return {
        name: f"{old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def with_limits_of_old(kept: Any, settings: Settings, observer: Observer) -> Any:
    """A record in which limits that nobody named stand as null, where it was written when they had one default for all
    detectors.

    Left as it is where today's detectors say something else than that default.
    """
    own = {"min_face_quality": observer.least_face_quality, "sharpness_share": observer.least_sharpness}
    unmeasured = set() if "face_quality" in observer.measured else {"min_face_quality"}
    limits = {
        name: None
        for name, default in _ONE_FOR_ALL.items()
        if (name in unmeasured or own[name] == default) and _default_of_old(name, kept, settings)
    }
    if not limits:
        return kept
    before = kept["settings"]
    return {**kept, "settings": {**before, "validation": {**before["validation"], **limits}}}


def old_default(name: str, kept: Any, settings: Settings) -> str:
    """What to say of a field that differs although nobody changed it; "" where somebody did.

    ``name``: as in `changes`.
    """
    limit = name.removeprefix(_LIMITS)
    if limit == name or not _default_of_old(limit, kept, settings):
        return ""
    was = _ONE_FOR_ALL[limit]
    return (
        f"{name}: {was:g} was the default then; now each pack of detectors has its own. "
        f'To go on as it began, write "{limit}": {was:g} into "validation" of the configuration.'
    )


def _default_of_old(limit: str, kept: Any, settings: Settings) -> bool:
    """Whether a limit of ``validation`` is null now and stands there with what was its default once."""
    with contextlib.suppress(KeyError, TypeError):
        then = kept["settings"]["validation"][limit]
        return limit in _ONE_FOR_ALL and then == _ONE_FOR_ALL[limit] and getattr(settings.validation, limit) is None
    return False


def _complete(kept: Any) -> Any:
    """A run that an older version began: fields that are new since had their default, and what said nothing is left
    out.
    """
    try:
        settings = {"dataset_dir": "-", **kept["settings"]}
        training = dict(settings.get("training", {}))
    except (KeyError, TypeError, ValueError):
        return kept
    # fields that say nothing beside the others are refused now: the fewest of them that have to go
    for count in range(len(SAYS_NOTHING_WITHOUT) + 1):
        for names in itertools.combinations(SAYS_NOTHING_WITHOUT, count):
            told = {name: value for name, value in training.items() if name not in names}
            with contextlib.suppress(ValueError):
                valid = Settings.model_validate({**settings, "training": told}).identity_fields()
                return {**kept, "settings": json.loads(json.dumps(valid))}
    return kept
