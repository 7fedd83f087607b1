"""The folder of an order by hand: it belongs to one order, and a killed one goes on in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.errors import StateError
from twinloop.ports import Reporter
from twinloop.store.atomic import read_as, write_json
from twinloop.store.fresh import fresh_folder
from twinloop.store.journal import Journal
from twinloop.store.lock import locked
from twinloop.store.run.workspace import GENERATION_METADATA

JOURNAL, RECORD = ".journal.jsonl", ".record.json"
ANOTHER_OUTPUT = "Choose another --output"
_REMEDY = "Move the folder away, or name another --output."


@dataclass(frozen=True)
class OrderFolder:
    """A folder with the record of what decides its images, and the journal of those that are made.

    Attributes:
        pattern: which of its files are images. others: what an error calls the images of another order.
        instead: what it says to do then.
    """

    path: Path
    pattern: str
    others: str
    instead: str = ANOTHER_OUTPUT

    @property
    def holds_images(self) -> bool:
        return any(self.path.glob(self.pattern))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Nobody else works in it; what fails before its first image leaves no folder.

        Raises:
            Locked: somebody does.
        """
        with fresh_folder(self.path, worth_keeping=lambda _: self.holds_images), locked(self.path):
            yield

    def record(self) -> dict[str, Any] | None:
        """What decides its images; None where no order has begun.

        Raises:
            StateError: the file is damaged.
        """
        path = self.path / RECORD
        return read_as(path, _object, _REMEDY) if path.exists() else None

    def keep(self, record: dict[str, Any]) -> None:
        write_json(self.path / RECORD, record)

    def journal(self) -> Journal:
        return Journal(self.path / JOURNAL, remedy=_REMEDY)

    def clear(self, problem: str, reporter: Reporter) -> None:
        """Take away what another order left here before its first image.

        Args:
            problem: what differs between the orders.

        Raises:
            StateError: there is an image, or all of them were given up.
        """
        if self.holds_images or (self.path / GENERATION_METADATA).exists():
            raise StateError(
                f"{self.path} holds images {self.others} ({problem}). {self.instead}; nothing was changed."
            )
        reporter.line(f"{self.path} was started otherwise ({problem}) and holds no image yet: begun anew")
        # the journal first: with the record gone before it, the next call would take its names of images for its own
        for name in (JOURNAL, RECORD):
            (self.path / name).unlink(missing_ok=True)


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return data
