"""Train: one dataset -> one LoRA file with its record.

Every round begins anew on the base model; with ``training.warm_start`` it begins with the best LoRA so far.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.records import Dataset, LoRA
from twinloop.errors import NothingToDo, StateError
from twinloop.loras.header_facts import adapter_facts
from twinloop.ports import Progress, Reporter, TrainingSettings
from twinloop.stages.samples import training_samples
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.training_spec import TrainingSpec
from twinloop.stages.untouched import check_untouched
from twinloop.store.atomic import copy_whole, read_as, read_json, sha256_file, write_json
from twinloop.store.models.base_name import BASE_NAME, base_name
from twinloop.store.models.lora_file import header_texts, kohya_path, metrics_path
from twinloop.store.models.step_saves import StepSaves
from twinloop.store.run.workspace import Workspace, shown_path

CANDIDATES, FINISHED = "candidates", "finished"
GIVEN = "given"
"""Stands in the place of the preset where the user brought the LoRA."""

NOT_OURS = (
    "Another program may have written it: A1111 and Forge keep their notes on a LoRA in a file of that name. Put the"
    " record back from a copy, or move the file away: then that version is made anew."
)
"""What to do about a file in the place of a LoRA's record."""


def train(dataset: Dataset, version: int, spec: TrainingSpec, workspace: Workspace, toolbox: Toolbox) -> LoRA:
    """Train version ``version`` unless it is there; a killed training goes on from its last checkpoint.

    Raises:
        NothingToDo: the dataset has no photo to train on. StateError: that version is there, and another run's, or it
            is not the file that was trained.
    """
    path, record, work = workspace.lora(version), workspace.lora_record(version), workspace.training_work(version)
    if record.exists() and path.exists():
        lora = _recorded(version, record, dataset, toolbox, spec)
        check_untouched(workspace, version)
    else:
        texts = _metadata(dataset, f"{spec.person} v{version}", path.stem, spec, toolbox)
        order = TrainingOrder(dataset, spec, work, texts, f"v{version}", path, version)
        lora = _trained(order, path, record, toolbox)
    shutil.rmtree(work, ignore_errors=True)  # also what a kill just before the end left behind
    return lora


def train_file(
    dataset: Dataset, output: Path, spec: TrainingSpec, toolbox: Toolbox, left_out: Sequence[tuple[str, str]] = ()
) -> LoRA:
    """Train one LoRA into a file of the user's choice, with ``<stem>.json`` as its record.

    Killed and called again it goes on.

    Args:
        left_out: (path, reason) of the pictures that are not trained on, for the record.

    Raises:
        NothingToDo: no photo to train on. StateError: the file is there and was made from something else.
    """
    record, work = output.with_suffix(".json"), work_of(output)
    if output.exists():
        return _finished(output, record, dataset, spec, toolbox)
    _check_record(record)
    texts = _metadata(dataset, output.stem, output.stem, spec, toolbox)
    order = TrainingOrder(
        dataset, spec, work, texts, output.stem, output, beside_record={"left_out": left_out_json(left_out)}
    )
    file = work / FINISHED / output.name
    lora = _trained(order, file, record, toolbox)
    _copy_with_companions(file, output)  # after its record: a file without one would be taken for somebody else's
    shutil.rmtree(work, ignore_errors=True)
    return lora


