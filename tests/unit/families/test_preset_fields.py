"""A preset decides what a configuration leaves open; what it could only say in vain is refused."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, replace
from typing import Any

import pytest

from tests.functional import loops
from twinloop.errors import InputError
from twinloop.families import FAMILIES, Preset, register_family
from twinloop.families.preset_fields import ignored_fields
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.wiring.options import generation_settings, training_settings

SDXL = FAMILIES["sdxl"]
PRESET = SDXL.presets["sdxl"]
OTHER: dict[type, Any] = {bool: None, int: 3, float: 0.5, str: "other", tuple: ("other",), type(None): "other"}
"""Kind of a usual value -> another one; of a truth it is the opposite."""


def another(usual: object) -> Any:
    return (not usual) if isinstance(usual, bool) else OTHER[type(usual)]


def with_usual_value(kind: type) -> list[Field[Any]]:
    return [one for one in fields(kind) if one.default is not MISSING]


@pytest.mark.parametrize("preset", [preset for family in FAMILIES.values() for preset in family.presets.values()])
def test_no_preset_of_this_package_says_anything_in_vain(preset: Preset) -> None:
    assert ignored_fields(preset) == []


@pytest.mark.parametrize("name", [one.name for one in with_usual_value(TrainingSettings)])
def test_a_value_of_a_training_counts_or_is_refused(name: str) -> None:
    usual = TrainingSettings.__dataclass_fields__[name].default
    preset = replace(PRESET, training=replace(PRESET.training, **{name: another(usual)}))
    made = training_settings(loops.settings(training={}), preset.training, preset.repeats, images=10)
    ignored = ignored_fields(preset)
    assert ignored == [f"training.{name}"] or getattr(made, name) == another(usual)


@pytest.mark.parametrize("name", [one.name for one in with_usual_value(GenerationSettings)])
def test_a_value_of_an_image_counts_or_is_refused(name: str) -> None:
    usual = GenerationSettings.__dataclass_fields__[name].default
    preset = replace(PRESET, generation=replace(PRESET.generation, **{name: another(usual)}))
    made = generation_settings(loops.settings(generation={}), preset.generation)
    assert ignored_fields(preset) == [f"generation.{name}"] or getattr(made, name) == another(usual)


def test_what_presets_are_made_of_is_not_refused() -> None:
    training = replace(PRESET.training, schedule="linear", weight_decay=0.1, clip_norm=0.5, caption_dropout=0.2)
    generation = replace(PRESET.generation, steps=4, guidance=1.0, batch_size=1, references=2)
    assert ignored_fields(replace(PRESET, training=training, generation=generation)) == []


def test_a_family_whose_preset_would_be_ignored_is_not_registered() -> None:
    training = replace(PRESET.training, adapter="dora", optimizer="prodigy", ema_decay=0.99, flip=True)
    preset = replace(PRESET, training=training, generation=replace(PRESET.generation, strength=0.3))
    family = replace(SDXL, name="vain", presets={"vain": preset})
    says = (
        r"Family 'vain': the preset vain sets training\.optimizer, training\.ema_decay, training\.flip,"
        r" training\.adapter, generation\.strength, which only the configuration decides"
    )
    with pytest.raises(InputError, match=says):
        register_family(family)
    assert "vain" not in FAMILIES
