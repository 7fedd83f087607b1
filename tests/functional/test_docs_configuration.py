"""docs/configuration.md is what the program says of its configuration, and leads to places that exist."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.functional.console import ROOT
from twinloop.config import describe_fields

PAGE = ROOT / "docs" / "configuration.md"
AGAIN = "Write it anew: .venv/bin/python tools/configuration.py > docs/configuration.md"


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/configuration.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == PAGE.read_text(encoding="utf-8"), AGAIN


def test_every_field_has_its_row_in_its_section() -> None:
    found, section = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if title := re.match(r"## (?:`(\w+)`)?", line):
            section = f"{title[1]}." if title[1] else ""
        elif row := re.match(r"\| `(\w+)` \|", line):
            found.append(section + row[1])
    assert found and sorted(found) == sorted(describe_fields())


def test_links_lead_somewhere() -> None:
    links = set(re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", PAGE.read_text(encoding="utf-8")))
    assert len(links) > 40
    for page, anchor in links:
        titles = re.findall(r"^#+ (.+)$", (PAGE.parent / page).read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, (page, anchor)


def test_the_tool_links_no_field_that_is_not_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tools.configuration import MORE; print(*MORE.values())"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    linked = done.stdout.split()
    assert len(linked) > 100 and len(set(linked)) == len(linked) and set(linked) <= describe_fields().keys()
