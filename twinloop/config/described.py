"""What every field of the configuration means, and what may stand in it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from twinloop.config.section import Section
from twinloop.config.settings import Settings


def describe_fields() -> dict[str, str]:
    """Field, dots for sections -> what it means, and its choices where it has some."""
    described: dict[str, str] = {}
    for name, info in _fields():
        words = info.description or ""
        if choices := list(_choices(info.annotation)):
            words = f"{words}; one of: {', '.join(choices)}"
        described[name] = words
    return described


def _fields() -> Iterator[tuple[str, FieldInfo]]:
    for name, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield from ((f"{name}.{inner}", details) for inner, details in section.model_fields.items())
        else:
            yield name, info


def _choices(annotation: Any) -> Iterator[str]:
    """The words and numbers that a type lists."""
    if get_origin(annotation) is Literal:
        yield from (str(choice) for choice in get_args(annotation))
    else:
        for part in get_args(annotation):
            yield from _choices(part)
