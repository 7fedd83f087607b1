"""Captions of a prepared folder against what the base reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.stages.caption_style import mismatch, read_by


def prepared(folder: Path, **record: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "person.json").write_text(json.dumps({"consent": {}, **record}))
    return folder


@pytest.mark.parametrize(
    ("style", "captions"), [("prose", "prose"), ("full", "prose"), ("tags", "tags"), ("pony", "tags")]
)
def test_tags_go_with_bases_that_read_tags(tmp_path: Path, style: str, captions: str) -> None:
    assert read_by(style) == captions
    other = {"prose": "tags", "tags": "prose"}[captions]
    assert mismatch(prepared(tmp_path / "right", style=captions), style) == ""
    assert f"prep ana --style {captions}" in mismatch(prepared(tmp_path / "wrong", style=other, name="ana"), style)


def test_the_command_names_the_vault_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    usual = prepared(Path("outputs/facevault/organized/ana b"), style="prose", name="ana b")
    assert "twinloop vault prep 'ana b' --style tags (" in mismatch(usual, "tags")
    below = usual / "10_ana"
    below.mkdir()
    assert "twinloop vault prep 'ana b' --style tags (" in mismatch(below, "tags")
    other = prepared(Path("mine/organized/ana"), style="tags", person="p001")
    assert "twinloop vault prep p001 --style prose --vault mine (" in mismatch(other, "prose")


@pytest.mark.parametrize("record", [None, {}, {"style": "haiku"}])
def test_of_other_folders_nothing_is_said(tmp_path: Path, record: dict[str, str] | None) -> None:
    folder = tmp_path / "photos" if record is None else prepared(tmp_path / "photos", **record)
    assert mismatch(folder, "tags") == mismatch(folder, "prose") == ""
