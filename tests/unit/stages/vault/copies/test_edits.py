"""What the user says of duplicates wins, is remembered, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.copies.makers import picture, save, vault_of
from tests.unit.things import Recording
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.copies.dedup import DedupOptions, current, dedup
from twinloop.stages.vault.copies.edits import distinct, keep
from twinloop.stages.vault.copies.record import dropped
from twinloop.stages.vault.opened import OpenVault


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenVault]:
    """``a.jpg`` is the best of three copies; ``b.jpg`` lies there twice; ``d.jpg`` is another picture."""
    shot = picture(1)
    smaller = save(shot.resize((240, 180), Image.Resampling.LANCZOS), tmp_path / "b.jpg")
    files = [
        save(shot, tmp_path / "a.jpg", 95),
        smaller,
        save(ImageEnhance.Brightness(shot).enhance(1.1), tmp_path / "c.jpg", 50),
        save(picture(2), tmp_path / "d.jpg"),
    ]
    (tmp_path / "b2.jpg").write_bytes(smaller.read_bytes())
    with vault_of(tmp_path / "vault", [*files, tmp_path / "b2.jpg"]) as opened:
        dedup(opened, DedupOptions(), Recording())
        yield opened


def near(opened: OpenVault) -> list[list[str]]:
    found = current(opened, Recording())
    return [[Path(file.path).name for file in group.files] for group in found.of_kind("near")]


def path(opened: OpenVault, name: str) -> Path:
    return opened.vault.root.parent / name


def test_keep_puts_a_photo_first_until_it_is_undone(opened: OpenVault) -> None:
    before = opened.vault.duplicates.read_bytes()
    assert near(opened) == [["a.jpg", "c.jpg", "b.jpg", "b2.jpg"]]
    made = keep(opened, current(opened, Recording()), path(opened, "c.jpg"))
    assert near(opened) == [["c.jpg", "a.jpg", "b.jpg", "b2.jpg"]]
    found = current(opened, Recording())
    assert found.of_kind("near")[0].files[0].reason == "you chose it"
    assert made.data["instead_of"] in dropped(found)
    keep(opened, found, path(opened, "b2.jpg"))
    assert near(opened)[0][:2] == ["b.jpg", "b2.jpg"], "the latest wish counts"
    opened.decisions.undo()
    assert near(opened)[0][0] == "c.jpg"
    opened.decisions.undo()
    assert near(opened)[0][0] == "a.jpg"
    assert opened.vault.duplicates.read_bytes() == before


def test_distinct_photos_leave_the_group_until_it_is_undone(opened: OpenVault) -> None:
    distinct(opened, [path(opened, "a.jpg"), path(opened, "c.jpg")])
    assert near(opened) == [["a.jpg", "b.jpg", "b2.jpg"]]
    distinct(opened, [path(opened, "a.jpg"), path(opened, "b.jpg"), path(opened, "c.jpg")])
    assert near(opened) == []
    opened.decisions.undo()
    opened.decisions.undo()
    assert near(opened) == [["a.jpg", "c.jpg", "b.jpg", "b2.jpg"]]


def test_nothing_to_decide(opened: OpenVault) -> None:
    found = current(opened, Recording())
    for name, complaint in (("a.jpg", "kept already"), ("d.jpg", "in no group")):
        with pytest.raises(NothingToDo, match=complaint):
            keep(opened, found, path(opened, name))
    keep(opened, found, path(opened, "b.jpg"))
    with pytest.raises(NothingToDo, match="the same bytes as a file that is kept"):
        keep(opened, current(opened, Recording()), path(opened, "b2.jpg"))
    assert len(opened.decisions.active()) == 1


def test_files_that_cannot_be_decided_about(opened: OpenVault) -> None:
    with pytest.raises(InputError, match="not a photo of this vault"):
        keep(opened, current(opened, Recording()), path(opened, "nowhere.jpg"))
    with pytest.raises(InputError, match="at least two"):
        distinct(opened, [path(opened, "a.jpg"), path(opened, "a.jpg")])
    with pytest.raises(InputError, match="same bytes"):
        distinct(opened, [path(opened, "b.jpg"), path(opened, "b2.jpg")])
    assert opened.decisions.all() == []


def test_what_was_said_of_a_raw_photo_holds_for_the_jpeg_beside_it(opened: OpenVault) -> None:
    (group,) = current(opened, Recording()).of_kind("near")
    photos = {Path(file.path).name: file.sha256 for file in group.files}
    opened.decisions.add("keep", {"sha256": "raw of c", "instead_of": photos["a.jpg"]})
    opened.decisions.add("distinct", {"photos": ["raw of c", photos["b.jpg"]]})
    assert near(opened) == [["a.jpg", "c.jpg", "b.jpg", "b2.jpg"]]
    note_same_shot(opened.vault.same_shot, "raw of c", photos["c.jpg"])
    del opened.decisions.same_shot  # another command reads it anew
    assert near(opened) == [["c.jpg", "a.jpg"]]
