"""What the user says of duplicates wins, is remembered, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from tests.unit.stages.vault.duplicate_makers import picture, save, vault_of
from tests.unit.things import Silent
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.vault.dedup import DedupOptions, current, dedup
from twinloop.stages.vault.duplicate_decisions import distinct, keep
from twinloop.stages.vault.duplicates import dropped
from twinloop.stages.vault.opened import OpenVault


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[OpenVault]:
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
        dedup(opened, DedupOptions(), Silent())
        yield opened


def near(vault: OpenVault) -> list[list[str]]:
    found = current(vault, Silent())
    return [[Path(file.path).name for file in group.files] for group in found.of_kind("near")]


def path(vault: OpenVault, name: str) -> Path:
    return vault.vault.root.parent / name


def test_keep_puts_a_photo_first_until_it_is_undone(vault: OpenVault) -> None:
    before = vault.vault.duplicates.read_bytes()
    assert near(vault) == [["a.jpg", "c.jpg", "b.jpg", "b2.jpg"]]
    made = keep(vault, current(vault, Silent()), path(vault, "c.jpg"))
    assert near(vault) == [["c.jpg", "a.jpg", "b.jpg", "b2.jpg"]]
    found = current(vault, Silent())
    assert found.of_kind("near")[0].files[0].reason == "you chose it"
    assert made.data["instead_of"] in dropped(found)
    keep(vault, found, path(vault, "b2.jpg"))
    assert near(vault)[0][:2] == ["b.jpg", "b2.jpg"], "the latest wish counts"
    vault.decisions.undo()
    assert near(vault)[0][0] == "c.jpg"
    vault.decisions.undo()
    assert near(vault)[0][0] == "a.jpg"
    assert vault.vault.duplicates.read_bytes() == before


def test_distinct_photos_leave_the_group_until_it_is_undone(vault: OpenVault) -> None:
    distinct(vault, [path(vault, "a.jpg"), path(vault, "c.jpg")])
    assert near(vault) == [["a.jpg", "b.jpg", "b2.jpg"]]
    distinct(vault, [path(vault, "a.jpg"), path(vault, "b.jpg"), path(vault, "c.jpg")])
    assert near(vault) == []
    vault.decisions.undo()
    vault.decisions.undo()
    assert near(vault) == [["a.jpg", "c.jpg", "b.jpg", "b2.jpg"]]


def test_nothing_to_decide(vault: OpenVault) -> None:
    found = current(vault, Silent())
    for name, complaint in (("a.jpg", "kept already"), ("d.jpg", "in no group")):
        with pytest.raises(NothingToDo, match=complaint):
            keep(vault, found, path(vault, name))
    keep(vault, found, path(vault, "b.jpg"))
    with pytest.raises(NothingToDo, match="the same bytes as a file that is kept"):
        keep(vault, current(vault, Silent()), path(vault, "b2.jpg"))
    assert len(vault.decisions.active()) == 1


def test_files_that_cannot_be_decided_about(vault: OpenVault) -> None:
    with pytest.raises(InputError, match="not a photo of this vault"):
        keep(vault, current(vault, Silent()), path(vault, "nowhere.jpg"))
    with pytest.raises(InputError, match="at least two"):
        distinct(vault, [path(vault, "a.jpg"), path(vault, "a.jpg")])
    with pytest.raises(InputError, match="same bytes"):
        distinct(vault, [path(vault, "b.jpg"), path(vault, "b2.jpg")])
    assert vault.decisions.all() == []
