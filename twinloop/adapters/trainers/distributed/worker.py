"""One of the processes of a shared training: ``torchrun ... -m twinloop.adapters.trainers.distributed.worker
JOB.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
from twinloop.adapters.trainers.distributed.job import SHARED, message
from twinloop.adapters.trainers.execution.process_group import process_group
from twinloop.domain.validation_loss import validation_json
from twinloop.errors import TwinLoopError
from twinloop.store.atomic import read_json


def main(path: Path) -> int:
    """Take part in the training of a job file; the main process reports how far it is."""
    shared = SHARED.validate_python(read_json(path))
    family = shared.family.find(shared.choice.base)
    with process_group(shared.choice.device) as workers:
        try:
            trained = DiffusersLoraTrainer(
                shared.choice,
                family,
                lambda text: _send(workers.is_main, message("notice", text=text)),
                workers=workers,
            ).train(
                shared.samples, shared.settings, shared.output, shared.work, shared.metadata,
                lambda step, steps, loss, *validation: _send(
                    workers.is_main, message("step", step=step, steps=steps, loss=loss, validation=validation)
                ),
            )  # fmt: skip
        except TwinLoopError as error:
            _send(True, message("error", error=type(error).__name__, message=str(error)))
            return error.exit_code
        measured = validation_json(trained.validation)
        _send(workers.is_main, message("done", steps=trained.steps, loss=trained.loss, **measured))
    return 0


def _send(reports: bool, line: str) -> None:
    """To the process that started this one, through standard output; only where this process reports."""
    if reports:
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
