"""LoRAs x strengths on a person's own prompts -> a folder of images, figures, a grid and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.domain.comparison import AskedPrompt, Column, Comparison, Row
from twinloop.errors import InputError
from twinloop.manual.images import FREE_OF_PIXELS, Studio, extra_lora_hashes, other_extra_loras
from twinloop.manual.order_folder import OrderFolder
from twinloop.ports import Reporter, decisive_generation
from twinloop.report.comparison import write_page
from twinloop.report.comparison_grid import write_grid
from twinloop.stages import compare
from twinloop.stages.generation_record import MadeImage, common_settings
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.owner import check_reads_own
from twinloop.store.run.workspace import Workspace

COMPARISON, GRID, PAGE = "compare.json", "grid.jpg", "compare.html"
_OF_ROWS_AND_COLUMNS = ("width", "height", "steps", "guidance", "lora_scale")


@dataclass(frozen=True)
class WantedComparison:
    """What is to be compared.

    Attributes:
        strengths: of every LoRA. bare: also without any. per_prompt: images of each prompt.
        trigger: words of the person, "" = not known.
    """

    prompts: tuple[AskedPrompt, ...]
    loras: tuple[Path, ...]
    strengths: tuple[float, ...]
    output: Path
    bare: bool = True
    per_prompt: int = 1
    trigger: str = ""


@dataclass(frozen=True)
class Ruler:
    """What columns are measured with. ``reference``, ``dataset``: of the person's photos, None = without."""

    observer: Observer
    catalog: Catalog
    reference: IdentityReference | None
    dataset: str | None


@dataclass(frozen=True)
class PlannedComparison:
    """Every image that will be there: rows times columns, those that the folder has already among them.

    ``trigger``: as it was wanted. ``left_off``: columns that the folder began and that can no longer be drawn.
    """

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    trigger: str = ""
    left_off: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        return len(self.rows) * len(self.columns)


def loras_of_run(settings: Settings) -> tuple[Path, ...]:
    """Every version of the LoRA that the run of these settings has trained so far, in their order.

    Raises:
        InputError: none yet. StateError: those there are another run's.
    """
    space = Workspace(Path(settings.output_dir), settings.lora_dir)
    check_reads_own(space, "name the LoRAs with --lora FILE")
    versions = sorted(
        int(number)
        for record in space.lora_dir.glob("lora_v*.json")
        if (number := record.stem.removeprefix("lora_v")).isdigit()
    )
    found = tuple(space.lora(version) for version in versions if space.lora(version).is_file())
    if not found:
        raise InputError(
            f"The run of this configuration has no LoRA yet ({space.lora_dir}). Run it, or name some with --lora FILE."
        )
    return found


def plan_comparison(wanted: WantedComparison, settings: Settings, studio: Studio) -> PlannedComparison:
    """All rows and columns, before anything is made.

    Raises:
        InputError: a size that models of the family do not make.
    """
    rows = compare.plan_rows(wanted.prompts, wanted.per_prompt, settings.seed, studio.makers)
    columns = compare.plan_columns(wanted.loras, wanted.strengths, wanted.bare)
    return _joined(PlannedComparison(rows, columns, wanted.trigger), wanted.output, studio)


def _joined(plan: PlannedComparison, output: Path, studio: Studio) -> PlannedComparison:
    """The plan with the columns that the folder has of the same comparison: LoRA by LoRA, the weakest first.

    A LoRA that is gone or was changed keeps the images that were drawn with it.
    """
    folder = _folder(output)
    old = folder.record() if folder.holds_images else None
    if old is None or _differs(old, _record(plan, studio)):
        return plan
    wanted = {column.folder for column in plan.columns}
    earlier, left_off = [], []
    for name, one in old.get("columns", {}).items():
        if name in wanted:
            continue
        found = _earlier(name, one if isinstance(one, dict) else {"sha256": one})
        drawn = all((output / name / f"{row.shot.key}.png").is_file() for row in plan.rows)
        if found.drawn_with and not drawn:
            left_off.append(found.title)
        else:
            earlier.append(found)
    if not earlier:
        return replace(plan, left_off=tuple(left_off))
    columns = (*earlier, *plan.columns)
    names = list(dict.fromkeys(column.name for column in columns))
    order = sorted(columns, key=lambda c: (c.name != "", names.index(c.name), c.strength))
    return replace(plan, columns=tuple(order), left_off=tuple(left_off))


def _earlier(folder: str, one: dict[str, Any]) -> Column:
    """A column on record; one of a LoRA whose file is not there as it was has ``drawn_with``."""
    digest = one["sha256"]
    if digest is None:
        return Column(folder)
    name, _, strength = folder.rpartition("_")
    lora = Path(one.get("file", f"{name}.safetensors"))
    same = "file" in one and lora.is_file() and sha256_file(lora) == digest
    return Column(
        folder, one.get("name", name), lora, float(one.get("strength", strength)), drawn_with="" if same else digest
    )


