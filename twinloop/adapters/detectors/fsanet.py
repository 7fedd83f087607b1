"""FSA-Net head pose (Yang et al. 2019), the pair of nets averaged as its authors do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twinloop.adapters.detectors.imaging import square_crop
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.domain.faces import Face, HeadPose, ImageArray

_SIZE = 64
_VERSION = 1


class FsaNet:
    """Head pose from a loose square crop of the face.

    Args:
        paths: one or more FSA-Net ONNX files; their answers are averaged.
        margin: how much of the box's longer side is added on every side of the crop.

    Raises:
        ModelFileError: a file is no FSA-Net.
    """

    def __init__(self, paths: tuple[Path, ...], margin: float = 0.2) -> None:
        self._models = [OnnxModel.open(path) for path in paths]
        for model in self._models:
            model.expect(1, 1, "an FSA-Net head pose model")
        self._margin = margin

    @property
    def fingerprint(self) -> str:
        return f"fsanet{_VERSION}-{'-'.join(m.fingerprint for m in self._models)}-{self._margin:g}"

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        """Degrees; None for a face under 8 pixels. The nets count nose-to-image-left as positive yaw: turned here."""
        if min(face.box.width, face.box.height) < 8:
            return None
        yaw, pitch, roll = self.raw(image, face)
        return HeadPose(-yaw, pitch, roll)

    def raw(self, image: ImageArray, face: Face) -> tuple[float, float, float]:
        """Yaw, pitch, roll in the nets' own signs."""
        crop = square_crop(image, face.box, self._margin, _SIZE)
        tensor = ((crop[:, :, ::-1].astype(np.float32) - 127.5) / 128.0).transpose(2, 0, 1)[None]
        answers = np.stack([next(iter(model.run(tensor).values()))[0] for model in self._models])
        yaw, pitch, roll = (float(v) for v in answers.mean(axis=0))
        return yaw, pitch, roll
