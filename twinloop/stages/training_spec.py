"""What specifies a training: all that decides a LoRA beside the photos, and what its record keeps of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.ports import TrainingSettings, decisive_settings
from twinloop.stages.pauses import NO_PAUSES, Pauses
from twinloop.stages.samples import NOTHING_BESIDE, Beside, prior_pictures


@dataclass(frozen=True)
class TrainingSpec:
    """How one LoRA is trained.

    Attributes:
        person: the trigger that the captions begin with.
        consent: as it was recorded; goes into the file.
        pauses: where images are drawn and checkpoints measured on the way; the best measured one is taken, else the
            last.
        base: how the base model is computed, as JSON, for the record of what was asked.
    """

    person: str
    settings: TrainingSettings
    consent: Consent = NOT_RECORDED
    beside: Beside = NOTHING_BESIDE
    pauses: Pauses = NO_PAUSES
    base: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, Any]:
        """What a file is trained with, as JSON; where its checkpoints are measured, also which and with how much
        patience.
        """
        trial = self.pauses.trial
        measured = {} if trial is None else {"checkpoints": list(trial.steps), "early_stop": trial.patience}
        masks = [(mask.photo, mask.sha256) for mask in self.beside.masks.values()]
        prior = prior_pictures(self.beside.prior)
        beside = {name: _hash(rows) for name, rows in (("masks", masks), ("prior", prior)) if rows}
        return {**decisive_settings(self.settings), **beside, **measured, **self.base}

    def met_by(self, record: Mapping[str, Any]) -> bool:
        """Whether a LoRA with this record was trained with what is asked now."""
        return record.get("asked") == self.asked


def _hash(rows: Sequence[tuple[str, str]]) -> str:
    """Of what lies beside the photos, in whatever order it was found."""
    return sha256(json.dumps(sorted(rows)).encode()).hexdigest()
