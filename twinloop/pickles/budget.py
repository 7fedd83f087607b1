"""What reading one file may cost: opcodes, bytes, seconds.

The clock is looked at every few thousand opcodes, and wherever one opcode works through many items."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twinloop.errors import ModelFileError

_CLOCK_EVERY = 4096
_ITEM = 8


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        opcodes: of all its pickles; a detector of 46 million parameters needs 10^5. size: bytes of one pickle beside a
            torch file's storages (200 kB there). memory: bytes of all values made, and of a pickle that holds its
            arrays itself. seconds: of reading.
    """

    opcodes: int = 5_000_000
    size: int = 256 << 20
    memory: int = 4 << 30
    seconds: float = 120.0


DEFAULT_LIMITS = Limits()


@dataclass
class Budget:
    """What is left of `Limits`; one budget serves all pickles of a file, the nested ones too."""

    limits: Limits = DEFAULT_LIMITS
    clock: Callable[[], float] = time.monotonic
    opcodes: int = field(init=False)
    memory: int = field(init=False)
    deadline: float = field(init=False)
    _worked: int = 0

    def __post_init__(self) -> None:
        self.opcodes, self.memory = self.limits.opcodes, self.limits.memory
        self.deadline = self.clock() + self.limits.seconds

    def step(self) -> None:
        """One opcode.

        Raises:
            ModelFileError: too many of them, or too slow.
        """
        self.opcodes -= 1
        if self.opcodes < 0:
            raise ModelFileError("the pickle is longer than any model file needs")
        if self.opcodes % _CLOCK_EVERY == 0:
            self.look_at_clock()

    def look_at_clock(self) -> None:
        """Raises ModelFileError when the time is over."""
        if self.clock() > self.deadline:
            raise ModelFileError(f"reading takes longer than {self.limits.seconds:g} s; no model file needs that")

    def work(self, items: int) -> None:
        """Items that are looked at once more, although they are there already: a small file may name the same ones
        again and again.

        Raises:
            ModelFileError: too many of them, or too slow.
        """
        self.spend(_ITEM * items)
        self._worked += items
        if self._worked >= _CLOCK_EVERY:
            self._worked = 0
            self.look_at_clock()

    def spend(self, amount: int) -> None:
        """Bytes of a value that is about to be made.

        Raises:
            ModelFileError: more than the limit in all.
        """
        self.memory -= amount
        if self.memory < 0:
            raise ModelFileError(
                f"the pickle makes values of more than {self.limits.memory} bytes; no model file needs that"
            )

    def spend_on(self, values: object) -> None:
        """What copying ``values`` and what lies directly in them costs; called where a constructor copies its
        arguments.
        """
        self.look_at_clock()
        for value in values if isinstance(values, tuple) else (values,):
            if isinstance(value, str | bytes | bytearray):
                self.spend(len(value))
            elif isinstance(value, list | tuple | dict | set | frozenset):
                self.spend(64 * len(value))
