"""Contact sheets: the photos and the judged images of each round, as tiles. Long sheets are cut and say by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from markupsafe import Markup

from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.domain.wording import plural
from twinloop.report.charts import proportion_bar
from twinloop.report.likeness import NearestPhoto, nearest_of
from twinloop.report.model import RunRecord
from twinloop.report.thumbnails import Pictures, Thumbnail
from twinloop.report.words import measured, number, title, words
from twinloop.store.run.workspace import Workspace

T = TypeVar("T")

PER_SHEET = 24
"""Tiles on one sheet at most; fewer in runs of many rounds, so that the page stays small."""
ALL_SHEETS = 600
FEWEST = 4
AT_ONCE = 12
"""Photos that are open from the start."""


@dataclass(frozen=True)
class PhotoTile:
    """A photo of the dataset or one that was left out."""

    name: str
    picture: Thumbnail | None
    alt: str
    note: str


@dataclass(frozen=True)
class CheckLine:
    """One check of one image, in words."""

    name: str
    value: str
    limit: str
    outcome: str


@dataclass(frozen=True)
class ImageTile:
    """One synthetic image with its verdict.

    Attributes:
        note: what became of it when that is not plain. nearest: the real photo that is most like it, for approved
            images.
    """

    name: str
    picture: Thumbnail | None
    alt: str
    target: str
    quality: str
    reasons: tuple[str, ...]
    checks: tuple[CheckLine, ...]
    note: str
    nearest: NearestPhoto | None


@dataclass(frozen=True)
class Sheet:
    """All images of one round with one outcome; ``hidden`` of them are not shown.

    ``early``: of those that were given up early, and so have no picture.
    """

    outcome: str
    total: int
    tiles: tuple[ImageTile, ...]
    hidden: int
    early: str = ""


@dataclass(frozen=True)
class RoundSheets:
    """One round: its three sheets, how they compare, and how often each check said no or could not tell."""

    iteration: int
    total: int
    bar: Markup
    sheets: tuple[Sheet, ...]
    failures: tuple[tuple[str, int, int], ...]


def spread(items: Sequence[T], kind: Callable[[T], Hashable], most: int) -> list[T]:
    """At most so many items, taking turns over the kinds, in their first order: a cut sheet still shows each kind."""
    turns: dict[Hashable, int] = {}
    ranked = []
    for index, item in enumerate(items):
        turn = turns.get(kind(item), 0)
        turns[kind(item)] = turn + 1
        ranked.append((turn, index))
    return [items[index] for index in sorted(index for _, index in sorted(ranked)[:most])]


def photo_tiles(run: RunRecord, pictures: Pictures) -> tuple[PhotoTile, ...]:
    """The photos in use."""
    members = run.photos.members[: 2 * PER_SHEET] if run.photos is not None else ()
    held_out = run.identity.held_out if run.identity is not None else frozenset()
    tiles = []
    for member in members:
        name = file_name(member.path)
        real = member.origin == "real"
        kind, note = ("Photo", "") if real else ("Image marked as synthetic", "synthetic, never trained on")
        if real and member.sha256 in held_out:
            note = "held out for measuring"
        tiles.append(
            PhotoTile(
                name, pictures.named(member.path, member.sha256), f"{kind} {name}{': ' + note if note else ''}", note
            )
        )
    return tuple(tiles)


def left_out_tiles(run: RunRecord, pictures: Pictures) -> tuple[PhotoTile, ...]:
    """The files that were left out, each with the reason."""
    return tuple(
        PhotoTile(file_name(path), pictures.named(path), f"{file_name(path)}, left out: {reason}", reason)
        for path, reason in run.left_out[:PER_SHEET]
    )


def file_name(path: str) -> str:
    """The last part of a path of either kind of system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def round_sheets(run: RunRecord, workspace: Workspace, pictures: Pictures) -> tuple[RoundSheets, ...]:
    """The judged images of every round."""
    most = max(FEWEST, min(PER_SHEET, ALL_SHEETS // max(1, 3 * len(run.verdicts))))
    approved = [_shown([v for v in verdicts if v.outcome is Outcome.APPROVED], most) for verdicts in run.verdicts]
    nearest = nearest_of(run, workspace, pictures, chain.from_iterable(approved))
    sheets = []
    for iteration, verdicts in enumerate(run.verdicts, 1):
        merged = {m.sha256 for m in run.datasets[iteration - 1].synthetic} if iteration <= len(run.datasets) else None
        parts = [
            _sheet(
                outcome,
                verdicts,
                merged=merged,
                iteration=iteration,
                workspace=workspace,
                pictures=pictures,
                most=most,
                nearest=nearest if outcome is Outcome.APPROVED else {},
            )
            for outcome in Outcome
        ]
        said = f"Round {iteration}: " + ", ".join(f"{part.total} {part.outcome}" for part in parts)
        bar = proportion_bar([(part.outcome, part.total) for part in parts], said)
        sheets.append(RoundSheets(iteration, len(verdicts), bar, tuple(parts), _failures(verdicts)))
    return tuple(sheets)


def _sheet(
    outcome: Outcome,
    verdicts: Sequence[Verdict],
    *,
    merged: set[str] | None,
    iteration: int,
    workspace: Workspace,
    pictures: Pictures,
    most: int,
    nearest: Mapping[str, NearestPhoto],
) -> Sheet:
    chosen = [verdict for verdict in verdicts if verdict.outcome is outcome]
    finished = sum(verdict.early is None for verdict in chosen)
    shown = _shown(chosen, most)
    tiles = []
    for verdict in shown:
        picture = pictures.at(workspace.synthetic(iteration) / verdict.image, verdict.sha256 or None)
        left = outcome is Outcome.APPROVED and merged is not None and verdict.sha256 not in merged
        note = "not merged: the gap or the cap was full" if left else ""
        if verdict.human is not None:
            note = "; ".join(filter(None, (f"{verdict.human} by a person, {verdict.automatic} by the checks", note)))
        tiles.append(_image_tile(verdict, picture, note, nearest.get(verdict.sha256)))
    early = _early([verdict for verdict in chosen if verdict.early is not None])
    return Sheet(str(outcome), len(chosen), tuple(tiles), finished - len(shown), early)


def _shown(chosen: Sequence[Verdict], most: int) -> list[Verdict]:
    """Those of one outcome that have a tile."""
    finished = [verdict for verdict in chosen if verdict.early is None]
    return spread(finished, lambda verdict: (verdict.facet, verdict.value), most)


def _early(given_up: Sequence[Verdict]) -> str:
    """How many images were given up early, and which checks their previews failed."""
    if not given_up:
        return ""
    share = max(verdict.early or 0.0 for verdict in given_up)
    failed = Counter(
        check.name for verdict in given_up for check in verdict.results if check.outcome is Outcome.REJECTED
    )
    why = ", ".join(f"{words(name)} ({count})" for name, count in failed.most_common())
    return f"{plural(len(given_up), 'image')} given up after {share:.0%} of the steps, because a preview failed: {why}."


def _image_tile(verdict: Verdict, picture: Thumbnail | None, note: str, nearest: NearestPhoto | None) -> ImageTile:
    target = f"{words(verdict.facet)}: {words(verdict.value)}" if verdict.facet else "no known target"
    because = f" because {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    return ImageTile(
        name=verdict.image,
        picture=picture,
        alt=f"Synthetic image for {target}, {verdict.outcome}{because}",
        target=target,
        quality=number(verdict.quality),
        reasons=verdict.reasons,
        checks=tuple(_line(check) for check in verdict.results),
        note=note,
        nearest=nearest,
    )


def _line(check: CheckResult) -> CheckLine:
    return CheckLine(
        title(check.name), measured(check.value), words(check.limit.replace(">=", "≥")), str(check.outcome)
    )


def _failures(verdicts: Sequence[Verdict]) -> tuple[tuple[str, int, int], ...]:
    counts: dict[str, list[int]] = {}
    for check in (check for verdict in verdicts for check in verdict.results):
        row = counts.setdefault(check.name, [0, 0])
        row[0] += check.outcome is Outcome.REJECTED
        row[1] += check.outcome is Outcome.UNSURE
    rows = [(title(name), rejected, unsure) for name, (rejected, unsure) in counts.items() if rejected or unsure]
    return tuple(sorted(rows, key=lambda row: (-row[1] - row[2], row[0])))
