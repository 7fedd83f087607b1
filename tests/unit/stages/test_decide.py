"""Every stop rule: when it speaks, when it is silent, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.unit.things import score
from twinloop.domain.statistics import Estimate
from twinloop.stages.assess import compare
from twinloop.stages.decide import (
    NO_GAPS,
    Budget,
    Drifting,
    Full,
    HighApproval,
    NothingApproved,
    RoundFacts,
    SmallImprovement,
    Stop,
    best,
    decide,
    decide_again,
    drift,
    improvement,
)


def gain(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 24)


def facts(
    approved: int = 8,
    total: int = 10,
    better: Estimate | None = None,
    drifted: tuple[str, ...] = (),
    iteration: int = 1,
) -> RoundFacts:
    return RoundFacts(iteration, 3, approved, total, better, drifted)


def test_high_approval_twice_running() -> None:
    rule = HighApproval(0.9, 2)
    high, exactly, low = facts(10, 10), facts(9, 10), facts(8, 10)
    assert rule([high]) is None
    assert rule([low, high]) is None
    assert rule([high, exactly]) is None, "above 90 %, not at 90 %"
    assert rule([high, facts(0, 0)]) is None, "a round without images approves nothing"
    assert rule([high, facts(10, 10, drifted=("identity",))]) is None, "a round that was rolled back is no success"
    assert rule([high, facts(9, 9)]) is None, "so few images say nothing of a rate"
    decision = rule([low, high, high])
    assert decision is not None and decision.converged and decision.reason == "approval above 90% in 2 rounds running"


@pytest.mark.parametrize(
    ("better", "stops"),
    [
        (gain(0.042, -0.01, 0.09), True),
        (gain(0.042, 0.01, 0.07), False),  # small, but surely there
        (gain(0.06, -0.01, 0.13), False),  # unsure, but not small
        (gain(0.05, -0.01, 0.11), False),  # at the threshold is not below it
        (gain(-0.02, -0.05, 0.01), True),
        (gain(0.0, 0.0, 0.0), True),
        (None, False),
    ],
)
def test_small_improvement_must_also_be_within_its_interval(better: Estimate | None, stops: bool) -> None:
    decision = SmallImprovement(0.05, 1)([facts(better=better)])
    assert (decision is not None) is stops
    if decision is not None:
        assert decision.converged and "below the 5% threshold" in decision.reason


def test_a_round_that_made_it_worse_is_not_called_unchanged() -> None:
    decision = SmallImprovement(0.05, 1)([facts(better=gain(-0.10, -0.15, -0.05))])
    assert decision is not None
    assert "made it worse" in decision.reason and "not to be told" not in decision.reason
    by_seed = SmallImprovement(0.05, 1)([facts(better=gain(-0.03, -0.035, -0.025))])
    assert by_seed is not None and "another training seed alone could have lowered it so" in by_seed.reason
    unchanged = SmallImprovement(0.05, 1)([facts(better=gain(0.042, -0.01, 0.09))])
    assert unchanged is not None and unchanged.reason == (
        "improvement 4.2% is below the 5% threshold, and cannot be told from zero (95% interval -1.0% to 9.0%, n=24;"
        " too few images to rule out a gain of 5%: panel.images)"
    )
    enough = SmallImprovement(0.05, 1)([facts(better=gain(0.01, -0.01, 0.03))])
    assert enough is not None and enough.reason.endswith("(95% interval -1.0% to 3.0%, n=24)")


def test_patience_counts_rounds_running() -> None:
    rule = SmallImprovement(0.05, 2)
    small, large = facts(better=gain(0.01, -0.02, 0.04)), facts(better=gain(0.2, 0.1, 0.3))
    assert rule([small]) is None
    assert rule([small, large, small]) is None
    assert rule([large, small, small]) is not None


def test_a_round_without_a_new_lora_improves_nothing() -> None:
    idle = RoundFacts(2, 3, 8, 10, None, trained=False)
    decision = SmallImprovement(0.05, 1)([idle])
    assert decision is not None and decision.rule == "improvement" and decision.converged
    assert "no new LoRA" in decision.reason
    assert SmallImprovement(0.05, 2)([facts(better=gain(0.01, -0.02, 0.04)), idle]) is not None
    assert SmallImprovement(0.05, 2)([facts(better=gain(0.2, 0.1, 0.3)), idle]) is None


def test_a_rolled_back_round_is_the_drift_rules_to_judge() -> None:
    """Otherwise the first alarm would end the run as "converged"."""
    worse = facts(better=gain(-0.1, -0.15, -0.05), drifted=("identity",))
    assert SmallImprovement(0.05, 1)([worse]) is None
    assert Drifting(2)([worse]) is None
    decision = Drifting(2)([worse, worse])
    assert (
        decision is not None and not decision.converged and "identity got worse in 2 rounds running" in decision.reason
    )
    assert Drifting(2)([worse, facts()]) is None


def test_nothing_approved() -> None:
    stop = NothingApproved()([facts(0, 10)])
    assert stop is not None and "report.html says what stood in the way" in stop.reason
    assert NothingApproved()([facts(0, 10), facts(1, 10)]) is None
    assert NothingApproved()([facts(0, 0)]) is None


def test_the_budget() -> None:
    assert Budget(2)([facts()]) is None
    decision = Budget(2)([facts(), facts()])
    assert decision is not None and not decision.converged and "2 iterations" in decision.reason


def test_a_dataset_that_takes_no_more_images() -> None:
    assert Full(1, 0.5)([]) is None and Full(1, 0.5)([facts()]) is None
    decision = Full(0, 0.5)([facts()])
    assert decision is not None and not decision.converged and "merge.max_synthetic_share (50%)" in decision.reason
    assert "those of another round could not join; more real photos make room" in decision.reason
    none = Full(0, 0.0)([])
    assert none is not None and none.reason.endswith("(0%) allows, so those of a round could not join")


def test_the_first_rule_that_speaks_decides() -> None:
    rules = (NothingApproved(), HighApproval(0.9, 1), Budget(1))
    stop = decide([facts(20, 20)], rules)
    assert stop is not None and stop == HighApproval(0.9, 1)([facts(20, 20)])
    assert decide([facts(5, 10)], rules) == Budget(1)([facts(5, 10)])
    assert decide([facts(5, 10)], rules[:2]) is None
    assert NO_GAPS.converged and "gap count is 0" in NO_GAPS.reason


def test_improvement_is_relative_and_paired() -> None:
    before, after = score(1, overall=[0.4, 0.5, 0.6]), score(2, overall=[0.5, 0.6, 0.7])
    change = improvement(before, after)
    assert change is not None
    assert (change.value, change.low, change.high, change.n) == (
        pytest.approx(0.2),
        pytest.approx(0.2),
        pytest.approx(0.2),
        3,
    )
    assert improvement(score(1, overall=[0.0, 0.0]), score(2, overall=[1.0, 1.0])) is None
    assert improvement(score(1, quality=[0.1]), score(2, overall=[1.0])) is None


def wobble(level: float, size: float = 0.01) -> list[float]:
    return [level + size * (n % 3 - 1) for n in range(24)]


@pytest.mark.parametrize(
    ("metric", "after", "alarm"),
    [
        ("identity", 0.5, True),
        ("diversity", 0.45, True),
        ("diversity", 0.5, False),
        ("quality", 0.5, True),
        ("identity", 0.595, False),
        ("on_target", 0.3, False),
        ("identity", 0.8, False),
    ],
)
def test_the_drift_alarm(metric: str, after: float, alarm: bool) -> None:
    """Worse with the whole interval, and by more than 3 % (diversity: 20 %)."""
    others: dict[str, Any] = {
        name: wobble(0.6) for name in ("identity", "diversity", "quality", "on_target", "overall")
    }
    assert drift(score(1, **others), score(2, **{**others, metric: wobble(after)})) == ((metric,) if alarm else ())


def test_what_another_training_seed_may_give_is_no_alarm() -> None:
    """A fall beyond the interval of the panel's images, which says nothing of how trainings differ."""
    before = score(1, identity=wobble(0.6, 0.0))
    for fall, alarm in ((0.0192, ()), (0.03, ("identity",))):
        after = score(2, identity=[0.6 - fall + 0.0278 * (-1) ** n for n in range(24)])
        change = compare(before, after, "identity")
        assert change is not None and change.high < 0 and change.value < -0.03 * 0.6
        assert drift(before, after) == alarm


