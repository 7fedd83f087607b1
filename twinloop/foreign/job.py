"""A training as told to another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from twinloop.errors import InputError
from twinloop.families import Family
from twinloop.foreign.pictures import Folder
from twinloop.ports import TrainingSettings


@dataclass(frozen=True)
class Job:
    """One LoRA to be trained elsewhere.

    Attributes:
        name: of the LoRA's file, without ending. base: folder, file or hub id. trigger: words that stand for the person.
        root: folder of the dataset's folders, as the other program will see it. output: where it shall write.
    """

    name: str
    base: str
    family: Family
    settings: TrainingSettings
    trigger: str
    root: PurePath
    output: PurePath
    folders: Sequence[Folder]

    def place(self, folder: Folder) -> str:
        """The path of one of the dataset's folders."""
        return str(self.root / folder.name)

    @property
    def pictures(self) -> int:
        return sum(len(folder.pictures) for folder in self.folders)


_OFF: tuple[tuple[str, object], ...] = (
    ("adapter", "lora"), ("ema_decay", 0.0), ("output_preservation", 0.0), ("face_weight", 1.0), ("stop_at", 0),
)  # fmt: skip
_FIELDS = {"stop_at": "keep_checkpoints"}
"""What other trainers may not be able to do, and the value that asks for nothing; the name in the configuration where it is another."""


def beyond(settings: TrainingSettings, able: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Fields of ``training`` that are set and that a program, beside what it is ``able`` to do, has no word for."""
    asked = (name for name, off in _OFF if name not in able and getattr(settings, name) != off)
    return tuple(f"training.{_FIELDS.get(name, name)}" for name in asked)


def known(program: str, table: dict[str, str], family: Family) -> str:
    """What a program calls a family.

    Raises:
        InputError: it does not train that family, as far as this program knows.
    """
    if family.name not in table:
        raise InputError(
            f"{program} does not train {family.name} LoRAs, as far as this program knows; it knows {', '.join(table)}. "
            'Use another trainer ("training": {"trainer": "builtin"}).'
        )
    return table[family.name]
