"""What a training measures of itself: a line per step in a file, TensorBoard where its library is there, Weights &
Biases when asked.

The file lies in the work folder while the training goes on, and beside the LoRA afterwards.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from twinloop.domain.validation_loss import ValidationLoss, validation_json
from twinloop.errors import MissingExtra, pip_line
from twinloop.ports import TrainingSettings
from twinloop.store.atomic import copy_whole, storage_errors, write_bytes
from twinloop.store.clock import fixed_time
from twinloop.store.models.lora_file import metrics_path

FILE = "metrics.jsonl"
Figures = Mapping[str, float | None]


class Sink(Protocol):
    """Where figures go."""

    def add(self, step: int, figures: Figures, validation: ValidationLoss | None = None) -> None:
        """The figures of one step, with those of the validation after it, if there was one."""
        ...

    def sync(self) -> None:
        """Make what was added durable, as far as the sink can."""
        ...

    def close(self) -> None:
        """No figures come after this."""
        ...


class JsonLines:
    """One JSON object per line and step.

    Lines after ``last`` are of steps that will be taken again, and are cut off on opening.

    Raises:
        StorageError: disk full or not permitted.
    """

    def __init__(self, path: Path, last: int) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with storage_errors(path):
            kept = path.read_bytes().splitlines(keepends=True) if path.exists() else []
            good = [line for line in kept if 0 < _step_of(line) <= last]
            if good != kept:
                write_bytes(path, b"".join(good))
            self._file = open(path, "ab")  # noqa: SIM115  (closed by `close`)

    def add(self, step: int, figures: Figures, validation: ValidationLoss | None = None) -> None:
        """One line; null for what is not finite, which JSON does not know."""
        measured = {} if validation is None else validation_json(validation)
        line = json.dumps({"step": step, **{name: _plain(value) for name, value in figures.items()}, **measured})
        with storage_errors(self._path):
            self._file.write(line.encode() + b"\n")
            self._file.flush()

    def sync(self) -> None:
        """Onto the disk."""
        with storage_errors(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Lines that were not synced may be lost if the machine stops."""
        self._file.close()


def _plain(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is None or math.isfinite(value) else None


def _step_of(line: bytes) -> int:
    """The step of a whole line, else 0."""
    try:
        return int(json.loads(line)["step"]) if line.endswith(b"\n") else 0
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


class TensorBoard:
    """Event files; those of steps after ``last`` are hidden by a mark of their own."""

    def __init__(self, folder: Path, last: int) -> None:
        from tensorboardX import SummaryWriter

        # a file of its own for every start: names hold seconds only, and a training may be resumed within one
        self._writer: Any = SummaryWriter(str(folder), purge_step=last + 1, filename_suffix=f".{last}.{os.getpid()}")

    def add(self, step: int, figures: Figures, validation: ValidationLoss | None = None) -> None:
        """One scalar each, as `_scalars` names them."""
        for name, value in _scalars(figures, validation).items():
            self._writer.add_scalar(name, value, step)

    def sync(self) -> None:
        """To the operating system, not onto the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Ends this start's event file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of a W&B project; a resumed training goes on with the same one.

    Raises:
        MissingExtra: its library is not installed.
    """

    def __init__(self, project: str, name: str, identity: str) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise MissingExtra("training.wandb", "wandb", f"no module '{error.name}'") from error
        self._run: Any = wandb.init(project=project, name=name, id=identity, resume="allow")

    def add(self, step: int, figures: Figures, validation: ValidationLoss | None = None) -> None:
        """As `_scalars` names them."""
        self._run.log(_scalars(figures, validation), step=step)

    def sync(self) -> None:
        """The library sends in the background."""

    def close(self) -> None:
        """Waits until all figures are sent."""
        self._run.finish()


def _scalars(figures: Figures, validation: ValidationLoss | None) -> dict[str, float]:
    """``training/<name>``, ``loss/validation`` and ``loss/validation_<time>``; what was not measured is left out."""
    found = {f"training/{name}": value for name, value in figures.items() if value is not None}
    if validation is None:
        return found
    by_time = {f"loss/validation_{one.time}": one.loss for one in validation.by_time}
    return {**found, "loss/validation": validation.loss, **by_time}


def tensorboard_is_there() -> bool:
    """Whether event files can be written."""
    import importlib.util

    return importlib.util.find_spec("tensorboardX") is not None


class Metrics:
    """All sinks at once, and the clock between two steps.

    Times are left out under ``SOURCE_DATE_EPOCH``, so that two runs of one training write the same file.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._last = time.perf_counter()

    @contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """What is done inside is no part of a step's time."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._last += time.perf_counter() - begun

    def add(
        self,
        step: int,
        *,
        loss: float,
        rate: float,
        grad_norm: float,
        validation: ValidationLoss | None = None,
        prior_loss: float | None = None,
    ) -> None:
        """One finished step.

        Args:
            loss: on the subject's pictures. rate: learning rate of the denoiser's parameters. grad_norm: before
                clipping; not finite where it overflowed. prior_loss: on the prior images, before their weight; None =
                there are none.
        """
        now = time.perf_counter()
        seconds = None if fixed_time() is not None else round(now - self._last, 4)
        self._last = now
        prior = {} if prior_loss is None else {"prior_loss": round(prior_loss, 6)}
        rest = {"rate": rate, "grad_norm": round(grad_norm, 6), "seconds": seconds}
        figures = {"loss": round(loss, 6), **prior, **rest}
        for sink in self._sinks:
            sink.add(step, figures, validation)

    def sync(self) -> None:
        """All sinks; before a checkpoint, so that none has fewer steps than it."""
        for sink in self._sinks:
            sink.sync()

    def close(self) -> None:
        """All sinks."""
        for sink in self._sinks:
            sink.close()


EVENTS = "tensorboard"


def open_metrics(
    work: Path, begun: int, settings: TrainingSettings, identity: str, notice: Callable[[str], None]
) -> Metrics:
    """The sinks that the settings ask for, going on after step ``begun``.

    Event files lie beside the work folder, in ``tensorboard/<name>``, so that they can be watched and stay; none are
    written under ``SOURCE_DATE_EPOCH``, because they hold times.

    Args:
        identity: of the training, so that a resumed one goes on in the same W&B run. notice: told when a library is
            missing.

    Raises:
        MissingExtra: W&B is asked for and not installed.
    """
    name = work.name.removeprefix(".training_")
    sinks: list[Sink] = [JsonLines(work / FILE, begun)]
    if settings.tensorboard and fixed_time() is None:
        if tensorboard_is_there():
            sinks.append(TensorBoard(work.parent / EVENTS / name, begun))
        elif begun == 0:
            notice(
                f"No TensorBoard files: tensorboardX is not installed ({pip_line('train')}); metrics.jsonl is written."
            )
    if settings.wandb:
        sinks.append(WeightsAndBiases(settings.wandb, name, identity[:16]))
    return Metrics(sinks)


def keep_log(work: Path, lora: Path) -> None:
    """Put the figures beside the LoRA."""
    copy_whole(work / FILE, metrics_path(lora))
