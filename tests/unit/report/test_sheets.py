"""Sheets and shares: what is shown, what is cut, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.report.conftest import workspace_in
from twinloop.domain.statistics import Estimate
from twinloop.domain.verdicts import Outcome
from twinloop.report import panel, sheets
from twinloop.report.charts import Point
from twinloop.report.model import RunRecord
from twinloop.report.shares import moments, shares
from twinloop.report.thumbnails import Pictures
from twinloop.report.trends import curve_of, metric_curves, round_curves
from twinloop.report.words import METRICS
from twinloop.stages.analyze import FacetCount, ValueCount
from twinloop.store.run.catalog import Catalog


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 12))
def test_a_cut_sheet_keeps_order_and_shows_each_kind(kinds: list[str], most: int) -> None:
    items = list(enumerate(kinds))
    shown = sheets.spread(items, lambda item: item[1], most)
    assert shown == sorted(shown)
    assert len(shown) == min(most, len(items))
    if most >= 3:
        assert {kind for _, kind in shown} == set(kinds)


def test_every_image_is_on_a_sheet_or_counted_as_hidden(record: RunRecord, finished: Path) -> None:
    rounds = sheets.round_sheets(record, workspace_in(finished), Pictures(finished / "out"))
    for entry, verdicts in zip(rounds, record.verdicts, strict=True):
        assert sum(len(sheet.tiles) + sheet.hidden for sheet in entry.sheets) == len(verdicts) == entry.total
        assert all(tile.picture is not None for sheet in entry.sheets for tile in sheet.tiles)
        rejected = next(sheet for sheet in entry.sheets if sheet.outcome == "rejected")
        assert all(tile.reasons and tile.checks for tile in rejected.tiles)


def test_what_was_given_up_early_is_said_and_has_no_tile(record: RunRecord, finished: Path) -> None:
    verdicts = tuple(replace(v, early=0.6) if v.outcome is Outcome.REJECTED else v for v in record.verdicts[0])
    (entry, *_) = sheets.round_sheets(
        replace(record, verdicts=(verdicts,)), workspace_in(finished), Pictures(finished / "out")
    )
    rejected = next(sheet for sheet in entry.sheets if sheet.outcome == "rejected")
    assert rejected.total > 0 and not rejected.tiles and not rejected.hidden
    assert rejected.early.startswith(f"{rejected.total} image") and "after 60% of the steps" in rejected.early
    assert all(not sheet.early for sheet in entry.sheets if sheet is not rejected)


def test_long_runs_show_fewer_images_per_sheet(record: RunRecord, finished: Path) -> None:
    long = replace(record, verdicts=record.verdicts * 20)
    rounds = sheets.round_sheets(long, workspace_in(finished), Pictures(finished / "out"))
    assert sum(len(sheet.tiles) for entry in rounds for sheet in entry.sheets) <= sheets.ALL_SHEETS
    assert any(sheet.hidden for entry in rounds for sheet in entry.sheets)


def test_photos_are_read_once_and_only_shown_images_are_compared(
    record: RunRecord, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get = Catalog.get
    monkeypatch.setattr(Catalog, "get", lambda self, sha256, by: asked.append(sha256) or get(self, sha256, by))
    monkeypatch.setattr(sheets, "PER_SHEET", 4)
    rounds = sheets.round_sheets(record, workspace_in(finished), Pictures(finished / "out"))
    tiles = [tile for entry in rounds for sheet in entry.sheets if sheet.outcome == "approved" for tile in sheet.tiles]
    approved = [v for verdicts in record.verdicts for v in verdicts if v.outcome is Outcome.APPROVED]
    assert len(approved) > len(tiles) > 0 and all(tile.nearest is not None for tile in tiles)
    assert record.photos is not None
    assert len(asked) == len(set(asked)) == len(record.photos.real) + len(tiles)


def test_photos_say_which_are_held_out(record: RunRecord, finished: Path) -> None:
    tiles = sheets.photo_tiles(record, Pictures(finished / "out"))
    assert record.identity is not None
    assert sum(tile.note == "held out for measuring" for tile in tiles) == len(record.identity.held_out)
    assert {tile.name for tile in sheets.left_out_tiles(record, Pictures(finished / "out"))} >= {
        "broken.jpg",
        "wall.png",
    }


def test_the_panel_is_cut_to_first_best_and_latest(record: RunRecord, finished: Path) -> None:
    many = tuple(replace(record.scores[0], version=number) for number in range(1, 12))
    grid = panel.panel_grid(
        replace(record, scores=many, best=4, panel=record.panel * 10),
        workspace_in(finished),
        Pictures(finished / "out"),
    )
    assert [version for version, _ in grid.versions] == [1, 4, 8, 9, 10, 11]
    assert grid.hidden_versions == (2, 3, 5, 6, 7)
    assert (len(grid.rows), grid.hidden) == (24, 16)
    assert grid.rows[0].cells[0].picture is not None
    assert grid.rows[0].cells[5].picture is None


def test_the_panel_shows_what_a_person_picked(record: RunRecord, finished: Path) -> None:
    many = tuple(replace(record.scores[0], version=number) for number in range(1, 12))
    run = replace(record, scores=many, best=4, picked=2)
    grid = panel.panel_grid(run, workspace_in(finished), Pictures(finished / "out"))
    assert [version for version, _ in grid.versions] == [1, 2, 4, 9, 10, 11]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), max_size=5))
def test_shared_words_are_shared_by_all_and_leave_something(split: list[list[str]]) -> None:
    first, last = panel.shared_ends([", ".join(parts) for parts in split])
    assert all(first + last < len(parts) for parts in split) or not split
    assert len({tuple(parts[:first]) for parts in split}) <= 1
    assert len({tuple(parts[len(parts) - last :]) for parts in split}) <= 1


def test_shared_words_are_said_once() -> None:
    assert panel.shared_ends(["ana, front, sharp, 8k", "ana, profile, smiling, sharp, 8k"]) == (1, 2)
    assert panel.shared_ends(["ana, front"]) == (0, 0)
    assert panel.shared_ends(["ana", "ana"]) == (0, 0)


def test_not_measured_is_kept_apart(record: RunRecord) -> None:
    blind = FacetCount("lighting", (ValueCount("low_key", 0, 0, 0.1),), 0, 24, "")
    partly = FacetCount(
        "framing",
        (ValueCount("portrait", 4, 20, 0.3), ValueCount("wide", 0, 20, None), ValueCount("close_up", 0, 0, 0.1)),
        20,
        4,
        "",
    )
    why = (("lighting", "no detector for: lighting"), ("framing: close_up", "no detector for: faces"))
    last = replace(record.surveys[-1], facets=(*record.surveys[-1].facets, blind, partly), not_measured=why)
    told = shares(replace(record, surveys=(*record.surveys[:-1], last)))
    assert [(facet.title, facet.why) for facet in told.not_measured] == [
        ("Lighting", "no detector for: lighting"),
        ("Framing: close-up", "no detector for: faces"),
    ]
    framing = next(facet for facet in told.facets if facet.title == "Framing")
    assert framing.note == "Not measured on 4 of 24 images."
    assert [row.state for row in framing.rows] == ["short", "free", "unknown"]
    assert (framing.rows[2].chart, framing.rows[2].now) == ("", "not measured")
    assert "Lighting" not in [facet.title for facet in told.facets]
    assert framing.rows[0].counts == ("not measured", "not measured", "not measured", "4 of 20")


def test_moments_and_advice(record: RunRecord) -> None:
    assert moments(record) == ("round 1", "round 2", "round 3", "at the end")
    assert moments(replace(record, stop=None)) == ("round 1", "round 2", "round 3", "round 4")
    told = shares(record)
    assert len(told.advice) == record.gaps_left
    assert all("real photo" in line for line in told.advice)
    drawn = shares(replace(record, settings={**record.settings, "subject": "character"}))
    assert drawn.advice and not any("photo" in line for line in drawn.advice)
    assert shares(replace(record, surveys=())).facets == ()


def test_curves_hold_every_measurement(record: RunRecord) -> None:
    curves = metric_curves(record)
    assert [curve.title for curve in curves] == [
        "On-target rate",
        "Identity",
        "Face quality",
        "Diversity",
        "Overall score",
    ]
    assert all(len(curve.rows) == 4 for curve in curves)
    approval, gaps = round_curves(record)
    assert [(row[0], row[3]) for row in approval.rows] == [
        (f"round {entry.iteration}", str(entry.approval.n)) for entry in record.rounds
    ]
    assert [(row[1], row[3]) for row in gaps.rows] == [
        (str(len(survey.gaps)), str(survey.images)) for survey in record.surveys
    ]
    assert (len(approval.rows), len(gaps.rows)) == (3, 4)
    assert metric_curves(replace(record, scores=())) == ()
    assert round_curves(replace(record, rounds=(), surveys=())) == ()


def test_a_curve_says_an_interval_only_where_there_is_one() -> None:
    diversity = next(metric for metric in METRICS if metric.name == "diversity")
    points = [Point("0.6", Estimate(1.2, 1.2, 1.2, 2)), Point("1", Estimate(1.3, 1.1, 1.4, 3))]
    curve = curve_of(diversity, points, "Diversity", "Diversity of a", "a, by strength", "a, ")
    assert curve.rows == (("a, 0.6", "1.20", "-", "2"), ("a, 1", "1.30", "1.10 to 1.40", "3"))
    assert 'aria-label="Diversity of a: 0.6 1.20; 1 1.30 (1.10 to 1.40)"' in curve.chart
