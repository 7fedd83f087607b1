"""A folder of photos and a vault that is scanned from it by the fake detectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.helpers.fake_photos import fake_photo
from twinloop.adapters.fakes import fake_pack
from twinloop.adapters.scanning.scanners import HereScanner
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.ports import Scanner, Wanted
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.scan import Scanned, ScanPlan, scan
from twinloop.store.vault.folder import Vault


class Quiet:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, label: str, done: int, total: int) -> None:
        self.steps.append((done, total))


@dataclass
class Home:
    """A folder of photos, a vault, and a note of every file that was opened and every time models were."""

    root: Path
    opened: list[str] = field(default_factory=list)
    models: int = 0
    reporter: Quiet = field(default_factory=Quiet)

    @property
    def photos(self) -> Path:
        return self.root / "photos"

    @property
    def vault(self) -> Vault:
        return Vault(self.root / "vault")

    def scan(
        self,
        *add: Path,
        remove: Iterable[Path] = (),
        stamp: str = "models 1",
        min_face: int = 20,
        limits: str = "30 s",
        stop_after: int | None = None,
        exclude: Sequence[str] = (),
        only_these: bool = False,
    ) -> Scanned:
        self.opened.clear()
        made = replace(fake_pack(), name=stamp)

        @contextmanager
        def scanner() -> Iterator[Scanner]:
            self.models += 1
            yield Watched(PhotoMeasurer(made, min_face), self.opened, stop_after)

        plan = ScanPlan(
            tuple(add), tuple(remove), "fake", min_face, stamp, limits, scanner,
            exclude=tuple(exclude), only_these=only_these,
        )  # fmt: skip
        return scan(self.vault, plan, self.reporter)

    def skipped(self, done: Scanned) -> dict[str, str]:
        return {os.fsdecode(os.fsencode(path.name)): reason for path, reason in done.skipped}


class Watched(HereScanner):
    """Notes what it is asked to look at; may be interrupted."""

    def __init__(self, measurer: PhotoMeasurer, opened: list[str], stop_after: int | None) -> None:
        super().__init__(measurer)
        self._opened, self._stop_after = opened, stop_after

    def scan(self, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        def noted(sha256: str) -> bool:
            answer = wanted(sha256)
            if answer:
                self._opened.append(sha256)
            return answer

        for number, made in enumerate(super().scan(files, count, noted)):
            if number == self._stop_after:
                raise KeyboardInterrupt
            yield made


def home_in(root: Path) -> Home:
    """Four photos of two people."""
    made = Home(root)
    made.photos.mkdir()
    for number in range(4):
        fake_photo(made.photos / f"{number}.png", seed=number, size=128, person=number % 2)
    return made
