"""Every column has the same prompts, seeds and batches; a LoRA is loaded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.fake_makers import fake_makers
from tests.unit.things import Recording
from twinloop.domain.comparison import AskedPrompt
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.errors import InputError
from twinloop.families.sdxl import FAMILY
from twinloop.ports import EarlyLook, GenerationSettings
from twinloop.stages import compare
from twinloop.stages.words import Around, Voice
from twinloop.store.clock import SystemClock
from twinloop.store.journal import Journal

GENERATION = GenerationSettings(steps=30, guidance=7.5, width=64, height=64, batch_size=2)


class Painter:
    """Notes what it is asked for."""

    fingerprint = "painter"
    own_sampler = ""

    def __init__(self) -> None:
        self.lora: Path | None = None
        self.batches: list[tuple[str, float, tuple[str, ...], int]] = []

    def load_lora(self, path: Path | None) -> None:
        self.lora = path

    def check(self, settings: GenerationSettings) -> None: ...

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None: ...

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None, told: Any = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        name = "" if self.lora is None else self.lora.stem
        self.batches.append((name, settings.lora_scale, tuple(shot.key for shot in shots), settings.planned))
        for shot in shots:
            rng = np.random.default_rng(shot.seed)
            yield shot, rng.integers(0, 255, (settings.height, settings.width, 3), dtype=np.uint8)

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        yield from pictures


def test_rows_take_from_their_line_what_it_says() -> None:
    asked = [AskedPrompt("ana"), AskedPrompt("ana at sea", "mist", 128, 192, 7, 1.0, 5)]
    voice = Voice("ohwx ana", "prose", Around(negative="blurry"))
    rows = compare.plan_rows(asked, 2, 0, fake_makers(generation=GENERATION, voice=voice, family=FAMILY))
    keys = [row.shot.key for row in rows]
    assert keys == ["prompt_001_01", "prompt_001_02", "prompt_002_01", "prompt_002_02"]
    assert [row.shot.seed for row in rows[2:]] == [7, 8] and len({row.shot.seed for row in rows}) == 4
    assert [row.shot.negative_prompt for row in rows[1:3]] == ["blurry", "mist"]
    plain, other = (compare.settings_of(row, GENERATION) for row in rows[1:3])
    assert plain == GENERATION
    assert (other.width, other.height, other.guidance, other.steps, other.negative) == (128, 192, 1.0, 5, False)


def test_the_seed_of_a_prompt_hangs_on_its_place_alone() -> None:
    one = compare.plan_rows([AskedPrompt("a"), AskedPrompt("b")], 1, 3, fake_makers())
    other = compare.plan_rows([AskedPrompt("c"), AskedPrompt("d"), AskedPrompt("e")], 1, 3, fake_makers())
    assert [row.shot.seed for row in one] == [row.shot.seed for row in other[:2]]


def test_a_size_that_the_family_does_not_make_is_told_before_anything_is_drawn() -> None:
    with pytest.raises(InputError, match=r"Prompt 2 asks for 100x128 pixels.* such as \d+x128"):
        compare.plan_rows([AskedPrompt("a"), AskedPrompt("b", width=100, height=128)], 1, 0, fake_makers(family=FAMILY))


def test_columns_are_ordered_by_lora_and_never_share_a_folder() -> None:
    loras = [Path("one/ana.safetensors"), Path("two/Ana.safetensors"), Path("x/two_Ana.safetensors")]
    columns = compare.plan_columns(loras, (0.5, 1.0), bare=True)
    assert [column.title for column in columns[:3]] == ["without LoRA", "one_ana at 0.5", "one_ana at 1"]
    folders = [column.folder.casefold() for column in columns]
    assert len(set(folders)) == len(folders) == 7


def test_every_column_has_the_same_batches(tmp_path: Path) -> None:
    loras = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for number, lora in enumerate(loras):
        lora.write_bytes(bytes([number]))
    asked = [AskedPrompt("1"), AskedPrompt("2", width=128), AskedPrompt("3"), AskedPrompt("4")]
    painter, reporter = Painter(), Recording()
    makers = fake_makers(generation=GENERATION, generator=lambda: painter)
    rows = compare.plan_rows(asked, 1, 0, makers)
    columns = compare.plan_columns(loras, (0.5, 1.0), bare=True)
    easel = compare.Easel(makers, SystemClock(), tmp_path / "out", Journal(tmp_path / "journal"))
    made = compare.draw(rows, columns, easel, reporter)
    keys = [row.shot.key for row in rows]
    assert [[image.shot.key for image in column] for column in made] == [keys] * 5
    per_column = [(keys[0], keys[2]), (keys[3],), (keys[1],)]
    assert [batch[2] for batch in painter.batches] == per_column * 5
    worn = [(name, scale) for name, scale, *_ in painter.batches[::3]]
    assert worn == [("", 0.0), ("a", 0.5), ("a", 1.0), ("b", 0.5), ("b", 1.0)]
    assert {planned for *_, planned in painter.batches} == {20}
    assert [done for _, done, _ in reporter.steps][-1] == 20 and {total for *_, total in reporter.steps} == {20}
    assert compare.draw(rows, columns, easel, reporter) == made and len(painter.batches) == 15