def test_a_round_that_only_had_another_seed_is_seldom_rolled_back() -> None:
    """Trainings that differ by their seed as much as was measured: a likeness of 0.74, changed by 0.014."""
    rng, out = np.random.default_rng(5), 0
    for _ in range(200):
        images, seeds = rng.normal(0, 0.03, (2, 96)), rng.normal(0, 0.014 / 2**0.5, 2)
        before, after = ((0.74 + seed + noise).tolist() for seed, noise in zip(seeds, images, strict=True))
        out += bool(drift(score(1, identity=before), score(2, identity=after)))
    assert out / 200 <= 0.04


def test_a_metric_that_jumps_about_is_no_alarm() -> None:
    noisy = [0.1, 0.9] * 12
    assert drift(score(1, identity=wobble(0.6)), score(2, identity=noisy)) == ()


def test_the_best_version_is_not_the_last_and_the_earlier_of_equals() -> None:
    scores = [score(1, overall=[0.5]), score(2, overall=[0.7]), score(3, overall=[0.6])]
    assert best(scores).version == 2
    assert best([score(1, overall=[0.5]), score(2, overall=[0.5])]).version == 1


def test_the_record_of_a_stop_there_and_back() -> None:
    assert Stop.from_json(NO_GAPS.to_json()) == NO_GAPS
    assert NO_GAPS.to_json().keys() == {"rule", "reason", "converged"}


def test_a_run_that_had_ended_keeps_its_reason_while_that_rule_says_stop() -> None:
    two, then = [facts(), facts()], Stop("budget", "2 iterations done (max_iterations)", False)
    assert Budget(1)(two) == then and Budget(1)([facts()]) == Stop("budget", "1 iteration done (max_iterations)", False)
    earlier = Stop("approval", "approval above 70% in 2 rounds running", True)
    rules = (Budget(1), HighApproval(0.75, 2))
    assert decide_again(earlier, two, rules) == earlier, "not by another rule, nor in today's words"
    assert decide_again(earlier, two, (Budget(1), HighApproval(0.9, 2))) == then
    assert decide_again(earlier, two, (Budget(3),)) is None
