"""The direction of imports, held by the contracts that ``make check`` runs; and that there is something to hold."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def report() -> str:
    """What import-linter says, without its colours."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert done.returncode == 0, text + done.stderr
    return text


def test_every_contract_is_kept(report: str) -> None:
    contracts = (ROOT / "pyproject.toml").read_text().count("[[tool.importlinter.contracts]]")
    assert contracts >= 2
    assert f"Contracts: {contracts} kept, 0 broken." in report
    assert "Imports run one way KEPT" in report


def test_the_contracts_saw_the_whole_package(report: str) -> None:
    """A contract over nothing is always kept."""
    counts = re.search(r"Analyzed (\d+) files, (\d+) dependencies", report)
    assert counts is not None, report
    files = sum(len(list((ROOT / package).rglob("*.py"))) for package in ("twinloop", "workshop"))
    assert int(counts[1]) >= files
    assert int(counts[2]) > 3 * files


def test_the_workshop_stays_out_of_the_product(report: str) -> None:
    """In the source archive, not in the wheel: so nothing in the wheel may need it. The archive holds all that the
    README sends its reader to, from the top of the repository: a pattern without a slash matches at any depth.
    """
    assert "Nothing in the product imports the workshop, which is not in the wheel KEPT" in report
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["packages"] == ["twinloop"]
    archived = targets["sdist"]["include"]
    assert "/workshop" in archived and all(pattern.startswith("/") for pattern in archived)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {link.split("/")[0] for link in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", readme)}
    assert linked >= {"docs", "CONTRIBUTING.md"} and {f"/{name}" for name in linked} <= {*archived}
    assert {"/constraints.txt", "/Makefile"} <= {*archived}


MAY_BE_HEAVY = {"adapters", "nano"}


def test_no_package_is_unguarded_against_heavy_libraries() -> None:
    """A new one is guarded from its first day, or named here."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (guard,) = (contract for contract in contracts if contract["type"] == "forbidden")
    there = {
        path.stem for path in (ROOT / "twinloop").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    wanted = {f"twinloop.{name}" for name in there - {"__init__"} - MAY_BE_HEAVY}
    assert sorted(guard["source_modules"]) == sorted(wanted)
    assert {"torch", "diffusers", "transformers", "peft", "onnxruntime", "cv2"} <= set(guard["forbidden_modules"])


def test_no_test_module_imports_another() -> None:
    """What several need lies in a module of its own, so that a test can be read, moved and deleted alone."""
    asks = re.compile(r"^\s*(?:from|import) tests[\w.]*\.test_\w+", re.MULTILINE)
    found = {str(path.relative_to(ROOT)): asks.findall(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}
    assert len(found) > 500, "the tests are where they are looked for"
    assert {path: lines for path, lines in found.items() if lines} == {}
