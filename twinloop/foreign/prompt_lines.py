"""Prompts in a text file, one a line, with the options that sd-scripts takes in them: ``ohwx ana --w 512 --d 7``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twinloop.domain.comparison import AskedPrompt
from twinloop.errors import InputError

_NEXT_OPTION = re.compile(r"(?:^|\s)--(?=\S)")
LARGEST_SEED = 2**63 - 1
SIDES, MOST_STEPS, MOST_GUIDANCE = (64, 4096), 1000, 50.0


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def _guidance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_GUIDANCE:
        raise ValueError(f"a number from 0 to {MOST_GUIDANCE:g}")
    return value


OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "n": ("negative", str),
    "w": ("width", _whole(*SIDES)),
    "h": ("height", _whole(*SIDES)),
    "d": ("seed", _whole(0, LARGEST_SEED)),
    "l": ("guidance", _guidance),
    "s": ("steps", _whole(1, MOST_STEPS)),
}
"""Letter -> field of `AskedPrompt`, and what reads its value."""
KNOWN = "--n TEXT (negative prompt), --w and --h PX, --d SEED, --l GUIDANCE, --s STEPS"


def read_prompts(path: Path) -> tuple[AskedPrompt, ...]:
    """The prompts of a file; empty lines and those that begin with ``#`` are left out.

    Raises:
        InputError: no such file, no text, no prompt in it, or what is wrong in which lines.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"--prompts {path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise InputError(f"--prompts {path} is no UTF-8 text. Save it as a text file, one prompt a line.") from None
    except OSError as error:
        raise InputError(f"--prompts {path} cannot be read: {error.strerror}.") from error
    lines = [(f"{path}, line {number}", line) for number, line in enumerate(text.splitlines(), 1)]
    kept = [(where, line) for where, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        raise InputError(f"--prompts {path} holds no prompt. Write one a line.")
    return read_lines(kept)


def read_lines(lines: Iterable[tuple[str, str]]) -> tuple[AskedPrompt, ...]:
    """Prompts with their options.

    Args:
        lines: (where it stands, for messages; the line).

    Raises:
        InputError: all lines that cannot be understood, each with what is wrong.
    """
    found, problems = [], []
    for where, line in lines:
        try:
            found.append(read_line(line))
        except ValueError as error:
            problems.append(f"{where}: {error}.")
    if problems:
        raise InputError("\n".join([*problems, f"Options in a line: {KNOWN}."]))
    return tuple(found)


def read_line(line: str) -> AskedPrompt:
    """One prompt with its options.

    Raises:
        ValueError: there is no prompt, or an option is unknown, given twice, or has no suitable value.
    """
    prompt, *options = _NEXT_OPTION.split(line.strip())
    given: dict[str, Any] = {}
    for option in options:
        letter, _, value = option.strip().partition(" ")
        if letter.lower() not in OPTIONS:
            raise ValueError(f"--{letter} is no option that is read here")
        field, read = OPTIONS[letter.lower()]
        if field in given:
            raise ValueError(f"--{letter} stands there twice")
        if not value.strip() and field != "negative":
            raise ValueError(f"--{letter} has no value")
        try:
            given[field] = read(value.strip())
        except ValueError as error:
            raise ValueError(f"--{letter} {value.strip()}: expected {error}") from None
    if not prompt.strip():
        raise ValueError("there is no prompt before the options")
    return AskedPrompt(prompt.strip(), **given)
