"""Where the figures of a training lie: in its work folder while it goes on, beside the LoRA afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twinloop.adapters.trainers.metrics import (
    FILE,
    JsonLines,
    Metrics,
    Sink,
    TensorBoard,
    WeightsAndBiases,
    tensorboard_is_there,
)
from twinloop.ports import TrainingSettings
from twinloop.store.atomic import copy_whole
from twinloop.store.clock import fixed_time
from twinloop.store.lora_file import metrics_path

EVENTS = "tensorboard"


def open_metrics(
    work: Path, begun: int, settings: TrainingSettings, identity: str, notice: Callable[[str], None]
) -> Metrics:
    """The sinks that the settings ask for, going on after step ``begun``.

    Event files lie beside the work folder, in ``tensorboard/<name>``, so that they can be watched and stay; none are written under
    ``SOURCE_DATE_EPOCH``, because they hold times.

    Args:
        identity: of the training, so that a resumed one goes on in the same W&B run. notice: told when a library is missing.

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
                "No TensorBoard files: tensorboardX is not installed (pip install 'twinloop[train]'); metrics.jsonl is written."
            )
    if settings.wandb:
        sinks.append(WeightsAndBiases(settings.wandb, name, identity[:16]))
    return Metrics(sinks)


def keep_log(work: Path, lora: Path) -> None:
    """Put the figures beside the LoRA."""
    copy_whole(work / FILE, metrics_path(lora))
