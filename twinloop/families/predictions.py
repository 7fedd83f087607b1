"""What a base model of noise predicts, told from its files without loading it: for trainers that have to be told."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.errors import InputError
from twinloop.families.base import Family
from twinloop.families.single_files import tensor_names
from twinloop.ports import TrainingSettings

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


@dataclass(frozen=True)
class Asked:
    """What the user says of the base model; None = what its files say holds."""

    kind: str | None = None
    zero_snr: bool | None = None

    def over(self, found: Prediction) -> Prediction:
        """What holds in the end. Who changes the kind to epsilon needs not take back that the noise ends in nothing,
        which goes with v alone.
        """
        kept = found.zero_snr and self.kind in (None, "v_prediction")
        return Prediction(self.kind or found.kind, kept if self.zero_snr is None else self.zero_snr)

    @property
    def name(self) -> str:
        """Short, for fingerprints; "" where nothing is said."""
        ends = {None: (), True: ("zero_snr",), False: ("some_snr",)}[self.zero_snr]
        return "_".join((*([self.kind] if self.kind else []), *ends))


NOT_ASKED = Asked()


def prediction_of(base: str, family: Family, asked: Asked = NOT_ASKED) -> Prediction:
    """What a base model predicts, as the user says, else its folder's scheduler or its file; a model that is not here
    is taken for the usual kind.
    """
    if family.flow:
        return Prediction("flow")
    path = Path(base).expanduser()
    return asked.over(_of_folder(path) if path.is_dir() else marked(tensor_names(path) or ()))


def check_asked(asked: Asked, found: Prediction, family: Family) -> None:
    """Whether a base model of the family can be what the user says of it.

    Args:
        found: what its files say.

    Raises:
        InputError: a flow model is neither; or it would predict noise where there is nothing else.
    """
    if asked == NOT_ASKED:
        return
    if family.flow:
        raise InputError(
            f"base_prediction, zero_terminal_snr: models of the family '{family.name}' are flow models, which predict"
            " neither noise nor v. Leave both out."
        )
    told = asked.over(found)
    if told.zero_snr and not told.velocity:
        raise InputError(
            "zero_terminal_snr: the noise that a model predicts says nothing of a picture of pure noise. If the base"
            ' model predicts v, add "base_prediction": "v_prediction"; otherwise leave zero_terminal_snr out.'
        )


def suited(training: TrainingSettings, prediction: Prediction) -> TrainingSettings:
    """A preset's training for a base model of that kind.

    min-SNR weights go against what zero terminal SNR is for: with gamma 5 the noisiest three tenths of the times, in
    which hair, skin and shape are decided, have 1.6 % of the loss, and the last none (docs/log.md).
    """
    return replace(training, min_snr_gamma=0.0) if prediction.velocity and prediction.zero_snr else training


def _of_folder(path: Path) -> Prediction:
    try:
        config: Any = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return Prediction(str(config.get("prediction_type", "epsilon")), bool(config.get("rescale_betas_zero_snr")))
    except (OSError, ValueError, AttributeError, RecursionError):
        return USUAL
