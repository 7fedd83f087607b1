"""Segmentation networks in their files: ONNX on onnxruntime, TFLite in OpenCV."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from twinloop.adapters.cores import usable_cores
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.segmenters.preparing import Prepared, input_size, likely, prepared
from twinloop.domain.faces import FloatArray, ImageArray
from twinloop.domain.segmenters import GET, segmenter_of
from twinloop.errors import InputError, MaskFailed, ModelFileError
from twinloop.store.models.content import Content, read_model_bytes

_VERSION = 1
_COLOURS = 3
NO_NUMBERS = (
    "the network answers with what is no number. Files of half precision do so on a processor: take the float32 one"
)


class _Runtime(Protocol):
    """One network in memory."""

    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) that it takes; None = any."""
        ...

    def answer(self, tensor: FloatArray) -> npt.NDArray[Any]:
        """Its first output for (H, W, 3) float32."""
        ...


class Segmenter:
    """One network.

    Args:
        path: its file, whose name tells the kind.

    Raises:
        InputError: no file, or no kind of network goes by that name. ModelFileError: it is another network, or broken.
    """

    def __init__(self, path: Path) -> None:
        kind = segmenter_of(path.name)
        if not path.is_file():
            raise InputError(f"{path}: no such file. Get {GET}.")
        if kind is None:
            raise InputError(f"{path}: no segmentation network goes by this name. Known are {GET}.")
        self.path, self.kind = path, kind
        self._net: _Runtime = _TfLite(path) if path.suffix.lower() == ".tflite" else _Onnx(path)

    @property
    def fingerprint(self) -> str:
        return f"{self.kind.key}{_VERSION}-{self._net.sha256[:12]}"

    def segment(self, image: ImageArray) -> FloatArray:
        """(h, w) of 0..1: how surely each part of a picture (uint8 HxWx3 RGB) is its subject. The map has the picture's
        shape, and a size of its own.

        Raises:
            MaskFailed: its answer is no number. ModelFileError: it is no map.
        """
        size = self._net.size or input_size(self.kind, image.shape[1], image.shape[0])
        given = prepared(image, self.kind, size)
        answer = self._map(self._net.answer(given.tensor), given)
        if not np.isfinite(answer).all():
            raise MaskFailed(NO_NUMBERS)
        return likely(answer, self.kind, given.inside)

    def _map(self, answer: npt.NDArray[Any], given: Prepared) -> FloatArray:
        """(H, W), of any order of axes in which one map can come."""
        flat = np.squeeze(answer)
        if flat.shape != given.tensor.shape[:2]:
            raise ModelFileError(
                f"{self.path.name}: not {self.kind.name}: it answers {'x'.join(map(str, answer.shape))} for a picture"
                f" of {given.tensor.shape[1]} x {given.tensor.shape[0]}, and not one map of it"
            )
        return flat.astype(np.float32)


class _Onnx:
    def __init__(self, path: Path) -> None:
        # these are large: a picture takes seconds even on all cores
        self._model = OnnxModel.open(path, threads=usable_cores())
        shapes = list(self._model.inputs.values())
        if len(shapes) != 1 or len(shapes[0]) != 4 or _COLOURS not in (shapes[0][1], shapes[0][3]):
            raise ModelFileError(f"{path.name}: not a segmentation network: its input is not one picture of 3 colours")
        made = next(iter(self._model.made.values()))
        if len(made) == 4 and all(isinstance(size, int) and size != 1 for size in (made[1], made[3])):
            raise ModelFileError(f"{path.name}: not a segmentation network: its answer is not one map, but {made[1]}")
        self._colours_first = shapes[0][1] == _COLOURS
        self.size = _told(shapes[0][2:] if self._colours_first else shapes[0][1:3])

    @property
    def sha256(self) -> str:
        return self._model.sha256

    def answer(self, tensor: FloatArray) -> npt.NDArray[Any]:
        # of several outputs (U-2-Net has seven) the first is the finished one
        given = tensor.transpose(2, 0, 1) if self._colours_first else tensor
        return self._model.run(given[None])[self._model.outputs[0]]


def _told(shape: Sequence[Any]) -> tuple[int, int] | None:
    """(width, height) of (height, width) that a file fixes."""
    height, width = shape
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


class _TfLite:
    size = None

    def __init__(self, path: Path) -> None:
        data = read_model_bytes(path, Content.TFLITE)
        cv2.setNumThreads(1)  # as detectors have it; the number is the process's
        try:
            self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))
        except cv2.error as error:
            raise ModelFileError(f"{path.name}: OpenCV cannot read it as a network. Download it again.") from error
        self._name = path.name
        self.sha256 = hashlib.sha256(data).hexdigest()

    def answer(self, tensor: FloatArray) -> npt.NDArray[Any]:
        self._net.setInput(np.ascontiguousarray(tensor.transpose(2, 0, 1)[None]))
        try:
            return np.asarray(self._net.forward())
        except cv2.error as error:
            raise ModelFileError(
                f"{self._name}: fails on an image ({str(error)[:120]}); it is another model"
            ) from error
