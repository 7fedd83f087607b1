"""docs/commands.md is what the program says of itself."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.functional.console import ROOT
from twinloop.cli import commandline, export, generate, lora, models, nano
from twinloop.cli.command import script_parser
from twinloop.cli.scripts import SCRIPTS

PAGE = ROOT / "docs" / "commands.md"
AGAIN = "Write it anew: .venv/bin/python tools/commands.py > docs/commands.md"


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "tools/commands.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == PAGE.read_text(encoding="utf-8"), AGAIN


def test_every_command_has_its_section() -> None:
    text = PAGE.read_text(encoding="utf-8")
    wanted = [
        *SCRIPTS,
        *(f"twinloop {c.name}" for c in commandline.COMMANDS),
        *(f"twinloop export {c.name}" for c in export.COMMANDS),
        *(f"twinloop lora {c.name}" for c in lora.COMMANDS),
        *(f"twinloop nano {c.name}" for c in nano.COMMANDS),
        *(f"twinloop models {c.name}" for c in models.COMMANDS),
    ]
    assert len(wanted) >= 20
    assert all(f"\n### {name}\n" in text for name in wanted)


def test_the_options_of_generation_have_the_flags_that_are_named() -> None:
    """Each field by the flag of its name, unless the sentences behind the table name another or none."""
    page = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
    section = page.split("\n## Options of generation\n")[1].split("\n## ")[0]
    table, _, said = section.partition("`generate_synthetic.py`")
    called = {field: flag for flag, field in re.findall(r"`--([\w-]+)[^`]*` \(`(\w+)`\)", said)}
    (without,) = re.findall(r"`(\w+)` and `(\w+)` have no flag", " ".join(said.split()))
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    fields = [name.rpartition(".")[2] for row in rows for name in re.findall(r"`([\w.]+)`", row)]
    flags = {option for action in script_parser(generate.COMMAND, "x")._actions for option in action.option_strings}
    assert len(fields) > 20 and {*called, *without} <= {*fields}
    for field in fields:
        assert (f"--{called.get(field, field.replace('_', '-'))}" in flags) is (field not in without), field
