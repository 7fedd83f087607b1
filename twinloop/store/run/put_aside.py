"""What ``--restart`` does with the run that is there: it gets a new name, so that another starts anew and nothing is
lost; and what is left of it where that was stopped half-way.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from twinloop.errors import InputError, Locked, StorageError
from twinloop.store.atomic import read_object, storage_errors, write_bytes, write_json
from twinloop.store.lock import NAME, holder, locked
from twinloop.store.noted_process import TRAINER, noted_process
from twinloop.store.run.owner import OWNER, another_run, is_marked_own
from twinloop.store.run.workspace import Workspace, lies_in, same_place, shown_path
from twinloop.system.files import rename_over

MOUNT_POINT = (
    "--restart cannot keep {folder} under another name: it is a mount point, such as a volume of a container. Set"
    " {field} to a folder in it."
)
_ON_ANOTHER_DISK = (errno.EBUSY, errno.EXDEV)
"""Errors where a mount point is to be renamed, or a file moved out of one."""
_LEAVING = "restarting"
"""What says beside the LoRAs of a run that they are being put aside."""
_OF_A_RUN = re.compile(
    r"lora(_v\d+(-step\d+)?)?(_kohya)?\.(safetensors|json|metrics\.jsonl)|final\.json|\.run\.json"
    r"|\.training_v\d+|tensorboard"
)
"""Names of what a run writes into its folder of LoRAs."""
_OF_A_VERSION = re.compile(r"lora_v(\d+)\.(?:safetensors|json)")


def restart_was_stopped(workspace: Workspace) -> bool:
    """Whether a run that was here is put aside, and its LoRAs, or a part of them, are not."""
    mark = workspace.lora_dir / OWNER
    return not workspace.run_record.exists() and is_marked_own(workspace) and read_object(mark).get(_LEAVING) is True


def halves(workspace: Workspace) -> list[Path]:
    """LoRAs of versions without their records, and records without their LoRAs."""
    if not workspace.lora_dir.is_dir():
        return []
    versions = {int(found[1]) for path in workspace.lora_dir.iterdir() if (found := _OF_A_VERSION.fullmatch(path.name))}
    pairs = ((workspace.lora(version), workspace.lora_record(version)) for version in sorted(versions))
    return [lora if lora.exists() else record for lora, record in pairs if lora.exists() != record.exists()]


def in_the_way(workspace: Workspace) -> list[Path]:
    """What `put_aside` would move: both folders, or of a folder of LoRAs that holds others' files too, as ComfyUI's
    does, those of a run alone.

    Raises:
        InputError: the output folder is the one that this command runs in.
    """
    if not workspace.root.is_dir():
        roots = []
    elif _holds_this_command(workspace.root):
        raise InputError(
            f"--restart would move away the folder that this command runs in (output_dir: {workspace.root}). Name"
            " another output_dir, or move the files of the old run out of it."
        )
    else:
        roots = [workspace.root]
        if same_place(workspace.root, workspace.lora_dir):
            return roots
    if another_run(workspace) is not None:
        return roots
    loras = sorted(workspace.lora_dir.iterdir()) if workspace.lora_dir.is_dir() else []
    loras = [path for path in loras if path.name != NAME]
    own = sorted((path for path in loras if _OF_A_RUN.fullmatch(path.name)), key=_turn)
    whole = bool(loras) and len(own) == len(loras) and not _holds_this_command(workspace.lora_dir)
    return [*roots, *([workspace.lora_dir] if whole else own)]


def put_aside(workspace: Workspace) -> list[tuple[Path, Path]]:
    """Give what is there a new name, so that a run starts anew and nothing is lost; (old, new) for each folder.

    All of it is moved or nothing. Killed in between, it leaves the output folder moved and LoRAs, or a part of them,
    where they were (`restart_was_stopped`): called again, it moves those.

    Raises:
        InputError: as `in_the_way`. Locked: a run is going on there, or another program still trains for one that was
            killed, or another restart was faster. StorageError: not permitted, open in another program, or a mount
            point.
    """
    if not in_the_way(workspace):
        return []
    with ExitStack() as undo:
        with locked(workspace.root):
            _check_nobody_trains(workspace)
            moving = _still_there(workspace)
            marked = (workspace.lora_dir / OWNER).is_file()
            if len(moving) > 1 and not lies_in(workspace.lora_dir, workspace.root):
                _note_leaving(workspace, undo)
                moving = _still_there(workspace)
        # all names first: nothing is moved where one cannot be found
        kept = [_free_name(folder) for folder, _ in moving]
        # out of the lock: Windows moves no folder that an open file lies in
        try:
            _move(workspace.root, kept[0], undo)
        except FileNotFoundError:
            raise _outrun(workspace) from None
        with locked(kept[0]):  # refused where another run has taken the old lock in that instant
            moved = [_put_aside(*each, undo) for each in zip(moving[1:], kept[1:], strict=True)]
        undo.pop_all()
    for _, place in filter(None, moved):
        _forget_leaving(place / OWNER, marked)
    return [(workspace.root, kept[0]), *(pair for pair in moved if pair is not None)]


def kept_as(workspace: Workspace) -> list[tuple[Path, Path, bool]]:
    """What `put_aside` would answer now, and whether a folder goes as a whole; nothing is moved.

    Raises:
        InputError: as `in_the_way`.
    """
    return [
        (folder, _free_name(folder), paths == [folder])
        for folder, paths in _by_folder(workspace)
        if folder == workspace.root or not lies_in(folder, workspace.root)  # it goes with the folder above it
    ]


def _note_leaving(workspace: Workspace, undo: ExitStack) -> None:
    """Note beside the LoRAs, before anything is moved, that they are put aside: a run that starts when this was killed
    must not take them for its own.
    """
    mark = workspace.lora_dir / OWNER
    before = mark.read_bytes() if mark.is_file() else None
    undo.callback(_put_back, mark, before)
    write_json(mark, {"output_dir": shown_path(workspace.root), _LEAVING: True})


def _by_folder(workspace: Workspace) -> list[tuple[Path, list[Path]]]:
    """Folders with what is to be moved of them: first the output folder, which its lock has made where there was none;
    then that of the LoRAs, as a whole or files of it.
    """
    paths = in_the_way(workspace)
    files = [path for path in paths if path not in (workspace.root, workspace.lora_dir)]
    return [*((path, [path]) for path in paths if path not in files), *([(workspace.lora_dir, files)] if files else [])]


def _still_there(workspace: Workspace) -> list[tuple[Path, list[Path]]]:
    """As `_by_folder`.

    Raises:
        Locked: the output folder is gone, although this process holds its lock: a folder is moved without it.
    """
    moving = _by_folder(workspace)
    if not moving or moving[0][0] != workspace.root:
        raise _outrun(workspace)
    return moving


def _outrun(workspace: Workspace) -> Locked:
    return Locked(
        f"Another --restart has just put {workspace.root} aside. Nothing was moved by this one. Let the new run that"
        " belongs to the other one go on, or wait until it has ended."
    )


def _check_nobody_trains(workspace: Workspace) -> None:
    """Raises Locked."""
    if not workspace.in_one_folder and (busy := holder(workspace.lora_dir)) is not None:
        raise busy
    for note in workspace.lora_dir.glob(f".training_v*/{TRAINER}"):
        if (found := noted_process(note)) is not None:
            raise Locked(
                f"Another program still trains in {note.parent} (process {found.process.pid}), for a run that was"
                " killed. End that process first, or run again without --restart: the run then ends it and goes on."
            )


def _turn(path: Path) -> tuple[bool, bool, str]:
    """Where a file stands among those of a folder of LoRAs that are moved one by one: records come after all LoRAs, and
    last what says whose they are. A kill on the way leaves `halves`, of a run that is known.
    """
    record = _OF_A_VERSION.fullmatch(path.name) is not None and path.suffix == ".json"
    return path.name == OWNER, record, path.name


def _free_name(folder: Path) -> Path:
    """A name beside a folder that nothing has."""
    # "." and ".." have no name of their own
    named, number = folder if folder.name not in ("", "..") else Path(os.path.abspath(folder)), 1
    while os.path.lexists(kept := named.with_name(f"{named.name}.old{number}")):
        number += 1
    return kept


def _put_aside(moving: tuple[Path, Sequence[Path]], kept: Path, undo: ExitStack) -> tuple[Path, Path] | None:
    """Move a folder, or paths in it to a new one; (old, new), or None where they have gone with a folder above them.

    Args:
        undo: what moves them back is added to it.
    """
    folder, paths = moving
    there = [path for path in paths if os.path.lexists(path)]
    if not there:
        return None
    if there == [folder]:
        _move(folder, kept, undo)
        return folder, kept
    with storage_errors(kept):
        kept.mkdir()
    undo.callback(_try, kept.rmdir)
    for path in there:
        _move(path, kept / path.name, undo)
    return folder, kept


def _move(path: Path, kept: Path, undo: ExitStack) -> None:
    undo.callback(_try, rename_over, kept, path)  # first: between the two comes no interruption
    with storage_errors(path):
        try:
            rename_over(path, kept)
        except OSError as error:
            if error.errno not in _ON_ANOTHER_DISK:
                raise
            raise StorageError(
                MOUNT_POINT.format(folder=path if path.is_dir() else path.parent, field="output_dir or lora_output_dir")
            ) from error


def _forget_leaving(mark: Path, was_there: bool) -> None:
    """Where it stays, nothing is lost: it only counts where its run is not."""
    with suppress(OSError, StorageError):
        if (told := read_object(mark)).pop(_LEAVING, None) is not None:
            if was_there:
                write_json(mark, told)
            else:
                mark.unlink()


def _put_back(mark: Path, data: bytes | None) -> None:
    """As it was; None = it was not there."""
    with suppress(OSError, StorageError):
        if data is None:
            mark.unlink()
        else:
            write_bytes(mark, data)


def _try(step: Callable[..., None], *paths: Path) -> None:
    """What was not moved, or cannot be moved back, stays where it is: the first error is the one to tell."""
    with suppress(OSError):
        step(*paths)


def _holds_this_command(folder: Path) -> bool:
    """Whether a folder is the working directory, or one above it."""
    return lies_in(Path.cwd(), folder)
