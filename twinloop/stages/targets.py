"""Targets: the wanted shares of a configuration, read and written without touching anything else in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twinloop.config import Settings, parse_settings, read_config
from twinloop.domain.facet import Facet, wanted_shares
from twinloop.stages.analyze import check_shares
from twinloop.store.atomic import write_json

Shares = Mapping[str, Mapping[str, float | None]]
"""Facet -> value -> wanted share; None = the facet's own."""
Facets = Callable[[Settings], Sequence[Facet]]
"""The facets in force with some settings."""


def targets_json(facets: Sequence[Facet], shares: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Every facet with its values: the share that is wanted of each, and the facet's own (None = no target)."""
    return [
        {
            "facet": facet.name, "multiple": facet.multiple,
            "values": [
                {"value": value, "own": facet.shares.get(value), "share": wanted_shares(facet, shares).get(value)}
                for value in facet.values
            ],
        }
        for facet in facets
    ]  # fmt: skip


def save_targets(path: Path, wanted: Shares, facets_of: Facets) -> Settings:
    """Write wanted shares into ``analysis.shares`` of a configuration; all other fields, and comments, stay as they
    are.

    Raises:
        InputError: an unknown facet or value, or shares of an exclusive facet that add up to more than 1; nothing was
            written.
        ConfigError: the configuration has mistakes, before or after. StorageError: it cannot be written.
    """
    data = read_config(path)
    parse_settings(data, str(path))
    changed = json.loads(json.dumps(data))
    section = changed.get("analysis") or {}
    shares = section.get("shares") or {}
    for facet, values in wanted.items():
        kept = {**shares.get(facet, {}), **values}
        shares[facet] = {value: share for value, share in kept.items() if share is not None}
    changed["analysis"] = {**section, "shares": {facet: values for facet, values in shares.items() if values}}
    settings = parse_settings(changed, str(path))
    check_shares(facets_of(settings), settings.analysis.shares, settings.validation.faces)
    if changed != data:
        write_json(path.resolve(), changed)
    return settings
