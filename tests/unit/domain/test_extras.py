"""The table of extras is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from twinloop import errors
from twinloop.domain.choices import OPTIMIZERS
from twinloop.domain.extras import EXTRAS, GGUF_MODULE, OPTIMIZER_MODULES, OPTIONAL, PURPOSES, QUANTIZATION_MODULES
from twinloop.domain.quantised import QUANTIZATIONS
from twinloop.errors import MissingExtra, pip_line

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
FOR_DEVELOPERS = {"test", "build-nano"}


def test_every_extra_that_users_install_is_known_with_its_libraries() -> None:
    declared = PROJECT["optional-dependencies"]
    names = {extra: {re.split("[<>=]", one)[0] for one in declared[extra]} for extra in declared}
    assert {extra: set(libraries) for extra, libraries in EXTRAS.items()} == {
        extra: libraries for extra, libraries in names.items() if extra not in FOR_DEVELOPERS
    }
    assert PURPOSES.keys() == EXTRAS.keys() and set(EXTRAS["train"]) >= OPTIONAL


def test_what_a_setting_needs_is_in_the_extra_that_is_named() -> None:
    assert OPTIMIZER_MODULES.keys() < set(OPTIMIZERS) and QUANTIZATION_MODULES.keys() == set(QUANTIZATIONS)
    needed = [
        *OPTIMIZER_MODULES.values(),
        *((module, "quant") for module in (*QUANTIZATION_MODULES.values(), GGUF_MODULE)),
    ]
    assert all(module in EXTRAS[extra].values() for module, extra in needed)


def test_one_line_installs_all_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [
        MissingExtra("training.wandb", "wandb", "no module 'wandb'"),
        MissingExtra("Images", "train", "no torch"),
    ]
    missing.append(MissingExtra("LoRAs", "train"))
    said = str(MissingExtra.of(missing))
    assert said.startswith("training.wandb (no module 'wandb') and Images (no torch) and LoRAs need libraries")
    assert said.endswith(', in the project\'s folder: pip install -c constraints.txt -e ".[wandb,train]"')
    monkeypatch.setattr(errors, "_in_checkout", lambda: False)
    assert pip_line("quant") == 'pip install "twinloop[quant]"' and pip_line() == 'pip install "twinloop"'
    assert str(missing[0]).count("needs libraries that are not installed") == 1


def test_lines_to_install_have_quotes_that_every_shell_knows() -> None:
    """cmd of Windows takes single quotes for a part of the name."""
    root = Path(__file__).parents[3]
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("workshop/*.md"), *root.rglob("twinloop/**/*.py")]
    assert len(pages) > 100
    wrong = [str(page) for page in pages if re.search(r"'(\.|twinloop)\[", page.read_text(encoding="utf-8"))]
    assert wrong == []
