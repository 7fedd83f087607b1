"""Copies that dedup found, as far as they are the person's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.stages.vault.makers import fake_vault
from twinloop.domain.vault import Person
from twinloop.stages.vault.copies.of_person import Copies, alike_in, copies_of
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup, Duplicates
from twinloop.store.atomic import write_json


def test_a_copy_counts_where_the_better_one_shows_the_person_too(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        assert copies_of(opened, person) == Copies()
        photos = [key.sha256 for key in person.faces]
        pairs = [(photos[0], photos[1]), (photos[2], photos[3])]
        groups = tuple(
            DuplicateGroup("near", "alike", (_file(kept, None), _file(worse, kept))) for kept, worse in pairs
        )
        write_json(opened.vault.duplicates, Duplicates(groups, 6, 10.0, 4, 4).to_json())
        assert set(copies_of(opened, person).worse) == {photos[1], photos[3]}
        without = Person(person.id, person.name, tuple(key for key in person.faces if key.sha256 != photos[2]))
        assert set(copies_of(opened, without).worse) == {photos[1]}
        assert copies_of(opened, without).worse[photos[1]].startswith("near copy: softer")


def test_where_the_kept_photo_is_not_the_persons_the_best_of_the_persons_own_stands_for_the_others(
    tmp_path: Path,
) -> None:
    with fake_vault(tmp_path, 5) as (opened, person):
        kept, *photos = (key.sha256 for key in person.faces)
        own = Person(person.id, person.name, person.faces[1:])
        group = DuplicateGroup("near", "alike", (_file(kept, None), *(_file(photo, kept) for photo in photos[:3])))
        write_json(opened.vault.duplicates, Duplicates((group,), 6, 10.0, 5, 5).to_json())
        assert set(copies_of(opened, own).worse) == set(photos[1:3])
        assert copies_of(opened, own).behind == {photos[0]: (photos[1], photos[2])}
        assert copies_of(opened, own).alike == dict.fromkeys((kept, *photos[:3]), (kept, *photos[:3]))
        reason = copies_of(opened, own).worse[photos[1]]
        assert reason.startswith(f"near copy: {photos[0][:4]}.png is used") and f"{kept[:4]}.png" in reason
        # a copy of a copy: what lies nearer to the kept one is the better
        chain = (
            DuplicateGroup("near", "alike", (_file(photos[0], None), _file(photos[1], photos[0]))),
            DuplicateGroup("burst", "alike", (_file(kept, None), _file(photos[0], kept), _file(photos[2], kept))),
        )
        write_json(opened.vault.duplicates, Duplicates(chain, 6, 10.0, 5, 5).to_json())
        assert set(copies_of(opened, own).worse) == {photos[1], photos[2]}
        assert copies_of(opened, person).behind == {kept: (photos[0], photos[2], photos[1])}
        alike = alike_in(opened.vault)
        assert set(alike) == {photos[0], photos[1]} and alike == copies_of(opened, own).alike, "no burst"


def _file(sha256: str, instead: str | None) -> DuplicateFile:
    score: dict[str, Any] = {}
    return DuplicateFile(
        f"/photos/{sha256[:4]}.png",
        sha256,
        instead is None,
        instead,
        "sharpest" if instead is None else "softer",
        score,
    )
