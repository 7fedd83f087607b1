"""One ONNX file on onnxruntime, with a stable fingerprint and quiet threads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from twinloop.errors import ModelFileError
from twinloop.store.models.content import read_model_bytes

Array = npt.NDArray[Any]


class OnnxModel:
    """A loaded ONNX graph.

    Args:
        data: the bytes of the ONNX file.
        source: how messages call it.
        identity: what the fingerprint is taken of, when that is not ``data`` (a converted file).
        threads: that compute one node; more than one hardly helps small nets and hurts a busy machine.

    Raises:
        ModelFileError: onnxruntime cannot load it.
    """

    def __init__(self, data: bytes, source: str, identity: bytes | None = None, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # spinning threads starve everything else on a small machine
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelFileError(
                f"{source}: onnxruntime cannot load it ({str(error)[:160]}). Download it again."
            ) from error
        self.source = source
        self.sha256 = hashlib.sha256(data if identity is None else identity).hexdigest()
        self.fingerprint = self.sha256[:12]
        self.inputs: dict[str, Sequence[Any]] = {i.name: i.shape for i in self._session.get_inputs()}
        self.made: dict[str, Sequence[Any]] = {o.name: o.shape for o in self._session.get_outputs()}
        """Outputs with their shapes; a size that varies is a word or None."""
        self.output_shapes: tuple[Sequence[Any], ...] = tuple(o.shape for o in self._session.get_outputs())
        self.outputs: tuple[str, ...] = tuple(self.made)
        self.texts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        """What the file says of itself beside its graph."""

    @classmethod
    def open(cls, path: Path, threads: int = 1) -> OnnxModel:
        """Load a file; a download that went wrong (web page, Git LFS pointer, cut short) is named as such."""
        return cls(cls.bytes_of(path), path.name, threads=threads)

    @staticmethod
    def bytes_of(path: Path) -> bytes:
        """The bytes of an ONNX file, after a look at whether it is one and whole; errors as in `open`."""
        return read_model_bytes(path)

    def expect(self, inputs: int, outputs: int, what: str) -> None:
        """Refuse a graph with other counts of inputs and outputs than ``what`` has.

        Raises:
            ModelFileError: it is another model.
        """
        if len(self.inputs) != inputs or len(self.outputs) != outputs:
            raise ModelFileError(
                f"{self.source}: not {what}: it has {len(self.inputs)} inputs and {len(self.outputs)} outputs, "
                f"expected {inputs} and {outputs}"
            )

    def run(self, tensor: Array) -> dict[str, Array]:
        """All outputs by name for the single input ``tensor`` (float32)."""
        name = next(iter(self.inputs))
        return self.run_named({name: np.ascontiguousarray(tensor, dtype=np.float32)})

    def run_named(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name.

        Raises:
            ModelFileError: the graph fails on this input.
        """
        try:
            values = self._session.run(list(self.outputs), dict(tensors))
        except Exception as error:
            raise ModelFileError(
                f"{self.source}: fails on an image ({str(error)[:160]}); it is another model"
            ) from error
        return dict(zip(self.outputs, values, strict=True))
