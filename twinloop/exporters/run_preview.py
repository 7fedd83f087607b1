"""The picture that shows best what a LoRA of a run can do."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.records import LoRA, PanelScore
from twinloop.store.atomic import read_as, sha256_file
from twinloop.store.pictures.images import find_images
from twinloop.store.run.workspace import Workspace


def best_panel_image(workspace: Workspace, lora: Path) -> Path | None:
    """The image of the fixed panel on which this LoRA's identity was measured highest; the first one where it was not
    measured.

    Returns:
        None for a LoRA that is none of the run's versions, or whose panel is gone.

    Raises:
        StateError: a record of the run cannot be read.
    """
    version = _version_of(workspace, sha256_file(lora))
    if version is None or not workspace.panel_images(version).is_dir():
        return None
    images = find_images(workspace.panel_images(version))
    scored = workspace.panel_score(version)
    score = read_as(scored, PanelScore.from_json) if scored.exists() else None
    likeness = score.samples.get("identity", []) if score else []
    if len(likeness) == len(images) and images:
        return images[max(range(len(images)), key=lambda number: likeness[number])]
    return images[0] if images else None


def _version_of(workspace: Workspace, digest: str) -> int | None:
    for record in sorted(workspace.lora_dir.glob("lora_v*.json")):
        found = read_as(record, LoRA.from_json)
        if found.sha256 == digest:
            return found.version
    return None
