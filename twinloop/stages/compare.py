"""Compare: LoRAs at several strengths on the same prompts and seeds, drawn column by column and measured."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from twinloop.domain.comparison import AskedPrompt, Column, Drawn, Row
from twinloop.domain.shots import Shot, derive_seed
from twinloop.errors import InputError, StateError
from twinloop.families.base import Family
from twinloop.ports import Clock, GenerationSettings, Reporter
from twinloop.stages.assess import assess
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext, MadeImage
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer
from twinloop.stages.toolbox import Makers
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog

BARE = "bare"
"""Folder of the images without any LoRA."""
FIGURES = ("identity", "quality", "diversity")
"""What is measured on a column; a person's own prompts ask for no facet value that could be hit."""


def plan_rows(
    prompts: Sequence[AskedPrompt],
    per_prompt: int,
    seed: int,
    makers: Makers,
) -> tuple[Row, ...]:
    """A row for each prompt and each of its images.

    Args:
        per_prompt: images of each prompt. A prompt with a seed of its own has the next ones for the further images.
        makers: how images are made, and what is kept away, where a prompt does not say so; of which family the base
            model is. The fakes are of none and take everything.

    Raises:
        InputError: a size that models of the family do not make.
    """
    generation, family, negative = makers.generation, makers.family, makers.voice.negative()
    rows = []
    for (number, asked), image in itertools.product(enumerate(prompts, 1), range(1, per_prompt + 1)):
        own = derive_seed(seed, "compare", number, image) if asked.seed is None else (asked.seed + image - 1) % 2**63
        shot = Shot(
            key=f"prompt_{number:03d}" + (f"_{image:02d}" if per_prompt > 1 else ""),
            facet="compare",
            value="",
            index=number,
            prompt=asked.prompt,
            negative_prompt=negative if asked.negative is None else asked.negative,
            seed=own,
        )
        guidance = generation.guidance if asked.guidance is None else asked.guidance
        row = Row(
            shot,
            generation.width if asked.width is None else asked.width,
            generation.height if asked.height is None else asked.height,
            generation.steps if asked.steps is None else asked.steps,
            guidance,
            family is None or family.guidance.reads_negative(guidance),
        )
        _check_size(row, number, family)
        rows.append(row)
    return tuple(rows)


def _check_size(row: Row, number: int, family: Family | None) -> None:
    step = 1 if family is None else family.size_multiple
    if row.width % step or row.height % step:
        near = "x".join(str(max(step, side // step * step)) for side in (row.width, row.height))
        raise InputError(
            f"Prompt {number} asks for {row.width}x{row.height} pixels: this base model makes sizes that are multiples"
            f" of {step}, such as {near}."
        )


def plan_columns(loras: Sequence[Path], strengths: Sequence[float], bare: bool) -> tuple[Column, ...]:
    """Without a LoRA first, then LoRA by LoRA, so that each is loaded once."""
    columns = [Column(BARE)] if bare else []
    for name, lora in zip(_names(loras), loras, strict=True):
        columns += [Column(f"{name}_{strength:g}", name, lora, strength) for strength in strengths]
    return tuple(columns)


def _names(loras: Sequence[Path]) -> list[str]:
    """What LoRAs are called: by their files, with the folder where two are named alike, else with a number."""
    names: list[str] = []
    stems = [lora.stem.casefold() for lora in loras]
    for lora in loras:
        alike = stems.count(lora.stem.casefold()) > 1
        wanted = f"{lora.absolute().parent.name}_{lora.stem}" if alike else lora.stem
        taken = {name.casefold() for name in names}
        numbered = (wanted if number == 1 else f"{wanted}_{number}" for number in itertools.count(1))
        names.append(next(name for name in numbered if name.casefold() not in taken))
    return names


@dataclass(frozen=True)
class Easel:
    """What columns are drawn with."""

    makers: Makers
    clock: Clock
    folder: Path
    journal: Journal


def settings_of(row: Row, generation: GenerationSettings) -> GenerationSettings:
    """How the images of a row are made, at whatever strength."""
    return replace(
        generation,
        width=row.width,
        height=row.height,
        steps=row.steps,
        guidance=row.guidance,
        negative=row.reads_negative,
    )


def draw(rows: Sequence[Row], columns: Sequence[Column], easel: Easel, reporter: Reporter) -> list[list[MadeImage]]:
    """The images of every column, in the order of the rows, as far as they are not there yet.

    Rows with the same settings share batches, the same ones in every column: nothing but the LoRA and its strength
    differs from left to right.
    """
    makers, total = easel.makers, len(rows) * len(columns)
    groups: dict[GenerationSettings, list[Shot]] = {}
    for row in rows:
        groups.setdefault(settings_of(row, makers.generation), []).append(row.shot)
    files = {column.lora for column in columns if column.lora is not None and not column.drawn_with}
    hashes: dict[Path | None, str] = {lora: sha256_file(lora) for lora in files}
    before, drawn = 0, []
    for column in columns:
        made: dict[str, MadeImage] = {}
        for settings, shots in groups.items():
            context = GenerationContext(
                prefix=f"{column.drawn_with or hashes.get(column.lora, BARE)}.{column.strength:g}",
                folder=easel.folder / column.folder,
                base_model=makers.base_model,
                lora=None if column.drawn_with else column.lora,
                settings=replace(settings, lora_scale=column.strength, planned=total),
                stamped=False,
                doing="Comparing",
                recorded=False,
            )
            part = _Part(reporter, before, total)
            generator = functools.partial(_not_again, column) if column.drawn_with else makers.generator
            images = generate(shots, context, generator, easel.journal, easel.clock, part)
            made |= {image.shot.key: image for image in images}
            before += len(shots)
        drawn.append([made[row.shot.key] for row in rows])
    return drawn


def _not_again(column: Column) -> NoReturn:
    """In place of a generator: what was drawn with a LoRA that is gone cannot be drawn again."""
    raise StateError(
        f"An image in {column.folder} is damaged, and its LoRA is no longer as it was ({column.lora}). Put the LoRA"
        f" back, or delete the folder {column.folder}."
    )


@dataclass(frozen=True)
class _Part:
    """A reporter of a part of the work: its progress is told as that of the whole."""

    whole: Reporter
    before: int
    total: int

    def line(self, text: str) -> None:
        self.whole.line(text)

    def warn(self, text: str) -> None:
        self.whole.warn(text)

    def progress(self, label: str, done: float, total: int) -> None:
        self.whole.progress(label, self.before + done, self.total)


def as_drawn(column: Column, images: Sequence[MadeImage], folder: Path) -> Drawn:
    """A column and its images, nothing measured yet."""
    digest = None if column.lora is None else column.drawn_with or sha256_file(column.lora)
    return Drawn(column, digest, tuple((m.path.relative_to(folder).as_posix(), m.sha256) for m in images))


def measured(
    drawn: Drawn,
    images: Sequence[MadeImage],
    observer: Observer,
    catalog: Catalog,
    reference: IdentityReference | None,
    reporter: Reporter,
) -> Drawn:
    """The same with its figures: those of a panel (`stages.assess`), as far as they mean something for prompts of a
    person's own.
    """
    score = assess(images, 0, observer, catalog, reference, reporter)
    known = [name for name in FIGURES if name in score.metrics and (name != "diversity" or len(images) > 1)]
    return replace(
        drawn,
        metrics={name: score.metrics[name] for name in known},
        samples={name: score.samples[name] for name in known},
    )
