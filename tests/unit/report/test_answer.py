"""The headline never claims more than the intervals do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.things import score
from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.report.answer import Answer, answer
from twinloop.report.model import IdentityRecord, RunRecord
from twinloop.stages.decide import NothingApproved, RoundFacts, Stop

UP, DOWN, OPEN = Estimate(0.08, 0.04, 0.12, 24), Estimate(-0.08, -0.12, -0.04, 24), Estimate(0.01, -0.03, 0.05, 24)
BARELY, BARELY_DOWN = Estimate(0.08, 0.01, 0.15, 24), Estimate(-0.08, -0.15, -0.01, 24)
"""Beyond their own interval, but not once that is widened for several figures."""


def with_best(record: RunRecord, **changes: Estimate) -> RunRecord:
    return replace(record, best=2, against_v1=changes)


@pytest.mark.parametrize(
    ("on_target", "identity", "verdict", "start"),
    [
        (UP, UP, "yes", "Yes: v2 is above v1 on on-target rate and identity"),
        (UP, OPEN, "yes", "Yes: v2 is above v1 on on-target rate"),
        (OPEN, OPEN, "open", "Not shown: on on-target rate and identity"),
        (UP, DOWN, "mixed", "Only in part: v2 is above v1 on on-target rate and below it on identity"),
        (DOWN, OPEN, "no", "No: v2 is below v1 on on-target rate"),
        (Estimate(0.05, 0.0, 0.1, 24), OPEN, "open", "Not shown"),
        (
            BARELY,
            OPEN,
            "open",
            (
                "Not shown: on on-target rate the change from v1 to v2 lies beyond its own 95% interval, but it is the"
                " best of 3 later"
            ),
        ),
        (BARELY, UP, "yes", "Yes: v2 is above v1 on identity, beyond the interval."),
        (BARELY, DOWN, "no", "No: v2 is below v1 on identity, beyond the interval."),
        (BARELY_DOWN, OPEN, "open", "Not shown: on on-target rate the change from v1 to v2 lies beyond its own 95%"),
        (BARELY_DOWN, UP, "yes", "Yes: v2 is above v1 on identity, beyond the interval."),
    ],
)
def test_the_verdict_follows_the_intervals(
    on_target: Estimate, identity: Estimate, verdict: str, start: str, record: RunRecord
) -> None:
    told = answer(with_best(record, on_target=on_target, identity=identity))
    assert told.verdict == verdict
    assert told.against_v1.startswith(start)
    assert [finding.metric.name for finding in told.findings] == ["on_target", "identity"]


def test_a_yes_says_how_many_figures_could_have_given_it(record: RunRecord) -> None:
    told = answer(with_best(record, on_target=UP, identity=BARELY)).against_v1
    assert "widened for the 6 figures that could have said so" in told  # three later versions, two metrics
    assert told.endswith("On identity the two cannot be told apart.")


def test_a_gain_that_another_seed_could_give_is_not_shown(record: RunRecord) -> None:
    """However narrow the panel makes its interval: v1 has 0.8, of which two deviations are 0.031."""
    level = {"on_target": Estimate(0.8, 0.78, 0.82, 96), "identity": Estimate(0.8, 0.78, 0.82, 96)}
    scores = (replace(record.scores[0], metrics=level), *record.scores[1:2])
    small, large = Estimate(0.025, 0.02, 0.03, 96), Estimate(0.06, 0.05, 0.07, 96)
    told = answer(replace(with_best(record, on_target=small, identity=OPEN), scores=scores))
    assert told.verdict == "open" and told.against_v1 == (
        "Not shown: v2 is above v1 on on-target rate, beyond the interval, but another training seed alone could give"
        " as much (by what was measured on the embedded base). The interval is widened for the 2 figures that could"
        " have said so (Bonferroni). On identity the two cannot be told apart."
    )
    assert told.findings[0].result == "better", "the charts keep to the panel"
    both = answer(replace(with_best(record, on_target=small, identity=large), scores=scores))
    assert both.verdict == "yes" and both.against_v1.startswith("Yes: v2 is above v1 on identity, beyond the interval.")
    assert both.against_v1.endswith(" On on-target rate another training seed alone could give as much.")
    worse = answer(replace(with_best(record, on_target=small, identity=DOWN), scores=scores))
    assert worse.verdict == "no" and worse.against_v1.startswith("No: v2 is below v1 on identity, beyond the interval.")
    assert worse.against_v1.endswith(" On on-target rate another training seed alone could give as much.")


def test_a_loss_that_another_seed_could_give_is_no_no(record: RunRecord) -> None:
    """By the same rule as a gain, of the same sizes."""
    level = {name: Estimate(0.8, 0.78, 0.82, 96) for name in ("on_target", "identity", "quality")}
    scores = (replace(record.scores[0], metrics=level), *record.scores[1:2])
    small, large = Estimate(-0.025, -0.03, -0.02, 96), Estimate(-0.06, -0.07, -0.05, 96)
    told = answer(replace(with_best(record, on_target=small, identity=OPEN), scores=scores))
    assert told.verdict == "open" and told.against_v1 == (
        "Not shown: v2 is below v1 on on-target rate, beyond the interval, but another training seed alone could give"
        " as much (by what was measured on the embedded base). The interval is widened for the 2 figures that could"
        " have said so (Bonferroni). On identity the two cannot be told apart."
    )
    assert told.findings[0].result == "worse", "the charts keep to the panel"
    shown = answer(replace(with_best(record, on_target=large, identity=OPEN), scores=scores))
    assert shown.verdict == "no" and shown.against_v1.startswith("No: v2 is below v1 on on-target rate, beyond")
    beside = answer(replace(with_best(record, on_target=small, identity=UP), scores=scores))
    assert beside.verdict == "yes", "a loss that says nothing takes nothing from a gain"
    assert beside.against_v1.endswith(
        " On on-target rate it is below v1, but another training seed alone could give as much."
    )
    both = answer(replace(with_best(record, on_target=small, identity=Estimate(0.025, 0.02, 0.03, 96)), scores=scores))
    assert both.against_v1.startswith("Not shown: v2 is above v1 on identity and below it on on-target rate, beyond")
    seed = " Another training seed alone could give as much."
    for change, ends in ((small, seed), (large, "n = 96).")):
        told = answer(replace(with_best(record, on_target=UP, quality=change), scores=scores))
        (lower,) = (caution for caution in told.cautions if "is lower than v1's" in caution)
        assert lower.endswith(ends)


def test_where_v1_stays_it_is_said_what_was_measured(record: RunRecord) -> None:
    scores = (score(1, overall=[0.8, 0.7] * 12), score(2, overall=[0.6, 0.85] * 12))
    told = answer(replace(record, best=1, against_v1={}, scores=scores, rounds=())).against_v1
    assert "did not make the LoRA better: from v1 to v2 the overall score changed by \u22120.025 (95% interval" in told
    assert told.endswith(", n = 24), so it may be chance.")
    for later, ends in ((0.79, ", n = 24), which another training seed alone could give."), (0.7, ", n = 24).")):
        told = answer(replace(record, best=1, against_v1={}, scores=(overall(1, 0.8), overall(2, later)), rounds=()))
        assert told.against_v1.endswith(ends)


def test_one_version_and_one_metric_are_no_choice(record: RunRecord) -> None:
    alone = replace(with_best(record, on_target=BARELY), scores=record.scores[:2])
    assert answer(alone).against_v1 == "Yes: v2 is above v1 on on-target rate, beyond the interval."


def test_a_gain_in_the_other_metrics_alone_is_not_better(record: RunRecord) -> None:
    assert answer(with_best(record, quality=UP, overall=UP)).verdict == "none"


def test_figures_are_shown_with_interval_and_n(record: RunRecord) -> None:
    told = answer(with_best(record, on_target=UP, identity=DOWN))
    assert [finding.text for finding in told.findings] == [
        "+8.0 points (95% interval +4.0 to +12.0, n = 24)",
        "\u22120.080 (95% interval \u22120.120 to \u22120.040, n = 24)",
    ]


def test_v1_as_the_best_is_said_plainly_and_held_against_the_best_later_one(record: RunRecord) -> None:
    told = answer(replace(record, best=1, against_v1={}))
    assert told.use == "Use LoRA v1"
    assert told.against_v1.startswith("No: none of the 3 later versions")
    later = max(record.scores[1:], key=lambda score: (score.metrics["overall"].value, -score.version))
    assert told.compared == later.version
    assert len(told.findings) == 5


def test_a_single_later_version_is_called_one(record: RunRecord) -> None:
    told = answer(replace(record, best=1, against_v1={}, scores=record.scores[:2]))
    assert told.against_v1.startswith("No: the one later version does not have a higher overall score than v1.")


def test_a_panel_of_another_size_is_not_compared(record: RunRecord) -> None:
    shorter = [
        PanelScore(s.version, s.metrics, {name: values[:-1] for name, values in s.samples.items()})
        for s in record.scores[1:]
    ]
    assert answer(replace(record, best=1, against_v1={}, scores=(record.scores[0], *shorter))).findings == ()


def test_before_anything_is_recorded_the_samples_decide(record: RunRecord) -> None:
    recorded = answer(record)
    told = answer(replace(record, stop=None, rounds=(), against_v1={}))
    assert record.best is not None
    assert record.best > 1
    assert told.compared == record.best
    outcomes = [[(finding.metric.name, finding.result) for finding in each.findings] for each in (told, recorded)]
    assert outcomes[0] == outcomes[1] != []
    assert told.verdict == recorded.verdict


def test_why_it_stopped(record: RunRecord) -> None:
    converged = answer(replace(record, stop=Stop("no_gaps", "gap count is 0", True), gaps_left=0))
    assert converged.stop == "The loop converged: gap count is 0. 0 gaps left."
    assert "without converging" in answer(record).stop


def test_an_unfinished_run_gives_no_final_answer(record: RunRecord) -> None:
    told = answer(replace(record, stop=None))
    assert (told.finished, told.file) == (False, f"lora_v{record.best}.safetensors")
    assert "not finished (3 rounds finished)" in told.stop
    empty = answer(
        replace(
            record,
            stop=None,
            best=None,
            rounds=(),
            scores=(),
            surveys=(),
            verdicts=(),
            photos=None,
            loras=(),
            against_v1={},
        )
    )
    assert empty.use == "No LoRA has been measured yet"
    assert "no photo is observed yet" in empty.stop
    assert empty.verdict == "none"


def test_cautions(record: RunRecord) -> None:
    rolled_back = replace(record.rounds[0], version=2, rolled_back=True, drifted=("diversity",))
    blind = tuple(replace(s, metrics={k: v for k, v in s.metrics.items() if k != "identity"}) for s in record.scores)
    unknown = IdentityRecord(0, frozenset(), {}, None, None, "no identity embedder")
    run = replace(
        with_best(record, on_target=UP, diversity=DOWN), rounds=(rolled_back,), scores=blind, identity=unknown
    )
    told = answer(run)
    text = "\n".join(told.cautions)
    assert "Diversity is lower than v1's" in text
    assert "Round 1, which made v2, was rolled back because of diversity" in text
    assert "Identity was not measured: no identity embedder." in text
    assert "The panel has only 4 images" in text


def test_only_a_loss_beyond_its_interval_is_called_lower(record: RunRecord) -> None:
    """And only a version that scores higher than the best one is said to."""
    told = "\n".join(answer(with_best(record, on_target=UP, quality=OPEN, diversity=OPEN)).cautions)
    assert "lower than v1's" not in told

    def out(overall: float) -> str:
        scores = (score(1, overall=[0.5] * 20), score(2, overall=[0.6] * 20), score(3, overall=[overall] * 20))
        rolled_back = replace(record.rounds[1], version=3, rolled_back=True, drifted=("diversity",))
        return "\n".join(answer(replace(record, best=2, scores=scores, rounds=(rolled_back,))).cautions)

    assert "v3 has a higher overall score than v2 (0.700 against 0.600)" in out(0.7)
    assert "v3" not in out(0.55)


def test_what_there_is_to_say_of_the_face_quality(record: RunRecord) -> None:
    def told(*without: str) -> str:
        scores = [
            replace(s, metrics={k: v for k, v in s.metrics.items() if k not in without})
            for s in (
                score(1, overall=[0.5] * 20, quality=[0.5] * 20),
                score(2, overall=[0.5] * 20, quality=[0.5] * 20),
            )
        ]
        return "\n".join(answer(replace(record, scores=tuple(scores))).cautions)

    assert "Face quality" not in told()
    assert "Face quality is no part of the overall score: the detectors do not measure it" in told("quality")


def overall(version: int, value: float) -> PanelScore:
    return score(version, overall=[value] * 24)


def rolled_back(record: RunRecord, *versions: int) -> RunRecord:
    """v1 at 0.81 and two later versions at 0.86, some of them of rounds in which identity fell."""
    rounds = [
        replace(
            record.rounds[0],
            iteration=version - 1,
            version=version,
            rolled_back=out,
            drifted=("identity",) if out else (),
        )
        for version, out in ((version, version in versions) for version in (2, 3))
    ]
    scores = (overall(1, 0.81), overall(2, 0.86), overall(3, 0.86))
    return replace(record, best=1, against_v1={}, scores=scores, rounds=tuple(rounds))


def test_versions_that_scored_higher_but_were_rolled_back_are_not_called_lower(record: RunRecord) -> None:
    told = answer(rolled_back(record, 2, 3))
    assert told.verdict == "no"
    assert told.against_v1 == (
        "No: v2 and v3 were rolled back, so v1 stays (from v1 to v2 the overall score changed by +0.050 (95% interval"
        " +0.050 to +0.050, n = 24))."
    )
    higher = (
        "v2 has a higher overall score than v1 (0.860 against 0.810), but its round was rolled back because of identity"
    )
    assert any(caution.startswith(higher) for caution in told.cautions)


def test_only_kept_versions_are_counted_as_no_better(record: RunRecord) -> None:
    run = rolled_back(record, 3)
    told = answer(replace(run, scores=(run.scores[0], overall(2, 0.80), run.scores[2])))
    assert told.against_v1.startswith(
        "No: the one later version that was kept does not have a higher overall score than v1 (v3 was rolled back)."
    )
    assert told.compared == 2, "a version that is out of the choice is not the best later one"


def test_what_a_person_picked_is_the_version_to_use(record: RunRecord) -> None:
    run = replace(record, best=3, picked=1)
    told = answer(run)
    assert told.use == "Picked by a person: v1 (v3 measured best)"
    assert (told.file, told.copy_of) == ("lora.safetensors", 1)
    assert answer(replace(run, picked=3)).use == "Picked by a person: v3 (measured best, too)"
    assert (answer(replace(run, picked=None)).use, answer(replace(run, picked=None)).copy_of) == ("Use LoRA v3", 3)
    going_on = answer(replace(run, stop=None))
    assert (going_on.use, going_on.file) == ("Picked by a person: v1 (v3 measured best so far)", "lora.safetensors")


def test_a_picked_version_that_was_rolled_back_is_said_to_be(record: RunRecord) -> None:
    told = answer(replace(rolled_back(record, 2, 3), picked=2))
    assert any(
        caution.startswith("Round 1, which made v2, was rolled back because of identity") for caution in told.cautions
    )


def test_a_first_lora_that_is_not_measured_yet_is_said_to_be_there(record: RunRecord) -> None:
    start = replace(record, stop=None, best=None, rounds=(), scores=(), surveys=(), verdicts=(), against_v1={})
    assert "v1 is trained, not measured yet" in answer(start).stop
    given = replace(start, loras=(replace(record.loras[0], preset="given"),))
    assert "v1 is given, not measured yet" in answer(given).stop
    assert "the photos are selected" in answer(replace(start, loras=())).stop


def test_an_interval_that_ends_at_zero_is_open(record: RunRecord) -> None:
    ends = {"on_target": Estimate(0.05, 0.0, 0.1, 24), "identity": Estimate(-0.05, -0.1, 0.0, 24)}
    assert [finding.result for finding in answer(with_best(record, **ends)).findings] == ["open", "open"]


def test_where_v1_is_used_nothing_is_cautioned_of_a_later_one(record: RunRecord) -> None:
    scores = (score(1, overall=[0.8] * 24, diversity=[0.8] * 24), score(2, overall=[0.7] * 24, diversity=[0.3] * 24))
    told = answer(replace(record, best=1, against_v1={}, scores=scores, rounds=()))
    assert told.compared == 2 and not any("lower than v1's" in caution for caution in told.cautions)


def test_the_best_on_record_is_held_against_v1(record: RunRecord) -> None:
    """Also where another version would be the best by today's rules."""
    run = replace(rolled_back(record), best=2, scores=(overall(1, 0.5), overall(2, 0.6), overall(3, 0.9)))
    assert answer(run).compared == 2


