"""The start of a training, whoever does it: what decides its result is kept in its work folder, so that it goes on as
the same one or begins anew; without PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twinloop.domain.records import TrainingSample
from twinloop.ports import TrainingSettings, decisive_samples, decisive_settings
from twinloop.store.atomic import read_object, write_json
from twinloop.store.clock import utc_now


def inputs_hash(samples: Sequence[TrainingSample], settings: TrainingSettings, base: str, *others: Any) -> str:
    """Of all that decides a training's weights. Where the photos lie does not, nor do the texts of the LoRA's header:
    another wording there must not cost hours of training.

    Args:
        others: what else decides them, as JSON has it.
    """
    text = json.dumps([decisive_samples(samples), decisive_settings(settings), base, *others])
    return hashlib.sha256(text.encode()).hexdigest()


def begun(
    record: Path,
    inputs: str,
    trained: Callable[[], bool],
    notice: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
    **fixed: int,
) -> dict[str, Any]:
    """What was fixed when the training that ``record`` lies in the folder of first started: its ``inputs``, its
    ``date`` (ISO 8601, UTC), and the numbers of ``fixed``. A folder of another training, or with a damaged record, is
    cleared first.

    Args:
        trained: whether steps of the other training are kept in the folder. notice: told where these are lost. check:
            called before a training begins that the folder is not of; what it raises leaves all as it is.
    """
    now = {"inputs": inputs, "date": utc_now(), **fixed}
    if record.exists():
        kept = read_object(record)
        if kept.get("inputs") == inputs and all(type(kept.get(name)) is type(value) for name, value in now.items()):
            return {name: kept[name] for name in now}
    check()
    if record.exists():
        if trained():
            notice(
                f"The training begun in {record.parent} was one of other photos or settings, or of another version of"
                " this program, or its record is damaged; this one begins at step 1."
            )
        shutil.rmtree(record.parent)
    write_json(record, now)
    return now
