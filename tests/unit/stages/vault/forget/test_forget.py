"""What is forgotten is gone from every file of the vault, and no later scan brings it back; the
photos themselves stay.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import twinloop
from tests.helpers.same_shot import note_same_shot
from tests.unit.stages.vault.dataset.preparing import prepare
from tests.unit.stages.vault.makers import FINGERPRINT, clustered, fake_vault
from tests.unit.things import digest, face, observation
from twinloop.domain.faces import Box
from twinloop.domain.vault import FaceKey, Person, VaultFace, VaultPhoto
from twinloop.errors import InputError, Locked, StateError, StorageError, TwinLoopError
from twinloop.ports import Scanner, SilentReporter
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup, Duplicates, read_duplicates
from twinloop.stages.vault.dataset.by_hand import say
from twinloop.stages.vault.dataset.folder.own_files import OwnFiles
from twinloop.stages.vault.forget.everything import forget_everything
from twinloop.stages.vault.forget.names import ForgottenNames
from twinloop.stages.vault.forget.person import forget_person, forgotten_faces
from twinloop.stages.vault.forget.promise import Forgotten, Kept
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import looked_into, open_vault
from twinloop.stages.vault.people import edits
from twinloop.stages.vault.people.record import (
    Moved,
    find_person,
    people_of,
    read_found,
    read_people,
    write_people,
)
from twinloop.stages.vault.scan import ScanPlan, scan
from twinloop.stages.vault.status import status
from twinloop.store.atomic import read_json, sha256_file, write_json
from twinloop.store.journal import Journal
from twinloop.store.lock import VAULT, locked
from twinloop.store.pictures.masks import MaskOrigin, mask_png
from twinloop.store.pictures.sidecar import NOTES
from twinloop.store.run.catalog import Catalog
from twinloop.store.vault.decisions import REDACTED, DecisionLog
from twinloop.store.vault.faces import face_table
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.folder import COMMON_CATALOG, Vault
from twinloop.store.vault.vault_id import note_outside, sets_outside, vault_id


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with outputs of its own."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))


@contextmanager
def two_people(home: Path) -> Iterator[tuple[OpenVault, Person]]:
    """Two people: p001 (Zaphodia) with seven photos, p002 with three."""
    with fake_vault(home) as (opened, person):
        keys = person.faces
        found = clustered({"p001": keys[:7], "p002": keys[7:]})
        opened.decisions.add("name", {"person": "p001", "name": "Zaphodia"})
        opened.decisions.add("name", {"person": "p002", "name": "Trillian"})
        opened.decisions.add(
            "label",
            {
                "person": "p001",
                "trigger": "zphd woman",
                "class_word": "woman",
                "consent": {"kind": "written", "who": "Zaphodia"},
            },
        )
        opened.decisions.add("caption", {"person": "p001", "sha256": keys[0].sha256, "text": "Zaphodia at sea"})
        write_people(opened.vault, people_of(found, opened.decisions.active()))
        for name, who in (("Zaphodia", "p001"), ("old name", "p001"), ("Trillian", "p002")):
            write_json(opened.vault.root / "organized" / name / "person.json", {"person": who})
        write_json(opened.vault.captions("p001"), {"text": "Zaphodia"})
        opened.vault.crops.write_bytes(b"Zaphodia")
        yield opened, find_person(read_people(opened.vault), "zaphodia")


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[tuple[OpenVault, Person]]:
    with two_people(tmp_path) as made:
        yield made


def faces(opened: OpenVault) -> list[FaceKey]:
    return list(face_table(opened.catalog, "test").keys)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_without_really_it_only_says_what_would_go(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    before = bytes_of(opened.vault.root)
    planned = forget_person(opened, person, really=False)
    assert (planned.done, planned.faces, planned.decisions) == (False, 7, 3)
    assert {path.name for path in planned.paths} == {"Zaphodia", "old name", "p001.json", "crops.sqlite"}
    assert bytes_of(opened.vault.root) == before


def test_a_person_is_gone_from_every_file(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    embedding = opened.catalog.photo(person.faces[0].sha256, "test").faces[0].face.embedding.tobytes()  # type: ignore[union-attr]
    assert embedding in bytes_of(opened.vault.root)
    photos = {path: path.read_bytes() for path in Path(opened.record.folders[0]).glob("*")}
    done = forget_person(opened, person, really=True)
    assert done.done and len(faces(opened)) == 3
    left = bytes_of(opened.vault.root)
    assert b"Zaphodia" not in left and b"zphd" not in left and embedding not in left
    assert opened.catalog.thumbnail(person.faces[0].sha256) is None
    assert {path: path.read_bytes() for path in photos} == photos
    assert opened.vault.decisions.stat().st_mode & 0o077 == 0, "written anew it is as private as before"


def test_the_name_of_who_was_merged_into_the_person_is_gone_too(vault: tuple[OpenVault, Person]) -> None:
    opened, _ = vault
    edits.merge(opened, ["p001", "p002"])
    assert b"Trillian" in bytes_of(opened.vault.root)
    forget_person(opened, find_person(read_people(opened.vault), "p001"), really=True)
    assert b"Trillian" not in bytes_of(opened.vault.root)


def test_people_json_keeps_no_place_of_the_faces_and_no_mention_of_the_name(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    mine, other = person.faces, find_person(read_people(opened.vault), "p002").faces
    found = dataclasses.replace(
        clustered({"p001": mine, "p002": other}),
        moved={mine[0]: Moved("p001", 1), other[0]: Moved("p002", 2)},
        named={mine[1]: "Zaphodia B", other[1]: "ZAPHODIA", other[2]: "Tricia"},
    )
    write_people(opened.vault, people_of(found, opened.decisions.active()))
    forget_person(opened, person, really=True)
    left = read_found(opened.vault)
    assert left is not None
    assert left.moved == {other[0]: Moved("p002", 2)} and left.named == {other[2]: "Tricia"}
    written = opened.vault.people.read_text()
    assert mine[0].sha256 not in written and "zaphodia" not in written.casefold()


def test_what_was_said_of_single_photos_is_gone_too(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    other = find_person(read_people(opened.vault), "p002")
    for who in (person, other):
        for kind in ("exclude", "include", "automatic"):
            say(opened, who, kind, [who.faces[0].sha256])
    assert forget_person(opened, person, really=True).decisions == 6
    left = [made for made in opened.decisions.all() if made.kind in ("exclude", "include", "automatic")]
    assert [made.data["person"] for made in left] == ["p002"] * 3


def test_the_others_stay(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    forget_person(opened, person, really=True)
    people = read_people(opened.vault)
    assert [(one.id, one.name, len(one.faces)) for one in people.persons] == [("p002", "Trillian", 3)]
    with pytest.raises(InputError, match="Nobody is called"):
        find_person(people, "p001")
    assert (opened.vault.root / "organized" / "Trillian" / "person.json").is_file()
    assert [made.kind for made in opened.decisions.all()] == [REDACTED, "name", REDACTED, REDACTED, "forget"]


def test_the_places_of_forgotten_faces_are_remembered(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    forget_person(opened, person, really=True)
    assert {key for keys in forgotten_faces(opened.decisions).values() for key in keys} == set(person.faces)


def test_everything_means_everything_of_the_vault_and_nothing_else(tmp_path: Path) -> None:
    with fake_vault(tmp_path) as (opened, _):
        root = opened.vault.root
        opened.decisions.add("hide", {"person": "p001"})
        note_same_shot(opened.vault.same_shot, "raw", "jpeg")
    (root / "mine.txt").write_text("not yours")
    assert not forget_everything(opened.vault, really=False).done and opened.vault.catalog.exists()
    done = forget_everything(opened.vault, really=True)
    assert done.done and {path.name for path in done.paths} >= {"catalog.sqlite", "scan.json", "decisions.jsonl"}
    assert {path.name for path in root.iterdir()} == {"mine.txt", ".lock"}


def test_a_folder_that_still_holds_somebody_elses_training_set_stays(vault: tuple[OpenVault, Person]) -> None:
    opened, _ = vault
    for who, name in (("p001", "Ford"), ("p002", "Zaphodia")):  # p001's folder moves with the next prep only
        opened.decisions.add("name", {"person": who, "name": name})
    other = find_person(read_people(opened.vault), "p002")
    before = bytes_of(opened.vault.person("Zaphodia"))
    done = forget_person(opened, other, really=True)
    assert opened.vault.person("Zaphodia") not in done.paths and opened.vault.person("Trillian") in done.paths
    assert bytes_of(opened.vault.person("Zaphodia")) == before and not opened.vault.person("Trillian").exists()


@pytest.mark.parametrize("record", [None, "torn", '{"name": "a pet project"}'])
def test_a_folder_of_the_persons_name_that_was_not_prepared_stays_and_is_named(
    vault: tuple[OpenVault, Person], record: str | None
) -> None:
    opened, person = vault
    folder = opened.vault.person("Zaphodia")
    (folder / "original.jpg").write_bytes(b"the only one")
    (folder / "person.json").unlink() if record is None else (folder / "person.json").write_text(record)
    before = bytes_of(folder)
    done = forget_person(opened, person, really=True)
    assert folder not in done.paths and folder in done.kept
    assert bytes_of(folder) == before


def prepared_by(folder: Path, who: str, **files: bytes) -> None:
    """A folder as `prep` leaves it."""
    listed = []
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        listed.append({"file": name, "sha256": hashlib.sha256(data).hexdigest(), "photo": "", "key": ""})
    write_json(folder / "person.json", {"person": who, "files": listed})


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("everything", [False, True])
def test_what_the_user_put_into_a_training_set_stays_and_is_named(
    closed: Path, tmp_path: Path, everything: bool
) -> None:
    folder = closed / "organized" / "Zaphodia"
    ours = {"10_zphd/a.png": b"cut", "10_zphd/a.txt": b"Zaphodia", "20_zphd/b.png": b"cut too"}
    prepared_by(folder, "p001", **ours)
    (folder / "10_zphd" / "a.txt").write_text("Zaphodia, in my words")
    (folder / "20_zphd" / "b.png").write_bytes(b"retouched by hand")
    (folder / "original.jpg").write_bytes(b"the only one")
    (folder / "album").symlink_to(tmp_path)
    (folder / "empty").mkdir()
    left = {"20_zphd", "20_zphd/b.png", "original.jpg", "album", "empty"}
    planned = forgotten_in(closed, everything, really=False)
    assert names_in(folder) == left | ours.keys() | {"10_zphd", "person.json"}
    done = forgotten_in(closed, everything, really=True)
    assert names_in(folder) == left and done.kept == planned.kept
    assert set(done.kept) == {folder / name for name in left - {"20_zphd"}}
    assert folder in done.paths and tmp_path.is_dir()
    assert not (folder.parent / "old name").exists()


def forgotten_in(root: Path, everything: bool, really: bool) -> Forgotten:
    if everything:
        return forget_everything(Vault(root), really)
    with open_vault(root) as opened:
        return forget_person(opened, find_person(read_people(opened.vault), "Zaphodia"), really)


def outside(root: Path, folder: Path, who: str, vault: str | None = None) -> Path:
    """A training set in a folder of the user's own, as `prep --output` leaves it."""
    note_outside(Vault(root), who, folder)
    prepared_by(folder, who, **{"a.png": who.encode(), "a.txt": b"words"})
    record = read_json(folder / "person.json")
    write_json(folder / "person.json", {**record, "vault": vault or vault_id(Vault(root))})
    (folder / "mine.jpg").write_bytes(b"the only one")
    return folder


