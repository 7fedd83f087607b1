"""What is kept by choice, in tables of the parts that carry it out, has an entry for each of them."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from twinloop.domain import choices
from twinloop.domain.crops import HEIGHTS
from twinloop.domain.optimizer_args import TAKEN
from twinloop.families import FAMILIES
from twinloop.foreign import kohya, onetrainer
from twinloop.ports import GenerationSettings, TrainingSettings
from twinloop.stages.words import NEGATIVE, QUALITY, TAGGED


def test_every_choice_has_its_entries() -> None:
    assert QUALITY.keys() == NEGATIVE.keys() == set(choices.PROMPT_STYLES)
    assert set(choices.PROMPT_STYLES) > TAGGED and set(choices.CAPTION_STYLES) < set(choices.PROMPT_STYLES)
    assert TAKEN.keys() == kohya.OPTIMIZERS.keys() == onetrainer.OPTIMIZERS.keys() == set(choices.OPTIMIZERS)
    assert {*HEIGHTS, "keep"} == set(choices.FRAMINGS)


def test_defaults_and_presets_are_among_the_choices() -> None:
    generation = GenerationSettings(steps=1, guidance=1.0, width=64, height=64)
    assert generation.offload in choices.OFFLOADS and generation.precision in choices.PRECISIONS
    presets = [preset for family in FAMILIES.values() for preset in family.presets.values()]
    assert len(presets) > 10 and {preset.style for preset in presets} <= set(choices.PROMPT_STYLES)
    for training in (preset.training for preset in presets):
        assert isinstance(training, TrainingSettings)
        assert training.adapter in choices.ADAPTERS and training.optimizer in choices.OPTIMIZERS
        assert training.schedule in choices.SCHEDULES and training.loss in choices.LOSSES
        assert training.flow_sampling in ("", *get_args(choices.FlowSampling))


def test_presets_that_read_tags_are_called_so() -> None:
    tagged = [
        name
        for family in FAMILIES.values()
        for own, preset in family.presets.items()
        if preset.style in TAGGED
        for name in (own, *preset.aliases)
    ]
    assert sorted(tagged) == sorted(choices.TAG_PRESETS)


def test_the_choices_cost_no_time_at_the_start() -> None:
    program = "import sys, twinloop.domain.choices; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("twinloop")] == [
        "twinloop", "twinloop.domain", "twinloop.domain.choices",
    ]  # fmt: skip
