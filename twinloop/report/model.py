"""What a run left behind, as frozen values. Any of it may be missing: a run can be looked at half-way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.statistics import Estimate
from twinloop.domain.verdicts import Verdict
from twinloop.stages.analyze import FacetCount
from twinloop.stages.decide import Stop
from twinloop.stages.history import RecordedRound
from twinloop.stages.train import GIVEN


@dataclass(frozen=True)
class Survey:
    """One gaps_iterN.json: what the dataset held when round N began.

    ``not_measured``: (facet, or "facet: value", why).
    """

    iteration: int
    images: int
    facets: tuple[FacetCount, ...]
    gaps: tuple[Gap, ...]
    not_measured: tuple[tuple[str, str], ...]
    missing_models: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class IdentityRecord:
    """The frozen identity, without its embeddings.

    ``bands``: head angle -> (mean, standard deviation, number of photos).

    Attributes:
        unlike: sha256 of the photos that do not count in ``overall``.
        why: why there is none; empty when it was measured.
    """

    photos: int
    held_out: frozenset[str]
    bands: Mapping[str, tuple[float, float, int]]
    overall: tuple[float, float, int] | None
    highest_pair: float | None
    why: str
    unlike: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunRecord:
    """A whole run, finished or not.

    Attributes:
        settings: flat name -> value, as in run.json. detectors: fingerprint of the models that measured.
        consent: on what ground the photos may be used, in words. photos: the real photos in use (None before they were
            observed). left_out: (path, reason).
        datasets, verdicts: by round, from 1. scores: by version, from 1.
        best: version with the highest overall score so far, of those that were not rolled back. picked: the version
            that a person chose as the final one; None = the best is it. against_v1: metric -> paired change of the best
            version, where it is recorded.
    """

    person: str
    trigger: str
    base_model: str
    settings: Mapping[str, str]
    detectors: str
    consent: str
    photos: Dataset | None
    left_out: tuple[tuple[str, str], ...]
    identity: IdentityRecord | None
    surveys: tuple[Survey, ...]
    verdicts: tuple[tuple[Verdict, ...], ...]
    datasets: tuple[Dataset, ...]
    panel: tuple[Shot, ...]
    scores: tuple[PanelScore, ...]
    loras: tuple[LoRA, ...]
    rounds: tuple[RecordedRound, ...]
    best: int | None
    gaps_left: int | None
    against_v1: Mapping[str, Estimate]
    stop: Stop | None
    picked: int | None = None

    @property
    def chosen(self) -> int | None:
        """The version to use: what a person picked, else the best measured one."""
        return self.best if self.picked is None else self.picked

    @property
    def final(self) -> bool:
        """Whether there is a final LoRA, lora.safetensors: the run is finished, or a person picked a version."""
        return self.chosen is not None and (self.stop is not None or self.picked is not None)

    @property
    def given(self) -> bool:
        """Whether the first version is a LoRA that the user brought."""
        return any(lora.preset == GIVEN for lora in self.loras)

    def round_of(self, version: int) -> RecordedRound | None:
        """The finished round that trained this version; None for version 1."""
        return next((entry for entry in self.rounds if entry.version == version), None)

    def dropped(self, iteration: int) -> bool:
        """Whether a round was rolled back, so that its images are in no later dataset."""
        return any(entry.rolled_back for entry in self.rounds if entry.iteration == iteration)

    @property
    def kept_dataset(self) -> Dataset | None:
        """What the run's photos have become: the dataset after the last round that was not rolled back; None before the
        photos were observed.
        """
        kept = [dataset for number, dataset in enumerate(self.datasets, 1) if not self.dropped(number)]
        return kept[-1] if kept else self.photos

    def rolled_back(self, version: int) -> bool:
        """Whether the round that made a version was rolled back, so that it is out of the choice, however high it
        scores.
        """
        return version in out_of_choice(self.rounds)

    def remark(self, version: int) -> str:
        """What is special about a version: ``best``, ``rolled back`` (and not best), or nothing."""
        if version == self.best:
            return "best"
        return "rolled back" if self.rolled_back(version) else ""


class Compared(Protocol):
    """What tells whether a later version beats v1. Fields as in `RunRecord`."""

    @property
    def scores(self) -> tuple[PanelScore, ...]: ...
    @property
    def best(self) -> int | None: ...
    @property
    def against_v1(self) -> Mapping[str, Estimate]: ...
    def rolled_back(self, version: int) -> bool: ...


@dataclass(frozen=True)
class Versions:
    """The measured versions of a run, without all else that it left behind. Fields as in `RunRecord`."""

    scores: tuple[PanelScore, ...]
    rounds: tuple[RecordedRound, ...]
    best: int | None
    against_v1: Mapping[str, Estimate]

    def rolled_back(self, version: int) -> bool:
        return version in out_of_choice(self.rounds)


def out_of_choice(rounds: Sequence[RecordedRound]) -> frozenset[int]:
    """The versions whose round was rolled back."""
    return frozenset(entry.version for entry in rounds if entry.rolled_back)
