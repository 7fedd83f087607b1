"""Everything measured on one image, as raw numbers. Judging them comes later and never touches pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinloop.domain.faces import Face, FloatArray, HeadPose, Part


@dataclass(frozen=True, eq=False)
class Observation:
    """What the detectors saw in one image.

    Attributes:
        sha256: of the file's bytes; the identity of the photo.
        width, height: pixels after EXIF orientation.
        faces: largest and surest first; ``faces[0]`` is the subject.
        parts: hands and other parts.
        measures: name -> number. Names used by the built-in facets and checks:
            ``sharpness`` (Laplacian variance of the whole image, grey 0..255), ``brightness`` (mean grey 0..255),
            ``contrast`` (std of grey), ``face_sharpness`` (Laplacian variance of the face crop at 112 px),
            ``face_share`` (face box height / image height), ``dark_share`` / ``bright_share`` (share of pixels with
            grey < 60 / > 195), ``eyes_open`` (0..1), ``face_quality`` (0..1), ``expression.<value>``,
            ``setting.<value>``, ``lighting.<value>`` (probabilities 0..1), ``tag.<name>`` (of a tagger, 0..1),
            ``smile``, ``jaw_open``... A name that is absent was not measured.
        measured: what was looked for at all, e.g. ``{"faces", "pose", "hands", "eyes", "identity"}``: with it, "no
            hands found" and "nobody looked for hands" are different things.
        phash: 64-bit perceptual hash (DCT) of the image as 16 hex digits.
        fingerprint: of the models and code that measured.
        origin: ``real`` or ``synthetic`` (from the mark in the file itself).
        forms: what was told of the form of parts (`PartDetector.forms`), from which no measure follows; "" = nothing.
    """

    sha256: str
    width: int
    height: int
    faces: tuple[Face, ...]
    parts: tuple[Part, ...]
    measures: Mapping[str, float]
    measured: frozenset[str]
    phash: str
    fingerprint: str
    origin: str = "real"
    forms: str = ""

    @property
    def face(self) -> Face | None:
        """The subject's face, or None."""
        return self.faces[0] if self.faces else None

    @property
    def embedding(self) -> FloatArray | None:
        """(D,) float32 of unit norm, of the subject's face; None without a face, or where it was not measured."""
        return None if self.face is None else self.face.embedding

    @property
    def pose(self) -> HeadPose | None:
        """The subject's; None without a face, or where it was not measured."""
        return None if self.face is None else self.face.pose

    def measure(self, name: str) -> float | None:
        """One measured number, or None when it was not measured."""
        return self.measures.get(name)


@dataclass(frozen=True)
class Reading:
    """What one facet says of one image.

    Attributes:
        present: the values that hold (at most one unless the facet is ``multiple``).
        absent: the values that were looked for and do not hold. A value in neither is "not measured".
    """

    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @classmethod
    def unknown(cls) -> Reading:
        """Nothing could be told."""
        return cls()

    @property
    def measured(self) -> bool:
        return bool(self.present or self.absent)
