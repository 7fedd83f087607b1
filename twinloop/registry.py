"""Name -> thing. Built-ins and strangers' extensions enter by the same door."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterator
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

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._items.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def copy(self) -> Registry[T]:
        twin: Registry[T] = Registry(self.kind)
        twin._items = dict(self._items)
        return twin


facets: Registry[Facet] = Registry("facet")


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

    Returns:
        the fingerprint of the file, so that what was measured with an older version is measured again.

    Raises:
        InputError: the file is missing or fails; the message carries the failure.
    """
    if not path.is_file():
        raise InputError(f"Plug-in file not found: {path}")
    name = f"twinloop_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"Not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:  # the border to the user's code: anything may come out of it
        raise InputError(f"Plug-in {path} failed: {type(error).__name__}: {error}") from error
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
