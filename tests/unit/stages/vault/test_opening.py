"""What opening a vault says where something in it must not be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.stages.vault.makers import fake_vault
from twinloop.errors import StorageError
from twinloop.stages.vault.opening import looked_into, open_vault
from twinloop.store import atomic
from twinloop.store.atomic import write_json


@pytest.mark.parametrize("opening", [open_vault, looked_into])
def test_only_what_must_not_be_written_elsewhere_is_called_an_output_folder(
    opening: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_vault(tmp_path) as (made, _):
        root = made.vault.root

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(atomic, "rename_over", refuse)
    for path, instead in (
        (root / "people.json", "Name another vault (--vault)"),
        (root / "organized/ana/person.json", "Name another vault (--vault)"),
        (tmp_path / "mine/person.json", "Choose another output folder"),
    ):
        with pytest.raises(StorageError) as told, opening(root):  # type: ignore[operator]
            write_json(path, {})
        assert str(told.value) == f"No permission to write {path}. {instead} or change the permissions."
