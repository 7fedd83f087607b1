"""Checkpoints of YOLO packages on onnxruntime: read without unpickling, converted once, kept under the hash of what
they were made of.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.errors import ModelFileError, StorageError
from twinloop.pickles import Inert, read_torch_file
from twinloop.store.atomic import write_bytes
from twinloop.store.models.content import Content, check_content, sniff
from twinloop.store.user_cache import user_cache

CHECKPOINTS = frozenset({".pt", ".pth", ".pkl"})
"""Endings under which torch checkpoints go."""


@dataclass(frozen=True)
class Recipe:
    """How checkpoints of one package become ONNX.

    Attributes:
        name: of the package, with a number that changes whenever the made file would. parts: keys of the checkpoint
            that may hold the network, the preferred one first. convert: network -> ONNX file; raises ModelFileError.
    """

    name: str
    parts: Sequence[str]
    convert: Callable[[Inert], bytes]


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` is to be read as a torch file, by its name or its content."""
    return path.suffix.lower() in CHECKPOINTS or sniff(path) is Content.TORCH


def open_checkpoint(path: Path, recipe: Recipe) -> OnnxModel:
    """The network of a checkpoint, ready to run. Its fingerprint is that of the checkpoint.

    Raises:
        UnsafeModelFile: the checkpoint would run code. ModelFileError: it is another model or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    kept = _kept_file(data, recipe)
    if kept is not None and kept.is_file():
        with contextlib.suppress(ModelFileError):  # a damaged cache is made again
            return OnnxModel(OnnxModel.bytes_of(kept), path.name, identity=data)
    onnx = _converted(path, recipe)
    model = OnnxModel(onnx, path.name, identity=data)
    if kept is not None:
        with contextlib.suppress(StorageError, OSError):  # without a cache the next start takes longer, no more
            write_bytes(kept, onnx)
    return model


def read_network(path: Path, parts: Sequence[str]) -> Inert:
    """The pickled network of a checkpoint, as inert records.

    Raises:
        UnsafeModelFile: the file would run code. ModelFileError: damaged, or it holds no network.
    """
    if sniff(path) is not Content.PICKLE:
        check_content(path, Content.TORCH)
    value = read_torch_file(path).value
    found = [value.get(part) for part in parts] if isinstance(value, dict) else []
    network = next((item for item in found if isinstance(item, Inert)), None)
    if network is None:
        raise ModelFileError(
            f"{path.name}: holds no network (only weights?). Use the checkpoint as its author published it."
        )
    return network


def _converted(path: Path, recipe: Recipe) -> bytes:
    network = read_network(path, recipe.parts)
    try:
        return recipe.convert(network)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from error


def _kept_file(data: bytes, recipe: Recipe) -> Path | None:
    folder = user_cache()
    return None if folder is None else folder / "models" / f"{recipe.name}-{hashlib.sha256(data).hexdigest()}.onnx"
