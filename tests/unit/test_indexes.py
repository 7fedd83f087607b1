"""The pages that list what a folder holds list all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_bench_is_named() -> None:
    page = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+\.py)` \|", page, re.MULTILINE)
    there = sorted(path.name for path in (ROOT / "bench").glob("*.py"))
    assert len(there) >= 20 and sorted(named) == there


def test_every_decision_is_named() -> None:
    folder = ROOT / "docs" / "decisions"
    named = re.findall(
        r"^- \[(\d+)\]\((\d{4})(-[\w-]+\.md)\): ", (folder / "README.md").read_text(encoding="utf-8"), re.M
    )
    there = sorted(path.name for path in folder.glob("0*.md"))
    assert len(there) >= 20 and [f"{number}{rest}" for _, number, rest in named] == there
    assert all(int(shown) == int(number) for shown, number, _ in named)
