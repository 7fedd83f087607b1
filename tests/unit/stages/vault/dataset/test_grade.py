"""A grade in one line."""

from __future__ import annotations

import pytest

from twinloop.stages.faceless import FINDING, NO_FACES
from twinloop.stages.vault.dataset.grade import FINE, HINT, LACK, STOP, Finding, Readiness


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ((STOP, LACK, HINT, FINE), "usable: 12 photos, 2 things to improve, 1 hint"),
        ((LACK, FINE), "usable: 12 photos, 1 thing to improve"),
        ((FINE,), "usable: 12 photos"),
        ((HINT, HINT), "usable: 12 photos, 2 hints"),
        ((HINT, FINE), "usable: 12 photos, 1 hint"),
    ],
)
def test_the_line_counts_what_follows_it(levels: tuple[str, ...], text: str) -> None:
    findings = tuple(Finding(about="angle", level=level, text="what to do", have=2, of=12) for level in levels)
    assert Readiness("usable", 12, findings).text == text


def test_what_a_run_without_faces_needs_is_said_behind_the_counts() -> None:
    bare = Finding(about=FINDING, level=HINT, text="set it", have=5, of=6)
    said = Readiness("ready", 6, (bare,)).text
    assert said == f"ready: 6 photos, 1 hint; no face was found in 5 of 6, so a run needs {NO_FACES}"
