"""What specifies a training: all that decides a LoRA beside the photos, and what its record keeps of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from twinloop.domain.vault import NOT_RECORDED, Consent
from twinloop.ports import FREE_SETTINGS, TrainingSettings
from twinloop.stages.pauses import NO_PAUSES, Pauses
from twinloop.stages.samples import NOTHING_BESIDE, Beside


def decisive(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that decide the weights, as JSON."""
    return {name: _json(value) for name, value in dataclasses.asdict(settings).items() if name not in FREE_SETTINGS}


def _json(value: Any) -> Any:
    return [_json(part) for part in value] if isinstance(value, tuple) else value


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
        pairs = sorted((mask.photo, mask.sha256) for mask in self.beside.masks.values())
        masks = {"masks": sha256(json.dumps(pairs).encode()).hexdigest()} if pairs else {}
        return {**decisive(self.settings), **masks, **measured, **self.base}

    def met_by(self, record: Mapping[str, Any]) -> bool:
        """Whether a LoRA with this record was trained with what is asked now."""
        asked = self.asked
        if "asked" not in record:  # by a version that kept no more than these
            return all(asked[name] == record[name] for name in ("preset", "steps", "seed"))
        # settings that are new since it was written had their default
        new = {
            setting.name: _json(setting.default)
            for setting in dataclasses.fields(TrainingSettings)
            if setting.name in asked
        }
        # and one that decides nothing any more may be written there
        kept = {name: value for name, value in record["asked"].items() if name not in FREE_SETTINGS}
        return {**new, **kept} == asked
