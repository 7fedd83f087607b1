"""Which photo the user means, and what was changed in the usual folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.domain.vault import Label
from twinloop.errors import InputError
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup, Duplicates
from twinloop.stages.vault.dataset.folder.prepared import adopt_edits
from twinloop.stages.vault.dataset.own_captions import edit, edit_many, edits_of, photo_meant
from twinloop.stages.vault.dataset.prep import PrepOptions, prep
from twinloop.store.atomic import write_json
from twinloop.store.vault.decisions import Decision, DecisionLog
from twinloop.store.vault.files import FileEntry

LABEL = Label("p001", "ohwx", "woman")


def test_a_photo_is_meant_by_path_name_prepared_name_or_hash(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        path = tmp_path / "photos" / "IMG_0001.png"
        photo = next(
            key.sha256
            for key in person.faces
            if opened.catalog.photo(key.sha256, "test").paths[0].endswith("IMG_0001.png")
        )  # type: ignore[union-attr]
        found = prep(opened, work_on(opened, person, LABEL), PrepOptions(layout="kohya"), Recording())
        prepared = str(found.folder / found.files[photo])
        for name in (str(path), "IMG_0001.png", "photos/IMG_0001.png", prepared, photo, photo[:8].upper()):
            assert photo_meant(opened, person, name) == photo
        for name in ("IMG_0009.png", "0001.png", photo[:4], ""):
            with pytest.raises(InputError, match="names none of this person's photos"):
                photo_meant(opened, person, name)


def test_names_that_mean_several_photos_are_refused(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        twin = tmp_path / "other" / "IMG_0000.png"
        twin.parent.mkdir()
        stat = (tmp_path / "photos" / "IMG_0001.png").stat()
        second = next(
            key.sha256 for key in person.faces if "IMG_0001" in opened.catalog.photo(key.sha256, "test").paths[0]
        )  # type: ignore[union-attr]
        opened.catalog.files.put(FileEntry(twin, stat.st_size, stat.st_mtime_ns, second))
        with pytest.raises(InputError, match="names 2 of"):
            photo_meant(opened, person, "IMG_0000.png")


def test_changes_in_the_usual_folder_become_decisions_without_a_prep(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        assert adopt_edits(opened, person, LABEL) == []
        folder = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording()).folder
        (folder / "IMG_0001.txt").write_text("my own words")
        assert adopt_edits(opened, person, LABEL) == ["IMG_0001.txt"]
        assert list(edits_of(opened.decisions, person.id).values()) == ["my own words"]
        assert adopt_edits(opened, person, LABEL) == []


def test_all_changes_in_the_folder_are_one_decision_as_they_are_written(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        folder = prep(opened, work_on(opened, person, LABEL), PrepOptions(), Recording()).folder
        before = len(opened.decisions.all())
        for number in range(3):
            (folder / f"IMG_000{number}.txt").write_text(f"my own\nwords {number}")
        names = [f"IMG_000{number}.txt" for number in range(3)]
        assert adopt_edits(opened, person, LABEL) == names
        made = opened.decisions.all()[before:]
        assert [one.kind for one in made] == ["captions"], "written once, and undone as one"
        assert sorted(edits_of(opened.decisions, person.id).values()) == [f"my own words {n}" for n in range(3)]
        opened.decisions.undo()
        assert edits_of(opened.decisions, person.id) == {} and adopt_edits(opened, person, LABEL) == []


def test_in_one_go_each_caption_is_said_after_those_before_it(tmp_path: Path) -> None:
    label, alike = Label("p001", "ohwx", "woman"), dict.fromkeys("abc", ("a", "b", "c"))
    files = tuple(DuplicateFile(f"/{one}", one, one == "a", None if one == "a" else "a", "", {}) for one in "abc")
    found = Duplicates((DuplicateGroup("near", "alike", files),), 6, 10.0, 3, 3)
    with fake_vault(tmp_path, 1) as (opened, _):
        write_json(opened.vault.duplicates, found.to_json())
        assert edit_many(opened, label, {"a": "own words", "b": ""}, as_is=True) == {"a": "own words", "b": ""}
        said = edits_of(opened.decisions, "p001", alike)
        assert "b" not in said and said["c"] == "own words", "emptied: it gets no words of the copy said before it"


def test_several_captions_are_one_decision(tmp_path: Path) -> None:
    label = Label("p001", "ohwx alice", "woman")
    with fake_vault(tmp_path, 1) as (opened, _):
        edit(opened, label, "a", "old")
        assert edit_many(opened, label, {"a": "new", "b": "hat"}) == {"a": "ohwx alice, new", "b": "ohwx alice, hat"}
        assert (
            edits_of(opened.decisions, "p001") == {"a": "ohwx alice, new", "b": "ohwx alice, hat"}
            and edits_of(opened.decisions, "p002") == {}
        )
        assert edit_many(opened, label, {"a": "ohwx alice, new"}) == {}, "nothing is written twice"
        edit_many(opened, label, {"b": ""})
        assert (
            edits_of(opened.decisions, "p001") == {"a": "ohwx alice, new"}
            and opened.decisions.active()[-1].kind == "caption"
        )
        opened.decisions.undo()
        opened.decisions.undo()
        assert edits_of(opened.decisions, "p001") == {"a": "ohwx alice, old"}


def test_many_captions_are_compared_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(decisions: DecisionLog, *kinds: str) -> list[Decision]:
        reads.append(kinds)
        return active(decisions, *kinds)

    label, active, reads = Label("p001", "ohwx alice", "woman"), DecisionLog.active, list[tuple[str, ...]]()
    with fake_vault(tmp_path, 1) as (opened, _):
        edit_many(opened, label, {f"photo {number}": f"hat {number}" for number in range(50)})
        monkeypatch.setattr(DecisionLog, "active", counted)
        edit_many(opened, label, {f"photo {number}": "" for number in range(50)})
    assert len(reads) == 4, "merges and captions: as they stand of the photos, and of their copies"


def test_the_last_words_about_a_copy_hold_for_a_photo_without_any(tmp_path: Path) -> None:
    label, alike = Label("p001", "ohwx alice", "woman"), dict.fromkeys("abc", ("a", "b", "c"))
    with fake_vault(tmp_path, 1) as (opened, _):
        edit(opened, label, "b", "old")
        edit(opened, label, "c", "new")
        assert edits_of(opened.decisions, "p001", alike)["a"] == "ohwx alice, new"
        assert "a" not in edits_of(opened.decisions, "p001") and edits_of(opened.decisions, "p001")["b"].endswith("old")
        files = tuple(DuplicateFile(f"/{one}", one, one == "a", None if one == "a" else "a", "", {}) for one in "abc")
        found = Duplicates((DuplicateGroup("near", "alike", files),), 6, 10.0, 3, 3)
        write_json(opened.vault.duplicates, found.to_json())
        edit(opened, label, "a", "")
        assert "a" not in edits_of(opened.decisions, "p001", alike), "the measured caption comes back"
        opened.decisions.undo()
        edit(opened, label, "a", "new")
        assert edits_of(opened.decisions, "p001")["a"] == "ohwx alice, new", "words of its own, whatever a copy says"
