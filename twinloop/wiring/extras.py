"""A missing optional library becomes one error that names the pip line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from twinloop.domain.extras import EXTRAS, MODULES, OPTIONAL
from twinloop.errors import MissingExtra, TwinLoopError
from twinloop.system.collector import importing

T = TypeVar("T")


def with_extra(what: str, extra: str, load: Callable[[], T]) -> T:
    """Run a lazy import; a missing library becomes the one line that installs it.

    Raises:
        MissingExtra: naming the extra.
    """
    try:
        with importing():
            return load()
    except (ImportError, RuntimeError) as error:
        name = _missing_library(error)
        if name is None:
            raise
        raise MissingExtra(what, extra, f"no module '{name}'") from error


def _missing_library(error: BaseException) -> str | None:
    """The library that is not installed; None where the error is another one.

    diffusers and transformers wrap it in errors of their own.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        return None if error.name.split(".")[0] == "twinloop" else error.name
    inner = error.__cause__ or error.__context__
    while inner is not None:
        if isinstance(inner, ModuleNotFoundError) and inner.name and inner.name.split(".")[0] in MODULES:
            return inner.name
        inner = inner.__cause__ or inner.__context__
    return None


def missing_of(what: str, extra: str, modules: Sequence[str] = ()) -> MissingExtra | None:
    """What is said where a library is not installed, without an import; None = all are there.

    Args:
        what: it is needed for. modules: of the extra; none = all that it cannot do without.
    """
    wanted = modules or [module for name, module in EXTRAS[extra].items() if name not in OPTIONAL]
    absent = [module for module in wanted if not _is_there(module)]
    return MissingExtra(what, extra, f"no module {', '.join(map(repr, absent))}") if absent else None


def check_extras(wanted: Mapping[str, str]) -> None:
    """Raises MissingExtra: one error for all of these extras that lack a library. ``wanted``: extra -> what for."""
    missing = [error for extra, what in wanted.items() if (error := missing_of(what, extra)) is not None]
    if missing:
        raise MissingExtra.of(missing)


def in_one_line(errors: Iterable[TwinLoopError]) -> Iterator[TwinLoopError]:
    """The same errors, with all missing extras as the first, in one, and nothing twice."""
    missing: dict[str, MissingExtra] = {}
    others: dict[str, TwinLoopError] = {}
    for error in errors:
        if isinstance(error, MissingExtra):
            missing.setdefault(error.extra, error)
        else:
            others.setdefault(str(error), error)
    if missing:
        yield MissingExtra.of(list(missing.values()))
    yield from others.values()


def _is_there(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # imported, without saying from where
        return True
    return spec is not None and spec.origin is not None  # a folder of that name without code has no origin
