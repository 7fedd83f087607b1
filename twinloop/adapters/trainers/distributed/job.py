"""One training as text, handed to the processes that share it, and the messages that they send back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.domain.records import TrainingSample
from twinloop.families import Family, family_of_preset
from twinloop.ports import TrainingSettings
from twinloop.registry import load_plugin


@dataclass(frozen=True)
class NamedFamily:
    """How another process finds a family. ``plugins``: files that may bring it."""

    preset: str
    plugins: tuple[str, ...] = ()

    def find(self, base: str) -> Family:
        """The family of a base model.

        Raises:
            InputError: unknown preset, or a plug-in fails.
        """
        for plugin in self.plugins:
            load_plugin(Path(plugin))
        return family_of_preset(self.preset)


@dataclass(frozen=True)
class SharedTraining:
    """All arguments of one training."""

    choice: BaseChoice
    family: NamedFamily
    samples: tuple[TrainingSample, ...]
    settings: TrainingSettings
    output: Path
    work: Path
    metadata: Mapping[str, str]


SHARED = TypeAdapter(SharedTraining)
"""Writes and reads the job file."""

PREFIX = "twinloop:"


def message(kind: str, **what: Any) -> str:
    """One line of the main process."""
    return f"{PREFIX}{json.dumps({'kind': kind, **what})}\n"


def parse_message(line: str) -> dict[str, Any] | None:
    """What a line of `message` holds; None for any other line."""
    if not line.startswith(PREFIX):
        return None
    try:
        data = json.loads(line.removeprefix(PREFIX))
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
