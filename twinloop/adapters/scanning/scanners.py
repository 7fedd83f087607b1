"""The two ways of scanning files: in worker processes, or in this one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from twinloop.adapters.scanning import codec
from twinloop.adapters.scanning.supervisor import Supervisor
from twinloop.adapters.scanning.worker import Ask, Job
from twinloop.domain.likeness import USUAL, Likeness
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.ports import Greeting, Wanted
from twinloop.stages.vault.measure import PhotoMeasurer

_YES, _NO = b"1", b"0"


def scan_job(measurer: PhotoMeasurer) -> tuple[bytes, Job]:
    """What a worker needs: who it is, and how it does one file."""

    def job(task: bytes, ask: Ask) -> bytes:
        return codec.scanned_to_bytes(
            measurer.scan(codec.listed_from_bytes(task), lambda sha256: ask(sha256.encode()) == _YES)
        )

    return json.dumps(
        {"fingerprint": measurer.fingerprint, "notes": _notes(measurer), "likeness": asdict(_likeness(measurer))}
    ).encode(), job


def _notes(measurer: PhotoMeasurer) -> list[str]:
    return [] if measurer.pack is None else list(measurer.pack.missing)


def _likeness(measurer: PhotoMeasurer) -> Likeness:
    return USUAL if measurer.pack is None else measurer.pack.likeness


class HereScanner:
    """Scans in this process: no protection, for fakes and for looking at errors."""

    def __init__(self, measurer: PhotoMeasurer) -> None:
        self._measurer = measurer
        self.greeting = Greeting(measurer.fingerprint, tuple(_notes(measurer)), _likeness(measurer))

    def scan(self, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        for listed in files:
            yield self._measurer.scan(listed, wanted)


class WorkerScanner:
    """Scans in the worker processes of a supervisor that was entered; its entry returns what `scan_job` does."""

    def __init__(self, supervisor: Supervisor[ListedFile]) -> None:
        self._supervisor = supervisor
        told = json.loads(supervisor.greeting)
        strangers = told["likeness"].pop("strangers")
        likeness = Likeness(None if strangers is None else (strangers[0], strangers[1]), **told["likeness"])
        self.greeting = Greeting(told["fingerprint"], tuple(told["notes"]), likeness)

    def scan(self, files: Iterable[ListedFile], count: int, wanted: Wanted) -> Iterator[ScannedFile]:
        asked: dict[ListedFile, str] = {}
        tasks = ((listed, codec.listed_to_bytes(listed)) for listed in files)

        def answer(listed: ListedFile, question: bytes) -> bytes:
            asked[listed] = sha256 = question.decode()
            return _YES if wanted(sha256) else _NO

        for outcome in self._supervisor.run(tasks, answer, count):
            sha256 = asked.pop(outcome.task, None)
            if outcome.failure:
                yield ScannedFile(outcome.task, sha256, problem=outcome.failure, undecided=outcome.lost)
            else:
                yield codec.scanned_from_bytes(outcome.task.path, outcome.result)
