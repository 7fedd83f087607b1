"""Decide: go on, stop, roll back. Each rule is a small object in a list; the reason is printed and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twinloop.domain.json_fields import entry, flag, text
from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import percent, plural
from twinloop.stages.assess import compare

WATCHED = {"identity": 0.03, "diversity": 0.20, "quality": 0.03}
"""Metrics that the drift alarm watches, and the share of the old value that must be lost beside the interval.

Diversity may fall a good deal: failed images differ more from each other than good ones. A fifth is where Avrahami et
al. (The Chosen One, 2023) take a set of images as collapsed onto one."""


TRAINING_SPREAD = 0.02
"""Standard deviation, as a share of the value, of what a training with another seed changes in a metric.

Measured on the embedded base: over eight people, a second v1 moved likeness with a standard deviation of 0.014 at a
mean of 0.74 (1.9 %), the overall score with 0.010 at 0.68 (1.5 %; docs/log.md). On real bases it is not known."""


@dataclass(frozen=True)
class RoundFacts:
    """What the rules look at, of one finished round.

    Attributes:
        gaps: number found at its start. improvement: change of the overall panel score against the LoRA it started
            from, as a share of it.
        drifted: metrics that got worse beyond their interval.
        trained: whether there is a new LoRA; a round that added no image to the dataset trains none, and improves
            nothing.
    """

    iteration: int
    gaps: int
    approved: int
    total: int
    improvement: Estimate | None
    drifted: tuple[str, ...] = ()
    trained: bool = True


@dataclass(frozen=True)
class Stop:
    """That the loop ends, and why. ``converged`` tells success from a spent budget."""

    rule: str
    reason: str
    converged: bool

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "reason": self.reason, "converged": self.converged}

    @classmethod
    def from_json(cls, data: Any) -> Stop:
        """Raises ValueError where it is no such record; names the field."""
        return cls(entry(data, "rule", text), entry(data, "reason", text), entry(data, "converged", flag))


class StopRule(Protocol):
    """Looks at all finished rounds and says stop, or None."""

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None: ...


FEWEST_JUDGED = 20
"""Images of whose approval a stop may be made: of one of one, the rate says nothing."""


@dataclass(frozen=True)
class HighApproval:
    """Approval above the rate for so many rounds running, none of which was rolled back, and in which so many images
    together were judged that a rate can be told from chance.
    """

    rate: float
    rounds: int

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        last = rounds[-self.rounds :]
        if len(last) < self.rounds or any(r.drifted or r.total == 0 for r in last):
            return None
        if sum(r.total for r in last) < FEWEST_JUDGED:
            return None
        if any(r.approved / r.total <= self.rate for r in last):
            return None
        return Stop("approval", f"approval above {percent(self.rate)} in {self.rounds} rounds running", True)


@dataclass(frozen=True)
class SmallImprovement:
    """Improvement under the threshold and that cannot be told from zero (its interval reaches zero or lies below), so
    many rounds running.

    A round with a drift alarm does not count: it was rolled back, and `Drifting` judges it.
    """

    threshold: float
    patience: int

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        last = rounds[-self.patience :]
        if len(last) < self.patience or not all(self._small(r) for r in last):
            return None
        gain = last[-1].improvement
        if gain is None:
            return Stop(
                "improvement", "no image of the last round joined the dataset, so there is no new LoRA to compare", True
            )
        told = "cannot be told from zero"
        if gain.high < 0:
            worse = beyond_a_seed(gain, 1.0).high < 0
            told = "the last round made it worse" if worse else "another training seed alone could have lowered it so"
        asked = percent(self.threshold)
        few = f"; too few images to rule out a gain of {asked}: panel.images" if gain.high >= self.threshold else ""
        return Stop(
            "improvement",
            f"improvement {gain.value:.1%} is below the {asked} threshold, and {told} (95% interval"
            f" {gain.low:.1%} to {gain.high:.1%}, n={gain.n}{few})",
            True,
        )

    def _small(self, facts: RoundFacts) -> bool:
        gain = facts.improvement
        if not facts.trained:
            return True
        return gain is not None and not facts.drifted and gain.value < self.threshold and gain.low <= 0.0


@dataclass(frozen=True)
class Drifting:
    """Worse beyond the interval in so many rounds running, each rolled back: more of the same will not help."""

    rounds: int

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        last = rounds[-self.rounds :]
        if len(last) < self.rounds or not all(r.drifted for r in last):
            return None
        return Stop(
            "drift",
            f"{', '.join(last[-1].drifted)} got worse in {self.rounds} rounds running; the best earlier LoRA stays",
            False,
        )


NOTHING_APPROVED = "nothing_approved"
"""Rule of `NothingApproved`."""
NONE_APPROVED = "no image of this round was approved"


@dataclass(frozen=True)
class NothingApproved:
    """A round without one approved image leaves the dataset as it was."""

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        last = rounds[-1]
        if last.total and not last.approved:
            return Stop(
                NOTHING_APPROVED,
                f"{NONE_APPROVED}; report.html says what stood in the way",
                False,
            )
        return None


@dataclass(frozen=True)
class Budget:
    """The rounds that were asked for are used up."""

    iterations: int

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        if len(rounds) < self.iterations:
            return None
        return Stop("budget", f"{plural(len(rounds), 'iteration')} done (max_iterations)", False)


FULL = "full"
"""Rule of `Full`."""


@dataclass(frozen=True)
class Full:
    """The dataset takes no more generated images, so that another round's, or the first one's, could not join.

    ``room``: how many it takes. ``share``: the most that generated images may be of all.
    """

    room: int
    share: float

    def __call__(self, rounds: Sequence[RoundFacts]) -> Stop | None:
        if self.room:
            return None
        remedy = "; more real photos make room" if self.share else ""
        return Stop(
            FULL,
            f"the dataset holds as many generated images as merge.max_synthetic_share ({percent(self.share)}) allows,"
            f" so those of {'another' if rounds else 'a'} round could not join{remedy}",
            False,
        )


NO_GAPS = Stop("no_gaps", "gap count is 0: every facet value has its share", True)


def no_gaps(unmeasured: Mapping[str, str], measured: int) -> Stop:
    """The end of a run whose dataset has no gap in what could be measured.

    Args:
        unmeasured: what is wanted and was not measured, with the reason. measured: how many facets were. It is no
            success where most of what is wanted was not.
    """
    if not unmeasured:
        return NO_GAPS
    told = "; ".join(f"{name} ({why})" for name, why in unmeasured.items())
    return Stop(NO_GAPS.rule, f"gap count is 0 in what was measured; not measured: {told}", measured >= len(unmeasured))


def decide(rounds: Sequence[RoundFacts], rules: Sequence[StopRule]) -> Stop | None:
    """The first rule that says stop."""
    return next((stop for stop in (rule(rounds) for rule in rules) if stop is not None), None)


def decide_again(stop: Stop, rounds: Sequence[RoundFacts], rules: Sequence[StopRule]) -> Stop | None:
    """Of rounds after which a run had ended: as it was decided then, where that rule says stop today, too; else as
    `decide`.
    """
    found = [again for rule in rules if (again := rule(rounds)) is not None]
    if any(again.rule == stop.rule for again in found):
        return stop
    return found[0] if found else None


def improvement(before: PanelScore, after: PanelScore) -> Estimate | None:
    """Relative change of the overall score, paired over the panel, with its interval."""
    change = compare(before, after)
    base = before.metrics["overall"].value if "overall" in before.metrics else 0.0
    if change is None or base <= 0:
        return None
    return Estimate(change.value / base, change.low / base, change.high / base, change.n)


def beyond_a_seed(change: Estimate, before: float) -> Estimate:
    """A change from one LoRA to another, with an interval that covers what another training seed would have given, too.

    Args:
        before: the value that it is the change of.
    """
    return change.moved_by(TRAINING_SPREAD * before)


def drift(before: PanelScore, after: PanelScore) -> tuple[str, ...]:
    """Watched metrics that are worse beyond chance, and by more than their share of the old value.

    Chance is which images the panel asks for, and what another training seed would have given: the interval of the
    paired change, widened by `TRAINING_SPREAD`, lies below zero as a whole.
    """
    worse = []
    for metric, share in WATCHED.items():
        change = compare(before, after, metric)
        if change is None:
            continue
        old = before.metrics[metric].value
        if beyond_a_seed(change, old).high < 0 and -change.value > share * old:
            worse.append(metric)
    return tuple(worse)


def best(scores: Sequence[PanelScore]) -> PanelScore:
    """The version with the highest overall score; the earlier one where they are equal."""
    return max(scores, key=lambda score: (score.metrics["overall"].value, -score.version))
