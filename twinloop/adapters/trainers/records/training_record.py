"""What a training fixes when it first starts: its inputs' fingerprint, its date, its thread count."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from twinloop.adapters.diffusion.repeatability import thread_count
from twinloop.adapters.trainers.records.checkpoints import Checkpoints
from twinloop.adapters.trainers.records.notices import begins_anew
from twinloop.domain.records import TrainingSample
from twinloop.errors import StateError
from twinloop.ports import TrainingSettings, decisive_samples, decisive_settings
from twinloop.store.atomic import read_json, write_json
from twinloop.store.clock import utc_now

_FILE = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Decided once, so that a resumed training ends in the same bytes.

    Attributes:
        inputs: hash of samples, settings, base model and texts. date: ISO 8601, UTC. threads: sums depend on their
            number.
    """

    inputs: str
    date: str
    threads: int


def inputs_hash(
    samples: Sequence[TrainingSample], settings: TrainingSettings, base: str, texts: Mapping[str, str]
) -> str:
    """Of all that decides a training's result; where the photos lie does not matter."""
    text = json.dumps([decisive_samples(samples), decisive_settings(settings), base, sorted(texts.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def open_record(work: Path, inputs: str, notice: Callable[[str], None]) -> TrainingRecord:
    """The record of the training in ``work``; a folder of another training, or a damaged record, is cleared first.

    Args:
        notice: told when trained steps are lost with it.
    """
    path = work / _FILE
    if path.exists():
        kept = _read(path)
        if kept is not None and kept.inputs == inputs:
            return kept
        if Checkpoints(work).are_there:
            notice(begins_anew(work))
        shutil.rmtree(work)
    record = TrainingRecord(inputs, utc_now(), thread_count())
    write_json(path, asdict(record))
    return record


def _read(path: Path) -> TrainingRecord | None:
    try:
        data = read_json(path)
        return TrainingRecord(str(data["inputs"]), str(data["date"]), int(data["threads"]))
    except (StateError, KeyError, TypeError, ValueError):
        return None
