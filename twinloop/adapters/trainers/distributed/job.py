"""One training as text, handed to the processes that share it, and the messages that they send back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.domain.faces import Box
from twinloop.domain.records import Mask, TrainingSample
from twinloop.families import Family, family_of_preset
from twinloop.families.predictions import Asked
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

    def to_json(self) -> dict[str, Any]:
        """As the job file has it."""
        return {
            "choice": dataclasses.asdict(self.choice),
            "family": dataclasses.asdict(self.family),
            "samples": [_sample_json(sample) for sample in self.samples],
            "settings": dataclasses.asdict(self.settings),
            "output": str(self.output),
            "work": str(self.work),
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SharedTraining:
        """What `to_json` made, after a way through JSON."""
        family = data["family"]
        settings: dict[str, Any] = {name: _frozen(value) for name, value in data["settings"].items()}
        return cls(
            BaseChoice(
                **{
                    **data["choice"],
                    "prediction": Asked(**data["choice"]["prediction"]),
                    "parts": _frozen(data["choice"]["parts"]),
                    "part_hashes": _frozen(data["choice"]["part_hashes"]),
                }
            ),
            NamedFamily(family["preset"], tuple(family["plugins"])),
            _samples(data["samples"]),
            TrainingSettings(**settings),
            Path(data["output"]),
            Path(data["work"]),
            data["metadata"],
        )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def _sample_json(sample: TrainingSample) -> dict[str, Any]:
    face = None if sample.face is None else list(dataclasses.astuple(sample.face))
    return {
        "path": str(sample.path),
        "sha256": sample.sha256,
        "caption": sample.caption,
        "weight": sample.weight,
        "prior": sample.prior,
        "face": face,
        "mask": None if sample.mask is None else [str(sample.mask.path), sample.mask.sha256],
    }


def _samples(data: Sequence[Mapping[str, Any]]) -> tuple[TrainingSample, ...]:
    return tuple(
        TrainingSample(
            **{
                **item,
                "path": Path(item["path"]),
                "face": Box(*item["face"]) if item["face"] else None,
                "mask": Mask(Path(item["mask"][0]), item["mask"][1]) if item["mask"] else None,
            }
        )
        for item in data
    )


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
