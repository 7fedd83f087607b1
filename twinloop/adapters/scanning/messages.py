"""What a worker and its supervisor say to each other: one byte for the kind, then data.

Never a pickle: a decoder that was taken over must not be able to run anything in the process that listens to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from twinloop.adapters.scanning.inherited import PipeEnd


class Kind(IntEnum):
    """Worker to supervisor, unless it says otherwise."""

    READY = 1
    """It can work; the body is its greeting."""
    REFUSED = 2
    """It cannot work, whatever the task; the body is JSON: error, message."""
    ASK = 3
    """A question in the middle of a task."""
    ANSWER = 4
    """Supervisor to worker: the answer."""
    TASK = 5
    """Supervisor to worker: the next task."""
    DONE = 6
    """The result of the task."""
    FAILED = 7
    """The task failed; the body is the reason as text."""
    SPENT = 8
    """The same, and the worker ends."""


class Message(NamedTuple):
    kind: Kind
    body: bytes


def send(pipe: PipeEnd, kind: Kind, body: bytes = b"") -> None:
    pipe.send_bytes(bytes([kind]) + body)


def receive(pipe: PipeEnd) -> Message:
    """The next message.

    Raises:
        EOFError, OSError: the other side is gone. ValueError: it does not speak this language.
    """
    data = pipe.recv_bytes()
    return Message(Kind(data[0]), data[1:])


def packed(head: Any, blobs: Sequence[bytes] = ()) -> bytes:
    """JSON and the blobs behind it, as one run of bytes."""
    text = json.dumps([head, [len(blob) for blob in blobs]]).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(4, "big") + text + b"".join(blobs)


def unpacked(data: bytes) -> tuple[Any, list[bytes]]:
    """What `packed` was given."""
    end = 4 + int.from_bytes(data[:4], "big")
    head, lengths = json.loads(data[4:end].decode("utf-8", "surrogatepass"))
    blobs = []
    for length in lengths:
        blobs.append(data[end : end + length])
        end += length
    return head, blobs
