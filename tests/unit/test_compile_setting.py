"""The setting ``compile`` from the configuration to whoever computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.contract.makers import GENERATION, TRAINING, shots
from twinloop.adapters.fakes import FakeGenerator
from twinloop.config import parse_settings
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.errors import ConfigError
from twinloop.ports import EarlyLook, GenerationSettings, SilentReporter
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.store.clock import SystemClock
from twinloop.store.journal import Journal
from twinloop.wiring.options import generation_settings, training_settings

LEAST = {"person_name": "Ana", "person_trigger": "ohwx ana", "dataset_dir": "photos"}


@pytest.mark.parametrize("how", ["regional", "off", None])
def test_it_reaches_generator_and_trainer(how: str | None) -> None:
    settings = parse_settings({**LEAST, "compile": how}, "x")
    assert generation_settings(settings, GENERATION).compile == how
    assert training_settings(settings, TRAINING, 1, 10).compile == how


def test_it_changes_last_bits_so_it_belongs_to_the_run() -> None:
    plain, compiled = (parse_settings({**LEAST, "compile": how}, "x").identity_fields() for how in ("off", "regional"))
    assert plain != compiled
    with pytest.raises(ConfigError, match="compile"):
        parse_settings({**LEAST, "compile": "max"}, "x")


class Watched(FakeGenerator):
    """Notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[GenerationSettings] = []

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None, told: Any = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        self.asked.append(settings)
        yield from super().generate(shots, settings, look)


def test_a_generator_knows_all_that_is_planned_also_when_little_is_left(tmp_path: Path) -> None:
    """Whether compiling pays must not depend on where a run was stopped."""
    generator = Watched()
    context = GenerationContext(
        prefix="iter1", folder=tmp_path / "images", base_model="base", lora=None, settings=GENERATION, stamped=False
    )
    for _ in range(2):
        generate(
            shots(7), context, lambda: generator, Journal(tmp_path / "journal.jsonl"), SystemClock(), SilentReporter()
        )
        (tmp_path / "images" / f"{shots(7)[6].key}.png").unlink()
    assert len(generator.asked) == 3 + 1
    assert {settings.planned for settings in generator.asked} == {7}
