"""Every path of a run, in the seed's own tree. No other file puts names together."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from twinloop.config import Settings
from twinloop.errors import InputError, Locked, StorageError
from twinloop.store.atomic import read_object, storage_errors, write_bytes, write_json
from twinloop.store.lock import NAME, holder, locked
from twinloop.store.noted_process import TRAINER, noted_process
from twinloop.system.files import rename_over

GENERATION_METADATA = "generation_metadata.json"
"""What lies beside made images, in any folder: the shot behind each."""
OWNER = ".run.json"
"""What says in a folder of LoRAs which run they are of, and that they are being put aside."""
_LEAVING = "restarting"


@dataclass(frozen=True)
class Workspace:
    """The output folder of a loop and the folder of its LoRAs."""

    root: Path
    lora_dir: Path

    @property
    def history(self) -> Path:
        return self.root / "iteration_history.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def run_record(self) -> Path:
        """The settings this folder was started with."""
        return self.root / "run.json"

    @property
    def started_with(self) -> Path:
        """Which configuration it was started with last, for the page."""
        return self.root / "started_with.json"

    @property
    def versions(self) -> Path:
        """Program and libraries it was begun with."""
        return self.root / "versions.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def identity(self) -> Path:
        return self.root / "identity_reference.json"

    @property
    def panel(self) -> Path:
        return self.root / "panel.json"

    def gaps(self, iteration: int) -> Path:
        return self.root / f"gaps_iter{iteration}.json"

    def shots(self, iteration: int) -> Path:
        return self.root / f"shots_iter{iteration}.json"

    def synthetic(self, iteration: int) -> Path:
        return self.root / f"synthetic_iter{iteration}"

    def approved(self, iteration: int) -> Path:
        return self.root / f"approved_iter{iteration}"

    def rejected(self, iteration: int) -> Path:
        return self.root / f"rejected_iter{iteration}"

    def unsure(self, iteration: int) -> Path:
        return self.root / f"unsure_iter{iteration}"

    def verdicts(self, iteration: int) -> Path:
        return self.root / f"verdicts_iter{iteration}.json"

    def review(self, iteration: int) -> Path:
        """What a person said of that iteration's images."""
        return self.root / f"review_iter{iteration}.json"

    def dataset(self, iteration: int) -> Path:
        """The dataset after that iteration; 0 = the real photos."""
        return self.root / f"dataset_iter{iteration}.json"

    @property
    def sources(self) -> Path:
        """The real photos that images start from, with what decides which of them."""
        return self.root / "sources.json"

    def panel_images(self, version: int) -> Path:
        return self.root / f"panel_v{version}"

    def panel_score(self, version: int) -> Path:
        return self.root / f"panel_v{version}.json"

    @property
    def checkpoint_panel(self) -> Path:
        """The prompts and seeds on which the checkpoints of a training are compared."""
        return self.root / "checkpoint_panel.json"

    def checkpoint_images(self, version: int, step: int) -> Path:
        return self.root / f"checkpoints_v{version}" / f"step_{step:06d}"

    def checkpoint_score(self, version: int, step: int) -> Path:
        return self.root / f"checkpoints_v{version}" / f"step_{step:06d}.json"

    def checkpoint_choice(self, version: int) -> Path:
        """Which checkpoint of a training was taken, and what the others came to."""
        return self.root / f"checkpoints_v{version}.json"

    def samples(self, version: int, step: int) -> Path:
        """What a training drew on its way, for people to look at."""
        return self.root / f"samples_v{version}" / f"step_{step:06d}"

    def training_work(self, version: int) -> Path:
        """Checkpoints and caches of one training; deleted when its LoRA is written."""
        return self.lora_dir / f".training_v{version}"

    def lora(self, version: int) -> Path:
        return self.lora_dir / f"lora_v{version}.safetensors"

    def lora_record(self, version: int) -> Path:
        return self.lora_dir / f"lora_v{version}.json"

    @property
    def final_lora(self) -> Path:
        """A copy of the best measured version: the file to use."""
        return self.lora_dir / "lora.safetensors"

    @property
    def in_one_folder(self) -> bool:
        """Whether the LoRAs lie in the output folder itself, not below it; it is there."""
        return self.lora_dir.is_dir() and self.lora_dir.samefile(self.root)

    def is_marked_own(self) -> bool:
        """Whether the folder of LoRAs says that they are of a run in this output folder."""
        mark = self.lora_dir / OWNER
        return mark.is_file() and read_object(mark).get("output_dir") == shown_path(self.root)

    def restart_was_stopped(self) -> bool:
        """Whether a run that was here is put aside, and its LoRAs, or a part of them, are not."""
        mark = self.lora_dir / OWNER
        return not self.run_record.exists() and self.is_marked_own() and read_object(mark).get(_LEAVING) is True

    def halves(self) -> list[Path]:
        """LoRAs of versions without their records, and records without their LoRAs."""
        if not self.lora_dir.is_dir():
            return []
        versions = {int(found[1]) for path in self.lora_dir.iterdir() if (found := _OF_A_VERSION.fullmatch(path.name))}
        pairs = ((self.lora(version), self.lora_record(version)) for version in sorted(versions))
        return [lora if lora.exists() else record for lora, record in pairs if lora.exists() != record.exists()]

    def another_run(self) -> Path | None:
        """The output folder of another run that is there and has its LoRAs in this one's folder of LoRAs."""
        mark = self.lora_dir / OWNER
        told = None if _same(self.root, self.lora_dir) or not mark.is_file() else read_object(mark).get("output_dir")
        if not isinstance(told, str) or not Workspace(Path(told), self.lora_dir).run_record.is_file():
            return None  # nobody's, or of a run that was deleted or moved
        return None if _same(Path(told), self.root) else Path(told)

    def in_the_way(self) -> list[Path]:
        """What `put_aside` would move: both folders, or of a folder of LoRAs that holds others' files too, as ComfyUI's
        does, those of a run alone.

        Raises:
            InputError: the output folder is the one that this command runs in.
        """
        if not self.root.is_dir():
            roots = []
        elif _holds_this_command(self.root):
            raise InputError(
                f"--restart would move away the folder that this command runs in (output_dir: {self.root}). Name"
                " another output_dir, or move the files of the old run out of it."
            )
        else:
            roots = [self.root]
            if _same(self.root, self.lora_dir):
                return roots
        if self.another_run() is not None:
            return roots
        loras = sorted(self.lora_dir.iterdir()) if self.lora_dir.is_dir() else []
        loras = [path for path in loras if path.name != NAME]
        own = sorted((path for path in loras if _OF_A_RUN.fullmatch(path.name)), key=_turn)
        whole = bool(loras) and len(own) == len(loras) and not _holds_this_command(self.lora_dir)
        return [*roots, *([self.lora_dir] if whole else own)]

    def put_aside(self) -> list[tuple[Path, Path]]:
        """Give what is there a new name, so that a run starts anew and nothing is lost; (old, new) for each folder.

        All of it is moved or nothing. Killed in between, it leaves the output folder moved and LoRAs, or a part of
        them, where they were (`restart_was_stopped`): called again, it moves those.

        Raises:
            InputError: as `in_the_way`. Locked: a run is going on there, or another program still trains for one that
                was killed. StorageError: not permitted, or open in another program.
        """
        if not self.in_the_way():
            return []
        with locked(self.root):
            self._check_nobody_trains()
            moving = self._by_folder()
        marked = (self.lora_dir / OWNER).is_file()
        with ExitStack() as undo:
            if len(moving) > 1 and not lies_in(self.lora_dir, self.root):
                self._note_leaving(undo)
                moving = self._by_folder()
            # all names first: nothing is moved where one cannot be found
            kept = [_free_name(folder) for folder, _ in moving]
            # out of the lock: Windows moves no folder that an open file lies in
            _move(self.root, kept[0], undo)
            with locked(kept[0]):  # refused where another run has taken the old lock in that instant
                moved = [_put_aside(*each, undo) for each in zip(moving[1:], kept[1:], strict=True)]
            undo.pop_all()
        for _, place in filter(None, moved):
            _forget_leaving(place / OWNER, marked)
        return [(self.root, kept[0]), *(pair for pair in moved if pair is not None)]

    def _note_leaving(self, undo: ExitStack) -> None:
        """Note beside the LoRAs, before anything is moved, that they are put aside: a run that starts when this was
        killed must not take them for its own.
        """
        mark = self.lora_dir / OWNER
        before = mark.read_bytes() if mark.is_file() else None
        undo.callback(_put_back, mark, before)
        write_json(mark, {"output_dir": shown_path(self.root), _LEAVING: True})

    def _by_folder(self) -> list[tuple[Path, list[Path]]]:
        """Folders with what is to be moved of them: first the output folder, which its lock has made where there was
        none; then that of the LoRAs, as a whole or files of it.
        """
        paths = self.in_the_way()
        files = [path for path in paths if path not in (self.root, self.lora_dir)]
        return [*((path, [path]) for path in paths if path not in files), *([(self.lora_dir, files)] if files else [])]

    def _check_nobody_trains(self) -> None:
        """Raises Locked."""
        if not self.in_one_folder and (busy := holder(self.lora_dir)) is not None:
            raise busy
        for note in self.lora_dir.glob(f".training_v*/{TRAINER}"):
            if (found := noted_process(note)) is not None:
                raise Locked(
                    f"Another program still trains in {note.parent} (process {found.process.pid}), for a run that was"
                    " killed. End that process first, or run again without --restart: the run then ends it and goes"
                    " on."
                )

    def show(self, path: Path) -> str:
        """A path as artefacts hold it: relative to the working directory when below it, so a
        moved project still fits.
        """
        return shown_path(path)


