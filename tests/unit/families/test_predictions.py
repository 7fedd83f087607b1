"""What a base model predicts, told from its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from twinloop.families import FAMILIES
from twinloop.families.predictions import Prediction, prediction_of


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, Prediction()),
        ({"prediction_type": "v_prediction"}, Prediction("v_prediction")),
        (
            {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
            Prediction("v_prediction", zero_snr=True),
        ),
    ],
)
def test_a_folder_says_so_in_its_scheduler(config: dict[str, Any], wanted: Prediction, tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    assert prediction_of(str(tmp_path), FAMILIES["sdxl"]) == wanted
    assert prediction_of(str(tmp_path), FAMILIES["flux"]) == Prediction("flow")


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ((), Prediction()),
        (("v_pred",), Prediction("v_prediction")),
        (("v_pred", "ztsnr"), Prediction("v_prediction", zero_snr=True)),
        (("ztsnr",), Prediction()),
    ],
)
def test_a_file_says_so_by_empty_tensors(marks: tuple[str, ...], wanted: Prediction, tmp_path: Path) -> None:
    path = tmp_path / "base.safetensors"
    save_file({name: np.zeros(0, np.float32) for name in ("weight", *marks)}, path)
    assert prediction_of(str(path), FAMILIES["sdxl"]) == wanted


def test_what_is_not_here_is_taken_for_the_usual_kind(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text("[")
    for base in ("someone/some-sdxl", str(tmp_path)):
        assert prediction_of(base, FAMILIES["sdxl"]) == Prediction()
