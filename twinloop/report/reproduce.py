"""Which image was made by what, and the commands that make it again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from twinloop.errors import InputError, StateError
from twinloop.report.model import RunRecord
from twinloop.report.words import words
from twinloop.store.atomic import read_json, read_object
from twinloop.store.run.workspace import GENERATION_METADATA, Workspace
from twinloop.system import shell

AT_ONCE = 12
"""So many made images are listed; more are folded away."""

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class MadeRow:
    """One synthetic image of the final dataset: what it was made for and by, and how much it counts in training."""

    name: str
    round: int
    target: str
    made_by: str
    seed: str
    weight: str
    sha256: str


def made_rows(run: RunRecord, workspace: Workspace) -> tuple[MadeRow, ...]:
    """Every synthetic image that stayed, in the order of the dataset."""
    dataset = run.kept_dataset
    members = [] if dataset is None else [m for m in dataset.synthetic if m.round > 0]
    shots: dict[str, Mapping[str, Any]] = {}
    by_round: dict[int, str] = {}
    for iteration in sorted({member.round for member in members}):
        record = _generated(workspace, iteration)
        shots |= {str(item.get("sha256")): item for item in _images(record)}
        by_round[iteration] = _maker(run, record)  # of a round that is not finished, nothing else says it
    by_round |= {entry.iteration: entry.generated_with for entry in run.rounds}
    rows = []
    for member in members:
        shot = shots.get(member.sha256, {})
        target = (
            f"{words(str(shot['type']))}: {words(str(shot['target']))}"
            if "type" in shot and "target" in shot
            else NOT_RECORDED
        )
        rows.append(
            MadeRow(
                _file_name(member.path),
                member.round,
                target,
                by_round[member.round],
                str(shot.get("seed", NOT_RECORDED)),
                f"{member.weight:.2f}",
                member.sha256[:16],
            )
        )
    return tuple(rows)


def _generated(workspace: Workspace, iteration: int) -> Mapping[str, Any]:
    """The record of a round's images; {} where it is not there, or damaged."""
    return read_object(workspace.synthetic(iteration) / GENERATION_METADATA)


def _images(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    images = record.get("images")
    return [item for item in images if isinstance(item, dict)] if isinstance(images, list) else []


def _maker(run: RunRecord, record: Mapping[str, Any]) -> str:
    """The version whose LoRA made a round's images, by the name of its file."""
    lora = record.get("lora")
    file = lora.get("file") if isinstance(lora, dict) else None
    return next((f"v{one.version}" for one in run.loras if _file_name(one.path) == file), NOT_RECORDED)


def _file_name(path: str) -> str:
    """Of a recorded path, which Windows may have written."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def commands(run: RunRecord, workspace: Workspace) -> tuple[str, ...]:
    """The run as a whole, and each round by hand; to be run where the run was started.

    What the configuration holds is left to it.
    """
    root = _run_folder(run, workspace)
    lines = ["twinloop run --config bootstrap_config.json   # with the settings below"]
    for entry in run.rounds:
        n = entry.iteration
        lora = next(
            (item.path for item in run.loras if f"v{item.version}" == entry.generated_with),
            f"lora_{entry.generated_with}.safetensors",
        )
        argv = [
            "python", "generate_synthetic.py", (root / workspace.gaps(n).name).as_posix(), "--lora", lora,
            "--iteration", str(n), "--output", f"synthetic_{n}", "--config", "bootstrap_config.json",
        ]  # fmt: skip
        lines.append(shell.join(argv))
    return tuple(lines)


def _run_folder(run: RunRecord, workspace: Workspace) -> PurePath:
    """The run's folder as seen from where the run was started: recorded paths tell.

    Without any, as seen from the folder above it.
    """
    made = [member.path for dataset in run.datasets for member in dataset.synthetic if member.round > 0]
    if made:  # ../approved_iter1/x.png
        return PurePath(made[0].replace("\\", "/")).parent.parent
    root, start = Path(os.path.abspath(workspace.root)), _start(run, workspace)
    return root.relative_to(start) if start is not None and root.is_relative_to(start) else PurePath(root.name)


def _start(run: RunRecord, workspace: Workspace) -> Path | None:
    """The folder that the recorded paths of LoRAs are relative to."""
    parts = Path(os.path.abspath(workspace.lora_dir)).parts
    recorded = PurePath(run.loras[0].path).parent.parts if run.loras else parts
    kept = len(parts) - len(recorded)
    return Path(*parts[:kept]) if kept > 0 and parts[kept:] == recorded else None


def versions(workspace: Workspace) -> tuple[tuple[str, str], ...]:
    """Program and libraries that the run was begun with; () where they are not recorded."""
    try:
        data = read_json(workspace.versions)
    except (InputError, StateError):
        return ()
    return tuple((str(name), str(version)) for name, version in data.items()) if isinstance(data, dict) else ()
