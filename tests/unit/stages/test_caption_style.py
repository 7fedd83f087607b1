"""Captions of a prepared folder against what the base reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.stages.caption_style import mismatch, other_trigger, read_by

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


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
    assert mismatch(prepared(tmp_path / "right", style=captions), style, SDXL) == ""
    said = mismatch(prepared(tmp_path / "wrong", style=other, name="ana"), style, SDXL)
    assert f"rite them anew: twinloop vault prep ana --style {captions}" in said
    assert ("Name a base_model that reads tags" in said) is (other == "tags"), "tags are not to be lost"
    assert "training.preset" not in said


@pytest.mark.parametrize("name", ["ponyDiffusionV6XL.safetensors", "hub/animagine-xl-4.0", "Illustrious-XL-v1.0"])
def test_a_base_whose_name_says_tags_is_given_its_preset(tmp_path: Path, name: str) -> None:
    folder = prepared(tmp_path / "a", style="tags", name="ana")
    preset = next(preset for preset in ("pony", "animagine", "illustrious") if preset in name.lower())
    assert f"set training.preset to {preset}, or write them anew" in mismatch(folder, "prose", name)
    assert mismatch(folder, "pony", name) == ""


def test_the_command_names_the_vault_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    usual = prepared(Path("outputs/facevault/organized/ana b"), style="prose", name="ana b")
    assert "twinloop vault prep 'ana b' --style tags (" in mismatch(usual, "tags", SDXL)
    below = usual / "10_ana"
    below.mkdir()
    assert "twinloop vault prep 'ana b' --style tags (" in mismatch(below, "tags", SDXL)
    other = prepared(Path("mine/organized/ana"), style="tags", person="p001")
    assert "twinloop vault prep p001 --style prose --vault mine (" in mismatch(other, "prose", SDXL)


@pytest.mark.parametrize("record", [None, {}, {"style": "haiku"}])
def test_of_other_folders_nothing_is_said(tmp_path: Path, record: dict[str, str] | None) -> None:
    folder = tmp_path / "photos" if record is None else prepared(tmp_path / "photos", **record)
    assert mismatch(folder, "tags", SDXL) == mismatch(folder, "prose", SDXL) == ""


@pytest.mark.parametrize(
    ("trigger", "told"),
    [("zwx ana woman", False), ("zwx ana", False), ("ohwx ana woman", True), ("ZWX Ana Woman", False)],
)
def test_captions_with_another_trigger_are_told(trigger: str, told: bool, tmp_path: Path) -> None:
    folder = prepared(tmp_path / "a", prompt="zwx ana woman", name="ana")
    said = other_trigger(folder, trigger)
    assert bool(said) is told
    if told:
        assert "begin with 'zwx ana woman'" in said and "person_trigger is 'ohwx ana woman'" in said
    assert other_trigger(tmp_path, trigger) == "", "a folder that was not prepared"
