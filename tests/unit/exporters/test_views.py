"""Head pictures that go together: one size for all, and none enlarged beyond the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.exporters.makers import candidate
from tests.unit.things import Recording
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.faces import Box
from twinloop.exporters.candidates import gather
from twinloop.exporters.slots import angle_slots
from twinloop.exporters.views import HEAD_WINDOW, LARGEST_SCALE, cells, common_side, make_views
from twinloop.facets import BUILTIN
from twinloop.stages.observe import Observer
from twinloop.store.run.catalog import Catalog

SMALL, LARGE = candidate(box=Box(200, 150, 300, 270)), candidate(box=Box(200, 150, 400, 400))


def test_the_smallest_head_sets_the_side_of_all() -> None:
    assert common_side([LARGE], HEAD_WINDOW, 1024) == 672
    assert common_side([LARGE, SMALL], HEAD_WINDOW, 1024) == common_side([SMALL], HEAD_WINDOW, 1024) == 320
    assert 320 <= LARGEST_SCALE * HEAD_WINDOW.pixels(SMALL.head) < 336
    assert common_side([LARGE, SMALL], HEAD_WINDOW, 300) == 288, "not more than was asked for, in steps of 16"


@pytest.mark.parametrize("wanted", [256, 1024])
def test_the_photo_that_makes_them_small_is_named(tmp_path: Path, wanted: int) -> None:
    fake_photo(tmp_path / "near.png", seed=1, size=512, framing="close_up")
    fake_photo(tmp_path / "far.png", seed=2, size=512, framing="half_body", yaw=-75.0)
    with Catalog(None) as catalog:
        found = gather(tmp_path, Observer(fake_pack(), BUILTIN), catalog, Recording())
    made = make_views(angle_slots(["front", "profile_left"]), found, HEAD_WINDOW, wanted, prefer_real=True)
    assert [view.picture.size for view in made.views] == [(made.side, made.side)] * 2
    assert all(view.scale <= LARGEST_SCALE for view in made.views)
    if wanted == 256:
        assert (made.side, made.warnings) == (256, ())
    else:
        (told,) = made.warnings
        assert made.side < wanted and f"{made.side} pixels instead of 1024: the head in far.png (profile_left)" in told


def test_a_sheet_has_a_cell_for_every_slot_and_an_empty_one_says_why(tmp_path: Path) -> None:
    fake_photo(tmp_path / "front.png", seed=1, size=512, framing="close_up")
    with Catalog(None) as catalog:
        found = gather(tmp_path, Observer(fake_pack(), BUILTIN), catalog, Recording())
    slots = angle_slots(["profile_left", "front"])
    made = make_views(slots, found, HEAD_WINDOW, 256, prefer_real=True)
    empty, filled = cells(slots, made, lambda view: view.origin, lambda slot: (slot.wanted,))
    (missing,) = made.missing
    assert (filled.label, filled.lines, filled.picture) == (slots[1].label, ("real photo",), made.views[0].picture)
    assert (empty.label, empty.picture) == (slots[0].label, None)
    assert empty.lines[0] == slots[0].wanted and empty.lines[1].lower() == f"{missing.why.lower()}."
