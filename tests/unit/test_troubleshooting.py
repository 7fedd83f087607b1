"""docs/troubleshooting.md names fields, values, checks and commands that there are, and links to places that exist."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from twinloop.cli.commandline import build_parser
from twinloop.config import describe_fields, parse_settings

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
LEAST = {"person_name": "alice", "person_trigger": "ohwx alice", "dataset_dir": "photos"}


def test_fields_are_fields() -> None:
    named = set(re.findall(r"`((?:analysis|generation|validation|training|merge|panel|stop)\.\w+)`", TEXT))
    assert len(named) > 15 and named <= describe_fields().keys()


def test_settings_are_settings() -> None:
    found = re.findall(r"`(\"[^`]+\": [^`]+)`", TEXT)
    assert len(found) >= 7
    for one in found:
        parse_settings({**LEAST, **json.loads("{" + one + "}")}, one)


def test_checks_are_checks() -> None:
    table = TEXT.split("| most often |")[1].split("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall("`([^`]+)`", line.split("|")[1])}
    row = next(line for line in (DOCS / "formats.md").read_text(encoding="utf-8").splitlines() if "`one_face`" in line)
    assert len(named) > 5 and named - {"unsure"} <= set(re.findall("`([^`]+)`", row))


def test_commands_are_commands() -> None:
    lines = re.findall(r"^    (twinloop .+)$", TEXT, re.MULTILINE)
    lines += re.findall(r"`(twinloop (?:doctor|vault run|compare) [^`]+)`", TEXT)
    assert len(lines) >= 6
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([\w-]*(?:\.md)?)#([\w-]+)\)", TEXT)
    assert len(links) > 15
    for page, anchor in links:
        text = (DOCS / (page or "troubleshooting.md")).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, (page, anchor)
