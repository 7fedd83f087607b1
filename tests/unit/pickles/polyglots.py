"""Archives that hold more than one thing: zip and tar around pickles."""

from __future__ import annotations

import io
import pickle
import zipfile

from tests.unit.pickles.files import tensor

BLOCK = 512


def header(name: bytes, size: int = 0, *, ustar: bool = False) -> bytes:
    """The block before a member of a tar: of the seventh Unix edition, which has no mark, or of POSIX."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:124] = b"0000000\0" * 2
    block[124:148] = b"%011o\0" % size + b"00000000000\0"
    block[148:157] = b" " * 8 + b"0"
    block[257:265] = b"ustar\x0000" if ustar else bytes(8)
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def torch_tar(first: bytes, payload: bytes, *, ustar: bool = False) -> bytes:
    """A tar as torch reads it, whose first member has the name ``first``."""
    none, empty = pickle.dumps(0, 2), pickle.dumps([], 2)
    made = header(first, ustar=ustar)
    for name, data in (("storages", none + empty), ("tensors", none), ("pickle", payload)):
        made += header(name.encode(), len(data), ustar=ustar) + data + bytes(-len(data) % BLOCK)
    return made + bytes(2 * BLOCK)


def zipped(entries: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return made.getvalue()


HONEST = {"a/data.pkl": b"\x80\x02}X\x01\0\0\0w" + tensor("0", "Float", 3) + b"s.", "a/data/0": bytes(12)}
