"""Scan: bring the vault up to date with its folders. Originals are only read."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL

from twinloop import __version__
from twinloop.domain.likeness import Likeness
from twinloop.domain.scanned import ScannedFile
from twinloop.domain.vault import VaultPhoto
from twinloop.domain.wording import plural, some
from twinloop.errors import InputError, MissingModel, NothingToDo
from twinloop.ports import Greeting, Reporter, Scanner
from twinloop.ports.detectors import embedder_in
from twinloop.stages.vault.changed_photos import lost_with, warning
from twinloop.stages.vault.forget.names import ForgottenNames
from twinloop.stages.vault.forget.person import forgotten_faces, photos_to_measure_again
from twinloop.stages.vault.forget.promise import keep_promises
from twinloop.stages.vault.measure import VERSION
from twinloop.stages.vault.measured_with import difference
from twinloop.stages.vault.new_folders import look_into
from twinloop.stages.vault.offline_folders import is_empty, moved_out, online_and_offline, renamed
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.passed_over import Exclusions
from twinloop.stages.vault.people.new_faces import faces_to_tell_apart
from twinloop.stages.vault.people.photo_names import read_names
from twinloop.stages.vault.second_names import called_in, remark, second_names
from twinloop.stages.vault.walk import Walk
from twinloop.store.atomic import denied_within
from twinloop.store.lock import VAULT, locked
from twinloop.store.pictures import images, raw
from twinloop.store.progress import NotedProgress, progress_cleared
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.files import Counts, FileEntry
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.listing import Listing
from twinloop.store.vault.same_shot import SameShotLog
from twinloop.system import shell

BATCH = 64
BATCH_SECONDS = 2.0
"""So many files, or so long, at most are scanned again after a kill."""


_NAMED = 3
_NO_EMBEDDER = "-"
"""What `embedder_in` gives where there is none."""


@dataclass(frozen=True)
class ScanPlan:
    """What to scan, and with what.

    Attributes:
        add: folders or files to take in; remove: ones to take out. Those scanned before stay, and are brought up to
            date.
        models_dir: where the detectors lie. min_face: pixels. stamp: of the model files (`ScanRecord.stamp`).
        limits: of one file, in words; a file that was skipped is tried again with others.
        scanner: opens the models when it is entered; called only when there is something to look at.
        identities: whether photos are only looked at where the models tell people apart; False = in any case.
        exclude: patterns of what is not scanned (`Exclusions`), beside those of earlier scans. only_these: instead of
            those.
    """

    add: tuple[Path, ...]
    remove: tuple[Path, ...]
    models_dir: str
    min_face: int
    stamp: str
    limits: str
    scanner: Callable[[], AbstractContextManager[Scanner]]
    identities: bool = False
    exclude: tuple[str, ...] = ()
    only_these: bool = False


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """What a scan did.

    Attributes:
        measured: photos that were looked at. recognised: files whose content was known already (moved, renamed,
            copied).
        unchanged: photos that were only stat-ed. Every photo that the folders hold now is one of these three.
        gone: files that are no longer there. counts: of the whole vault afterwards.
        skipped: every skipped file with its reason. ignored: files that are no pictures by their name, by suffix.
        away: folders that were not there this time; what is known of them is kept. notes: about models.
        named: photos in which, or beside which, a photo program named people.
        passed_over: files and folders that were passed over by what they are, and by pattern: kind -> how many.
        new_faces: as `faces_to_tell_apart` counts them.
    """

    folders: tuple[str, ...]
    fingerprint: str
    measured: int
    recognised: int
    unchanged: int
    gone: int
    counts: Counts
    skipped: tuple[tuple[Path, str], ...]
    ignored: dict[str, int]
    away: tuple[str, ...]
    notes: tuple[str, ...]
    named: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)
    new_faces: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "folders": list(self.folders),
            "photos": self.counts.photos,
            "files": self.counts.files,
            "faces": self.counts.faces,
            "measured": self.measured,
            "recognised": self.recognised,
            "unchanged": self.unchanged,
            "gone": self.gone,
            "skipped": [{"path": os.fspath(path), "reason": reason} for path, reason in self.skipped],
            "ignored": self.ignored,
            "passed_over": dict(self.passed_over),
            "excluded": dict(self.excluded),
            "away": list(self.away),
            "notes": list(self.notes),
            "named_in_photos": self.named,
            "new_faces": self.new_faces,
            "fingerprint": self.fingerprint,
        }


def scan(vault: Vault, plan: ScanPlan, reporter: Reporter) -> Scanned:
    """Bring the vault up to date with its folders and the new ones.

    Killed at any point and run again, it goes on where it was.

    Raises:
        InputError: a folder that is not there, a file that is no picture, or a pattern of a whole scanned folder.
        NothingToDo: no folder at all, or none of the new ones holds a picture. MissingModel, ModelFileError: as opening
            the models; also where none of them tells people apart, and that is asked for.
        Locked: another process works in the vault. StorageError: the catalogue cannot be written.
    """
    _check_patterns(vault, plan)
    look_into(vault, plan.add, Exclusions(patterns_of(vault, plan)), reporter)
    vault.create()
    with (
        denied_within(vault.root, VAULT.instead),
        locked(vault.root, VAULT),
        progress_cleared(vault.root),
        VaultCatalog(vault.catalog, any_version=True) as catalog,
    ):
        keep_promises(vault, catalog, DecisionLog(vault.decisions))
        return _Scan(vault, catalog, plan, NotedProgress(vault.root, reporter)).run()


def patterns_of(vault: Vault, plan: ScanPlan) -> tuple[str, ...]:
    """The patterns of what is not scanned from now on."""
    known = ScanRecord.read(vault).exclude if vault.scan_record.exists() and not plan.only_these else ()
    return tuple(dict.fromkeys((*known, *plan.exclude)))


def _check_patterns(vault: Vault, plan: ScanPlan) -> None:
    """Raises InputError: a new pattern is of a scanned folder itself, which no pattern leaves out."""
    record = ScanRecord.read(vault) if vault.scan_record.exists() else None
    listed = frozenset(() if record is None else record.folders)
    known = listed.difference(_folders_of(listed, plan.remove))
    folders = known | {os.path.abspath(path) for path in plan.add}
    exclusions = Exclusions(plan.exclude)
    for folder in sorted(folders):
        if any(os.fspath(place) in folders for place in Path(folder).parents):  # left out of that one
            continue
        for pattern in exclusions.around(folder):
            instead = vault.command(f"scan --remove {shell.quote(folder)}")
            raise InputError(
                f"--exclude {shell.quote(pattern)} is of the scanned folder {folder} itself; patterns are of what lies"
                f" below. {f'To take it out: {instead}' if folder in known else 'Do not name this folder.'}"
            )


def _folders_of(known: Collection[str], paths: Iterable[Path]) -> list[str]:
    """What these folders are called in the vault, where they are among ``known`` under whatever name."""
    given = [os.path.abspath(path) for path in paths]
    named = [path if path in known else os.fspath(called_in(known, Path(path))) for path in given]
    return [name if name in known else path for name, path in zip(named, given, strict=True)]


def _away_text(away: Sequence[Path], moved: Mapping[Path, Path], vault: Vault) -> str:
    it, is_ = ("it", "is") if len(away) == 1 else ("them", "are")
    names = [f"{folder} (now an empty folder)" if is_empty(folder) else str(folder) for folder in away]
    text = f"{some(names)} {is_} not there; what is known of {it} is kept."
    text += "".join(
        f" {folder} seems to have been renamed to {place}: all its photos are known there."
        for folder, place in list(moved.items())[:_NAMED]
    )
    flags = " ".join(f"--remove {shell.quote(str(folder))}" for folder in away[:_NAMED])
    return f"{text} To take {it if len(away) <= _NAMED else 'the first'} out: {vault.command(f'scan {flags}')}"


def _no_embedder(models_dir: str) -> str:
    return (
        f"The models in {models_dir} have no embedder, so people cannot be told apart, and nothing was scanned. Add one"
        " (twinloop doctor names it), or take the embedded models: --models-dir nano"
    )


class _Scan:
    """One scan of one vault."""

    def __init__(self, vault: Vault, catalog: VaultCatalog, plan: ScanPlan, reporter: Reporter) -> None:
        self._vault, self._catalog, self._plan, self._reporter = vault, catalog, plan, reporter
        self._record = self._written = ScanRecord.read(vault) if vault.scan_record.exists() else None
        self._exclude = patterns_of(vault, plan)
        self._listing = Listing(catalog)
        decoders = "; ".join(filter(None, (f"pillow {PIL.__version__}", raw.library_version())))
        self._tried = f"twinloop {__version__} {VERSION} {images.READS}; {decoders}; {plan.limits}"
        self._measured = self._recognised = self._looked_at = 0
        self._changed = dict[str, Path]()
        decisions = DecisionLog(vault.decisions, reading=True)
        self._forgotten, self._forgotten_names = forgotten_faces(decisions), ForgottenNames(decisions)
        self._again = photos_to_measure_again(decisions, catalog)

    def run(self) -> Scanned:
        folders, removed = self._folders()
        there, missing = online_and_offline(folders, self._catalog.files)
        gone = sum(self._listing.forget_folder(Path(folder), [Path(kept) for kept in folders]) for folder in removed)
        shut_out = frozenset({os.path.realpath(self._vault.root)})
        walk = Walk(shut_out, self._catalog.files.at, exclusions=Exclusions(self._exclude))
        if twice := second_names(there, walk.comes_to):
            folders, there = self._under_one_name(folders, there, twice)
        self._listing.take_listing(walk.found(there))
        shots = SameShotLog(self._vault.same_shot, self._catalog)
        shots.note_before()
        with self._catalog.batch():
            gone += self._listing.forget_missing(there, walk.unread, missing)
            self._listing.note_problems()
        greeting = self._look(folders)
        shots.note_now()
        listed = self._listing.listed_photos()
        for folder in moved_out(self._catalog.files, missing):
            missing = tuple(path for path in missing if not path.is_relative_to(folder))
            gone += self._listing.forget_folder(folder, ())
        if missing:
            self._reporter.warn(_away_text(missing, renamed(self._catalog.files, missing), self._vault))
        if lost := lost_with(self._vault, self._catalog.files, self._changed):
            self._reporter.warn(warning(lost, self._vault))
        named = read_names(self._catalog, self._forgotten, self._forgotten_names.has, self._reporter)
        self._write(self._record_of(folders, greeting))
        return Scanned(
            folders=folders,
            fingerprint=greeting.fingerprint,
            measured=self._measured,
            recognised=self._recognised,
            unchanged=listed - self._measured - self._recognised,
            gone=gone,
            counts=self._catalog.files.counts(greeting.fingerprint),
            skipped=tuple(self._catalog.files.skipped()),
            ignored=dict(sorted(walk.ignored.items())),
            away=tuple(map(os.fspath, missing)),
            notes=greeting.notes,
            named=named,
            passed_over=dict(sorted(walk.passed.items())),
            excluded={pattern: walk.excluded[pattern] for pattern in self._exclude},
            new_faces=faces_to_tell_apart(self._vault, self._catalog, greeting.fingerprint),
        )

    def _folders(self) -> tuple[tuple[str, ...], list[str]]:
        """The vault's folders from now on, and those that leave it."""
        known = list(self._record.folders) if self._record is not None else []
        removed = _folders_of(known, self._plan.remove)
        for folder in removed:
            if folder not in known:
                raise InputError(f"{folder} is not one of the vault's folders: {some(known) or 'it has none'}.")
        folders = dict.fromkeys(
            folder for folder in [*known, *map(os.path.abspath, self._plan.add)] if folder not in removed
        )
        if not folders and not removed:
            raise NothingToDo(f"Which folder? Start with: {self._vault.command('scan FOLDER')}")
        return tuple(folders), removed

    def _under_one_name(
        self, folders: tuple[str, ...], there: tuple[Path, ...], twice: Mapping[Path, Path]
    ) -> tuple[tuple[str, ...], tuple[Path, ...]]:
        """The folders, and those that are there, without second names; a file of two names would look like a copy that
        could be deleted.
        """
        self._reporter.warn(remark(twice))
        kept = tuple(folder for folder in folders if Path(folder) not in twice)
        for other in twice:
            self._listing.forget_folder(other, [Path(folder) for folder in kept if not other.is_relative_to(folder)])
        return kept, tuple(folder for folder in there if folder not in twice)

    def _record_of(self, folders: tuple[str, ...], greeting: Greeting) -> ScanRecord:
        plan = self._plan
        return ScanRecord(
            folders=folders,
            models_dir=plan.models_dir,
            fingerprint=greeting.fingerprint,
            min_face=plan.min_face,
            stamp=plan.stamp,
            notes=greeting.notes,
            strangers=greeting.likeness.strangers,
            same_person=greeting.likeness.same_person,
            exclude=self._exclude,
        )

    def _note_begun(self, folders: tuple[str, ...], greeting: Greeting) -> None:
        """Remember the folders, and what this scan is made with, should it be killed; until it is done, what the last
        one was made with counts, where there was one.
        """
        before, plan = self._record or self._record_of(folders, greeting), self._plan
        self._write(
            dataclasses.replace(
                before,
                folders=folders,
                unfinished=True,
                begun_models=plan.models_dir,
                begun_min_face=plan.min_face,
                exclude=self._exclude,
            )
        )

    def _write(self, record: ScanRecord) -> None:
        if record != self._written:
            record.write(self._vault)
            self._written = record

    def _look(self, folders: tuple[str, ...]) -> Greeting:
        """Look at the files that are new, changed, or measured by something else; where there are none, no model is
        opened.
        """
        record, plan = self._record, self._plan
        same = record is not None and (record.stamp, record.min_face) == (plan.stamp, plan.min_face)
        if record is not None and same and not self._listing.plan(record.fingerprint, self._tried, self._again):
            likeness = Likeness(record.strangers, record.same_person)
            return Greeting(record.fingerprint, record.notes, likeness)
        with plan.scanner() as scanner:
            greeting = scanner.greeting
            if plan.identities and embedder_in(greeting.fingerprint) == _NO_EMBEDDER:
                raise MissingModel(_no_embedder(plan.models_dir))
            self._note_begun(folders, greeting)
            self._looked_at = self._listing.plan(greeting.fingerprint, self._tried, self._again)
            self._say_difference(greeting.fingerprint)
            self._take(scanner, greeting.fingerprint)
            self._looked_at = self._listing.plan_unpaired("" if raw.available() else raw.MISSING)
            if self._looked_at:
                self._take(scanner, greeting.fingerprint)
        return greeting

    def _say_difference(self, fingerprint: str) -> None:
        """A ruler that changed since the last scan: why known photos are looked at again, and that nothing is compared
        across.
        """
        before = "" if self._record is None else difference(self._record.fingerprint, fingerprint)
        if before and self._looked_at:
            self._reporter.line(
                f"The last scan was made with {before}: {plural(self._looked_at, 'photo')} to measure anew. What it"
                " measured is kept, and compared with nothing that this one measures."
            )

    def _take(self, scanner: Scanner, fingerprint: str) -> None:
        """Write down what the scanner finds, in small batches; when it is interrupted, also the last one."""
        waiting: dict[str | None, ScannedFile] = {}
        pending: list[ScannedFile] = []
        began = time.monotonic()

        def wanted(sha256: str) -> bool:
            return sha256 not in waiting and not self._is_measured(sha256, fingerprint)

        try:
            for done, scanned in enumerate(scanner.scan(self._listing.planned(), self._looked_at, wanted), 1):
                pending.append(scanned)
                if scanned.photo is not None:
                    waiting[scanned.sha256] = scanned
                if len(pending) >= BATCH or time.monotonic() - began >= BATCH_SECONDS:
                    self._store(pending, fingerprint)
                    waiting.clear()
                    pending, began = [], time.monotonic()
                self._reporter.progress("Scanning", done, self._looked_at)
        finally:
            self._store(pending, fingerprint)

    def _store(self, batch: Iterable[ScannedFile], fingerprint: str) -> None:
        with self._catalog.batch():
            for scanned in batch:
                listed, settled = scanned.listed, scanned.sha256 is not None and not scanned.undecided
                tried = self._tried if scanned.problem and settled else ""
                before = self._catalog.files.at(listed.path)
                if before is not None and before.sha256 and scanned.sha256 not in (None, before.sha256):
                    self._changed[before.sha256] = listed.path
                self._catalog.files.put(
                    FileEntry(
                        listed.path,
                        listed.size,
                        listed.mtime_ns,
                        scanned.sha256,
                        scanned.problem,
                        tried,
                        listed.ctime_ns,
                    )
                )
                # of files of one content several processes may measure theirs at the same time
                if scanned.photo is not None and not self._is_measured(scanned.photo.sha256, fingerprint):
                    self._catalog.put_photo(*self._allowed(scanned.photo, fingerprint, scanned.thumbnail))
                    self._again.discard(scanned.photo.sha256)
                    self._measured += 1
                elif not scanned.problem:
                    self._recognised += 1

    def _is_measured(self, sha256: str, fingerprint: str) -> bool:
        return sha256 not in self._again and self._catalog.has(sha256, fingerprint)

    def _allowed(self, photo: VaultPhoto, fingerprint: str, thumbnail: bytes) -> tuple[VaultPhoto, str, bytes]:
        """A photo without the faces that the user wants forgotten, and then without its thumbnail."""
        keys = self._forgotten.get(photo.sha256)
        if keys is None:
            return photo, fingerprint, thumbnail
        kept = tuple(
            face for number, face in enumerate(photo.faces) if not any(key.same(photo.key(number)) for key in keys)
        )
        return dataclasses.replace(photo, faces=kept), fingerprint, b""
