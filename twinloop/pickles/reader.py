"""Reading pickles: the loop around the stack machine, within one budget per file."""

from __future__ import annotations

import io
import pickletools
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles.broken import BrokenPickle, breaks_for_all, check_number
from twinloop.pickles.budget import DEFAULT_LIMITS, Budget, Limits
from twinloop.pickles.machine import Beside, Machine, Refusal
from twinloop.pickles.opcodes import step
from twinloop.pickles.policy import DEFAULT_POLICY, Policy
from twinloop.pickles.values import Global, printable

_FRAME_HEAD = 9


@dataclass(frozen=True)
class Loaded:
    """A pickle that was read.

    Attributes:
        value: what it holds. names: every global it asks for. refused: only in a tolerant reading. end: bytes used.
    """

    value: object
    names: tuple[Global, ...]
    refused: tuple[Refusal, ...]
    end: int


@dataclass
class Reader:
    """Reads the pickles of one file.

    Attributes:
        source: how messages call the file. tolerant: note refusals and go on (for an inspector) instead of raising.
        names, refused: what all pickles so far asked for; kept also when one of them turns out to be damaged.
    """

    source: str
    policy: Policy = DEFAULT_POLICY
    limits: Limits = DEFAULT_LIMITS
    tolerant: bool = False
    names: list[Global] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits)

    def read(self, data: bytes | BinaryIO, beside: Beside = Beside(), place: str = "") -> object:  # noqa: B008 - frozen
        """The value of the pickle that starts where ``data`` stands; a stream is left behind its last byte.

        Raises:
            UnsafeModelFile: the pickle would act, and the reading is not tolerant. BrokenPickle: it is no pickle, to
                Python neither.
            ModelFileError: it does what is not followed here, or costs more than the limits.
        """
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        machine = Machine(
            self.source, self.policy, self.budget, self.tolerant, self.names, self.refused, beside, stream, place
        )
        try:
            _run(machine)
            value = machine.pop()
            machine.keep((value,))
            return value
        except UnsafeModelFile:
            raise
        except (ModelFileError, RecursionError, MemoryError) as error:
            known = isinstance(error, ModelFileError)
            text = str(error) if known else "its values are nested deeper or are larger than can be read"
            kind = BrokenPickle if isinstance(error, BrokenPickle) else ModelFileError
            raise kind(
                f"{self.source}: {text} (byte {machine.offset} of {printable(place) or 'its pickle'}). Download it"
                " again."
            ) from error


def check_size(size: int, limits: Limits, source: str) -> None:
    """Raises ModelFileError for a pickle of more than ``limits.size`` bytes."""
    if size > limits.size:
        raise ModelFileError(
            f"{source}: its pickle has {size} bytes, more than the limit of {limits.size}; this is no model file"
        )


def _run(machine: Machine) -> None:
    stream = machine.stream
    opcodes = pickletools.genops(stream)
    frames = _Frames(stream)
    while True:
        start = stream.tell()
        try:
            opcode, arg, position = next(opcodes)
        except StopIteration:
            raise BrokenPickle("the pickle ends without its stop mark") from None
        except (ValueError, OverflowError, struct.error, IndexError) as error:
            kind = BrokenPickle if breaks_for_all(stream, start) else ModelFileError
            raise kind(f"not a pickle, or one that is cut short or damaged ({str(error)[:80]})") from error
        machine.offset = position or 0
        frames.check(opcode.name, machine.offset, arg)
        machine.frame_end = frames.end
        if opcode.name == "INT":
            check_number(stream, start)
        if opcode.name == "STOP":
            return
        machine.budget.step()
        step(machine, opcode.name, arg)


class _Frames:
    """Protocol 4 announces blocks of opcodes; a block that is longer than the file or cuts an opcode is a lie.

    C stops at a block that is longer than the file, Python's own unpickler (joblib's) does not: reading goes on, to see
    what follows. Whoever loads the next pickle begins behind the stop or behind the block, as the stream is buffered.

    Attributes:
        end: byte behind the last block that was announced.
    """

    def __init__(self, stream: BinaryIO) -> None:
        here = stream.tell()
        self._length = stream.seek(0, io.SEEK_END)
        stream.seek(here)
        self._stream, self.end = stream, 0

    def check(self, name: str, position: int, arg: object) -> None:
        if name == "FRAME" and isinstance(arg, int):
            if position < self.end:
                raise ModelFileError("a frame begins inside another one")
            self.end = position + _FRAME_HEAD + arg
        elif position < self.end < self._stream.tell():
            raise ModelFileError("an opcode reaches over the end of its frame")
        elif name == "STOP" and self.end > self._length:
            raise ModelFileError("a frame is longer than the pickle; the file is cut short or damaged")
        elif name == "STOP" and self.end > self._stream.tell():
            raise ModelFileError("a frame goes on behind its stop, where not everybody looks for the next pickle")
