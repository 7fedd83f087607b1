"""A run's folders, for one process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from twinloop.store.fresh import fresh_folder
from twinloop.store.lock import NAME, Use, locked
from twinloop.store.run.workspace import Workspace

LORAS = Use(
    "another run",
    "Wait for it, or choose another lora_output_dir.",
    "Choose a lora_output_dir on a local disk.",
    "Choose another lora_output_dir",
)


@contextmanager
def in_use(workspace: Workspace) -> Iterator[None]:
    """Nobody else works in the output folder, nor in that of the LoRAs, which runs of two output folders may share:
    they would train in the same work folder.

    Raises:
        Locked: somebody does. StorageError: a folder cannot be written or locked.
    """
    with locked(workspace.root), nullcontext() if workspace.in_one_folder else _alone_in(workspace.lora_dir):
        yield


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """A new folder goes again where nothing came into it."""
    with fresh_folder(folder, worth_keeping=holds_files), locked(folder, LORAS):
        yield


def holds_files(folder: Path) -> bool:
    """Whether there is more in it than what locks it."""
    return any(path.name != NAME for path in folder.iterdir())
