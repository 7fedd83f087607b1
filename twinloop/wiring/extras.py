"""A missing optional library becomes one error that names the pip line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twinloop.errors import MissingExtra

T = TypeVar("T")


def with_extra(what: str, extra: str, load: Callable[[], T]) -> T:
    """Run a lazy import; a missing library becomes the one line that installs it.

    Raises:
        MissingExtra: naming the extra.
    """
    try:
        return load()
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "twinloop":
            raise
        raise MissingExtra(what, extra, f"no module '{error.name}'") from error
