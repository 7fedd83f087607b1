"""Numbers of steps that a base's sampler cannot take are told before the base is loaded."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION
from tests.helpers.looks import look_at_all
from tests.helpers.tiny_families import build_tiny
from twinloop.adapters.diffusion import base_model
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.preflight import Wanted, checks
from twinloop.errors import InputError, MissingModel
from twinloop.families import FAMILIES
from twinloop.families.predictions import Asked


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a base model was loaded")

    monkeypatch.setattr(base_model, "open_base", never)


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("qwen-image", {"steps": 1}, "1, but this base model's scheduler needs two steps at least"),
        ("qwen-image", {"steps": 1, "scheduler": "euler_exponential"}, "needs two steps at least"),
        ("qwen-image", {"steps": 2}, None),
        ("flux", {"steps": 1}, None),
        ("sd15", {"steps": 1, "scheduler": "ddim"}, None),
        (
            "sd15",
            {"steps": 1200, "scheduler": "ddim"},
            r"1200, but 'ddim' takes \d+ steps at most with this base model",
        ),
        ("sd15", {"steps": 60, "scheduler": "lcm"}, "60, but 'lcm' takes 50 steps at most, and 4 to 8 are usual"),
    ],
)
def test_too_few_and_too_many(name: str, changes: dict[str, Any], problem: str | None, tmp_path: Path) -> None:
    base = BaseChoice(str(build_tiny(name, tmp_path / "base")), "cpu")
    wanted = Wanted(base, FAMILIES[name], replace(GENERATION, **changes))
    found = []
    for look in checks(wanted):
        try:
            look()
        except InputError as error:
            found.append(str(error))
    assert len(found) == (problem is not None)
    with nullcontext() if problem is None else pytest.raises(InputError, match=problem):
        look_at_all(checks(wanted))


def test_of_a_base_that_is_not_here_or_is_said_to_be_another_nothing_is_known(tmp_path: Path) -> None:
    asked = replace(GENERATION, steps=1200, scheduler="ddim")
    with pytest.raises(MissingModel):
        look_at_all(checks(Wanted(BaseChoice(str(tmp_path / "none"), "cpu"), FAMILIES["sd15"], asked)))
    base = build_tiny("sd15", tmp_path / "base")
    told = BaseChoice(str(base), "cpu", prediction=Asked("v_prediction", True))
    look_at_all(checks(Wanted(told, FAMILIES["sd15"], asked)))
