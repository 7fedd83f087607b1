"""Numbers that overflow are told, and never become black pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion import base_model  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.pixels import decode  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    return replace(open_base(BaseChoice(str(full_base), "cpu", "float32"), FAMILIES["sdxl"]))


@pytest.mark.parametrize(
    ("compute", "then"),
    [
        (Compute(CPU, torch.float16, None), r'float16 end at 65,504\. Use "precision": "float32"'),
        (Compute(CPU, torch.bfloat16, None), r"try without the LoRA\.$"),
    ],
)
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_picture(base: BaseModel, compute: Compute, then: str, number: float) -> None:
    base.compute = compute
    with pytest.raises(InputError, match=then):
        decode(base, torch.full((4, 8, 8), number))


def test_a_picture(base: BaseModel) -> None:
    assert decode(base, torch.zeros(4, 8, 8)).ndim == 3


def test_float32_in_place_of_float16_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    family, said = FAMILIES["zimage"], list[str]()
    choice = BaseChoice(str(build_tiny("zimage", tmp_path / "base")), "cpu")
    asked: list[tuple[Any, ...]] = []

    def chosen(*how: Any) -> Compute:
        asked.append(how)
        return Compute(CPU, torch.float32, None, exact=True)

    monkeypatch.setattr(base_model, "choose_compute", chosen)
    monkeypatch.setattr(base_model, "_told", set())
    open_base(choice, family)
    assert asked == [("cpu", "auto", None, True)]
    open_base(choice, family, said.append)
    open_base(choice, family, said.append)
    (notice,) = said
    assert "'zimage' overflow in float16" in notice and '"precision": "float16"' in notice
    open_base(replace(choice, precision="float32"), family, said.append)
    assert len(said) == 1