def test_a_panel_without_faces_is_no_likeness_of_zero(record: RunRecord) -> None:
    def told(*no_face: bool) -> Answer:
        first = replace(score(1, on_target=[0.0, 0.0], identity=[0.0, 0.0], overall=[0.0, 0.0]), no_face=list(no_face))
        return answer(replace(record, scores=(first,), best=1, picked=None))

    none = told(True, True)
    assert none.use == "LoRA v1 measures best, but none of its panel images shows a face"
    assert "The panel of v1: no face in 2 of 2 images; likeness was not measured." in none.cautions
    some = told(True, False)
    assert some.use == "Use LoRA v1"
    assert "The panel of v1: no face in 1 of 2 images; identity and face quality count as 0 there." in some.cautions
    assert not any("no face" in caution for caution in told().cautions)


def test_of_a_round_without_approval_the_report_itself_says_what_stood_in_the_way(record: RunRecord) -> None:
    """What is recorded sends the reader of the terminal to the report, which must not send him to itself."""
    no_face = CheckResult("one_face", Outcome.REJECTED, 0.0, "1", "no face", 0.0)
    blurred = replace(no_face, name="sharpness")
    verdicts = tuple(Verdict(f"{n}.png", "0", "face_angle", "front", (no_face, blurred)[: 2 - n]) for n in range(2))
    stop = NothingApproved()([RoundFacts(1, 3, 0, 2, None)])
    assert stop is not None
    told = answer(replace(record, verdicts=(verdicts,), stop=stop)).stop
    assert "no image of this round was approved; why rejected: no face 2, blurred 1." in told and "report" not in told
