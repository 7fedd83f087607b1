"""The networks of the nano detectors: pixels in, numbers with a meaning out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.imaging import keep_best, sigmoid
from twinloop.adapters.detectors.nano_crops import cut_square, face_square, letterbox_square
from twinloop.adapters.detectors.onnx_model import Array, OnnxModel
from twinloop.domain.faces import Box, FloatArray, ImageArray
from twinloop.errors import ModelFileError

VERSION = 1
_OVERLAP = 0.4
"""IoU from which two boxes of the grid are one thing."""


def tensor(image: ImageArray) -> Array:
    """(h, w, 3) pixels to (1, 3, h, w) grey levels."""
    return image.transpose(2, 0, 1)[None].astype(np.float32)


def probabilities(logits: FloatArray) -> FloatArray:
    """Of yes or no, with the limit that the shipped thresholds were measured with."""
    return sigmoid(logits, limit=30)


def softmax(values: FloatArray) -> FloatArray:
    """Logits of one choice to shares that sum to 1."""
    raised = np.exp(values - values.max())
    return np.asarray(raised / raised.sum(), np.float32)


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes (n, 4) and landmarks (n, 5, 2) in pixels of the image, scores (n,), best first."""

    boxes: FloatArray
    marks: FloatArray
    scores: FloatArray


class WholeLook:
    """The network that sees the whole picture, at 128 px."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.fingerprint = f"nano-whole{VERSION}-{model.fingerprint}"

    def grid(self, image: ImageArray, score: int, edges: slice, least: float) -> Found:
        """What the grid says of one kind of thing: ``score`` and ``edges`` are its places in the cells' values."""
        square, scale, left, top = letterbox_square(image, layout.WHOLE_SIZE)
        values = self._outputs(square)[0].reshape(layout.GRID_VALUES, -1)
        scores = probabilities(values[score])
        cells = np.flatnonzero((scores >= least) & _peaks(scores))
        centers = (np.stack([cells % layout.GRID, cells // layout.GRID], axis=1) + 0.5) * layout.STRIDE
        to_image = np.array([left, top], np.float32)

        def points(part: slice) -> FloatArray:
            away = values[part][:, cells].T.reshape(len(cells), (part.stop - part.start) // 2, 2) * layout.DISTANCE
            return np.asarray((centers[:, None] + away - to_image) / scale, np.float32)

        boxes = points(edges).reshape(-1, 4)
        kept = keep_best(boxes, scores[cells], _OVERLAP)
        return Found(boxes[kept], points(layout.FACE_MARKS)[kept], scores[cells][kept])

    def looks(self, image: ImageArray) -> FloatArray:
        """(SETTING_VALUES,) logits of setting and lighting."""
        return self._outputs(letterbox_square(image, layout.WHOLE_SIZE)[0])[1]

    def _outputs(self, square: ImageArray) -> tuple[FloatArray, FloatArray]:
        grid, looks = self._model.run(tensor(square)).values()
        if grid.shape[1:] != (layout.GRID_VALUES, layout.GRID, layout.GRID) or looks.shape[1:] != (
            layout.SETTING_VALUES,
        ):
            raise ModelFileError(
                f"{self._model.source}: not the embedded detector: outputs {grid.shape} and {looks.shape}"
            )
        return grid[0], looks[0]


def _peaks(scores: FloatArray) -> Array:
    """Which cells are the highest among their eight neighbours."""
    padded = np.pad(scores.reshape(layout.GRID, layout.GRID), 1, constant_values=-1)
    shifts = [padded[y : y + layout.GRID, x : x + layout.GRID] for y in range(3) for x in range(3)]
    return np.asarray(scores.reshape(layout.GRID, layout.GRID) >= np.max(shifts, axis=0)).ravel()


class FaceReader:
    """The network that reads one face crop."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self.fingerprint = f"nano-face{VERSION}-{model.fingerprint}"

    def read(self, image: ImageArray, box: Box) -> tuple[FloatArray, Box, FloatArray]:
        """The (FACE_VALUES,) values of the face in ``box``; its exact box and landmarks (5, 2) in ``image`` pixels."""
        left, top, side = face_square(box.x0, box.y0, box.x1, box.y1)
        values = self._values(cut_square(image, left, top, side, layout.FACE_SIZE))
        corner = np.array([left, top], np.float32)
        x0, y0, x1, y1 = ((values[layout.BOX].reshape(2, 2) + 0.5) * side + corner).ravel().tolist()
        marks = (values[layout.MARKS].reshape(5, 2) + 0.5) * side + corner
        return values, Box(x0, y0, x1, y1), np.asarray(marks, np.float32)

    def mirrored(self, image: ImageArray, box: Box) -> FloatArray:
        """The (FACE_VALUES,) values of the mirror image of the face in ``box``."""
        crop = cut_square(image, *face_square(box.x0, box.y0, box.x1, box.y1), layout.FACE_SIZE)
        return self._values(crop[:, ::-1])

    def _values(self, crop: ImageArray) -> FloatArray:
        values = next(iter(self._model.run(tensor(crop)).values()))[0]
        if values.shape != (layout.FACE_VALUES,):
            raise ModelFileError(f"{self._model.source}: not the embedded face network: {values.shape} values")
        return np.asarray(values, np.float32)
