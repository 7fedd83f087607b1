"""What a base model of noise predicts, told from its files without loading it: for trainers that have to be told."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.families.base import Family
from twinloop.families.single_files import tensor_names

V_MARK, ZERO_MARK = "v_pred", "ztsnr"
"""Tensors by whose names single files say that they predict v, and that their noise ends without any signal (NoobAI's
do)."""


@dataclass(frozen=True)
class Prediction:
    """``kind``: ``epsilon``, ``v_prediction`` or ``flow``. ``zero_snr``: the last time is pure noise."""

    kind: str = "epsilon"
    zero_snr: bool = False

    @property
    def velocity(self) -> bool:
        return self.kind == "v_prediction"


USUAL = Prediction()


def marked(names: Collection[str]) -> Prediction:
    """What a single file with tensors of these names says of itself."""
    return Prediction("v_prediction", ZERO_MARK in names) if V_MARK in names else USUAL


def prediction_of(base: str, family: Family) -> Prediction:
    """What a base model predicts, as its folder's scheduler or its file says; a model that is not here is taken for the
    usual kind.
    """
    if family.flow:
        return Prediction("flow")
    path = Path(base).expanduser()
    return _of_folder(path) if path.is_dir() else marked(tensor_names(path) or ())


def _of_folder(path: Path) -> Prediction:
    try:
        config: Any = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return Prediction(str(config.get("prediction_type", "epsilon")), bool(config.get("rescale_betas_zero_snr")))
    except (OSError, ValueError, AttributeError):
        return USUAL
