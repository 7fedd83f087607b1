"""Which image was made by what, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinloop.errors import InputError, StateError
from twinloop.report.model import RunRecord
from twinloop.report.words import words
from twinloop.store.atomic import read_json
from twinloop.store.workspace import Workspace


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
    members = [m for m in run.datasets[-1].synthetic if m.round > 0] if run.datasets else []
    shots: dict[str, Mapping[str, Any]] = {}
    for iteration in sorted({member.round for member in members}):
        shots |= {str(item.get("sha256")): item for item in _generated(workspace, iteration)}
    by_round = {entry.iteration: entry.generated_with for entry in run.rounds}
    rows = []
    for member in members:
        shot = shots.get(member.sha256, {})
        target = (
            f"{words(str(shot['type']))}: {words(str(shot['target']))}"
            if "type" in shot and "target" in shot
            else "not recorded"
        )
        rows.append(
            MadeRow(
                member.path.replace("\\", "/").rsplit("/", 1)[-1], member.round, target, by_round.get(member.round, "not recorded"),
                str(shot.get("seed", "not recorded")), f"{member.weight:.2f}", member.sha256[:16],
            )
        )  # fmt: skip
    return tuple(rows)


def _generated(workspace: Workspace, iteration: int) -> list[Mapping[str, Any]]:
    try:
        data = read_json(workspace.synthetic(iteration) / "generation_metadata.json")
    except (InputError, StateError):
        return []
    images = data.get("images") if isinstance(data, dict) else None
    return [item for item in images if isinstance(item, dict)] if isinstance(images, list) else []


def commands(run: RunRecord, workspace: Workspace) -> tuple[str, ...]:
    """The run as a whole, and each round by hand; paths as the artefacts hold them."""
    root, base = workspace.root.name, run.settings.get("base_model", run.base_model)
    lines = ["twinloop run --config bootstrap_config.json   # with the settings below"]
    seed = run.settings.get("seed", "0")
    for entry in run.rounds:
        n = entry.iteration
        lora = next(
            (item.path for item in run.loras if f"v{item.version}" == entry.generated_with),
            f"lora_{entry.generated_with}.safetensors",
        )
        argv = [
            "python", "generate_synthetic.py", f"{root}/gaps_iter{n}.json", "--base-model", base, "--lora", lora, "--person", run.trigger,
            "--num-per-gap", run.settings.get("generation.num_per_gap", "5"), "--seed", seed, "--iteration", str(n), "--output", f"synthetic_{n}",
            "--config", "bootstrap_config.json",
        ]  # fmt: skip
        lines.append(shlex.join(argv))
    return tuple(lines)


def versions(workspace: Workspace) -> tuple[tuple[str, str], ...]:
    """Program and libraries that the run was begun with; () where an older version of this program began it."""
    try:
        data = read_json(workspace.versions)
    except (InputError, StateError):
        return ()
    return tuple((str(name), str(version)) for name, version in data.items()) if isinstance(data, dict) else ()
