"""The one door through which model files come in: whatever their container, their pickles are read and never run."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.errors import ModelFileError
from twinloop.pickles.blob import Blob
from twinloop.pickles.disguise import acts_as_pickle
from twinloop.pickles.joblibfile import Inline, decompress
from twinloop.pickles.kinds import Kind, kind_of
from twinloop.pickles.machine import Beside
from twinloop.pickles.names import ARRAY_RECORD
from twinloop.pickles.reader import Loaded, Reader
from twinloop.pickles.torchlegacy import NestedFiles, read_torch_legacy, read_torch_tar
from twinloop.pickles.torchzip import read_torch_zip


@dataclass(frozen=True)
class TorchFile:
    """A model file that was read without running it.

    Tensors are `TensorRef`, numpy arrays `ArrayShell`, foreign classes `Inert`.
    """

    path: Path
    loaded: Loaded

    @property
    def value(self) -> object:
        """What ``torch.load`` would have returned, with inert records for foreign classes."""
        return self.loaded.value


def read_torch_file(path: Path) -> TorchFile:
    """Read a file that torch wrote (zip, older format, tar) without unpickling it; needs no torch.

    Raises:
        UnsafeModelFile: it would run code. ModelFileError: not a torch file, damaged, or dishonest about its contents.
    """
    blob = Blob(path.name, path)
    kind, words = kind_of(blob)
    reader = Reader(path.name)
    if kind is Kind.OTHER:
        raise ModelFileError(f"{path.name}: {words}.")
    value = read_value(blob, kind, reader)
    if kind in (Kind.PICKLE, Kind.COMPRESSED, Kind.SAFETENSORS):
        raise ModelFileError(f"{path.name}: not a torch file but {kind.value}. Inspect it with inspect_pkl.py.")
    return TorchFile(path, Loaded(value, tuple(reader.names), tuple(reader.refused), blob.size()))


def read_value(blob: Blob, kind: Kind, reader: Reader) -> object:
    """The value in a file of this kind; None for safetensors, which hold no pickle.

    Raises:
        UnsafeModelFile: it would run code, and the reader is not tolerant. ModelFileError: damaged, dishonest, or over
            the limits.
    """
    match kind:
        case Kind.TORCH_ZIP:
            return read_torch_zip(blob, reader)
        case Kind.TORCH_LEGACY:
            return read_torch_legacy(blob, reader)
        case Kind.TORCH_TAR:
            return read_torch_tar(blob, reader)
        case Kind.COMPRESSED:
            return _compressed(blob, reader)
        case Kind.PICKLE:
            return _bare(blob, reader)
    return None


def _compressed(blob: Blob, reader: Reader) -> object:
    try:
        with blob.open() as stream:
            data = decompress(stream, reader.limits.memory, reader.budget.look_at_clock)
    except ModelFileError as error:
        raise ModelFileError(f"{blob.source}: {error}.") from error
    inner = Blob(blob.source, data=data)
    kind, words = kind_of(inner)
    if reader.tolerant and kind is not Kind.PICKLE:
        _note_disguise(data, reader)
    if kind in (Kind.OTHER, Kind.COMPRESSED, Kind.SAFETENSORS):
        raise ModelFileError(
            f"{blob.source}: what is compressed in it is no pickle{f', but {words}' if words else ''}."
        )
    return read_value(inner, kind, reader)


def _bare(blob: Blob, reader: Reader) -> object:
    """The first pickle of the file; those behind it are read as well, as whoever loads twice would run them."""
    size = blob.size()
    if size > reader.limits.memory:
        raise ModelFileError(
            f"{blob.source}: {size} bytes in one pickle, more than the limit of {reader.limits.memory}"
        )
    stream = io.BytesIO(blob.part(0, size))
    nested = NestedFiles(reader)
    plain = Beside(read_storage=nested.read_storage, nested=nested.read)
    beside = replace(plain, inline=Inline(lambda inner: reader.read(inner, plain, "an array of objects")).take)
    starts = [0]
    try:
        value = reader.read(stream, beside)
        while stream.tell() < size:
            starts.append(stream.tell())
            reader.read(stream, beside, f"the pickle that begins at byte {stream.tell()}")
    finally:
        if reader.tolerant and any(name.pair == ARRAY_RECORD for name in reader.names):
            # what joblib skips as the numbers of an array, a plain pickle.load takes for opcodes
            _note_disguise(stream.getvalue(), reader, plain, starts)
    return value


def _note_disguise(data: bytes, reader: Reader, beside: Beside = Beside(), starts: Iterable[int] = (0,)) -> None:  # noqa: B008 - frozen
    """Note what a plain ``pickle.load`` of the same bytes would do.

    Args:
        beside: what a pickle of this kind may hold. starts: where somebody may begin to load; from each, loading goes
            on as long as it can.

    Raises:
        ModelFileError: it does what is not followed here.
    """
    found = {refusal.target for refusal in reader.refused}
    stream, seen = io.BytesIO(data), set[int]()
    for start in starts:
        stream.seek(start)
        while (here := stream.tell()) < len(data) and here not in seen:
            seen.add(here)
            reader.budget.look_at_clock()
            disguise = acts_as_pickle(stream, reader, beside)
            reader.refused.extend(refusal for refusal in disguise.refused if refusal.target not in found)
            reader.names.extend(disguise.names)
            if not disguise.followed:
                raise ModelFileError(
                    f"{reader.source}: read as a plain pickle it does what is not followed here; do not use this file."
                )
            if not disguise.whole:
                break
