"""Name -> thing. Built-ins and strangers' extensions enter by the same door."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from twinloop.domain.facet import Facet
from twinloop.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """An ordered name -> thing table. Registering a name again replaces it (a user's facet may refine a built-in)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str, item: T) -> T:
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """The thing of that name.

        Raises:
            InputError: unknown name; the message lists the known ones.
        """
        try:
            return self._items[name]
        except KeyError:
            known = ", ".join(self._items) or "none"
            raise InputError(f"Unknown {self.kind} '{name}'. Known: {known}.") from None

    def names(self) -> tuple[str, ...]:
        return tuple(self._items)


facets: Registry[Facet] = Registry("facet")


@dataclass(frozen=True)
class _Plugin:
    """A plug-in file that was run. ``registrations``: what it registered, to be registered again."""

    sha256: str
    registrations: tuple[Callable[[], object], ...]


_plugins: dict[Path, _Plugin] = {}
_running: ContextVar[list[Callable[[], object]] | None] = ContextVar("_running", default=None)
"""What the plug-in that runs now has registered so far; None = none runs."""


def for_plugins(register: Callable[[T], T]) -> Callable[[T], T]:
    """Decorator of a function by which plug-ins make something known: `load_plugin` remembers what went through it."""

    @functools.wraps(register)
    def remembered(item: T) -> T:
        registered = register(item)
        if (registrations := _running.get()) is not None:
            registrations.append(functools.partial(register, item))
        return registered

    return remembered


@for_plugins
def register_facet(facet: Facet) -> Facet:
    """Make a facet known to analysis, prompts, captions and validation at once; usable as the last line of a plug-in
    file.

    Raises:
        InputError: a name that cannot be part of a file name, a value without words, a share for a value that does not
            exist, or shares out of range.
    """
    unfit = [name for name in (facet.name, *facet.values) if not re.fullmatch(r"\w[\w-]*", name)]
    unknown = [value for value in (*facet.shares, *facet.phrases) if value not in facet.values]
    wordless = [
        v for v in facet.values if v not in facet.phrases or not (facet.phrases[v].prose or facet.phrases[v].tags)
    ]
    wrong = [value for value, share in facet.shares.items() if not 0 <= share < 1]
    total = 0.0 if facet.multiple else sum(facet.shares.values())
    if unfit or unknown or wordless or wrong or total > 1 + 1e-9:
        raise InputError(
            f"Facet '{facet.name}' is not consistent: "
            + "; ".join(
                text
                for text, bad in (
                    (f"names become parts of file names and take letters, digits, _ and - only: {unfit}", unfit),
                    (f"shares or phrases for unknown values {unknown}", unknown),
                    (f"no phrases for {wordless}", wordless),
                    (f"shares outside 0..1 for {wrong}", wrong),
                    (f"shares add up to {total:.2f}, more than 1", total > 1 + 1e-9),
                )
                if bad
            )
        )
    return facets.register(facet.name, facet)


def load_plugin(path: Path) -> str:
    """Run one plug-in file (the user's own Python, named by the user); it registers what it brings.

    A file that was run before and has not changed since is not run again. What it registered is, because built-ins or
    another plug-in may have taken its names in the meantime.

    Returns:
        the fingerprint of the file, so that what was measured with an older version is measured again.

    Raises:
        InputError: the file is missing or fails; the message carries the failure.
    """
    if not path.is_file():
        raise InputError(f"Plug-in file not found: {path}")
    try:
        sha256, place = hashlib.sha256(path.read_bytes()).hexdigest(), path.resolve()
        known = _plugins.get(place)
        if known is None or known.sha256 != sha256:
            _plugins[place] = _Plugin(sha256, tuple(_run(path)))
        else:
            for register in known.registrations:
                register()
    except InputError:
        raise
    except Exception as error:  # the border to the user's code: anything may come out of it
        raise InputError(f"Plug-in {path} failed: {type(error).__name__}: {error}") from error
    return sha256[:12]


def _run(path: Path) -> list[Callable[[], object]]:
    """Execute a plug-in file, and say what it registered."""
    name = f"twinloop_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"Not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    registrations: list[Callable[[], object]] = []
    before = _running.set(registrations)
    try:
        spec.loader.exec_module(module)
    finally:
        _running.reset(before)
    return registrations