@pytest.mark.parametrize("everything", [False, True])
def test_training_sets_outside_of_the_vault_go_too(closed: Path, tmp_path: Path, everything: bool) -> None:
    theirs = outside(closed, tmp_path / "zaphodia", "p001")
    gone = outside(closed, tmp_path / "moved", "p001")
    others = outside(closed, tmp_path / "trillian", "p002")
    of_another_vault = outside(closed, tmp_path / "elsewhere", "p001", vault="0" * 16)
    begun = tmp_path / "begun"
    note_outside(Vault(closed), "p001", begun)
    begun.mkdir()
    (begun / "b.png").write_bytes(b"cut")
    Journal(begun / NOTES).record("1", ["b.png", hashlib.sha256(b"cut").hexdigest(), "", ""])
    shutil.rmtree(gone)
    planned = forgotten_in(closed, everything, really=False)
    done = forgotten_in(closed, everything, really=True)
    for found in (planned, done):
        assert {theirs, begun} <= set(found.paths) and of_another_vault not in found.paths
        assert [note for note in found.notes if str(gone) in note and "not there now" in note]
        assert (others in found.paths) is everything and theirs / "mine.jpg" in found.kept
    assert names_in(theirs) == {"mine.jpg"} and not begun.exists()
    assert names_in(of_another_vault) == {"mine.jpg", "a.png", "a.txt", "person.json"}
    assert (others / "person.json").exists() is not everything
    left = [(one.person, one.folder) for one in sets_outside(Vault(closed))]
    assert left == ([] if everything else [("p002", others)])