def left_out_json(left_out: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Pictures that are not trained on, as records have them."""
    return [{"path": path, "reason": reason} for path, reason in left_out]


def work_of(output: Path) -> Path:
    """Where the training of a file keeps checkpoints and caches; deleted when it is written."""
    return output.with_name(f".training_{output.stem}")


def _finished(output: Path, record: Path, dataset: Dataset, spec: TrainingSpec, toolbox: Toolbox) -> LoRA:
    if record.exists():
        lora, data = read_as(record, _with_json, "Another program may have written it. Name another --output.")
        same = (lora.dataset_id, lora.base_model) == (dataset.id, toolbox.makers.base_model) and spec.met_by(data)
        if same and lora.sha256 == sha256_file(output):
            return lora
    raise StateError(
        f"{output} exists and was made from other photos or settings; nothing was changed. Name another --output."
    )


def _check_record(record: Path) -> None:
    """Raises StateError where a file that is no LoRA's record has its name: a configuration, say."""
    if not record.exists():
        return
    try:
        LoRA.from_json(read_json(record))
    except (StateError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateError(
            f"{record} is not the record of a LoRA, and the training would write its record there; nothing was changed."
            " Name another --output."
        ) from error


@dataclass(frozen=True)
class TrainingOrder:
    """One training.

    Attributes:
        dataset, spec: on what, and how. work: folder of its checkpoints and caches. texts: of the file's header.
        name: what people call it. output: where the file will lie. version: of a run's LoRA; 0 = of no run.
        beside_record: what its record holds beside the LoRA and what was asked.
    """

    dataset: Dataset
    spec: TrainingSpec
    work: Path
    texts: Mapping[str, str]
    name: str
    output: Path
    version: int = 0
    beside_record: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _trained(order: TrainingOrder, file: Path, record: Path, toolbox: Toolbox) -> LoRA:
    """The trained ``file``, which is copied to ``order.output`` where that is another one, and its record."""
    _check_saves(order)
    lora = _chosen(order, file, toolbox) if order.spec.pauses.steps else _made(order, file, toolbox)
    write_json(record, {**lora.to_json(), **order.beside_record, "asked": order.spec.asked})
    return lora


def _check_saves(order: TrainingOrder) -> None:
    """Whether a new training would write over LoRAs of steps of another one; where there is a work folder, the trainer
    knows whether that is of another one.

    Raises:
        StateError: it would.
    """
    if not order.work.exists():
        StepSaves.of(order.spec.settings, order.output).check_free()


def _made(order: TrainingOrder, file: Path, toolbox: Toolbox, stop_at: int = 0, begins: bool = True) -> LoRA:
    """The trained file, not yet recorded; as it is after step ``stop_at``, 0 = at the end.

    ``begins``: it is the first of this process.
    """
    settings = dataclasses.replace(order.spec.settings, stop_at=stop_at, saves_beside=str(order.output))
    samples = training_samples(order.dataset, settings, order.spec.beside, toolbox.makers.voice.style, toolbox.reporter)
    trained = toolbox.makers.trainer().train(
        samples, settings, file, order.work, order.texts, _progress(order.name, toolbox.reporter, begins)
    )  # fmt: skip
    return LoRA(
        path=shown_path(order.output),
        version=order.version,
        sha256=sha256_file(file),
        base_model=toolbox.makers.base_model,
        dataset_id=order.dataset.id,
        preset=settings.preset,
        steps=trained.steps,
        seed=settings.seed,
        final_loss=round(trained.loss, 6),
        adapter=settings.adapter,
        validation=trained.validation,
        **_rank_and_alpha(file, settings),
    )


def _progress(name: str, reporter: Reporter, begins: bool) -> Progress:
    """Tells every step, and where a training that was stopped goes on."""
    first = begins

    def told(step: int, steps: int, loss: float, validation: float | None = None) -> None:
        nonlocal first
        if first and step > 1:
            reporter.line(f"Training LoRA {name} goes on at step {step} of {steps}")
        first = False
        validated = "" if validation is None else f", validation {validation:.4f}"
        reporter.progress(f"Training LoRA {name} (loss {loss:.3f}{validated})", step, steps)

    return told


def _rank_and_alpha(file: Path, settings: TrainingSettings) -> dict[str, Any]:
    """As the file has them, since another program's trainer may have been told otherwise; else as it was asked for."""
    texts = header_texts(file)
    if "ss_network_dim" not in texts:
        return {"rank": settings.rank, "alpha": settings.network_alpha}
    found = adapter_facts(texts)
    return {"rank": found.rank, "alpha": found.alpha}


def _chosen(order: TrainingOrder, chosen: Path, toolbox: Toolbox) -> LoRA:
    """Train from pause to pause, and take the LoRA that is chosen then."""
    folder, pauses = order.work / CANDIDATES, order.spec.pauses
    begins, done = True, toolbox.makers.trainer().steps_done(order.work) if order.work.exists() else 0
    for step in pauses.steps:
        file = folder / f"step_{step:06d}.safetensors"
        if step < done and not file.with_suffix(".json").exists() and not pauses.decides(step):
            continue  # samples were asked for when it had gone past: it would be trained anew from its first step
        if not file.with_suffix(".json").exists():
            write_json(file.with_suffix(".json"), _made(order, file, toolbox, step, begins).to_json())
            begins = False
        if pauses.enough(step, file):
            break
    best = folder / f"step_{pauses.settle():06d}.safetensors"
    _copy_with_companions(best, chosen)
    return dataclasses.replace(read_as(best.with_suffix(".json"), LoRA.from_json), path=shown_path(order.output))


def _copy_with_companions(lora: Path, output: Path) -> None:
    """The LoRA with its log and its kohya copy, where it has them; itself last."""
    for place in (metrics_path, kohya_path, Path):
        if place(lora).exists():
            copy_whole(place(lora), place(output))


def adopt(existing: Path, dataset: Dataset, workspace: Workspace, toolbox: Toolbox) -> LoRA:
    """Take a LoRA that the user already has as version 1; the file is copied, not moved.

    Raises:
        NothingToDo: no such file. ModelFileError: it is no safetensors file. StateError: that version is there, and
            another run's.
    """
    record = workspace.lora_record(1)
    if record.exists():
        lora = _recorded(1, record, dataset, toolbox, given=existing)
        check_untouched(workspace, 1)
        return lora
    if not existing.is_file():
        raise NothingToDo(f"training.initial_lora: no file at {existing}")
    found = adapter_facts(header_texts(existing))
    copy_whole(existing, workspace.lora(1))
    digest = sha256_file(workspace.lora(1))
    lora = LoRA(
        path=shown_path(workspace.lora(1)),
        version=1,
        sha256=digest,
        base_model=toolbox.makers.base_model,
        dataset_id=dataset.id,
        preset=GIVEN,
        steps=0,
        seed=0,
        final_loss=0.0,
        adapter=found.adapter,
        rank=found.rank,
        alpha=found.alpha,
    )
    write_json(record, lora.to_json())
    return lora


def _recorded(
    version: int,
    record: Path,
    dataset: Dataset,
    toolbox: Toolbox,
    spec: TrainingSpec | None = None,
    given: Path | None = None,
) -> LoRA:
    """The LoRA of a record, which must be what would be trained now, or the file that is given now (where it is still
    there).
    """
    lora, data = read_as(record, _with_json, NOT_OURS)
    other = ""
    if lora.version != version:
        other = f"says that it is of v{lora.version}"
    elif (lora.dataset_id, lora.base_model) != (dataset.id, toolbox.makers.base_model):
        other = "was trained on other images or another base model"
    elif spec is not None and (lora.preset == GIVEN or not spec.met_by(data)):
        other = "was trained with other settings"
    elif given is not None and (lora.preset != GIVEN or (given.is_file() and sha256_file(given) != lora.sha256)):
        other = "is not training.initial_lora"
    if other:
        raise StateError(
            f"{record.parent} holds LoRAs of another run: {record.name} {other}. "
            "Use another lora_output_dir, or move that folder away."
        )
    return lora


def _with_json(data: Any) -> tuple[LoRA, Any]:
    """The LoRA of a record, and the record, which also holds what was asked."""
    return LoRA.from_json(data), data


def _metadata(dataset: Dataset, title: str, file: str, spec: TrainingSpec, toolbox: Toolbox) -> Mapping[str, str]:
    # those that are trained on: photos that are held out are none of them
    real, made = (sum(member.weight > 0 for member in kind) for kind in (dataset.real, dataset.synthetic))
    return {
        "modelspec.title": title,
        "modelspec.trigger_phrase": spec.person,
        "twinloop.dataset_id": dataset.id,
        "twinloop.images": f"{real} real, {made} synthetic",
        **({"twinloop.started_from": spec.settings.start_sha256} if spec.settings.start_sha256 else {}),
        **({"twinloop.assistant": spec.settings.assistant_sha256} if spec.settings.assistant_sha256 else {}),
        "twinloop.consent": spec.consent.text,
        "ss_output_name": file,
        BASE_NAME: base_name(toolbox.makers.base_model),
        "ss_num_train_images": str(real + made),
    }
