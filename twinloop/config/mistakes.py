"""What is wrong with a configuration, in words: every mistake at once, each with its field and what was meant."""

from __future__ import annotations

import copy
import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from twinloop.config.elsewhere import BY_FAMILY, ELSEWHERE, OTHERWISE, VALUES
from twinloop.config.section import Clash, Clashes, Section
from twinloop.config.settings import Settings


def mistakes(data: Mapping[str, Any], error: ValidationError) -> list[str]:
    """One line per mistake of ``data``, which ``error`` refused: wrong fields, then what does not fit together among
    the others.
    """
    items = error.errors()
    wrong = [_field(item["loc"]) for item in items if item["loc"]]
    clashes = [clash for item in items for clash in _clashes(item)] or list(_among_the_others(data, wrong))
    fields = [_line(item) for item in items if not _clashes(item)]
    return fields + [f"{clash.section or 'file'}: {clash.problem}" for clash in clashes]


def _clashes(item: Any) -> tuple[Clash, ...]:
    cause = item.get("ctx", {}).get("error")
    return cause.found if isinstance(cause, Clashes) else ()


def _field(location: tuple[Any, ...]) -> str:
    """The field that a mistake is in; what lies deeper belongs to it."""
    return ".".join(str(part) for part in location[: 2 if location[0] in _sections() else 1])


def right_part(data: Mapping[str, Any]) -> tuple[Settings, frozenset[str]]:
    """The settings as far as they are right, and the fields that are not: those have their default, or a dash where
    there is none.
    """
    wrong = [name for name in _required() if data.get(name) is None]
    while True:
        try:
            return _without(data, wrong), frozenset(wrong)
        except ValidationError as error:
            items = error.errors()
            found = [_field(item["loc"]) for item in items if item["loc"]]
            found += [field for item in items for clash in _clashes(item) for field in clash.fields]
            wrong += [field for field in dict.fromkeys(found) if field not in wrong] or sorted({*data} - {*wrong})


def _without(data: Mapping[str, Any], wrong: list[str]) -> Settings:
    """The settings with these fields left at their defaults.

    Raises:
        ValidationError: others are wrong, too.
    """
    others = copy.deepcopy(dict(data))
    for field in wrong:
        section, _, name = field.rpartition(".")
        inside = others.get(section) if section else others
        if isinstance(inside, dict):
            inside.pop(name, None)
    return Settings.model_validate({**dict.fromkeys(_required(), "-"), **others})


def _required() -> list[str]:
    return [name for name, info in Settings.model_fields.items() if info.is_required()]


def _among_the_others(data: Mapping[str, Any], wrong: list[str]) -> Iterator[Clash]:
    """What does not fit together, as far as it is about none of the wrong fields; these are left at their defaults to
    find it.
    """
    try:
        _without(data, wrong)
    except ValidationError as error:
        for clash in (clash for item in error.errors() for clash in _clashes(item)):
            if not any(field == bad or field.startswith(f"{bad}.") for field in clash.fields for bad in wrong):
                yield clash


def _line(item: Any) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "file"
    if item["type"] == "extra_forbidden":
        return f"{field}: unknown field{_meant(item['loc'])}"
    if item["type"] == "missing":
        return f"{field}: is required"
    if item["type"] == "too_short":
        return f"{field}: name at least {item['ctx']['min_length']}, or leave the field out"
    if item["type"] == "string_unicode":
        return f"{field}: is no text{_no_utf8()} (given: {item['input']!r})"
    message = str(item["msg"]).removeprefix("Value error, ")
    given = item.get("input")
    shown = "" if isinstance(given, dict | list) else f" (given: {given!r})"
    ours = _meant_value(given, item["ctx"]["expected"]) if item["type"] == "literal_error" else ""
    return f"{field}: {message[0].lower() + message[1:]}{shown}{ours}"


def _no_utf8() -> str:
    """Why a name that is written well is no text for this process."""
    encoding = sys.getfilesystemencoding()
    if encoding.lower().replace("-", "") == "utf8":
        return ""
    return f" in {encoding}, as which this process reads file names and arguments: set LC_ALL=C.UTF-8, or PYTHONUTF8=1"


def _meant_value(given: Any, choices: str) -> str:
    """What a value that is no choice of the field is called here, or was probably meant to be."""
    known = re.findall(r"'([^']*)'", choices)
    word = str(given).lower().replace("-", "_")
    if (ours := VALUES.get(word)) in known:
        return f"; here it is called {ours!r}"
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _meant(location: tuple[Any, ...]) -> str:
    """What an unknown field was probably meant to be; else the fields that there are at that place."""
    *place, name = (str(part) for part in location)
    if ours := ELSEWHERE.get(name) or BY_FAMILY.get(name):
        return f"; here it is called {ours}"
    if said := OTHERWISE.get(name):
        return f"; {said}"
    section = _sections().get(".".join(place)) if place else Settings
    if section is None:
        return ""
    guesses = (
        _with_word(name, section)
        or _of_other_sections(name, exactly=True)
        or difflib.get_close_matches(name, section.model_fields, n=1)
        or _of_other_sections(name)
    )
    if guesses:
        return f"; did you mean {' or '.join(repr(guess) for guess in guesses)}?"
    return f"; known here: {', '.join(section.model_fields)}"


def _with_word(name: str, section: type[Section]) -> list[str]:
    """The fields that have the name among their words, as num_inference_steps has steps."""
    return [field for field in section.model_fields if f"_{name}_" in f"_{field}_"]


def _of_other_sections(name: str, exactly: bool = False) -> list[str]:
    """The fields that are called so, or nearly, wherever they are; [] where there is none."""
    places = [(field, field) for field in Settings.model_fields]
    places += [(field, f"{place}.{field}") for place, section in _sections().items() for field in section.model_fields]
    near = [name] if exactly else difflib.get_close_matches(name, {field for field, _ in places}, n=1, cutoff=0.8)
    return [path for field, path in places if field in near]


def _sections() -> dict[str, type[Section]]:
    found = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Section)}
