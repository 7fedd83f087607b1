"""People with their faces, the most telling one first: it stands for them."""

from __future__ import annotations

from pathlib import Path

from tests.unit.stages.vault.people.makers import clustered, faces_like, made_photo, names_of, vault_of
from twinloop.stages.vault.people.listing import clusters


def test_the_best_face_comes_first(tmp_path: Path) -> None:
    rows = faces_like(1, 4)
    photos = [
        made_photo(f"{number}.jpg", [row], quality=quality)
        for number, (row, quality) in enumerate(zip(rows, (0.6, 0.95, 0.7, 0.8), strict=True))
    ]
    with vault_of(tmp_path, photos) as opened:
        person, strangers = clusters(opened, clustered(opened).people)
    assert [names_of([face.key], photos) for face in person.faces] == [{"1.jpg"}, {"3.jpg"}, {"2.jpg"}, {"0.jpg"}]
    assert strangers.person is None and strangers.faces == ()
