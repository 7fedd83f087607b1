"""The panel grid: the same prompts and seeds for every version, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinloop.domain.records import OF_FACES, PanelScore
from twinloop.domain.shots import Shot
from twinloop.report.model import RunRecord
from twinloop.report.thumbnails import Pictures, Thumbnail
from twinloop.report.words import number, percent
from twinloop.store.run.workspace import Workspace

PROMPTS = 24
"""Rows at most."""
AT_ONCE = 6
"""Rows that are open from the start."""
VERSIONS = 6
"""Columns at most."""
_CALLED = {"identity": "identity", "quality": "face quality"}
"""What metrics of faces are called beside a picture."""


@dataclass(frozen=True)
class PanelCell:
    """One panel image of one version, with its own figures."""

    picture: Thumbnail | None
    alt: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class PanelRow:
    """One prompt (without what all prompts share) and seed, side by side over the versions."""

    number: int
    prompt: str
    seed: int
    cells: tuple[PanelCell, ...]


@dataclass(frozen=True)
class PanelGrid:
    """The panel. ``versions``: (number, remark) of the columns; ``hidden``: prompts, and versions, that are not shown.

    Attributes:
        begin, end: the words that every prompt of the panel begins and ends with.
    """

    versions: tuple[tuple[int, str], ...]
    rows: tuple[PanelRow, ...]
    hidden: int
    hidden_versions: tuple[int, ...]
    begin: str
    end: str


def panel_grid(run: RunRecord, workspace: Workspace, pictures: Pictures) -> PanelGrid:
    """The same prompts and seeds for every version, side by side."""
    versions = _columns(run)
    shots = run.panel[:PROMPTS]
    first, last = shared_ends([shot.prompt for shot in run.panel])
    scores = {score.version: score for score in run.scores}
    rows = []
    for index, shot in enumerate(shots):
        parts = shot.prompt.split(", ")
        cells = tuple(_cell(shot, index, scores[v], workspace, pictures) for v in versions)
        rows.append(PanelRow(index + 1, ", ".join(parts[first : len(parts) - last]), shot.seed, cells))
    hidden = tuple(score.version for score in run.scores if score.version not in versions)
    example = shots[0].prompt.split(", ") if shots else []
    return PanelGrid(
        versions=tuple((v, run.remark(v)) for v in versions),
        rows=tuple(rows) if versions else (),
        hidden=len(run.panel) - len(shots),
        hidden_versions=hidden,
        begin=", ".join(example[:first]),
        end=", ".join(example[len(example) - last :]),
    )


def shared_ends(prompts: Sequence[str]) -> tuple[int, int]:
    """How many of the comma-separated parts all prompts have in common at the start and at the end; at least one part
    of each is left over.
    """
    split = [prompt.split(", ") for prompt in prompts]
    if len(split) < 2:
        return 0, 0
    spare = min(map(len, split)) - 1
    first = _shared(split, spare)
    return first, _shared([parts[::-1] for parts in split], spare - first)


def _shared(split: Sequence[Sequence[str]], most: int) -> int:
    return next((n for n in range(most) if len({parts[n] for parts in split}) > 1), max(0, most))


def _columns(run: RunRecord) -> list[int]:
    """The first version, the best, what a person picked, and the latest ones."""
    known = [score.version for score in run.scores]
    wanted = [v for v in (1, run.best, run.picked) if v in known]
    latest = [v for v in reversed(known) if v not in wanted][: max(0, VERSIONS - len(set(wanted)))]
    return sorted({v for v in wanted if v is not None} | set(latest))


def _cell(shot: Shot, index: int, score: PanelScore, workspace: Workspace, pictures: Pictures) -> PanelCell:
    picture = pictures.at(workspace.panel_images(score.version) / f"{shot.key}.png")
    samples = {name: values[index] for name, values in score.samples.items() if index < len(values)}
    figures = []
    if "on_target" in samples:
        figures.append(f"{percent(samples['on_target'])} on target")
    if index < len(score.no_face) and score.no_face[index]:
        figures.append("no face")
    else:
        figures += [f"{_CALLED[name]} {number(samples[name])}" for name in OF_FACES if name in samples]
    return PanelCell(picture, f"Panel image {index + 1} of v{score.version}: {', '.join(figures)}", tuple(figures))
