"""Train: one dataset -> one LoRA file with its record. Every round starts from the base model."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from twinloop.domain.records import Dataset, LoRA, TrainingSample
from twinloop.errors import NothingToDo, StateError
from twinloop.ports import TrainingSettings
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import copy_whole, read_json, sha256_file, write_json
from twinloop.store.workspace import Workspace, shown_path


def train(
    dataset: Dataset, version: int, settings: TrainingSettings, person: str, workspace: Workspace, toolbox: Toolbox
) -> LoRA:
    """Train version ``version`` unless it is there; a killed training goes on from its last checkpoint.

    Raises:
        NothingToDo: the dataset has no photo to train on. StateError: that version is there, and another run's.
    """
    path, record, work = workspace.lora(version), workspace.lora_record(version), workspace.training_work(version)
    if record.exists() and path.exists():
        shutil.rmtree(work, ignore_errors=True)  # a kill just before the end leaves it behind
        return _recorded(record, dataset, toolbox)
    made = _made(dataset, path, work, settings, _metadata(dataset, f"{person} v{version}", person, path.stem, toolbox), f"v{version}", toolbox)
    lora = dataclasses.replace(made, version=version)
    write_json(record, lora.to_json())
    shutil.rmtree(work, ignore_errors=True)
    return lora


def train_file(dataset: Dataset, output: Path, settings: TrainingSettings, person: str, toolbox: Toolbox) -> LoRA:
    """Train one LoRA into a file of the user's choice, with ``<stem>.json`` as its record. Killed and called again it goes on.

    Raises:
        NothingToDo: no photo to train on. StateError: the file is there and was made from something else.
    """
    record, work = output.with_suffix(".json"), output.with_name(f".training_{output.stem}")
    if output.exists():
        return _finished(output, record, dataset, settings, toolbox)
    texts = _metadata(dataset, output.stem, person, output.stem, toolbox)
    lora = _made(dataset, output, work, settings, texts, output.stem, toolbox)
    write_json(record, lora.to_json())
    shutil.rmtree(work, ignore_errors=True)
    return lora


def _finished(output: Path, record: Path, dataset: Dataset, settings: TrainingSettings, toolbox: Toolbox) -> LoRA:
    if record.exists():
        lora = LoRA.from_json(read_json(record))
        same = (lora.dataset_id, lora.base_model, lora.preset, lora.steps, lora.seed) == (
            dataset.id, toolbox.base_model, settings.preset, settings.steps, settings.seed,
        )  # fmt: skip
        if same and lora.sha256 == sha256_file(output):
            return lora
    raise StateError(f"{output} exists and was made from other photos or settings; nothing was changed. Name another --output.")


def _made(
    dataset: Dataset, output: Path, work: Path, settings: TrainingSettings, texts: Mapping[str, str], name: str, toolbox: Toolbox
) -> LoRA:
    """The trained file, not yet recorded."""
    samples = [TrainingSample(Path(m.path), m.sha256, m.caption, m.weight) for m in dataset.members if m.weight > 0]
    if not samples:
        raise NothingToDo("There is no photo to train on. Add photos of the person to the dataset folder.")
    made = toolbox.trainer().train(
        samples, settings, output, work, texts,
        lambda step, steps, loss: toolbox.reporter.progress(f"Training LoRA {name} (loss {loss:.3f})", step, steps),
    )  # fmt: skip
    return dataclasses.replace(
        made, path=shown_path(output), sha256=sha256_file(output), dataset_id=dataset.id, preset=settings.preset, base_model=toolbox.base_model
    )


def adopt(existing: Path, dataset: Dataset, workspace: Workspace, toolbox: Toolbox) -> LoRA:
    """Take a LoRA that the user already has as version 1; the file is copied, not moved."""
    record = workspace.lora_record(1)
    if record.exists():
        return _recorded(record, dataset, toolbox)
    if not existing.is_file():
        raise NothingToDo(f"training.initial_lora: no file at {existing}")
    copy_whole(existing, workspace.lora(1))
    digest = sha256_file(workspace.lora(1))
    lora = LoRA(shown_path(workspace.lora(1)), 1, digest, toolbox.base_model, dataset.id, "given", 0, 0, 0.0)
    write_json(record, lora.to_json())
    return lora


def _recorded(record: Path, dataset: Dataset, toolbox: Toolbox) -> LoRA:
    lora = LoRA.from_json(read_json(record))
    if (lora.dataset_id, lora.base_model) != (dataset.id, toolbox.base_model):
        raise StateError(
            f"{record.parent} holds LoRAs of another run: {record.name} was trained on other images or another base model. "
            "Use another lora_output_dir, or move that folder away."
        )
    return lora


def _metadata(dataset: Dataset, title: str, person: str, file: str, toolbox: Toolbox) -> Mapping[str, str]:
    real, made = len(dataset.real), len(dataset.synthetic)
    return {
        "modelspec.title": title,
        "modelspec.trigger_phrase": person,
        "twinloop.dataset_id": dataset.id,
        "twinloop.images": f"{real} real, {made} synthetic",
        "twinloop.consent": "not recorded",
        "ss_output_name": file,
        "ss_sd_model_name": toolbox.base_model,
        "ss_num_train_images": str(real + made),
    }
