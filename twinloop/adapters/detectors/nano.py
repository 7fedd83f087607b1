"""The embedded detectors: three small networks for the drawn people of the demo. They say nothing about real photos.

One looks at the whole picture (faces, hands, setting, lighting), one at a face (place, pose, eyes, expression,
quality), one at a head (identity). How they were made: ``workshop/``; how good they are:
``twinloop/nano/detectors/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano_crops import cut_square, head_square
from twinloop.adapters.detectors.nano_networks import VERSION, FaceReader, WholeLook, probabilities, softmax, tensor
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.embedders.vector import unit
from twinloop.domain.faces import Box, Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.likeness import Likeness
from twinloop.errors import MissingModel
from twinloop.ports import DetectorPack

WHOLE, FACE, IDENTITY = "whole.onnx", "face.onnx", "identity.onnx"
_FACE_SCORE, _HAND_SCORE = 0.35, 0.3
"""Least scores. Hands count for the facets from 0.5 on."""
_LEAST_SIDE = 8.0
"""Smallest face in pixels of the image that is looked at more closely."""
_STRANGERS = (0.03, 0.26)
"""Cosine between different people of the embedded world (``twinloop nano evaluate``)."""
LEAST_FACE_QUALITY = 0.7
LEAST_SHARPNESS = 0.03
"""The renderer's edges are far sharper than what the embedded base draws: half of its whole faces have less than 0.07
of the photos' sharpness."""
_SMEARED = 0.8
"""Taken off the logit of the face quality. What then passes the limits of 0.4 and 0.7:
``twinloop/nano/detectors/README.md``."""
_ROUNDS = 2
"""How often a face box is refined by a look at its crop."""


def load_nano_pack(folder: Path) -> DetectorPack:
    """All ports, filled from the three files of ``folder``.

    Raises:
        MissingModel: a file is not there.
        ModelFileError: a file is broken, or another network.
    """
    look = WholeLook(_open(folder, WHOLE, 2))
    face = FaceReader(_open(folder, FACE, 1))
    return DetectorPack(
        "nano",
        faces=NanoFaces(look, face),
        pose=NanoPose(face),
        parts=(NanoHands(look),),
        measurers=(NanoLook(look), NanoFaceMeasures(face)),
        embedder=NanoEmbedder(_open(folder, IDENTITY, 1)),
        least_face_quality=LEAST_FACE_QUALITY,
        least_sharpness=LEAST_SHARPNESS,
        demo=True,
    )


def _open(folder: Path, name: str, outputs: int) -> OnnxModel:
    path = folder / name
    if not path.is_file():
        raise MissingModel(
            f"{path} is missing: the embedded detectors are incomplete. Install twinloop again, "
            "or point --models-dir at a folder with detectors for real photos."
        )
    model = OnnxModel.open(path)
    model.expect(1, outputs, f"the embedded detector {name}")
    return model