def test_a_training_set_outside_of_the_vault_is_noted_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"

    def kill(*_: object) -> None:
        assert not any(mine.glob("*.png"))
        raise Killed

    monkeypatch.setattr("twinloop.stages.vault.dataset.folder.prepared.PreparedFolder.put", kill)
    with fake_vault(tmp_path / "home") as (opened, person):
        for _ in range(2):
            with pytest.raises(Killed):
                prepare(opened, person, output=mine)
        assert sets_outside(opened.vault) == [("p001", mine)]


@pytest.mark.parametrize("everything", [False, True])
def test_masks_that_were_made_of_a_training_set_go_with_it(tmp_path: Path, everything: bool) -> None:
    """Beside its folder, and in it under names of their own; those that somebody painted stay, and are named."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person, layout="kohya").folder
        pictures = sorted(folder.rglob("*.png"))
        beside = folder.with_name(f"{folder.name}_masks")
        white = np.full((4, 4), 255, np.uint8)
        for picture in pictures:
            data = mask_png(white, MaskOrigin(sha256_file(picture), "u2net"))
            place = beside / picture.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            picture.with_name(f"{picture.stem}-masklabel.png").write_bytes(data)
        assert "alice_masks" not in status(opened).prepared
        mine = beside / pictures[0].relative_to(folder)
        Image.fromarray(white).save(mine)
        if not everything:
            planned = forget_person(opened, person, really=False)
            assert {folder, beside} <= set(planned.paths) and mine in planned.kept and len(pictures) > 1
            done = forget_person(opened, person, really=True)
    if everything:
        done = forget_everything(Vault(tmp_path / "vault"), really=True)
    assert beside in done.paths and done.kept == (mine,)
    assert [path for path in beside.rglob("*") if path.is_file()] == [mine] and not folder.exists()


@pytest.mark.parametrize("everything", [False, True])
def test_masks_under_an_earlier_name_go_too(tmp_path: Path, everything: bool) -> None:
    """By what they were made of: the folder of masks kept the name that its training set no longer has."""
    with fake_vault(tmp_path, 3) as (opened, person):
        folder = prepare(opened, person).folder
        earlier = folder.with_name("old name_masks")
        earlier.mkdir()
        for picture in sorted(folder.glob("*.png")):
            mask = mask_png(np.full((4, 4), 255, np.uint8), MaskOrigin(sha256_file(picture), "u2net"))
            (earlier / picture.name).write_bytes(mask)
        another = mask_png(np.full((4, 4), 255, np.uint8), MaskOrigin("0" * 64, "u2net"))
        (earlier / "another.png").write_bytes(another)
        if not everything:
            assert earlier in forget_person(opened, person, really=False).paths
            assert earlier in forget_person(opened, person, really=True).paths
            assert names_in(earlier) == {"another.png"}, "it was made of another's picture"
    done = forget_everything(Vault(tmp_path / "vault"), really=True)
    assert earlier in done.paths and done.kept == () and not earlier.exists()


def test_where_only_masks_are_left_everything_takes_them(tmp_path: Path) -> None:
    masks = tmp_path / "vault/organized/gone_masks"
    masks.mkdir(parents=True)
    (masks / "a.png").write_bytes(mask_png(np.full((4, 4), 255, np.uint8), MaskOrigin("0" * 64, "u2net")))
    (masks / "mine.png").write_bytes(b"painted")
    done = forget_everything(Vault(tmp_path / "vault"), really=True)
    assert masks in done.paths and done.kept == (masks / "mine.png",) and names_in(masks) == {"mine.png"}


def test_everything_leaves_folders_that_were_made_by_hand(closed: Path) -> None:
    by_hand = closed / "organized" / "by hand"
    by_hand.mkdir()
    (by_hand / "original.jpg").write_bytes(b"the only one")
    done = forget_everything(Vault(closed), really=True)
    assert done.kept == (by_hand,) and names_in(by_hand.parent) == {"by hand", "by hand/original.jpg"}


@pytest.mark.parametrize("everything", [True, False])
def test_half_written_pictures_of_a_killed_preparation_are_nobodys(closed: Path, everything: bool) -> None:
    folder = closed / "organized" / "Zaphodia"
    prepared_by(folder, "p001", **{"a.png": b"cut"})
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for half in (folder / f".b.png.1.{ended.pid}.tmp", folder.parent / f".c.2.{ended.pid}.tmp"):
        half.write_bytes(b"ha")
    for really in (False, True):
        assert forgotten_in(closed, everything, really).kept == ()
    assert not folder.exists() and (not everything or not folder.parent.exists())


def test_where_there_is_no_vault_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = forget_everything(Vault(tmp_path), really=True)
    assert (done.done, done.paths, names_in(tmp_path)) == (True, (), {"mine.txt"})


def test_what_is_to_go_is_worked_out_while_nobody_else_works_there(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = closed / "organized" / "Zaphodia"
    prepared_by(folder, "p001", **{"a.png": b"cut"})
    seen: list[Path] = []
    real = OwnFiles.of

    def of(looked_at: Path) -> OwnFiles:
        with pytest.raises(Locked), locked(closed, VAULT):
            pass
        seen.append(looked_at)
        return real(looked_at)

    monkeypatch.setattr(OwnFiles, "of", of)
    forget_everything(Vault(closed), really=True)
    assert folder in seen and not folder.exists()


def test_a_preparation_that_was_killed_at_first_goes_by_its_notes(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    folder = opened.vault.person("Zaphodia")
    (folder / "person.json").unlink()
    for name, data in {"a.png": b"cut", "mine.png": b"mine"}.items():
        (folder / name).write_bytes(data)
    Journal(folder / NOTES).record("1", ["a.png", hashlib.sha256(b"cut").hexdigest(), "", ""])
    assert forget_person(opened, person, really=True).kept == (folder / "mine.png",)
    assert names_in(folder) == {"mine.png"}


def test_killed_within_a_folder_the_rest_of_it_goes_next_time(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = closed / "organized" / "old name"
    prepared_by(folder, "p001", **{f"{name}.png": name.encode() for name in "abc"})
    real, gone = Path.unlink, 0

    def killing(path: Path, missing_ok: bool = False) -> None:
        nonlocal gone
        if path.parent == folder and (gone := gone + 1) == 4:
            raise Killed
        real(path, missing_ok)

    with open_vault(closed) as opened, monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "unlink", killing)
        forget_person(opened, find_person(read_people(opened.vault), "Zaphodia"), really=True)
    assert names_in(folder) == {"person.json"}, "whose it is must be known until the end"
    with open_vault(closed):
        assert not folder.exists()


def test_a_training_set_on_another_disk_goes_by_the_link_to_it(vault: tuple[OpenVault, Person], tmp_path: Path) -> None:
    opened, person = vault
    folder, disk = opened.vault.person("Zaphodia"), tmp_path / "disk"
    prepared_by(folder, "p001", **{"a.png": b"cut"})
    folder.rename(disk)
    folder.symlink_to(disk)
    forget_person(opened, person, really=True)
    assert names_in(disk) == set() and not folder.is_symlink()


def test_what_stays_is_said(closed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = closed / "organized" / "Zaphodia"
    for number in range(12):
        (folder / f"{number:02d}.jpg").write_bytes(b"mine")
    said = twinloop(capsys, "vault", "forget", "zaphodia", "--vault", closed)
    assert f"  - {folder}: what prep wrote there\n" in said.out and f"{folder.parent / 'old name'}\n" in said.out
    assert "Would be left, because this program did not write it" in said.out
    assert f"  - {folder / '09.jpg'}\n  - and 2 more (--json lists all)" in said.out
    assert "Left, because" in twinloop(capsys, "vault", "forget", "zaphodia", "--yes", "--vault", closed).out


def test_while_another_program_reads_the_catalogue_the_promise_stands(closed: Path) -> None:
    with open_vault(closed) as opened, closing(sqlite3.connect(opened.vault.catalog)) as reader:
        person = find_person(read_people(opened.vault), "Zaphodia")
        embedding = opened.catalog.photo(person.faces[0].sha256, "test").faces[0].face.embedding.tobytes()  # type: ignore[union-attr]
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM face").fetchall()
        opened.catalog.run("PRAGMA busy_timeout = 1")
        with pytest.raises(StorageError, match="Close that program"):
            forget_person(opened, person, really=True)
        assert embedding in bytes_of(closed)
    assert len(kept_on_opening(closed)) == 1
    assert_forgotten(closed, embedding)


class Killed(BaseException):
    """As if the process ended here."""


STEPS = (
    "OwnFiles.remove",
    "remove",
    "forget_faces",
    "forget_unseen",
    "forget_observations",
    "last_duplicates",
    "write_people",
    "drop_outside",
    "VaultCatalog.leave_nothing",
    "DecisionLog.redact",
)


@contextmanager
def killed_at(step: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(f"twinloop.stages.vault.forget.promise.{step}", kill)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same vault, with a list of duplicates, open in no process."""
    with two_people(tmp_path_factory.mktemp("made")) as (opened, _):
        write_json(opened.vault.duplicates, Duplicates((), 10, 5.0, 2, 2, inputs="as searched").to_json())
    return opened.vault.root


