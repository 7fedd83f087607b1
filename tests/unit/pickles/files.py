"""Model files made by hand, in each of the containers."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Iterator
from typing import Literal

import numpy as np

from twinloop.pickles import Inert

MAGIC = 0x1950A86A20F9469CFC6C
EVIL = b"cposix\nsystem\n(S'true'\ntR."


def legacy(main: bytes, storages: dict[str, np.ndarray]) -> bytes:
    """Torch 0.1.10 to 1.5: magic, protocol, system, the pickle, the keys, then each storage after its length."""
    heads = (pickle.dumps(value, 2) for value in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}))
    bodies = (struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join([*heads, main, pickle.dumps(list(storages), 2), *bodies])


def tensor(key: str, kind: str, count: int) -> bytes:
    """Protocol 2 opcodes, without the stop, of a flat tensor that fills its storage."""
    storage = f"(X\x07\0\0\0storagectorch\n{kind}Storage\nX{chr(len(key))}\0\0\0{key}X\x03\0\0\0cpuK{chr(count)}NtQ"
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}K\0K{chr(count)}\x85K\x01\x85\x89NtR".encode("latin1")


def torch_tar(numbers: np.ndarray, kind: str = "FloatStorage", claimed: int | None = None) -> bytes:
    """Before 0.1.10: one float tensor called ``w`` over one storage."""
    count = numbers.size if claimed is None else claimed
    name = f"ctorch\n{kind}\n".encode()
    storages = pickle.dumps(1, 2) + b"\x80\x02(K\x07X\x03\0\0\0cpu" + name + b"t."
    storages += struct.pack("<q", numbers.size) + numbers.tobytes() + pickle.dumps([], 2)
    tensors = pickle.dumps(1, 2) + b"\x80\x02(K\x09K\x07ctorch\nFloatTensor\nt."
    tensors += struct.pack("<i4x", 1) + struct.pack("<3q", count, 1, 0)
    parts = {
        "pickle": b"\x80\x02}X\x01\0\0\0wK\x09Qs.",
        "storages": storages,
        "tensors": tensors,
        "sys_info": b"\x80\x02}.",
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for part, data in parts.items():
            info = tarfile.TarInfo(part)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def joblib(array: np.ndarray, aligned: bool = True) -> bytes:
    """A joblib file of ``{"w": array}``: the record of the array, then its bytes in the stream."""
    dtype = pickle.dumps(array.dtype, 2)[2:-1]
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    shape = pickle.dumps(array.shape, 2)[2:-1]
    data = b"\x80\x02}X\x01\0\0\0wcjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\0\0\0shape" + shape
    data += b"X\x05\0\0\0orderX\x01\0\0\0" + order.encode() + b"X\x05\0\0\0dtype" + dtype
    data += b"X\x1b\0\0\0numpy_array_alignment_bytesK\x10" if aligned else b""
    data += b"X\x08\0\0\0subclasscnumpy\nndarray\nub"
    if aligned and not array.dtype.hasobject:
        padding = 16 - (len(data) + 1) % 16
        data += bytes([padding]) + b"\xff" * padding
    return data + (pickle.dumps(array, 2) if array.dtype.hasobject else array.tobytes(order)) + b"s."


def walk(root: object, limit: int = 5_000_000) -> Iterator[object]:
    """Every value reachable from ``root`` once, without recursion (a pickle may hold loops and very deep nests)."""
    seen: set[int] = set()
    waiting = [root]
    while waiting and len(seen) < limit:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif isinstance(value, Inert):
            waiting.extend((value.args, value.state, value.items))
