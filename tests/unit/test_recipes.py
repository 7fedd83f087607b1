"""docs/recipes.md: every block is a configuration that is read as it stands, and asks for nothing that its model or
trainer does not know.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.external_trainers import ai_toolkit, sd_scripts
from twinloop.cli.commandline import build_parser
from twinloop.config import parse_settings
from twinloop.errors import MissingExtra, MissingModel, ModelFileError
from twinloop.families import preset_for
from twinloop.wiring import build_makers
from twinloop.wiring.obstacles import obstacles

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
TEXT = PAGE.read_text(encoding="utf-8")
OTHERS = {"person_name": "alice", "person_trigger": "ohwx alice", "dataset_dir": "photos"}
RECIPES: dict[str, Any] = {
    title: json.loads(block)
    for title, block in re.findall(r"^## (.+?)\n+```json\n(.+?)^```", TEXT, re.MULTILINE | re.DOTALL)
}
PROGRAMS = {"kohya": sd_scripts, "ai-toolkit": ai_toolkit}


def test_every_section_is_a_recipe_that_says_what_to_expect() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == list(RECIPES) and len(RECIPES) >= 15
    assert all(section.count("\nExpect: ") == 1 for section in sections)
    assert TEXT.count("```json") == len(RECIPES)


def test_the_contents_lead_to_sections() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in RECIPES}
    linked = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert len(linked) >= 12 and linked <= anchors


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_is_a_configuration(title: str, tmp_path: Path) -> None:
    recipe = RECIPES[title]
    settings = parse_settings({**OTHERS, **recipe}, title)
    assert settings != parse_settings(OTHERS, "defaults")
    preset = recipe.get("training", {}).get("preset")
    if "base_model" in recipe and preset is not None:
        assert preset_for(recipe["base_model"]) in (preset, "sdxl"), "the name of the model says another preset"
    if settings.training.trainer != "builtin":
        folder = PROGRAMS[settings.training.trainer](tmp_path / "program")
        recipe = {**recipe, "training": {**recipe["training"], "trainer_path": str(folder)}}
        settings = parse_settings({**OTHERS, **recipe}, title)
    # models, LoRAs, optional libraries and a GPU need not be on the machine that runs the tests
    elsewhere = "CUDA GPU", "no such file"
    wrong = [
        error
        for error in obstacles(settings, build_makers(settings))
        if not isinstance(error, MissingModel | ModelFileError | MissingExtra)
        and not any(words in str(error) for words in elsewhere)
    ]
    assert not wrong


def test_commands_are_commands() -> None:
    text = re.sub(r" \\\n +", " ", TEXT)  # a line that goes on in the next one
    lines = [line.strip() for line in text.splitlines() if line.startswith("    twinloop ")]
    inline = re.findall(r"`(twinloop [^`]+\.safetensors)`", TEXT)
    assert len(lines) == 2 and len(inline) == 1
    for line in (*lines, *inline):
        build_parser().parse_args(shlex.split(line)[1:])
