"""Everything that can go wrong on purpose.

TwinLoopError                 the message says what happened and what to do next
+-- InputError                a path, file or flag the user can correct
|   +-- ConfigError           one or more wrong fields of a configuration (all listed at once)
|   +-- UnreadableImage       one image that cannot be decoded; a run skips it by name
|   +-- NothingToDo           an empty folder, no faces, no gaps: nothing was changed
|   +-- MissingDevice         a GPU or processor that the settings ask for is not in this machine
+-- ModelFileError            a model file that is not what its name says
|   +-- UnsafeModelFile       a pickle that would run code when loaded
+-- MissingExtra              an optional library is not installed; names the pip line
+-- MissingTool               another program, which the user chose to work with, is not where it was said to be
+-- ToolFailed                another program ended with an error; its last words and its log are named
+-- CaptionFailed             a captioner says nothing of one picture; its caption is the measured one
+-- MaskFailed                a network marks no subject in one picture; it gets no mask
+-- MissingModel              a model or detector that is needed here is not there
|   +-- NotFetched            one that the hub has, and that may be downloaded
+-- DownloadError             a file that the user asked to fetch cannot be fetched
|   +-- HostNotReached        its computer does not answer, or is not known by that name
+-- StateError                what lies in the output folder does not fit this run
|   +-- Locked                another process works in this folder
+-- StorageError              disk full, no permission
|   +-- NotPermitted          a file may not be written; names what to do instead
+-- OutOfMemory               a model does not fit into the memory of the device
+-- TrainingDiverged          the loss is no longer a number; nothing was written
+-- WaitingForReview          a round waits for a person; the run goes on afterwards
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INTERRUPTED = 130
"""Exit code of a command that was stopped by Ctrl-C: 128 and the number of the signal."""
NOTHING_MEASURED = 2
"""Exit code of the doctor where no detectors can be used: a finding, no error."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)
FREE_SPACE = "Nothing is lost; free some space and run the same command again."
"""What to do where the disk is full."""
START_ANEW = "start anew: a run with --restart, other commands with another --output"
"""What to do where something is no longer what a run or a training began with, if it cannot be put back."""
GET_ANOTHER = "Delete it, and get the model from its author as .safetensors or .onnx"
"""What to do about a model file that would act when loaded."""


class TwinLoopError(Exception):
    """Base of all errors that are shown to users as one clear message, never as a traceback.

    ``exit_code`` is what the command returns: 2 as for a wrong command line, 3 when a person is waited for.
    """

    exit_code = 2


class InputError(TwinLoopError):
    """Something the user gave (path, flag, file) is wrong."""


class ConfigError(InputError):
    """A configuration with mistakes; every mistake is listed, each with its field.

    Args:
        source: where the configuration came from, as shown to the user.
        problems: one ``field: what is wrong, what is expected`` line per mistake.
        noun: what one of them is called, in the singular: a library that is not installed is no mistake.
    """

    def __init__(self, source: str, problems: Sequence[str], noun: str = "mistake") -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: {len(self.problems)} {noun}{'s' if self.problems[1:] else ''}\n{lines}")


class UnreadableImage(InputError):
    """One image cannot be read. The run goes on without it and says so."""


class MissingDevice(InputError):
    """The settings need a GPU, or a processor, that this machine does not have; on another one they work."""


class NothingToDo(InputError):
    """There is nothing to work on; nothing was changed."""


class ModelFileError(TwinLoopError):
    """A model file is broken, truncated, or something else than its name says."""


class UnsafeModelFile(ModelFileError):
    """A model file would run code when loaded; it was not loaded."""


def pip_line(*extras: str) -> str:
    """What installs these extras of this package: with the tested versions where it runs from its repository."""
    named = f"[{','.join(extras)}]" if extras else ""
    if _in_checkout():
        return f'pip install -c constraints.txt -e ".{named}"'
    return f'pip install "twinloop{named}"'


def _in_checkout() -> bool:
    return (Path(__file__).parents[1] / "constraints.txt").is_file()


class MissingExtra(TwinLoopError):
    """An optional library is missing.

    Args:
        what: what the user wanted to do.
        extra: the extra of this package that brings the library.
        also: others that are missing beside it; one line installs them all.
    """

    def __init__(self, what: str, extra: str, detail: str = "", also: Sequence[MissingExtra] = ()) -> None:
        self.what, self.extra, self.detail = what, extra, detail
        tail = f" ({detail})" if detail else ""
        needs = f"{what} needs libraries that are not installed{tail}"
        if also:
            named = " and ".join(f"{one.what}{f' ({one.detail})' if one.detail else ''}" for one in (self, *also))
            needs = f"{named} need libraries that are not installed"
        where = ", in the project's folder" if _in_checkout() else ""
        line = pip_line(*dict.fromkeys(one.extra for one in (self, *also)))
        super().__init__(f"{needs}. Install them{where}: {line}")

    @classmethod
    def of(cls, missing: Sequence[MissingExtra]) -> MissingExtra:
        """One error for all of them, with one line to install."""
        first, *others = missing
        return cls(first.what, first.extra, first.detail, others)


class MissingTool(TwinLoopError):
    """Another program is not installed where the configuration says; names what to install and what to set."""


class ToolFailed(TwinLoopError):
    """Another program ended with an error, or left no result.

    The message holds its last lines and where its log lies.
    """


class CaptionFailed(TwinLoopError):
    """A captioner says nothing of one picture. The run goes on, and the picture has the measured words."""


class MaskFailed(TwinLoopError):
    """A network marks nothing in one picture that could be its subject. The others go on, and it gets no mask."""


class MissingModel(TwinLoopError):
    """A model that this step needs is not on this machine."""


class NotFetched(MissingModel):
    """A model that the hub has was not fetched yet; with leave to download, it would be."""


class DownloadError(TwinLoopError):
    """A file that the user asked for cannot be fetched, or is not the one that is known."""


class HostNotReached(DownloadError):
    """No connection to the computer that has a file: others of the same one need not be tried."""


class StateError(TwinLoopError):
    """The output folder holds something that does not fit this run."""


class Locked(StateError):
    """Another living process works in this folder.

    Attributes:
        holder: who that is, with its number; "" = not known.
        pid: that number alone; "" = not known.
    """

    holder = ""
    pid = ""


class StorageError(TwinLoopError):
    """The disk is full or refuses to be written."""


class NotPermitted(StorageError):
    """There is no permission to write a file.

    Attributes:
        path: which. instead: what to do, beside changing the permissions. held: another program may have it open.
    """

    def __init__(self, path: Path, instead: str, held: bool = False) -> None:
        close = ", or close the program that has it open" if held else ""
        super().__init__(f"No permission to write {path}. {instead} or change the permissions{close}.")
        self.path, self.instead, self.held = path, instead, held


class OutOfMemory(TwinLoopError):
    """A model or a batch does not fit into memory; the message says what to make smaller."""


class TrainingDiverged(TwinLoopError):
    """A training broke down (its loss is no longer a number); its LoRA was not written."""


class WaitingForReview(TwinLoopError):
    """A round waits for a person's review. Nothing is wrong: the same command goes on when it is finished."""

    exit_code = 3


def from_name(kind: str, text: str) -> TwinLoopError | None:
    """The error of that class, as another process told it; None where none here is called so.

    A class that is made from more than its message comes as the nearest one above it that is not.
    """
    found = globals().get(kind)
    if not (isinstance(found, type) and issubclass(found, TwinLoopError)):
        return None
    above: tuple[Any, ...] = found.__mro__
    error: TwinLoopError = next(plain for plain in above if plain.__init__ is Exception.__init__)(text)
    return error
