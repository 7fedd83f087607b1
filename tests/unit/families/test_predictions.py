"""What a base model predicts, told from its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from twinloop.errors import InputError
from twinloop.families import FAMILIES
from twinloop.families.predictions import Asked, Prediction, check_asked, prediction_of, suited


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


V, ZERO = Prediction("v_prediction"), Prediction("v_prediction", zero_snr=True)


@pytest.mark.parametrize(
    ("asked", "found", "wanted"),
    [
        (Asked(), ZERO, ZERO),
        (Asked("v_prediction"), Prediction(), V),
        (Asked("v_prediction", True), Prediction(), ZERO),
        (Asked("v_prediction"), ZERO, ZERO),
        (Asked(None, True), V, ZERO),
        (Asked(None, False), ZERO, V),
        (Asked("epsilon"), ZERO, Prediction()),
    ],
)
def test_what_the_user_says_goes_over_what_the_files_say(
    asked: Asked, found: Prediction, wanted: Prediction, tmp_path: Path
) -> None:
    assert asked.over(found) == wanted
    path = tmp_path / "base.safetensors"
    marks = [name for name, there in (("v_pred", found.velocity), ("ztsnr", found.zero_snr)) if there]
    save_file({name: np.zeros(0, np.float32) for name in ("weight", *marks)}, path)
    assert prediction_of(str(path), FAMILIES["sdxl"], asked) == wanted
    assert prediction_of(str(path), FAMILIES["flux"], asked) == Prediction("flow")
    check_asked(asked, found, FAMILIES["sdxl"])


def test_names_for_fingerprints_differ() -> None:
    asked = [Asked(kind, zero) for kind in (None, "epsilon", "v_prediction") for zero in (None, True, False)]
    assert len({one.name for one in asked}) == len(asked) and Asked().name == ""


def test_what_a_base_cannot_be() -> None:
    with pytest.raises(InputError, match="family 'flux' are flow models"):
        check_asked(Asked("epsilon"), Prediction("flow"), FAMILIES["flux"])
    with pytest.raises(InputError, match='add "base_prediction": "v_prediction"'):
        check_asked(Asked(None, True), Prediction(), FAMILIES["sdxl"])
    check_asked(Asked(), Prediction("flow"), FAMILIES["flux"])


def test_min_snr_is_off_where_the_noise_ends_without_signal() -> None:
    usual = FAMILIES["sdxl"].preset("illustrious").training
    assert suited(usual, ZERO) == replace(usual, min_snr_gamma=0.0)
    assert suited(usual, V) is suited(usual, Prediction()) is usual
    assert suited(usual, Prediction("epsilon", zero_snr=True)) is usual
