"""A grade in one line."""

from __future__ import annotations

import pytest

from twinloop.stages.vault.dataset.grade import FINE, HINT, LACK, STOP, Finding, Readiness


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ((STOP, LACK, HINT, FINE), "usable: 12 photos, 2 things to improve"),
        ((LACK, FINE), "usable: 12 photos, 1 thing to improve"),
        ((HINT, FINE), "usable: 12 photos, nothing lacks"),
    ],
)
def test_the_line_counts_what_lacks_and_no_hints(levels: tuple[str, ...], text: str) -> None:
    findings = tuple(Finding(about="angle", level=level, text="what to do", have=2, of=12) for level in levels)
    assert Readiness("usable", 12, findings).text == text
