"""Types of numbers for argparse: what they say of a text that is none."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.domain.choices import BASE_PARTS


def positive(text: str) -> int:
    """A whole number of 1 or more, for argparse."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """A whole number of 0 or more, for argparse."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of {least} or more, got {text!r}")
    return int(text)


def fraction(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def part_file(text: str) -> tuple[str, str]:
    """``NAME=FILE``, a part of the base model and its file, for argparse."""
    name, equals, file = text.partition("=")
    if not (equals and file) or name not in BASE_PARTS:
        raise argparse.ArgumentTypeError(
            f"expected NAME=FILE, as in vae=ae.safetensors, with NAME one of {', '.join(BASE_PARTS)}; got {text!r}"
        )
    return name, file


class Pairs(argparse.Action):
    """Gathers pairs into a table, for a flag that may be given again."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, value = values
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name: value})
