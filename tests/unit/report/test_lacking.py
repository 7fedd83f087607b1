"""The gaps of the photos, and the panel images that ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.things import gap, score, shot
from twinloop.domain.records import PanelScore
from twinloop.report.lacking import FEWEST, lacking
from twinloop.report.model import RunRecord, Survey

PROFILE, FRONT = (("face_angle", "profile"),), (("face_angle", "front"),)
ASKING = FEWEST


def lora(version: int, identity: Sequence[float], seen: Sequence[bool | None]) -> PanelScore:
    return replace(score(version, identity=identity), hits={"face_angle": list(seen)})


@pytest.fixture
def run(record: RunRecord) -> RunRecord:
    """A panel that asks for the profile as often as an interval needs, then as often for the front, which is better in
    v2 too.
    """
    panel = [shot(number, traits=PROFILE if number < ASKING else FRONT) for number in range(2 * ASKING)]
    before = lora(1, [0.5] * 2 * ASKING, [False] * ASKING + [False] * ASKING)
    after = lora(2, [0.6] * ASKING + [0.9] * ASKING, [True, *[False] * (ASKING - 1)] + [True] * ASKING)
    gaps = (gap(have=5, total=45), gap("expression", "angry", have=0, total=45))
    survey = Survey(1, 45, (), gaps, (), (), ())
    return replace(record, panel=tuple(panel), scores=(before, after), surveys=(survey,))


def test_a_gap_is_judged_by_the_images_that_ask_for_it(run: RunRecord) -> None:
    profile, _ = lacking(run, 2).rows
    assert (profile.label, profile.photos, profile.asking) == ("face angle: profile", "5 of 45", ASKING)
    assert profile.identity is not None and profile.seen is not None
    assert (profile.identity.before, profile.identity.after) == ("0.50", "0.60")
    assert profile.identity.text == "+0.100 (+0.100 to +0.100)"
    assert (profile.seen.before, profile.seen.after) == ("0.0%", "16.7%")
    assert "<svg" in profile.seen.chart


def test_what_no_prompt_asks_for_is_not_measured(run: RunRecord) -> None:
    _, angry = lacking(run, 2).rows
    assert (angry.asking, angry.seen, angry.identity) == (0, None, None)


def test_changes_beyond_their_interval_are_counted(run: RunRecord) -> None:
    found = lacking(run, 2)
    assert (found.beyond, found.figures) == (1, 2)  # identity; one hit of six may be chance
    before, after = run.scores
    worse = replace(run, scores=(replace(after, version=1), replace(before, version=2)))
    assert (lacking(worse, 2).beyond, lacking(worse, 2).figures) == (1, 2), "a loss, too"


def test_what_every_image_has_seen_alike_is_not_sure(run: RunRecord) -> None:
    before, after = (replace(score, hits={"face_angle": [True] * 2 * ASKING}) for score in run.scores)
    seen = lacking(replace(run, scores=(before, after)), 2).rows[0].seen
    assert seen is not None and seen.text == "0.0 points (\u221239.0 to +39.0)", "Wilson's for none of six"


def test_of_a_few_images_no_interval_is_shown(run: RunRecord) -> None:
    few = replace(run, panel=run.panel[1:])
    seen = lacking(few, 2).rows[0].seen
    assert seen is not None and (seen.text, seen.chart) == ("", "")
    assert lacking(few, 2).figures == 0


def test_an_image_that_one_of_both_could_not_be_measured_in_is_left_out(run: RunRecord) -> None:
    before, after = run.scores
    blind = replace(after, hits={"face_angle": [None, *after.hits["face_angle"][1:]]})
    seen = lacking(replace(run, scores=(before, blind)), 2).rows[0].seen
    assert seen is not None and (seen.before, seen.after, seen.text) == ("0.0%", "0.0%", "")


@pytest.mark.parametrize("compared", [None, 3])
def test_without_a_version_to_compare_there_is_no_table(run: RunRecord, compared: int | None) -> None:
    assert lacking(run, compared).rows == ()


def test_a_finished_run_shows_its_gaps(record: RunRecord) -> None:
    versions = [one.version for one in record.scores]
    found = lacking(record, versions[-1])
    assert len(found.rows) == len(record.surveys[0].gaps) > 2
    assert any(row.seen is not None for row in found.rows)
