"""The one door to numba: compiled once per machine, cached, with types kept for the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile ``function`` to machine code on its first call and cache it on disk."""
    return cast(F, numba.njit(cache=True, fastmath=True)(function))
