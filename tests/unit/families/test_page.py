"""docs/families.md: its tables of presets hold the presets' numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twinloop.families import FAMILIES, family_of_preset

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "families.md").read_text(encoding="utf-8")
NAMES = {name for family in FAMILIES.values() for name in family.presets}


def rows(head: str) -> Iterator[dict[str, str]]:
    """The rows of the table whose head begins like this, by the names of the columns."""
    lines = PAGE[PAGE.index(f"\n{head}") + 1 :].splitlines()
    columns, _, *below = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    for cells in below:
        if not cells:
            return
        yield dict(zip(columns, cells, strict=True))


def test_how_images_are_drawn_and_the_lora_is_sized() -> None:
    seen, above = set(), ""
    for row in rows("| family | presets |"):
        (name,) = re.findall("`([^`]+)`", row["presets"].partition("(")[0])
        preset = family_of_preset(name).preset(name)
        steps, guidance = row["steps, guidance"].split(", ")
        assert (int(steps), float(guidance)) == (preset.generation.steps, preset.generation.guidance), name
        training = row["LoRA rank / alpha, rate"]
        above = above if training.startswith("as above") else training
        rank, alpha, rate = re.split(" / |, ", above)
        given = (preset.training.rank, preset.training.alpha, preset.training.learning_rate)
        assert (int(rank), float(alpha), float(rate)) == given, name
        seen.add(name)
    assert seen == NAMES


def test_how_the_presets_train() -> None:
    seen: list[str] = []
    for row in rows("| presets | `steps` |"):
        names = re.findall("`([^`]+)`", row.pop("presets"))
        for name in names:
            family = family_of_preset(name)
            preset = family.preset(name)
            for column, cell in row.items():
                field = column.strip("`")
                value = preset.repeats if field == "repeats" else getattr(preset.training, field)
                assert float(cell or 0) == value and (cell or family.flow), (name, field)
            usual = preset.training
            assert (usual.optimizer, usual.weight_decay, usual.schedule, usual.clip_norm, usual.caption_dropout) == (
                "adamw",
                0.01,
                "cosine",
                1.0,
                0.05,
            )
        seen += names
    assert sorted(seen) == sorted(NAMES)


def test_how_large_images_are_and_how_many_at_once() -> None:
    for name in NAMES:
        drawn = family_of_preset(name).preset(name).generation
        usual = {"sd15": (512, 4), "nano": (256, 8)}.get(name, (1024, 1))
        assert (drawn.width, drawn.height, drawn.batch_size) == (usual[0], *usual), name
    text = "the preset's: 1024 x 1024, `sd15` 512 x 512, `nano` 256 x 256. Multiples of 16, for `sd15` and `sdxl` of 8"
    assert text in PAGE and "the preset's: 1, `sd15` 4, `nano` 8" in PAGE
    assert {family.name for family in FAMILIES.values() if family.size_multiple == 8} == {"sd15", "sdxl"}
    assert {family.size_multiple for family in FAMILIES.values()} == {8, 16}
