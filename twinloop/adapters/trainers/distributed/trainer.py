"""Train on several GPUs (or processes): the same training, its steps shared."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from twinloop import errors
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.repeatability import thread_count
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
from twinloop.adapters.trainers.distributed.job import SHARED, NamedFamily, SharedTraining, parse_message
from twinloop.adapters.trainers.execution.process_group import check_processes
from twinloop.domain.forecast import Forecast
from twinloop.domain.records import TrainingSample
from twinloop.domain.validation_loss import validation_of
from twinloop.errors import StateError, TwinLoopError
from twinloop.ports import Progress, Trained, TrainingSettings, TrainingSize, nobody_listens
from twinloop.store.atomic import write_json
from twinloop.system import processes
from twinloop.system.pipes import read_aside

JOB = "job.json"
LAST_LINES = 15
"""Of the processes' output, shown where they end without a message."""
GRACE_SECONDS = 20.0
"""For processes to end by themselves after they were asked to."""


class DistributedTrainer:
    """A `Trainer` that starts ``count`` processes with torchrun for every training.

    Args:
        notice: called with what the user should know while a training goes on.
    """

    def __init__(
        self, choice: BaseChoice, family: NamedFamily, count: int, notice: Callable[[str], None] = nobody_listens
    ) -> None:
        self._choice, self._family, self._count, self._notice = choice, family, count, notice
        self._alone = DiffusersLoraTrainer(choice, family.find(choice.base))

    @property
    def fingerprint(self) -> str:
        """That of one process, whose LoRA is the same but for the rounding of sums."""
        return self._alone.fingerprint

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> Forecast | None:
        """As for one process: each takes its own part of a step's pictures on its own GPU."""
        return self._alone.forecast(settings, size)

    def notes(self, settings: TrainingSettings, *, prior: bool) -> Sequence[str]:
        """As of one process."""
        return self._alone.notes(settings, prior=prior)

    def steps_done(self, work: Path) -> int:
        """As of one process: the main one writes the checkpoints."""
        return self._alone.steps_done(work)

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> Trained:
        """As `DiffusersLoraTrainer.train`.

        Raises:
            InputError: the pictures of a step cannot be divided among the processes. StateError: the processes ended
                with an error of their own.
            Others as `DiffusersLoraTrainer.train`.
        """
        check_processes(self._count, settings.effective_batch)
        self._alone.make_room()  # the generator's base model may lie on the first GPU
        job = work.with_name(f"{work.name}_{JOB}")
        shared = SharedTraining(self._choice, self._family, tuple(samples), settings, output, work, metadata)
        with processes.cleared_up_when_ended(), _removed_at_the_end(job):
            write_json(job, SHARED.dump_python(shared, mode="json"))
            return self._run(job, progress)

    def _run(self, job: Path, progress: Progress) -> Trained:
        output: deque[str] = deque(maxlen=LAST_LINES)
        trained: Trained | None = None
        with _processes(job, self._count) as process:
            assert process.stdout is not None
            for line in read_aside(process.stdout.readline):
                message = parse_message(line)
                if message is None:
                    output.append(line.rstrip())
                elif message["kind"] == "step":
                    validation = [float(loss) for loss in message.get("validation", ())]
                    progress(int(message["step"]), int(message["steps"]), float(message["loss"]), *validation)
                elif message["kind"] == "notice":
                    self._notice(str(message["text"]))
                elif message["kind"] == "error":
                    text = str(message["message"])
                    raise errors.from_name(str(message["error"]), text) or TwinLoopError(text)
                else:
                    last = int(message["steps"])
                    trained = Trained(last, float(message["loss"]), validation_of(last, message))
        if trained is None:
            raise StateError(
                "The processes of the training ended before it was finished. Their last lines:\n" + "\n".join(output)
            )
        return trained


@contextlib.contextmanager
def _removed_at_the_end(file: Path) -> Iterator[None]:
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _processes(job: Path, count: int) -> Iterator[subprocess.Popen[str]]:
    """torchrun with its processes; they are gone afterwards, whatever happens."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "--module",
        "twinloop.adapters.trainers.distributed.worker", str(job.absolute()),
    ]  # fmt: skip
    # torchrun would give each process a single thread where the user names no number
    threads = str(max(1, thread_count() // count))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", env=environment,
        **processes.own_group(),
    )  # fmt: skip
    try:
        yield process
        process.wait()
    finally:
        _terminate(process)


def _terminate(process: subprocess.Popen[str]) -> None:
    for end in (processes.terminate, processes.kill):
        if process.poll() is not None:
            return
        end(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
