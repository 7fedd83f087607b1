"""Configurations in the current folder that train on a training set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twinloop.config import Settings, read_config
from twinloop.domain.file_names import is_inside
from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_json, sha256_file
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.run.workspace import Workspace

USUAL = "bootstrap_config.json"


def training_on(folder: Path) -> tuple[Path, bool] | None:
    """The configuration whose ``dataset_dir`` is this folder, the usual one first, and whether its run began with other
    pictures than lie there now; None = there is none.
    """
    for path in sorted(Path().glob("*.json"), key=lambda path: (path.name != USUAL, path.name)):
        try:
            data = read_config(path)
        except (InputError, OSError):
            continue
        if isinstance(data, dict) and _leads_to(data.get("dataset_dir"), folder):
            return path, _began_otherwise(data, folder)
    return None


def _leads_to(place: Any, folder: Path) -> bool:
    return isinstance(place, str) and bool(place) and _real(place) == _real(folder)


def _real(place: str | Path) -> str:
    return os.path.realpath(os.path.expanduser(place))  # noqa: PTH111 - fails for no name


def _began_otherwise(data: dict[str, Any], folder: Path) -> bool:
    output = data.get("output_dir", Settings.model_fields["output_dir"].default)
    try:
        root = Path(os.path.expanduser(output))  # noqa: PTH111 - fails for no name
        first = read_json(Workspace(root, root).dataset(0))
        known = {_place(item["path"]): item["sha256"] for item in first["members"]}
        left_out = {_place(item["path"]) for item in first.get("left_out", ())}
        files = read_json(folder / PERSON)["files"]
        now = {
            _place(folder / item["file"]): item["sha256"]
            for item in files
            if item["file"].endswith(".png") and is_inside(item["file"])
        }
    except (InputError, StateError, OSError, KeyError, TypeError, AttributeError):
        return False
    mine = {place: sha256 for place, sha256 in known.items() if Path(_real(folder)) in Path(place).parents}
    if not mine:  # a run with another folder: `run` says what to do
        return False
    came = now.keys() - known.keys() - left_out
    return bool(came) or any(
        now.get(place) != sha256 and not _holds(Path(place), sha256) for place, sha256 in mine.items()
    )


def _holds(path: Path, sha256: str) -> bool:
    """Whether a picture that is not as `prep` wrote it, or not of `prep`, is still what the run began with."""
    return path.is_file() and sha256_file(path) == sha256


def _place(path: str | Path) -> str:
    return os.path.realpath(path)
