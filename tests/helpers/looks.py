"""All that is looked at before anything long starts, as one check."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def look_at_all(checks: Iterable[Callable[[], object]]) -> None:
    """Raises what the first of them finds."""
    for look in checks:
        look()
