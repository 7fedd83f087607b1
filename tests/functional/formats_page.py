"""docs/formats.md as data: per file its fields with type and whether they may be missing, and a
file held against them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^]]+\]\(#([^)]+)\)")
_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


@dataclass(frozen=True)
class Row:
    """What the page says of one field: its type in words, and whether it may be missing."""

    type: str
    optional: bool

    def takes(self, value: Any) -> bool:
        """Whether a value, the elements of a list included, is of the type that the page gives."""
        if isinstance(value, list):
            return "list of" in self.type and all(self.takes(item) for item in value)
        name = _SCALARS[type(value)]
        return name in self.type or (name == "integer" and "number" in self.type)


@dataclass(frozen=True)
class Section:
    """One heading of the page.

    ``names``: what stands in backticks there; ``rows``: path of a field -> what is said of it.
    """

    names: tuple[str, ...]
    rows: Mapping[str, Row]

    @property
    def paths(self) -> frozenset[str]:
        """Of all fields, and of the objects and lists that they lie in."""
        return frozenset(path for row in self.rows for path in _with_parents(row))


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while (path := path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]) != "":
        yield path


def sections(page: str) -> list[Section]:
    """Every heading with a table of fields; shapes that a type links to are written out in full."""
    parts = [part.split("\n", 1) for part in re.split(r"^##+ ", page, flags=re.MULTILINE)[1:]]
    tables = [(tuple(_CODE.findall(head)), _table(body)) for head, body in parts]
    shapes = {names[0]: table for names, table in tables if names}
    return [Section(names, dict(_expanded(table, shapes, ""))) for names, table in tables if names and table]


def _table(body: str) -> list[tuple[tuple[str, ...], str]]:
    """(fields, type) of each row under the header ``field | type | meaning``."""
    found, inside = [], False
    for line in body.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells[:2] == ["field", "type"]:
            inside = True
        elif inside and cells and not cells[1].startswith("---"):
            found.append((tuple(_CODE.findall(cells[0])), cells[1]))
        elif not cells:
            inside = False
    return found


def _expanded(table: Any, shapes: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Row]]:
    for fields, kind in table:
        row = Row(kind, kind.endswith(", optional"))
        for name in fields or ("",):
            path = ".".join(filter(None, (prefix, name)))
            linked = _LINK.findall(kind)
            if path:
                yield path, row
            for shape in linked:
                yield from _expanded(shapes[shape], shapes, path)


@dataclass
class Held:
    """Files held against one section. ``seen``: paths that were there; ``problems``: where page and files differ."""

    section: Section
    seen: set[str] = field(default_factory=set)
    problems: set[str] = field(default_factory=set)

    def against(self, value: Any, path: str = "") -> None:
        """Hold a value at a path against the page."""
        self.seen.add(path)
        row = self.section.rows.get(path)
        if row is not None and row.type.startswith("any"):
            return
        children = self._children(path)
        if isinstance(value, dict) and (children or not value):
            self._object(value, path, children)
        elif isinstance(value, list) and f"{path}[]" in self.section.paths:
            for item in value:
                self.against(item, f"{path}[]")
        elif row is None or isinstance(value, dict) or not row.takes(value):
            self.problems.add(f"{path}: {value!r:.60} is not {row.type if row else 'described'}")

    def _children(self, path: str) -> dict[str, str]:
        """Name of a field -> its path."""
        start = f"{path}." if path else ""
        inside = (p.removeprefix(start) for p in self.section.paths if p.startswith(start) and p != path)
        return {name: start + name for name in inside if name and not re.search(r"[.\[]", name)}

    def _object(self, value: Mapping[str, Any], path: str, children: Mapping[str, str]) -> None:
        any_name = next((children[name] for name in children if name.startswith("<")), None)
        for name, item in value.items():
            place = children.get(name, any_name)
            if place is None:
                self.problems.add(f"{path}.{name} is written and not described".lstrip("."))
            else:
                self.against(item, place)
        for name, place in children.items():
            if name not in value and not name.startswith("<") and not self._may_be_missing(place):
                self.problems.add(f"{place} is missing in a file and not optional")

    def _may_be_missing(self, path: str) -> bool:
        below = [row for place, row in self.section.rows.items() if path in _with_parents(place)]
        own = self.section.rows.get(path) or self.section.rows.get(f"{path}[]")
        return own.optional if own is not None else all(row.optional for row in below)

    def never_seen(self) -> set[str]:
        return set(self.section.paths) - self.seen


def nested(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Names with dots as objects in objects, the way that paths of fields are read."""
    whole: dict[str, Any] = {}
    for name, text in texts.items():
        *places, last = name.split(".")
        at = whole
        for place in places:
            at = at.setdefault(place, {})
        at[last] = text
    return whole


def pattern(name: str) -> re.Pattern[str]:
    """A name on the page as a pattern: ``<x>`` is any text, ``N`` a number."""
    pieces = re.split(r"(<N>|<[^>]+>|N(?=[._/]|$))", name)
    return re.compile(
        "".join(
            r"\d+" if piece in ("N", "<N>") else "[^/]+" if piece.startswith("<") else re.escape(piece)
            for piece in pieces
        )
    )


def section_of(path: str, found: Sequence[Section], also: str = "") -> Section:
    """The section of a file by the end of its path: the one that names it most precisely, and of equal ones that which
    names ``also``.

    Raises:
        AssertionError: the page has no such file.
    """
    fitting = [
        (also in section.names, len(re.sub("<[^>]+>", "", name)), number)
        for number, section in enumerate(found)
        for name in section.names
        if re.search(f"(?:^|/){pattern(name).pattern}$", path)
    ]
    assert fitting, f"{path} is no file of the page"
    return found[max(fitting)[-1]]
