"""What a preset decides: the fields that a configuration leaves to it by a null, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING

from twinloop.families.base import Preset

if TYPE_CHECKING:
    from twinloop.config.section import Section
    from twinloop.ports import GenerationSettings, TrainingSettings

_CALLED: dict[str, str] = {"steps": "num_inference_steps", "guidance": "guidance_scale"}
"""Fields of `GenerationSettings` that the configuration has under other names."""
_OTHERWISE = ("validate_every", "scheduler", "timestep_spacing", "vae_tiling")
"""A null of these says something of its own: as is usual, or as the base model has it."""


def ignored_fields(preset: Preset) -> list[str]:
    """The fields in which a preset differs from the usual, though a configuration decides them whatever it says: each
    as ``training.optimizer``. A preset that has any would train or draw otherwise than it reads.
    """
    # a configuration costs half a second to import, and presets are listed without one
    from twinloop.config.generation import GenerationConfig
    from twinloop.config.training import TrainingConfig

    found = [f"training.{name}" for name in _closed(preset.training, TrainingConfig, {})]
    return found + [f"generation.{name}" for name in _closed(preset.generation, GenerationConfig, _CALLED)]


def _closed(
    numbers: TrainingSettings | GenerationSettings, section: type[Section], called: dict[str, str]
) -> Iterator[str]:
    for field in fields(numbers):
        # every preset has those without a usual value: they are open, or of the run (preset, seed)
        if field.default is MISSING or getattr(numbers, field.name) == field.default:
            continue
        if not _is_open(field, section, called):
            yield field.name


def _is_open(field: Field[object], section: type[Section], called: dict[str, str]) -> bool:
    """Whether a configuration that says nothing leaves a field to the preset."""
    info = section.model_fields.get(called.get(field.name, field.name))
    return info is not None and info.default is None and field.name not in _OTHERWISE
