"""What looks at pictures: faces, pose, parts, measures, identity, words; and a pack of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twinloop.domain.captions import Description
from twinloop.domain.faces import Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.likeness import USUAL, Likeness


class FaceDetector(Protocol):
    """Finds faces. ``fingerprint`` changes whenever the result could."""

    @property
    def fingerprint(self) -> str: ...

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in pixels of ``image`` (uint8 HxWx3 RGB), any order; [] when there are none."""
        ...


class PoseEstimator(Protocol):
    """Measures the head pose of one face."""

    @property
    def fingerprint(self) -> str: ...

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        """Degrees in the convention of `HeadPose`; None = cannot tell."""
        ...


class PartDetector(Protocol):
    """Finds hands (or other parts)."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def forms(self) -> str:
        """What it says of how its parts are formed (`Part.shape`, `Part.box_only`), with a version; "" = nothing.

        No part of ``fingerprint``: nothing that is measured follows from it.
        """
        ...

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        """Parts of ``kind`` in pixels of ``image``; faces are given because palms are easily mistaken for them."""
        ...


class Measurer(Protocol):
    """Reads numbers off the image and its subject's face: eyes, expression, setting, lighting, quality."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def covers(self) -> frozenset[str]:
        """What it looks for, as in `Observation.measured`: ``eyes``, ``expression``, ``setting``, ``lighting``,
        ``face_quality``.
        """
        ...

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        """Names of `Observation.measures` -> numbers; a name it cannot tell is left out."""
        ...


class Embedder(Protocol):
    """Turns a face into an identity vector."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def likeness(self) -> Likeness:
        """What its cosines say: how alike strangers look to it, and the limits that follow."""
        ...

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """(D,) float32 of unit norm; None = the face is unusable."""
        ...


class Captioner(Protocol):
    """Says in words what a picture shows: a sentence, or tags."""

    @property
    def fingerprint(self) -> str: ...

    def caption(self, image: ImageArray) -> Description:
        """What is in the picture (uint8 HxWx3 RGB); an empty one when nothing was recognised.

        Raises:
            CaptionFailed: it fails on this picture, and may succeed with others.
        """
        ...


@dataclass(frozen=True, eq=False)
class SubjectMask:
    """Where the subject of one picture is.

    Attributes:
        grey: (H, W) uint8 of the picture's own size, white where the subject is.
        beside: others who are in it as well, because the network does not tell them apart. Their heads are black.
    """

    grey: ImageArray
    beside: int


class Masker(Protocol):
    """Tells the subject of a picture from what is behind it. ``fingerprint`` changes whenever the result could."""

    @property
    def name(self) -> str:
        """What it is called by people."""
        ...

    @property
    def fingerprint(self) -> str: ...

    def mask(self, image: ImageArray, faces: Sequence[Face]) -> SubjectMask:
        """Where the subject of a picture is (uint8 HxWx3 RGB).

        Args:
            faces: in it, the subject's first; () = not known, and all that the network marks is the subject.

        Raises:
            MaskFailed: nothing there could be the subject, of this picture.
            ModelFileError: the file is another network, which no picture would change.
        """
        ...


@dataclass(frozen=True)
class FilledPort:
    """What fills one port of a pack.

    Attributes:
        port: what it measures, one of `MEASURED`. what: the kind of model. files: none where no file is needed.
    """

    port: str
    what: str
    files: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{self.port} from {self.source}"

    @property
    def source(self) -> str:
        """Names and kind of what fills it."""
        names = " + ".join(path.name for path in self.files)
        return f"{names} ({self.what})" if names else self.what


MEASURED = ("faces", "head pose", "hands", "eyes", "expression", "face quality", "identity", "setting")
"""What a pack of detectors can measure, as people call it."""


BEST_OF_FOLDER = "models"
"""Name of the pack that is put together from the best files of a folder, whatever that is called."""


def embedder_in(fingerprint: str) -> str:
    """The embedder's own fingerprint in that of a pack, or of anything that ends with a pack's;
    ``-`` = there was none.
    """
    return fingerprint.rsplit("+", 1)[-1]


LEAST_SHARPNESS = 0.3
"""Of photos: a model of their resolution draws about as sharply as they are."""


@dataclass(frozen=True)
class DetectorPack:
    """A named set of detectors. A port that is None is "not measured", never "nothing found".

    Attributes:
        missing: human lines, each naming what is missing, where to get it and what stays unmeasured.
        choices: which file was chosen for what, where a choice was made.
        least_face_quality: from which a face counts as whole on the scale of this pack's ``face_quality``, the same for
            every head angle; None = that is not known of the scale, or there is none.
        least_sharpness: from which share of the real photos' face sharpness on a made face counts as sharp.
        slow: measurers of the whole picture that take too long for a scan of very many photos; the ruler alone asks
            them.
        optional: human lines as in ``missing``, of what everything works without: no reason to warn.
        demo: it reads the people that the embedded base draws, and no other pictures.
        unread: names of `Observation.measured` that are left out, because the subject is drawn and what would measure
            them is not made for drawings.
        faceless: the subject has no face, and none is looked for.
    """

    name: str
    faces: FaceDetector | None = None
    pose: PoseEstimator | None = None
    parts: tuple[PartDetector, ...] = ()
    measurers: tuple[Measurer, ...] = ()
    embedder: Embedder | None = None
    missing: tuple[str, ...] = ()
    choices: tuple[FilledPort, ...] = ()
    least_face_quality: float | None = None
    least_sharpness: float = LEAST_SHARPNESS
    slow: tuple[Measurer, ...] = ()
    optional: tuple[str, ...] = ()
    demo: bool = False
    unread: frozenset[str] = frozenset()
    faceless: bool = False

    @property
    def spoken(self) -> str:
        """The choice in one long line: what comes from which file, and what is not measured; "" where nothing was
        chosen.
        """
        if not self.choices:
            return ""
        filled: dict[str, list[str]] = {}
        for choice in self.choices:
            filled.setdefault(choice.source, []).append(choice.port)
        return self._said(", ".join(f"{' and '.join(ports)} from {source}" for source, ports in filled.items()))

    @property
    def brief(self) -> str:
        """The choice without its files, short enough for a line of every command; "" where nothing was chosen."""
        return self._said(", ".join(name for name in MEASURED if name not in self._absent)) if self.choices else ""

    @property
    def _absent(self) -> list[str]:
        return [name for name in MEASURED if not any(choice.port == name for choice in self.choices)]

    def _said(self, measured: str) -> str:
        absent, pack = self._absent, "" if self.name == BEST_OF_FOLDER else f" ({self.name})"
        return f"Detectors{pack}: {measured}{'; not measured: ' if absent else ''}{', '.join(absent)}."

    @property
    def likeness(self) -> Likeness:
        """As the embedder's; without one what is usual, which then nothing is measured with."""
        return USUAL if self.embedder is None else self.embedder.likeness

    @property
    def fingerprint(self) -> str:
        """Of the pack as a whole: the joined fingerprints of its members, the embedder last (`embedder_in`)."""
        members = [self.faces, self.pose, *self.parts, *self.measurers, *self.slow, self.embedder]
        return "+".join([self.name, *(m.fingerprint if m is not None else "-" for m in members)])
