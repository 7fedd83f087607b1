"""From a prepared folder into training: the captions beside the photos and the consent arrive in the dataset and in the
LoRA.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional import loops
from tests.functional.console import twinloop
from tests.unit.stages.vault.makers import fake_vault, work_on
from tests.unit.things import Recording
from twinloop.adapters.fakes import _lora_info
from twinloop.domain.vault import Consent, Label
from twinloop.stages.vault.dataset.prep import PrepOptions, prep

CONSENT = Consent("written", "Alice", "2024-05-06", "training")

pytestmark = pytest.mark.usefixtures("at_home")


def prepared(layout: str, consent: Consent = CONSENT) -> Path:
    """A prepared folder of 8 photos, one caption of which the user changed."""
    with fake_vault(Path(), 8) as (opened, person):
        label = Label("p001", "zwx alice", "woman", consent)
        found = prep(opened, work_on(opened, person, label), PrepOptions(layout=layout), Recording())
    if layout != "metadata":
        next(found.folder.rglob("IMG_0003.txt")).write_text("at the sea")
    return found.folder


def beside(photo: Path) -> str:
    if photo.with_suffix(".txt").exists():
        return photo.with_suffix(".txt").read_text().strip()
    rows = [json.loads(line) for line in (photo.parent / "metadata.jsonl").read_text().splitlines()]
    return str(next(row["text"] for row in rows if row["file_name"] == photo.name))


@pytest.mark.parametrize("layout", ["flat", "kohya", "metadata"])
def test_the_loop_trains_on_the_captions_that_lie_there(layout: str) -> None:
    folder = prepared(layout)
    shares = {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}
    loops.run(_settings(folder, shares))
    record = json.loads(Path("out/dataset_iter0.json").read_text())
    texts = {Path(member["path"]): member["caption"] for member in record["members"]}
    assert len(texts) >= 7
    for photo, text in texts.items():
        own = beside(photo)
        assert text == (own if "zwx alice" in own else f"zwx alice, {own}")
        assert own == "at the sea" or text.startswith("zwx alice woman, ")
    assert record["consent"]["text"] == CONSENT.text
    assert _lora_info(Path("loras/lora.safetensors"))["twinloop.consent"] == CONSENT.text


def _settings(folder: Path, shares: dict[str, Any]) -> Any:
    return loops.settings(
        person_trigger="zwx alice", dataset_dir=str(folder), analysis={"facets": ["face_angle"], "shares": shares}
    )


def test_captions_in_the_other_style_are_told_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    folder = prepared("flat")
    shares = {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}
    asked = _settings(folder, shares).model_dump(mode="json", exclude_unset=True)
    told = "are prose, and this base model reads tags"
    command = "twinloop vault prep alice --style tags"
    for style, expected in (("pony", True), ("tags", True), ("full", False), ("prose", False)):
        Path("config.json").write_text(json.dumps({**asked, "generation": {"prompt_style": style}}))
        for words in (["doctor", "--config", "config.json"], ["run", "--config", "config.json", "--dry-run"]):
            said = twinloop(capsys, *words).err
            assert (told in said) is expected and (command in said) is expected, (style, words, said)
    Path("config.json").write_text(json.dumps({**asked, "generation": {"prompt_style": "tags"}}))
    assert told in twinloop(capsys, "run", "--config", "config.json").err
    by_hand = ["train", folder, "--config", "config.json", "--output", "mine.safetensors", "--catalog", "c.sqlite"]
    assert told in twinloop(capsys, *by_hand).err


def test_training_by_hand_takes_trigger_captions_and_consent_from_the_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = prepared("kohya") / "10_zwx alice woman"
    said = twinloop(
        capsys,
        "train",
        folder,
        "--base-model",
        "fake",
        "--models-dir",
        "fake",
        "--output",
        "mine.safetensors",
        "--steps",
        2,
        "--catalog",
        "c.sqlite",
    )
    assert said.code == 0, said.err
    info = _lora_info(Path("mine.safetensors"))
    assert info["twinloop.consent"] == CONSENT.text and info["modelspec.trigger_phrase"] == "zwx alice woman"


def test_a_folder_without_a_record_says_not_recorded() -> None:
    loops.write_photos(Path("photos"), 8)
    loops.run(_settings(Path("photos"), {"face_angle": {"front": 0, "three_quarter": 0, "profile": 0}}))
    assert _lora_info(Path("loras/lora.safetensors"))["twinloop.consent"] == "not recorded"
