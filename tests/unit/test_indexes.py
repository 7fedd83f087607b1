"""The pages that list what a folder holds list all of it, and nothing else."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
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


def test_commands_in_docstrings_can_be_copied() -> None:
    """One command a line; where it goes on in the next, it says so as a shell reads it."""
    command = re.compile(r" {4}(?:\w+=\S+ )*(?:python[\d.]*|twinloop|pip|\S+/bin/(?:python|pip)) ")
    scripts = [
        path for folder in (".", "bench", "bench/peers", "examples", "tools") for path in (ROOT / folder).glob("*.py")
    ]
    found = 0
    for path in scripts:
        lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or "").splitlines()
        for line, following in pairwise([*lines, ""]):
            if not command.match(line):
                continue
            found += 1
            goes_on = bool(following.strip()) and not command.match(following)
            assert line.endswith("\\") == goes_on, f"{path}: {line}"
            assert len(re.findall(r"\bpython \S+\.py", line)) <= 1, f"{path}: {line}"
    assert found >= 30