def workspace_of(settings: Settings) -> Workspace:
    """Where a run of these settings lives."""
    return Workspace(Path(settings.output_dir), settings.lora_dir)


_OF_A_RUN = re.compile(
    r"lora(_v\d+(-step\d+)?)?(_kohya)?\.(safetensors|json|metrics\.jsonl)|final\.json|\.run\.json"
    r"|\.training_v\d+|tensorboard"
)
"""Names of what a run writes into its folder of LoRAs."""
_OF_A_VERSION = re.compile(r"lora_v(\d+)\.(?:safetensors|json)")


def _turn(path: Path) -> tuple[bool, bool, str]:
    """Where a file stands among those of a folder of LoRAs that are moved one by one: records come after all LoRAs, and
    last what says whose they are. A kill on the way leaves `Workspace.halves`, of a run that is known.
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
        rename_over(path, kept)


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


def _same(folder: Path, other: Path) -> bool:
    return folder.resolve() == other.resolve()


def lies_in(place: Path, folder: Path) -> bool:
    """Whether a path leads into a folder (or is it), by the names or by where links lead."""
    return Path(os.path.abspath(place)).is_relative_to(os.path.abspath(folder)) or place.resolve().is_relative_to(
        folder.resolve()
    )


def shown_path(path: Path) -> str:
    """``path`` relative to the working directory when it lies below it, else absolute; forward slashes."""
    place, here = Path(os.path.abspath(path)), Path.cwd()
    return (place.relative_to(here) if place.is_relative_to(here) else place).as_posix()
