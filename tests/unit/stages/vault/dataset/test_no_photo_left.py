"""A training set of which no photo can be read any more: its pictures stay, and what can be done is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Label, Person
from twinloop.errors import NothingToDo
from twinloop.stages.vault.dataset.by_hand import prepared_record, say
from twinloop.stages.vault.dataset.caption import Captioning, caption
from twinloop.stages.vault.dataset.prep import Prepared, PrepOptions, prep
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.vault.listing import Listing
from twinloop.system import shell

LABEL = Label("p001", "ohwx", "woman")


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[tuple[OpenVault, Person]]:
    with fake_vault(tmp_path, 4) as found:
        yield found


def work(vault: tuple[OpenVault, Person]) -> Captioning:
    return work_on(*vault, LABEL)


def prepare(vault: tuple[OpenVault, Person], layout: str = "flat") -> Prepared:
    return prep(vault[0], work(vault), PrepOptions(layout=layout), Recording())


@pytest.mark.parametrize("is_known", [True, False])
def test_pictures_go_into_another_layout_when_all_photos_are_away_or_deleted(
    vault: tuple[OpenVault, Person], tmp_path: Path, is_known: bool
) -> None:
    opened, person = vault
    prepare(vault)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    if not is_known:
        Listing(opened.catalog).forget_folder(tmp_path / "photos", ())
    for layout in ("kohya", "kohya"):
        found = prepare(vault, layout)
        assert len(found.carried) + len(found.files) == 4 and found.kept == ()
        assert len(list(found.folder.glob("*/*.png"))) == 4 == len(list(found.folder.rglob("*.png")))
    assert len(prepared_record(opened, person)["pictures"]) == 4
    if not is_known:
        assert {finding.about for finding in found.readiness.findings} == {"photos"}
        with pytest.raises(NothingToDo, match="is there any more"):
            caption(opened, work(vault), Recording())
    say(opened, person, "exclude", [key.sha256 for key in person.faces])
    with pytest.raises(NothingToDo):
        prepare(vault)


def test_where_nothing_is_left_it_is_said_what_can_be_done(vault: tuple[OpenVault, Person], tmp_path: Path) -> None:
    opened, person = vault
    photos = tmp_path / "photos"
    photos.rename(tmp_path / "elsewhere")
    photos.mkdir()
    (photos / "notes.txt").touch()
    vault = dataclasses.replace(opened, record=dataclasses.replace(opened.record, folders=(str(photos),))), person
    with pytest.raises(NothingToDo, match=r"can be read\. Scan again: "):
        prepare(vault)
    (photos / "notes.txt").unlink()
    with pytest.raises(NothingToDo) as told:
        prepare(vault)
    command = opened.vault.command(f"scan --remove {shell.quote(str(photos))}")
    assert f"{photos} is not there: connect the disk, or take it out: {command}" in str(told.value)
