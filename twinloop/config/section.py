"""What every section of the configuration is made of: typed fields, and what must fit together among them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from twinloop.system import WINDOWS

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Words for somebody or something; blanks around them mean nothing."""


class _IsPlace:
    """Marks fields that name a file or a folder."""


_IS_PLACE = _IsPlace()


def expanded(place: str) -> str:
    """A path with the home folder in the place of a leading ``~``."""
    return os.path.expanduser(place)  # noqa: PTH111 - fails for no name, and keeps what is written


LONGEST_FILE_NAME, LONGEST_PATH = 255, 4095
"""Bytes that a file's name and a path can have on the usual systems, which refuse to look for others; Windows counts
characters, and has no such end of a path."""


def _short_enough(place: str) -> str:
    """The path, if a system can be asked for it.

    Raises:
        ValueError: it has too long a name in it, or is too long.
    """

    def size(text: str) -> int:
        return len(text) if WINDOWS else len(text.encode("utf-8", "surrogateescape"))

    if any(size(part) > LONGEST_FILE_NAME for part in re.split(r"[/\\]" if WINDOWS else "/", place)):
        raise ValueError(f"no file or folder can have a name of more than {LONGEST_FILE_NAME} bytes")
    if not WINDOWS and size(place) > LONGEST_PATH:
        raise ValueError(f"no path can have more than {LONGEST_PATH} bytes")
    return place


Place = Annotated[str, AfterValidator(expanded), AfterValidator(_short_enough), _IS_PLACE]
"""A file or a folder."""
PlaceAsWritten = Annotated[str, AfterValidator(_short_enough), _IS_PLACE]
"""The same, or another name (of a model on the hub, say). It stays as it is, since records of a run hold it so; who
opens it expands it.
"""


@dataclass(frozen=True)
class Clash:
    """Fields that are right each by itself and do not go together.

    Attributes:
        fields: those that it is about, dots for sections; where one of them is wrong anyway, nothing can be said.
        problem: what does not fit, and what to do. section: where it is told, "" = of the file as a whole.
    """

    fields: tuple[str, ...]
    problem: str
    section: str = ""


class Clashes(ValueError):
    """All that does not fit together; pydantic takes one error from a validator."""

    def __init__(self, found: Sequence[Clash]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(clash.problem for clash in found))


class Section(BaseModel):
    """Frozen fields; an unknown one is refused. A null takes the default, also where the field knows no null."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or not cls._lacks_null(name)}

    @classmethod
    def _lacks_null(cls, name: str) -> bool:
        """Whether there is such a field, and it can be anything but null."""
        field = cls.model_fields.get(name)
        return field is not None and type(None) not in get_args(field.annotation)

    def clashes(self) -> Iterator[Clash]:
        """What does not fit together, by the section's own names of the fields.

        Asked when every field is right by itself.
        """
        yield from ()

    def places(self) -> Iterator[tuple[str, str]]:
        """What is named in fields of files and folders: (field, dots for sections; the path)."""
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Section):
                    # of several, each is told by the field that they are in
                    yield from ((name if one is not value else f"{name}.{field}", path) for field, path in one.places())
                elif one and _names_place(info.metadata, info.annotation):
                    yield name, str(one)


def _names_place(metadata: Sequence[Any], annotation: Any) -> bool:
    """Whether a field, or what may stand in it, is marked as a place."""
    return _IS_PLACE in metadata or any(_names_place((part,), part) for part in get_args(annotation))
