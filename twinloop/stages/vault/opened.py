"""A vault in use: its catalogue, the user's decisions and what the last scan was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twinloop.domain.likeness import USUAL
from twinloop.errors import NothingToDo
from twinloop.ports import Reporter
from twinloop.store.atomic import read_as, write_json
from twinloop.store.progress import NotedProgress
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import Vault


@dataclass(frozen=True, kw_only=True)
class ScanRecord:
    """What was scanned, and with what.

    Attributes:
        folders: absolute, in the order they were first scanned. models_dir: absolute, ``PACK:FOLDER`` with an absolute
            folder, or a word for built-in ones.
        fingerprint: of the models and code that measured; rows of the catalogue with another one are out of date.
        min_face: height in pixels from which faces were kept.
        stamp: of the model files and settings; as long as it is the same, the fingerprint is known without opening a
            model.
        notes: about models that are missing or broken. strangers, same_person: as the embedder's (`Likeness`).
        unfinished: a scan was interrupted, or goes on: not every photo of the folders is known yet.
        begun_models, begun_min_face: what that scan is made with, as `models_dir` and `min_face`; "" and 0 = none is
            unfinished.
        exclude: patterns of what is not scanned (`Exclusions`).
    """

    folders: tuple[str, ...]
    models_dir: str
    fingerprint: str
    min_face: int = 0
    stamp: str = ""
    notes: tuple[str, ...] = ()
    strangers: tuple[float, float] | None = None
    unfinished: bool = False
    begun_models: str = ""
    begun_min_face: int = 0
    same_person: float = USUAL.same_person
    exclude: tuple[str, ...] = ()

    def write(self, vault: Vault) -> None:
        write_json(vault.scan_record, asdict(self), private=True)

    @classmethod
    def read(cls, vault: Vault) -> ScanRecord:
        """The record of the last scan.

        Raises:
            NothingToDo: there was none. StateError: scan.json is damaged.
        """
        if not vault.scan_record.exists():
            raise NothingToDo(f"Nothing was scanned into {vault.root} yet. Start with: {vault.command('scan FOLDER')}")
        remedy = f"Move it away and run: {vault.command('scan FOLDER')}"
        return read_as(vault.scan_record, cls._from_json, remedy)

    @classmethod
    def _from_json(cls, data: Mapping[str, Any]) -> ScanRecord:
        strangers = data["strangers"]
        return cls(
            folders=tuple(data["folders"]),
            models_dir=data["models_dir"],
            fingerprint=data["fingerprint"],
            min_face=data["min_face"],
            stamp=data["stamp"],
            notes=tuple(data["notes"]),
            strangers=None if strangers is None else (float(strangers[0]), float(strangers[1])),
            unfinished=data["unfinished"],
            begun_models=data["begun_models"],
            begun_min_face=data["begun_min_face"],
            same_person=data["same_person"],
            exclude=tuple(map(str, data.get("exclude", ()))),
        )


@dataclass(frozen=True, eq=False)
class OpenVault:
    """A vault that this process works in, or reads in."""

    vault: Vault
    catalog: VaultCatalog
    decisions: DecisionLog
    record: ScanRecord

    @property
    def fingerprint(self) -> str:
        return self.record.fingerprint

    def noting(self, reporter: Reporter) -> Reporter:
        """The same reporter, whose progress the page sees, too; for a vault that this process works in."""
        return NotedProgress(self.vault.root, reporter)