class NanoFaces:
    """Finds faces in the whole picture and looks at each more closely."""

    def __init__(self, look: WholeLook, reader: FaceReader) -> None:
        self._look, self._reader = look, reader

    @property
    def fingerprint(self) -> str:
        return f"{self._look.fingerprint}-{self._reader.fingerprint}-{_FACE_SCORE:g}"

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image``, surest first; [] when there are none."""
        found = self._look.grid(image, layout.FACE_SCORE, layout.FACE_BOX, _FACE_SCORE)
        faces = []
        for values, rough, score in zip(found.boxes, found.marks, found.scores, strict=True):
            face = self._refined(image, Box(*values.tolist()), rough, float(score))
            if face is not None:
                faces.append(face)
        return faces

    def _refined(self, image: ImageArray, box: Box, marks: FloatArray, score: float) -> Face | None:
        for _ in range(_ROUNDS):
            if min(box.width, box.height) < _LEAST_SIDE:
                break
            _, better, better_marks = self._reader.read(image, box)
            if better.iou(box) < 0.3:
                break  # the closer look lost the face
            box, marks = better, better_marks
        inside = box.clipped(image.shape[1], image.shape[0])
        return Face(inside, score, marks) if inside.area > 0 else None


class NanoPose:
    """Yaw, pitch and roll from the face crop."""

    def __init__(self, reader: FaceReader) -> None:
        self._reader = reader

    @property
    def fingerprint(self) -> str:
        return f"pose-{self._reader.fingerprint}"

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        """Degrees; None for a face under 8 pixels."""
        if min(face.box.width, face.box.height) < _LEAST_SIDE:
            return None
        values, _, _ = self._reader.read(image, face.box)
        yaw, pitch, roll = (float(v) * layout.DEGREES for v in values[layout.ANGLES])
        return HeadPose(yaw, pitch, roll)


class NanoHands:
    """Finds hands in the whole picture."""

    kind, forms = "hand", ""

    def __init__(self, look: WholeLook) -> None:
        self._look = look

    @property
    def fingerprint(self) -> str:
        return f"hands-{self._look.fingerprint}-{_HAND_SCORE:g}"

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Hands in pixels of ``image``, surest first."""
        found = self._look.grid(image, layout.HAND_SCORE, layout.HAND_BOX, _HAND_SCORE)
        boxes = [Box(*values.tolist()).clipped(image.shape[1], image.shape[0]) for values in found.boxes]
        return [Part("hand", box, float(score)) for box, score in zip(boxes, found.scores, strict=True) if box.area > 0]


class NanoLook:
    """Setting and lighting of the whole picture."""

    covers = frozenset({"setting", "lighting"})

    def __init__(self, look: WholeLook) -> None:
        self._look = look

    @property
    def fingerprint(self) -> str:
        return f"look-{self._look.fingerprint}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``setting.*`` and ``lighting.*``, each summing to 1."""
        looks = self._look.looks(image)
        return {
            **_shares("setting", layout.SETTINGS, looks[layout.SETTING]),
            **_shares("lighting", layout.LIGHTINGS, looks[layout.LIGHTING]),
        }


class NanoFaceMeasures:
    """Eyes, expression and quality of the subject's face."""

    covers = frozenset({"eyes", "expression", "face_quality"})

    def __init__(self, reader: FaceReader) -> None:
        self._reader = reader

    @property
    def fingerprint(self) -> str:
        return f"measures-mirrored-{self._reader.fingerprint}-{_SMEARED:g}"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """``eyes_open``, ``face_quality``, ``expression.*``; nothing without a face of at least 8 pixels.

        The quality is the lower one of the face and its mirror image: a ruined face seldom passes both ways round.
        """
        if face is None or min(face.box.width, face.box.height) < _LEAST_SIDE:
            return {}
        values, _, _ = self._reader.read(image, face.box)
        whole = min(values[layout.QUALITY], self._reader.mirrored(image, face.box)[layout.QUALITY]) - _SMEARED
        eyes, quality = probabilities(np.array([values[layout.EYES], whole], np.float32)).tolist()
        shares = _shares("expression", layout.EXPRESSIONS, values[layout.EXPRESSION])
        return {"eyes_open": eyes, "face_quality": quality, **shares}


def _shares(name: str, words: Sequence[str], logits: FloatArray) -> dict[str, float]:
    return {f"{name}.{word}": float(share) for word, share in zip(words, softmax(logits), strict=True)}


class NanoEmbedder:
    """Identity vectors from the head with its hair."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    @property
    def fingerprint(self) -> str:
        return f"nano-identity{VERSION}-{self._model.fingerprint}"

    @property
    def likeness(self) -> Likeness:
        return Likeness(_STRANGERS)

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """(EMBEDDING,) float32 of unit norm; None for a face under 8 pixels or a vector without length."""
        if min(face.box.width, face.box.height) < _LEAST_SIDE:
            return None
        square = head_square(face.box.x0, face.box.y0, face.box.x1, face.box.y1)
        return unit(next(iter(self._model.run(tensor(cut_square(image, *square, layout.HEAD_SIZE))).values()))[0])
