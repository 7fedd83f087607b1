"""What iteration_history.json says of the rounds of a run; `rounds.history_json` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinloop.domain.json_fields import count, entry, entry_or, flag, list_of, number, optional, table, text, whole
from twinloop.domain.shots import Gap
from twinloop.domain.statistics import Estimate
from twinloop.stages.analyze import gaps_from_json
from twinloop.stages.decide import RoundFacts, Stop
from twinloop.stages.validate import Tally
from twinloop.store.atomic import read_as
from twinloop.store.run.workspace import Workspace

ROUNDS = "iterations"
"""The field that lists the rounds."""


@dataclass(frozen=True)
class RecordedRound:
    """One finished round as it is on record.

    Attributes:
        gap_count: gaps when it began, which ``gaps`` lists. approval: share of the approved, with its interval.
        merged: approved images that joined the dataset.
        started_from: version of the LoRA that made its images. version: of the LoRA that it ended with.
        improvement, drifted: as in `RoundFacts`.
    """

    iteration: int
    gap_count: int
    gaps: tuple[Gap, ...]
    tally: Tally
    approval: Estimate
    merged: int
    started_from: int
    version: int
    improvement: Estimate | None
    drifted: tuple[str, ...]
    rolled_back: bool

    @classmethod
    def from_json(cls, data: Any) -> RecordedRound:
        """Raises ValueError where it is no such record; names the field."""
        return cls(
            iteration=entry(data, "iteration", whole),
            gap_count=entry(data, "gap_count", count),
            gaps=entry(data, "gaps", lambda gaps: gaps_from_json({"recommendations": gaps})),
            tally=_tally(data),
            approval=entry(data, "approval_rate", Estimate.from_json),
            merged=entry(data, "merged", count),
            started_from=entry(data, "generated_with", _version),
            version=entry(data, "lora_version", whole),
            improvement=entry(data, "improvement", optional(Estimate.from_json)),
            drifted=entry(data, "drifted", list_of(text)),
            rolled_back=entry(data, "rolled_back", flag),
        )

    @property
    def facts(self) -> RoundFacts:
        """What the rules look at."""
        return RoundFacts(
            self.iteration,
            self.gap_count,
            self.tally.approved,
            self.tally.total,
            self.improvement,
            self.drifted,
            trained=self.version != self.started_from,
        )

    @property
    def generated_with(self) -> str:
        """As ``v1``."""
        return f"v{self.started_from}"


@dataclass(frozen=True)
class Earlier:
    """What a run had come to before this process began: its rounds, and why it had ended (None = it had not)."""

    rounds: tuple[RecordedRound, ...] = ()
    stop: Stop | None = None

    @classmethod
    def from_json(cls, data: Any) -> Earlier:
        """Raises ValueError where it is no such record; names the field."""
        return cls(recorded_rounds(data), entry_or(data, "stop", Stop.from_json, None))

    def round(self, iteration: int) -> RecordedRound | None:
        """A round by its number; None = it is not on record."""
        return next((done for done in self.rounds if done.iteration == iteration), None)

    def stop_after(self, rounds: int) -> Stop | None:
        """Why the run had ended after so many rounds; None = it had not."""
        return self.stop if len(self.rounds) == rounds else None


NOTHING_EARLIER = Earlier()
"""Of a run that begins."""


def read_earlier(workspace: Workspace) -> Earlier:
    """What is on record of a run; nothing where it has no record yet.

    Raises:
        StateError: the record is damaged; names the file.
    """
    return read_as(workspace.history, Earlier.from_json) if workspace.history.exists() else NOTHING_EARLIER


def recorded_rounds(history: Any) -> tuple[RecordedRound, ...]:
    """The rounds of a record, which may list none.

    Raises:
        ValueError: one is none, or there is no list in its place; names the field.
    """
    return entry(history, ROUNDS, list_of(RecordedRound.from_json)) if ROUNDS in table(history) else ()


def count_of(history: Mapping[str, Any], name: str) -> int:
    """How many a record lists under a name, at a glance: 0 also where it is damaged, which the run itself tells."""
    found = history.get(name)
    return len(found) if isinstance(found, list) else 0


def _tally(data: Any) -> Tally:
    approved, rejected, unsure = (entry(data, name, count) for name in ("approved", "rejected", "unsure"))
    early = entry_or(data, "rejected_early", count, 0)
    return Tally(approved, rejected, unsure, entry(data, "quality_score", number), early)


def _version(value: Any) -> int:
    return int(text(value).removeprefix("v"))
