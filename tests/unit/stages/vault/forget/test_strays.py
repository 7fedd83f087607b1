"""Pictures of a person in the training sets of others go with the person."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.unit.stages.vault.dataset.preparing import lose, prepare
from tests.unit.stages.vault.makers import clustered, fake_vault
from twinloop.domain.vault import FaceKey
from twinloop.stages.vault.forget import strays
from twinloop.stages.vault.forget.strays import Strays, strays_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.people.record import people_of, write_people
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.masks import MaskOrigin, mask_png


def given(opened: OpenVault, faces: Sequence[FaceKey]) -> tuple[Strays, ...]:
    """What goes of others once these faces were said to be p002's."""
    opened.decisions.add("assign", {"person": "p002", "faces": [key.to_json() for key in faces]})
    return strays_of(opened.vault, opened.decisions, {"p002"}, faces)


def test_killed_before_the_records_were_written_the_rest_goes_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person, layout="kohya").folder
        key = person.faces[0]
        (found,) = given(opened, [key])
        with monkeypatch.context() as killed:
            killed.setattr(strays, "write_json", lambda *args, **options: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                found.remove()
        (rest,) = strays_of(opened.vault, opened.decisions, {"p002"}, [key])
        assert not any(path.exists() for path in found.ours) and rest.ours == () and rest.photos == {key.sha256}
        rest.remove()
        assert key.sha256 not in (folder / "person.json").read_text()
        assert len(list(folder.rglob("*.png"))) == 2
        assert strays_of(opened.vault, opened.decisions, {"p002"}, [key]) == ()


def test_its_mask_goes_with_the_picture_and_no_other(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        beside = folder.with_name(f"{folder.name}_masks")
        beside.mkdir()
        for picture in sorted(folder.glob("*.png")):
            mask = mask_png(np.full((4, 4), 255, np.uint8), MaskOrigin(sha256_file(picture), "u2net"))
            (beside / picture.name).write_bytes(mask)
        (found,) = given(opened, [person.faces[0]])
        (gone,) = (path for path in found.ours if path.suffix == ".png" and path.parent == folder)
        found.remove()
    assert len(list(beside.iterdir())) == 2 and not (beside / gone.name).exists()


def test_a_picture_that_the_user_changed_stays_and_is_named(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        pictures = json.loads((folder / "person.json").read_text())["pictures"]
        by_photo = {item["source"]["sha256"]: item["file"] for item in pictures}
        mine = folder / by_photo[person.faces[0].sha256]
        mine.write_bytes(b"retouched")
        (found,) = given(opened, [person.faces[0]])
        found.remove()
        assert found.others == (mine,) and mine.read_bytes() == b"retouched"
        assert not mine.with_suffix(".txt").exists()


def test_pictures_of_others_on_the_same_photo_stay(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        prepare(opened, person)
        beside = dataclasses.replace(person.faces[0], box=(0.0, 0.0, 0.1, 0.1))
        assert given(opened, [beside]) == (), "the face of the set's own person is still there"
        now = lose(opened, person, tmp_path, "IMG_0001.png")
        gone = next(key for key in person.faces if key not in now.faces)
        found = people_of(clustered({"p001": now.faces}, opened.fingerprint), ())
        write_people(opened.vault, found)
        assert given(opened, [dataclasses.replace(gone, box=(0.0, 0.0, 0.1, 0.1))]) == (), "another face of the photo"
        assert [one.photos for one in given(opened, [gone])] == [{gone.sha256}]
        assert strays_of(opened.vault, opened.decisions, {"p001"}, person.faces) == (), "its own set is not another's"


def test_files_outside_of_a_training_set_are_nobodys(tmp_path: Path) -> None:
    """The record of a set may come from anywhere, and what it names is removed."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        (tmp_path / "me.txt").write_text("private words")
        record = json.loads((folder / "person.json").read_text())
        entry = record["files"][0]
        record["files"].append({**entry, "file": "../../../me.txt"})
        (folder / "person.json").write_text(json.dumps(record))
        assert (folder / "../../../me.txt").is_file()
        (face,) = (key for key in person.faces if key.sha256 == entry["photo"])
        (found,) = given(opened, [face])
    assert found.ours and all(path.parent == folder for path in (*found.ours, *found.others))
