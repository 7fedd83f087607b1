"""The record of a run that an export starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.domain.records import Dataset, Member
from twinloop.errors import InputError, StateError
from twinloop.exporters.candidates import gather
from twinloop.exporters.captioned import gather_captioned
from twinloop.exporters.run_dataset import members_of, recorded_consent
from twinloop.exporters.run_preview import best_panel_image
from twinloop.store.run.workspace import Workspace


def test_the_members_of_a_run(tmp_path: Path) -> None:
    members = (Member("a.png", "0" * 64, "ohwx ana", "real", 0, 1.0),)
    record = tmp_path / "dataset_iter0.json"
    record.write_text(json.dumps(Dataset(members).to_json()))
    assert members_of(record) == members


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"members": [{"path": "a.png"}]}', '{"members": 3}'])
def test_another_file_is_one_error_wherever_it_is_read(text: str, tmp_path: Path) -> None:
    record = tmp_path / "gaps.json"
    record.write_text(text)
    said = r"gaps\.json is no dataset of a run .*Name a folder of photos, or a dataset_iterN\.json"
    with pytest.raises(InputError, match=said):
        members_of(record)
    with pytest.raises(InputError, match=said):
        gather(record, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        gather_captioned(record, None)  # type: ignore[arg-type]


def test_a_foreign_first_dataset_is_named_where_its_consent_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "dataset_iter0.json").write_text("[]")
    with pytest.raises(StateError, match=r"dataset_iter0\.json does not hold"):
        recorded_consent(tmp_path / "dataset_iter1.json")


def test_a_foreign_record_of_a_lora_is_named_where_its_picture_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "lora_v1.json").write_text("[]")
    lora = tmp_path / "lora_v1.safetensors"
    lora.write_bytes(b"")
    with pytest.raises(StateError, match=r"lora_v1\.json does not hold"):
        best_panel_image(Workspace(tmp_path, tmp_path), lora)
