"""``twinloop init``: a configuration that is taken as it is, in a folder of the person's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional.console import twinloop
from twinloop.config import Settings, parse_settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def nulled(data: dict[str, Any]) -> dict[str, Any]:
    """The same fields, each null, but for those that are required."""
    required = {name for name, info in Settings.model_fields.items() if info.is_required()}
    return {
        name: value if name in required or name.startswith("_") else nulled(value) if isinstance(value, dict) else None
        for name, value in data.items()
    }


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_what_it_writes_is_taken_also_with_every_field_null(
    full: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data = twinloop(capsys, "init", "--json", *full).data
    assert parse_settings(data, "x").person_name == "alice"
    assert "null take their default" in data["_comment"][0]
    assert parse_settings(nulled(data), "x").max_iterations == 5


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_a_wrong_name_is_one_error_and_writes_nothing(full: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "init", "--person-name", "", "--output", "c.json", *full)
    assert said.code == 2 and "--person-name: " in said.err and "defect" not in said.err
    assert not Path("c.json").exists()


def test_the_fields_with_choices_name_them(capsys: pytest.CaptureFixture[str]) -> None:
    fields = twinloop(capsys, "init", "--full", "--json").data["_fields"]
    assert fields["generation.offload"].endswith("; one of: none, model, blocks, sequential")
    assert fields["training.memory"].endswith("; one of: auto, 8, 12, 16, 24")


def test_the_texts_about_epochs_name_the_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    fields = twinloop(capsys, "init", "--full", "--json").data["_fields"]
    assert "epochs x repeats x images" in fields["training.epochs"]
    assert "as often as the preset repeats" in " ".join(twinloop(capsys, "train", "--help").out.split())


@pytest.mark.parametrize(
    ("record", "folder"),
    [
        (None, "outputs/bootstrap"),
        ({"settings": {"person_name": "bob b"}}, "outputs/bootstrap"),
        ({"settings": {"person_name": "ana"}}, "outputs/bootstrap_bob_b"),
        ([], "outputs/bootstrap"),
    ],
)
def test_another_persons_run_keeps_its_folder(record: Any, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    if record is not None:
        Path("outputs/bootstrap").mkdir(parents=True)
        Path("outputs/bootstrap/run.json").write_text(json.dumps(record))
    assert twinloop(capsys, "init", "--person-name", "bob b", "--json").data["output_dir"] == folder
    dotted = twinloop(capsys, "init", "--person-name", "Bob Jr.", "--json").data
    assert dotted["dataset_dir"] == "outputs/facevault/organized/Bob Jr", "as FaceVault calls the folder"
    named = twinloop(capsys, "init", "--person-name", "bob b", "--output-dir", "mine", "--json").data
    assert named["output_dir"] == "mine"


def test_a_folder_of_photos_that_is_not_there_is_warned_of_with_a_way_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("outputs/facevault/organized/alice").mkdir(parents=True)
    assert "warning" not in twinloop(capsys, "init", "--person-name", "alice", "--output", "alice.json").err
    said = twinloop(capsys, "init", "--person-name", "Alice", "--output", "c.json")
    assert said.code == 0 and Path("c.json").is_file(), "it may come yet"
    for text in (said.err, twinloop(capsys, "run", "--config", "c.json", "--dry-run").err):
        assert "no such folder: outputs/facevault/organized/Alice" in text
        assert "There is outputs/facevault/organized/alice; upper and lower case count" in text
        assert "twinloop vault run FOLDER --person Alice" in text
    other = twinloop(capsys, "init", "--person-name", "bob b", "--json")
    assert other.data["person_name"] == "bob b" and "There is" not in other.err
    assert "twinloop vault run FOLDER --person 'bob b'" in other.err


def test_the_preset_is_the_base_models_and_a_file_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    made = twinloop(capsys, "init", "--base-model", "black-forest-labs/FLUX.1-dev", "--json").data
    assert made["training"]["preset"] == "flux"
    Path("c.json").write_text("mine")
    said = twinloop(capsys, "init", "--output", "c.json")
    assert said.code == 2 and "exists; nothing was changed" in said.err and Path("c.json").read_text() == "mine"


def test_captions_that_the_preset_does_not_read_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    Path("photos/person.json").write_text(json.dumps({"consent": {}, "style": "tags", "name": "miku"}))
    argv = ("init", "--dataset-dir", "photos", "--output")
    assert "the captions in photos are tags, and this base model reads prose" in twinloop(capsys, *argv, "a.json").err
    said = twinloop(capsys, *argv, "b.json", "--base-model", "checkpoints/pony.safetensors")
    assert said.code == 0 and "captions in" not in said.err
    assert twinloop(capsys, *argv, "c.json", "--base-model", "nano").code == 0
