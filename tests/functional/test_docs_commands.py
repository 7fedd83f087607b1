"""docs/commands.md is what the program says of itself."""

from __future__ import annotations

import subprocess
import sys

from tests.functional.console import ROOT
from twinloop.cli import commandline, export, lora, models, nano
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
