"""What the page is told of pictures that are a character's as a whole."""

from __future__ import annotations

from pathlib import Path

from tests.unit.stages.vault.makers import fake_vault
from twinloop.domain.vault import FaceKey, Person
from twinloop.facets import BUILTIN
from twinloop.stages.vault.dataset.known_photos import known_photos


def test_a_whole_picture_is_known_without_a_face(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        first, second = person.faces
        mixed = Person(person.id, person.name, (first, FaceKey.of_whole(second.sha256)))
        found = {item.photo.sha256: item for item in known_photos(opened, mixed, BUILTIN)}
    face, whole = found[first.sha256], found[second.sha256]
    assert face.state == whole.state == "kept"
    assert face.numbers["face"] > 64 and "face" not in whole.numbers and "yaw" not in whole.numbers
    assert "face_angle" in face.facets and "face_angle" not in whole.facets
