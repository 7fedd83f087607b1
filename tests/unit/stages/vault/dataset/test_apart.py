"""A training set stays apart from the photos, and from that of anybody else: no original is ever written over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.stages.vault.dataset.preparing import LABEL, prepare, tree
from tests.unit.stages.vault.makers import FAKE, clustered, fake_photos, fake_vault, fill, person_in, photo_of
from twinloop.domain.vault import Person
from twinloop.errors import InputError, StateError
from twinloop.stages.vault.dataset.folder import location
from twinloop.stages.vault.dataset.folder.apart import check_apart
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.record import people_of, write_people
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import clean_png
from twinloop.store.vault.folder import Vault


@contextmanager
def vault_of_plain_pngs(home: Path, scanned: str) -> Iterator[tuple[OpenVault, Person]]:
    """A vault whose photos have the very bytes that their cuts have: PNGs without metadata, used as they are."""
    paths = fake_photos(home / "photos", 3, 256)
    for path in paths:
        path.write_bytes(clean_png(Image.fromarray(load_image(path).pixels), False))
    photos = [photo_of(path, FAKE.observe(load_image(path)).faces) for path in paths]
    fill(home / "vault", photos, scanned)
    with open_vault(home / "vault") as opened:
        person = person_in(photos)
        write_people(opened.vault, people_of(clustered({person.id: person.faces}, opened.fingerprint), ()))
        yield opened, person


@pytest.mark.parametrize("output", ["photos", "photos/set", ".", "link", "link/set"])
def test_no_training_set_goes_into_above_or_below_the_photos(tmp_path: Path, output: str) -> None:
    (tmp_path / "link").symlink_to("photos")
    with vault_of_plain_pngs(tmp_path, str(tmp_path / "photos")) as (opened, person):
        before = tree(tmp_path)
        with pytest.raises(InputError, match=r"scanned for photos.*Choose a folder apart"):
            prepare(opened, person, size=128, output=tmp_path / output)
        with pytest.raises(InputError, match="scanned for photos"):
            location.check(opened, person, tmp_path / output)
        assert tree(tmp_path) == before


def test_a_folder_reached_by_another_name_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that knows no case."""
    (tmp_path / "Photos").mkdir()
    real = Path.stat
    other = tmp_path / "photos"
    monkeypatch.setattr(Path, "stat", lambda path, **more: real(tmp_path / "Photos" if path == other else path, **more))
    with pytest.raises(InputError, match="lies in"):
        check_apart(Vault(tmp_path / "vault"), [tmp_path / "Photos"], tmp_path / "photos" / "set")


def test_the_flag_and_what_is_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--sheets .*: the contact sheets would be written among the originals"):
        check_apart(Vault(tmp_path / "v"), [tmp_path / "a"], tmp_path / "a/b", "--sheets", "the contact sheets")


def test_the_vault_may_lie_among_the_photos_and_hold_its_sets(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "photos/vault")
    vault.create()
    check_apart(vault, [tmp_path / "photos"], vault.root / "organized/other")
    with pytest.raises(InputError, match="lies in"):
        check_apart(vault, [vault.root / "organized/other"], vault.root / "organized/other/set")


@pytest.mark.parametrize("through", ["photos", "link"])
def test_an_original_is_no_file_of_ours_wherever_it_lies(tmp_path: Path, through: str) -> None:
    """Also where nothing says that the folder was scanned, and every byte is what would be written."""
    (tmp_path / "link").symlink_to("photos")
    with vault_of_plain_pngs(tmp_path, "elsewhere") as (opened, person):
        originals = tree(tmp_path / "photos")
        first = prepare(opened, person, output=tmp_path / through)
        assert {*first.files.values()}.isdisjoint(originals)
        second = prepare(opened, person, size=128, layout="kohya", output=tmp_path / through)
        assert {*second.files.values()}.isdisjoint(originals)
        left = tree(tmp_path / "photos")
        assert {name: left.get(name) for name in originals} == originals


def test_an_original_that_a_record_calls_ours_stays(tmp_path: Path) -> None:
    """Whatever wrote such a record."""
    with vault_of_plain_pngs(tmp_path, "elsewhere") as (opened, person):
        folder = tmp_path / "photos"
        originals = tree(folder)
        digests = {name: opened.catalog.files.at(folder / name) for name in originals}
        files = [
            {"file": name, "sha256": originals[name], "photo": known.sha256, "key": "an older cut"}
            for name, known in digests.items()
            if known is not None
        ]
        (folder / "person.json").write_text(json.dumps({"person": "p001", "files": files}))
        prepare(opened, person, size=128, output=folder)
        prepare(opened, person, size=128, layout="kohya", output=folder)
        left = tree(folder)
        assert {name: left.get(name) for name in originals} == originals


def test_a_copy_of_the_photos_that_nobody_scanned_is_left_alone_too(tmp_path: Path) -> None:
    with vault_of_plain_pngs(tmp_path, "elsewhere") as (opened, person):
        backup = tmp_path / "backup"
        backup.mkdir()
        for path in (tmp_path / "photos").iterdir():
            (backup / path.name).write_bytes(path.read_bytes())
        originals = tree(backup)
        prepare(opened, person, output=backup)
        prepare(opened, person, size=128, output=backup)
        left = tree(backup)
        assert {name: left.get(name) for name in originals} == originals


def renamed(opened: OpenVault, person: Person, name: str) -> Person:
    opened.decisions.add("name", {"person": person.id, "name": name})
    return Person(person.id, name, person.faces)


def test_two_vaults_do_not_mix_two_people_in_one_folder(tmp_path: Path) -> None:
    """Every vault has a p001."""
    output = tmp_path / "set"
    with fake_vault(tmp_path / "one", 3) as (opened, person):
        prepare(opened, person, output=output)
        before = tree(output)
        assert prepare(opened, renamed(opened, person, "bob"), output=output).written == 0
        assert prepare(opened, person, output=output).written == 0
    assert tree(output) == before
    for name in ("alice", "carol"):
        with (
            fake_vault(tmp_path / name, 4) as (opened, person),
            pytest.raises(StateError, match=r"training set of alice \(p001\), made in another vault"),
        ):
            prepare(opened, Person(person.id, name, person.faces), output=output)
    assert tree(output) == before


def test_a_set_in_its_own_vault_is_not_taken_by_another(tmp_path: Path) -> None:
    with fake_vault(tmp_path / "one", 3) as (opened, person):
        folder = prepare(opened, person).folder
    before = tree(folder)
    with (
        fake_vault(tmp_path / "two", 4) as (opened, person),
        pytest.raises(StateError, match="made in another vault"),
    ):
        prepare(opened, person, output=folder)
    assert tree(folder) == before


def test_of_a_set_that_names_no_vault_the_name_decides(tmp_path: Path) -> None:
    output = tmp_path / "set"
    with fake_vault(tmp_path / "one", 3) as (opened, person):
        prepare(opened, person, output=output)
        record = json.loads((output / "person.json").read_text())
        del record["vault"]
        (output / "person.json").write_text(json.dumps(record))
        with pytest.raises(StateError, match=r"training set of alice \(p001\). Move it away"):
            prepare(opened, Person(person.id, "bob", person.faces), output=output)
        renamed(opened, person, "alice")  # who was called so once
        prepare(opened, renamed(opened, person, "bob"), output=output)
        assert LABEL.person == json.loads((output / "person.json").read_text())["person"]
    assert (tmp_path / "one/vault/vault.json").stat().st_mode & 0o077 == 0
