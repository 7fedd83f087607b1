"""The curves of a run's figures."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.things import score
from twinloop.report.model import RunRecord
from twinloop.report.trends import metric_curves


def test_likeness_that_no_face_gave_is_no_point_of_a_curve(record: RunRecord) -> None:
    figures = {"on_target": [0.0, 1.0], "identity": [0.0, 0.0], "quality": [0.0, 0.0], "overall": [0.0, 0.3]}
    faceless = replace(score(1, **figures), no_face=[True, True])
    sound = score(2, **{**figures, "identity": [0.5, 0.6]})

    def drawn(run: RunRecord) -> dict[str, list[str]]:
        return {curve.title: [row[0] for row in curve.rows] for curve in metric_curves(run)}

    assert drawn(replace(record, scores=(faceless,))) == {"On-target rate": ["v1"], "Overall score": ["v1"]}
    both = drawn(replace(record, scores=(faceless, sound)))
    assert both["Identity"] == ["v2"] and both["Overall score"] == ["v1", "v2"]