def make_comparison(
    plan: PlannedComparison, output: Path, settings: Settings, studio: Studio, ruler: Ruler | None, reporter: Reporter
) -> Comparison:
    """Draw and measure what is not there yet, and write compare.json, the grid and the page.

    Killed and called again it goes on where it was. Further LoRAs and strengths may join the same folder later.

    Raises:
        StateError: the folder holds images of other prompts or settings, or of another LoRA of that name.
        Locked: it is in use.
    """
    folder = _folder(output)
    with folder.in_use():
        _begin(folder, _record(plan, studio), reporter)
        easel = compare.Easel(studio.makers, studio.clock, output, folder.journal())
        made = compare.draw(plan.rows, plan.columns, easel, reporter)
        found = _compared(plan, made, output, settings, studio, ruler, reporter)
        write_json(output / COMPARISON, found.to_json())
        write_grid(found, output, output / GRID)
        write_page(found, output, output / PAGE, grid=GRID)
    return found


def _compared(
    plan: PlannedComparison, made: list[list[MadeImage]], output: Path, settings: Settings, studio: Studio,
    ruler: Ruler | None, reporter: Reporter,
) -> Comparison:  # fmt: skip
    columns = []
    for column, images in zip(plan.columns, made, strict=True):
        drawn = compare.as_drawn(column, images, output)
        if ruler is not None:
            drawn = compare.measured(drawn, images, ruler.observer, ruler.catalog, ruler.reference, reporter)
        columns.append(drawn)
    likeness = ruler is not None and ruler.reference is not None
    return Comparison(
        base_model=studio.makers.base_model,
        trigger=plan.trigger,
        seed=settings.seed,
        rows=plan.rows,
        columns=tuple(columns),
        settings=common_settings(studio.makers.generation),
        measured_by=None if ruler is None else ruler.observer.fingerprint,
        dataset=ruler.dataset if ruler is not None and likeness else None,
    )


def _folder(output: Path) -> OrderFolder:
    return OrderFolder(output, "*/*.png", "of another comparison")


def _begin(folder: OrderFolder, record: dict[str, Any], reporter: Reporter) -> None:
    """Note what decides the pixels: rows and settings are one folder's for good, columns may join later."""
    old = folder.record()
    if old is not None and (problem := _differs(old, record)):
        folder.clear(problem, reporter)
    elif old is not None:
        record["columns"] = {**old.get("columns", {}), **record["columns"]}
    folder.keep(record)


def _record(plan: PlannedComparison, studio: Studio) -> dict[str, Any]:
    free = (*FREE_OF_PIXELS, *_OF_ROWS_AND_COLUMNS)
    record: dict[str, Any] = json.loads(
        json.dumps(
            {
                "rows": [row.to_json() for row in plan.rows],
                "base_model": studio.makers.base_model,
                "settings": decisive_generation(studio.makers.generation, free),
                **extra_lora_hashes(studio.makers.generation),
                "columns": {column.folder: _column_record(column) for column in plan.columns},
            }
        )
    )
    return record


def _column_record(column: Column) -> dict[str, Any]:
    if column.lora is None:
        return {"name": "", "file": None, "strength": column.strength, "sha256": None}
    digest = column.drawn_with or sha256_file(column.lora)
    file = str(column.lora.absolute())
    return {"name": column.name, "file": file, "strength": column.strength, "sha256": digest}


def _drawn_as(columns: dict[str, Any]) -> dict[str, str | None]:
    """Digest of the LoRA behind each name, whatever the strength; file systems may not tell A from a."""
    return {
        folder.rpartition("_")[0].casefold(): one["sha256"] if isinstance(one, dict) else one
        for folder, one in columns.items()
    }


def _differs(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What is not as it was in the folder; "" = all of it is."""
    changed = [name for name in ("rows", "base_model", "settings") if old.get(name) != new[name]]
    if changed:
        return f"{', '.join({'rows': 'prompts, seeds or sizes'}.get(name, name) for name in changed)} differ"
    if problem := other_extra_loras(old, new):
        return problem
    known = _drawn_as(old.get("columns", {}))
    others = [
        folder
        for folder, one in new["columns"].items()
        if known.get(name := folder.rpartition("_")[0].casefold(), one["sha256"]) != one["sha256"] and name
    ]
    return f"another LoRA was drawn as {', '.join(others)}" if others else ""


def plan_json(plan: PlannedComparison) -> dict[str, Any]:
    """What ``--dry-run`` tells: every row, and the columns without images."""
    return {
        "rows": [row.to_json() for row in plan.rows],
        "columns": [
            {"folder": column.folder, "lora": column.name or None, "strength": column.strength}
            for column in plan.columns
        ],
        "images": plan.images,
    }