@pytest.fixture
def closed(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "closed"))


def kept_on_opening(root: Path) -> list[Kept]:
    """Whom opening the vault forgot."""
    kept: list[Kept] = []
    with open_vault(root, kept.append):
        return kept


def forget_killed_at(step: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Returns an embedding of the person."""
    with open_vault(root) as opened:
        person = find_person(read_people(opened.vault), "Zaphodia")
        embedding = opened.catalog.photo(person.faces[0].sha256, "test").faces[0].face.embedding.tobytes()  # type: ignore[union-attr]
        with killed_at(step, monkeypatch):
            forget_person(opened, person, really=True)
    assert isinstance(embedding, bytes)
    return embedding


def assert_forgotten(root: Path, embedding: bytes) -> None:
    with looked_into(root) as opened:
        assert len(faces(opened)) == 3 and [person.id for person in read_people(opened.vault).persons] == ["p002"]
        assert [made.kind for made in opened.decisions.all()] == [REDACTED, "name", REDACTED, REDACTED, "forget"]
    left = bytes_of(root)
    assert b"Zaphodia" not in left and b"zaphodia" not in left and b"zphd" not in left and embedding not in left
    assert ForgottenNames(DecisionLog(Vault(root).decisions, reading=True)).has("Zaphodia")
    assert {path.name for path in (root / "organized").iterdir()} == {"Trillian"}


def test_killed_the_rest_is_removed_when_the_vault_is_next_opened(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = forget_killed_at("forget_faces", closed, monkeypatch)
    ((promise, done),) = kept_on_opening(closed)
    assert promise.means("zaphodia") and promise.means("P001") and not promise.means("Trillian")
    assert (done.who, done.faces, done.done) == ("p001 (Zaphodia)", 7, True)
    assert_forgotten(closed, embedding)
    assert kept_on_opening(closed) == [], "it is kept once"


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_and_given_again_the_same_command_says_what_it_removed(
    step: str, closed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = forget_killed_at(step, closed, monkeypatch)
    said = twinloop(capsys, "vault", "forget", "zaphodia", "--yes", "--vault", closed)
    assert said.code == 0 and "Forgotten: p001 (Zaphodia)\n  - 7 faces" in said.out
    assert_forgotten(closed, embedding)


def test_a_scan_removes_the_rest_too(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = forget_killed_at("forget_faces", closed, monkeypatch)

    def no_scanner() -> AbstractContextManager[Scanner]:
        raise TwinLoopError("nothing is new")

    scan(Vault(closed), ScanPlan((), (), "fake", 0, "", "", no_scanner), SilentReporter())
    assert_forgotten(closed, embedding)


def test_a_list_removes_the_rest_too(
    closed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = forget_killed_at("forget_faces", closed, monkeypatch)
    said = twinloop(capsys, "vault", "status", "--vault", closed)
    assert said.code == 0 and "to be forgotten" not in said.err
    assert_forgotten(closed, embedding)


@pytest.mark.parametrize("command", ["status", "clusters", "duplicates", "history"])
def test_a_list_that_may_not_write_says_who_is_still_in_it(
    command: str, closed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_killed_at("forget_faces", closed, monkeypatch)
    monkeypatch.setattr("twinloop.stages.vault.copies.dedup._is_current", lambda last, opened: True)
    before = bytes_of(closed)
    with locked(closed, VAULT):
        said = twinloop(capsys, "vault", command, "--vault", closed)
    assert said.code == 0
    assert "p001 (Zaphodia) is to be forgotten, and may still be in what is shown: " in said.err
    assert "in use by another command" in said.err
    assert bytes_of(closed) == before


def test_a_promise_that_was_taken_back_is_not_kept(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_killed_at("remove", closed, monkeypatch)
    DecisionLog(closed / "decisions.jsonl").undo()
    assert kept_on_opening(closed) == []
    with open_vault(closed) as opened:
        assert len(faces(opened)) == 10
        assert find_person(read_people(opened.vault), "Zaphodia").id == "p001"


def test_where_all_is_kept_opening_reads_no_faces(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_vault(closed) as opened:
        forget_person(opened, find_person(read_people(opened.vault), "Zaphodia"), really=True)
    for step in STEPS[:-1]:
        monkeypatch.setattr(f"twinloop.stages.vault.forget.promise.{step}", None)
    assert kept_on_opening(closed) == []


@pytest.mark.parametrize("damaged", ['{"groups": []}', "[]", "not JSON"])
def test_a_damaged_list_of_duplicates_goes_and_stops_nothing(vault: tuple[OpenVault, Person], damaged: str) -> None:
    opened, person = vault
    opened.vault.duplicates.write_text(damaged)
    assert forget_person(opened, person, really=True).done
    assert not opened.vault.duplicates.exists()


def test_the_list_of_duplicates_keeps_nothing_of_the_face(vault: tuple[OpenVault, Person]) -> None:
    opened, person = vault
    score = {"face_sharpness": 42.0, "eyes_open": 1.0, "width": 9}
    mine, other = (
        DuplicateFile(f"/{name}.jpg", sha256, True, None, "the larger file", score)
        for name, sha256 in (("a", person.faces[0].sha256), ("b", "0" * 64))
    )
    found = Duplicates(
        (DuplicateGroup("near", "2 copies of one picture", (mine, other)),), 10, 5.0, 2, 2, inputs="as searched"
    )
    write_json(opened.vault.duplicates, found.to_json())
    forget_person(opened, person, really=True)
    left = read_duplicates(opened.vault)
    assert [(file.score["face_sharpness"], file.score["eyes_open"]) for file in left.groups[0].files] == [
        (None, None),
        (42.0, 1.0),
    ]
    assert left.inputs == "" and opened.vault.duplicates.stat().st_mode & 0o077 == 0


def photo_with(name: str, seed: int, box: Box | None = None, embedded: bool = True) -> VaultPhoto:
    """A photo of 100 x 100 pixels that no file holds, with one face."""
    vector = np.random.default_rng(seed).standard_normal(128, np.float32)
    seen = face(
        box=box or Box(10, 10, 40, 50), embedding=vector / np.float32(np.linalg.norm(vector)) if embedded else None
    )
    return VaultPhoto(digest(name), (), 100, 100, "0" * 16, None, "real", {}, (VaultFace(seen, 0.9),))


def vector_of(photo: VaultPhoto) -> bytes:
    embedding = photo.faces[0].face.embedding
    assert embedding is not None
    return embedding.tobytes()


def test_nothing_stays_of_photos_that_are_gone_or_were_changed(vault: tuple[OpenVault, Person]) -> None:
    """Nobody is told by them any more, so nothing says whose they are."""
    opened, person = vault
    deleted = photo_with("deleted", 1)
    opened.catalog.put_photo(deleted, FINGERPRINT, b"a thumbnail of Zaphodia")
    unreadable = photo_with("unreadable now", 2)
    opened.catalog.put_photo(unreadable, FINGERPRINT, b"")
    opened.catalog.files.put(FileEntry(Path("/photos/u.jpg"), 1, 1, unreadable.sha256, "too large"))
    planned = forget_person(opened, person, really=False)
    assert planned.unseen == 2 and opened.catalog.has(deleted.sha256, FINGERPRINT)
    assert forget_person(opened, person, really=True).unseen == 2
    assert opened.catalog.run("SELECT count(*) FROM photo") == [(10,)] and len(faces(opened)) == 3
    left = bytes_of(opened.vault.root)
    assert vector_of(deleted) not in left and vector_of(unreadable) not in left and b"a thumbnail" not in left


def test_nothing_stays_of_what_other_models_measured(vault: tuple[OpenVault, Person]) -> None:
    """They may have seen the person where these see nobody."""
    opened, person = vault
    sha256 = person.faces[0].sha256
    old = dataclasses.replace(photo_with("old", 3, Box(60, 60, 90, 99)), sha256=sha256)
    opened.catalog.put_photo(old, "old models", b"")
    forget_person(opened, person, really=True)
    assert opened.catalog.run("SELECT DISTINCT fingerprint FROM photo") == [(FINGERPRINT,)]
    assert opened.catalog.run("SELECT DISTINCT fingerprint FROM face") == [(FINGERPRINT,)]
    assert vector_of(old) not in bytes_of(opened.vault.root)


@pytest.mark.parametrize("really", [False, True])
def test_faces_that_nobody_was_told_apart_by_yet_come_first(vault: tuple[OpenVault, Person], really: bool) -> None:
    opened, person = vault
    for number, embedded in enumerate((True, True, False)):
        new = photo_with(f"new {number}", number, embedded=embedded)
        opened.catalog.put_photo(new, FINGERPRINT, b"")
        opened.catalog.files.put(FileEntry(Path(f"/photos/{number}.jpg"), 1, 1, new.sha256))
    before = opened.vault.decisions.read_bytes()
    with pytest.raises(StateError, match=r"2 faces were found since .* of p001 \(Zaphodia\), too.*vault cluster"):
        forget_person(opened, person, really)
    assert opened.catalog.run("SELECT count(*) FROM face") == [(13,)]
    assert opened.vault.decisions.read_bytes() == before


def observed_in(path: Path, file: Path, sha256: str = "") -> bytes:
    """What `twinloop analyze` knows of a file; returns a piece of it that tells it."""
    vector = vector_of(photo_with(str(file), len(str(file))))
    seen = observation(faces=[face(embedding=np.frombuffer(vector, np.float32))])
    known = sha256 or sha256_file(file)
    with Catalog(path) as catalog:
        catalog.put(dataclasses.replace(seen, sha256=known))
        catalog.remember_file(file, file.stat(), known, "real")
    return vector.hex().encode()


@pytest.fixture
def seen_elsewhere(closed: Path) -> tuple[bytes, list[bytes]]:
    """What other commands saw of somebody else; and of the person: in a photo, in a prepared picture, in one that was
    changed since it was seen, and in a photo that is gone.
    """
    folder = closed / "organized" / "Zaphodia"
    prepared_by(folder, "p001", **{"a.png": b"cut", "b.png": b"cut too"})
    with looked_into(closed) as opened:
        person = find_person(read_people(opened.vault), "Zaphodia")
        photo = opened.catalog.photo(person.faces[0].sha256, FINGERPRINT)
    assert photo is not None
    hers = [observed_in(COMMON_CATALOG, folder / name) for name in ("a.png", "b.png")]
    (folder / "b.png").write_bytes(b"retouched")
    hers.append(observed_in(COMMON_CATALOG, Path(photo.paths[0])))
    for name in ("gone.jpg", "other.jpg"):
        Path(name).write_bytes(name.encode())
    hers.append(observed_in(COMMON_CATALOG, Path("gone.jpg")))
    Path("gone.jpg").unlink()
    return observed_in(COMMON_CATALOG, Path("other.jpg")), hers


@pytest.mark.parametrize("step", [None, "forget_observations", "last_duplicates"])
def test_the_catalogue_of_the_other_commands_forgets_the_person(
    step: str | None,
    closed: Path,
    seen_elsewhere: tuple[bytes, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other, hers = seen_elsewhere
    assert all(piece in bytes_of(Path("outputs")) for piece in hers)
    if step is not None:
        forget_killed_at(step, closed, monkeypatch)
        kept_on_opening(closed)
    else:
        planned = twinloop(capsys, "vault", "forget", "zaphodia", "--vault", closed)
        assert "what other commands saw in 3 pictures (outputs/catalog.sqlite)" in planned.out
        assert all(piece in bytes_of(Path("outputs")) for piece in hers)
        assert twinloop(capsys, "vault", "forget", "zaphodia", "--yes", "--vault", closed).code == 0
    left = bytes_of(Path("outputs"))
    assert other in left and not [piece for piece in hers if piece in left]


def test_forgetting_everything_includes_what_other_commands_saw(
    closed: Path, seen_elsewhere: tuple[bytes, list[bytes]]
) -> None:
    other, hers = seen_elsewhere
    assert forget_everything(Vault(closed), really=False).observed == 3
    forget_everything(Vault(closed), really=True)
    left = bytes_of(Path("outputs"))
    assert other in left and not [piece for piece in hers if piece in left]


def test_a_damaged_catalogue_does_not_keep_everything_from_being_forgotten(closed: Path) -> None:
    (closed / "catalog.sqlite").write_bytes(b"no database" * 100)
    assert forget_everything(Vault(closed), really=True).done and not (closed / "catalog.sqlite").exists()


def another_programs(path: Path) -> bytes:
    """A database of another program in the place of one of this program's."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE file (path TEXT)")
    return path.read_bytes()


def test_a_database_of_another_program_is_not_forgotten(closed: Path) -> None:
    catalog = closed / "catalog.sqlite"
    theirs = another_programs(catalog)
    with pytest.raises(StateError, match=r"catalog\.sqlite is no catalogue of a vault"):
        forget_everything(Vault(closed), really=True)
    assert catalog.read_bytes() == theirs and (closed / "decisions.jsonl").exists()


def test_a_database_of_another_program_among_the_outputs_stays(closed: Path) -> None:
    theirs = another_programs(COMMON_CATALOG)
    assert forget_everything(Vault(closed), really=True).done
    assert COMMON_CATALOG.read_bytes() == theirs


def run_in(folder: Path, dataset_dir: Path | str, *members: str) -> Path:
    write_json(folder / "run.json", {"settings": {"dataset_dir": str(dataset_dir)}})
    write_json(folder / "dataset_iter0.json", {"members": [{"sha256": sha256} for sha256 in members]})
    (folder / "identity_reference.json").write_text("{}")
    return folder


def test_runs_that_hold_the_person_are_named_with_the_line_that_deletes_it(
    closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with looked_into(closed) as opened:
        photo = find_person(read_people(opened.vault), "Zaphodia").faces[0].sha256
    folder = closed / "organized" / "Zaphodia"
    prepared_by(folder, "p001", **{"a.png": b"cut"})
    picture = hashlib.sha256(b"cut").hexdigest()
    run_in(Path("outputs/from the folder"), folder)
    run_in(Path("outputs/deep/photo"), "photos", photo)
    run_in(Path("outputs/moved"), "elsewhere", picture)
    Path("seen.png").write_bytes(b"seen")
    observed_in(run_in(Path("outputs/seen"), "elsewhere") / "catalog.sqlite", Path("seen.png"), picture)
    run_in(Path("outputs/other"), "elsewhere", digest("other"))
    (run_in(Path("outputs/emptied"), folder) / "identity_reference.json").unlink()
    for words in ((), ("--yes",)):
        said = twinloop(capsys, "vault", "forget", "zaphodia", *words, "--vault", closed)
        lines = [line for line in said.out.splitlines() if line.startswith("Note: The run ")]
        assert [line.split(" was made")[0].removeprefix("Note: The run ") for line in lines] == [
            "outputs/deep/photo",
            "outputs/from the folder",
            "outputs/moved",
            "outputs/seen",
        ]
        assert lines[1].endswith("To delete that: rm 'outputs/from the folder/identity_reference.json'")
        assert "outputs/seen/catalog.sqlite" in lines[3]
    assert Path("outputs/seen/catalog.sqlite").is_file(), "runs are the user's to delete"
