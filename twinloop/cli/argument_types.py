"""Types of numbers for argparse: what they say of a text that is none."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
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


def between(low: float, high: float, expected: str, above: bool = False) -> Callable[[str], float]:
    """Reads a number for argparse, from ``low``, or with ``above`` from above it, to ``high``; ``expected`` says so."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high or (above and value == low):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return number


fraction = between(0, 1, "a number from 0 to 1")


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
