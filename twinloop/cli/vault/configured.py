"""Configurations in the current folder that train on a training set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinloop.config import Settings, read_config
from twinloop.domain.file_names import is_inside
from twinloop.errors import InputError, StateError
from twinloop.store.atomic import read_json, sha256_file
from twinloop.store.pictures.sidecar import PERSON
from twinloop.store.run.workspace import Workspace
from twinloop.store.vault.renamed import new_place

USUAL = "bootstrap_config.json"


def training_on(folder: Path) -> tuple[Path, bool] | None:
    """The configuration whose ``dataset_dir`` is this folder, the usual one first, and whether its run began with other
    pictures than lie there now; None = there is none.
    """
    for path, data in _here():
        if _leads_to(data.get("dataset_dir"), folder):
            return path, _began_otherwise(data, folder)
    return None


def names_of_earlier_place(folder: Path) -> list[str]:
    """The configurations whose ``dataset_dir`` is a place that a training set had before its person got another name;
    it is this folder now.
    """
    moved = [(path, _moved_to(data.get("dataset_dir"))) for path, data in _here()]
    return [str(path) for path, place in moved if place is not None and _leads_to(str(place), folder)]


def names_of_place(folder: Path) -> list[str]:
    """The configurations whose ``dataset_dir`` is this folder."""
    return [str(path) for path, data in _here() if _leads_to(data.get("dataset_dir"), folder)]


def _here() -> Iterator[tuple[Path, dict[str, Any]]]:
    """What may be configurations in the current folder, the usual one first."""
    for path in sorted(Path().glob("*.json"), key=lambda path: (path.name != USUAL, path.name)):
        try:
            data = read_config(path)
        except (InputError, OSError):
            continue
        if isinstance(data, dict):
            yield path, data


def _moved_to(place: Any) -> Path | None:
    return new_place(Path(os.path.expanduser(place))) if isinstance(place, str) and place else None  # noqa: PTH111


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
