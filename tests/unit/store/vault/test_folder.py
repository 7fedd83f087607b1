"""Where a person's training set lies: always right below organized/."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from twinloop.errors import InputError, StorageError
from twinloop.store.vault.folder import Vault


@pytest.mark.parametrize("name", ["José", "अनिल", "தமிழ்", "김민수"])
def test_one_name_is_one_folder_however_it_is_composed(tmp_path: Path, name: str) -> None:
    folders = {Vault(tmp_path).person(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert folders == {tmp_path / "organized" / unicodedata.normalize("NFC", name)}


@pytest.mark.parametrize(("name", "folder"), [("Ana Jr.", "Ana Jr"), ("Ana .", "Ana"), ("J. R.", "J. R")])
def test_no_folder_is_asked_for_that_windows_would_call_otherwise(tmp_path: Path, name: str, folder: str) -> None:
    assert Vault(tmp_path).person(name) == tmp_path / "organized" / folder


@pytest.mark.parametrize("name", ["", "..", "../alice", "a/b", ".a", " a", "a\x00", "x" * 121])
def test_no_other_folder_is_ever_meant(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name of a folder"):
        Vault(tmp_path).person(name)


def test_a_vault_that_cannot_be_made_is_not_called_an_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"Name another vault \(--vault\)"):
        Vault(tmp_path / "vault").create()
