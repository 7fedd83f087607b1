"""Whom a training set is for, where nobody has the name yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.stages.vault.people.makers import album, clustered, faces_like, made_photo, strangers, vault_of
from twinloop.domain.faces import Box
from twinloop.errors import InputError
from twinloop.stages.vault.dataset.whom import Meant, person_meant


def meant(root: Path, *counts: int, reference: Path | None = None, name: str = "Serena") -> Meant:
    """Of people on so many photos each."""
    photos = [photo for person, count in enumerate(counts) for photo in album(person, count, f"{'abcdefgh'[person]}")]
    with vault_of(root, photos) as opened:
        people = clustered(opened).people
        assert sorted(len(person.faces) for person in people.persons) == sorted(counts)
        return person_meant(opened, people, name, reference, [Path("/photos")])


@pytest.mark.parametrize("counts", [(30, 30, 29, 28, 30, 30, 30), (8, 6), (14, 10, 3)])
def test_where_nobody_is_clearly_on_most_photos_nobody_is_taken(tmp_path: Path, counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as refused:
        meant(tmp_path, *counts)
    said = str(refused.value)
    assert said.startswith(f"Which of these people is Serena? Photos of each: p001 ({max(counts)}), p00")
    assert "--reference PHOTO" in said and "twinloop vault clusters" in said
    assert "twinloop vault name p001 Serena" in said


@pytest.mark.parametrize("counts", [(9, 6), (30, 4, 3), (5,)])
def test_who_is_clearly_on_most_photos_is_taken(tmp_path: Path, counts: tuple[int, ...]) -> None:
    found = meant(tmp_path, *counts)
    assert (found.person.id, found.guessed) == ("p001", len(counts) - 1)


def test_a_word_from_the_user_decides_between_equals(tmp_path: Path) -> None:
    assert meant(tmp_path / "photo", 6, 6, reference=Path("/photos/b0.jpg")).guessed == 0
    assert meant(tmp_path / "id", 6, 6, name="p002").person.id == "p002"


@pytest.mark.parametrize("background", [True, False])
def test_a_reference_whose_largest_face_is_a_stranger_is_refused(tmp_path: Path, background: bool) -> None:
    somebody, friend = strangers(1)[0], faces_like(0, 7)[6]
    reference = made_photo("both.jpg", [somebody, friend])
    small = reference.faces[0 if not background else 1]
    box = Box(small.face.box.x0, 10.0, small.face.box.x0 + 5, 20.0)
    small = replace(small, face=replace(small.face, box=box))
    faces = (reference.faces[0], small) if background else (small, reference.faces[1])
    with vault_of(tmp_path, [*album(0, 6, "a"), replace(reference, faces=faces)]) as opened:
        people = clustered(opened).people
        ask = (opened, people, "Serena", Path("/photos/both.jpg"))
        if not background:
            assert person_meant(*ask).person.id == "p001"
            return
        with pytest.raises(InputError, match="largest face on it is of somebody who is not known, and p001 is only"):
            person_meant(*ask)
