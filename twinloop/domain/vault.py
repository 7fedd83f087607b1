"""The nouns of FaceVault: what a scan knows of a photo and its faces, who is who, and what the user decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinloop.domain.choices import CONSENTS
from twinloop.domain.faces import Box, Face

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The box of a `FaceKey` that means a whole picture."""


@dataclass(frozen=True)
class FaceKey:
    """One face of one photo, in a form that outlives a scan with other detectors; or a whole picture.

    Attributes:
        sha256: of the photo's bytes. box: (x0, y0, x1, y1) as shares of width and height, rounded to 4 digits.
    """

    sha256: str
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, sha256: str, box: Box, width: int, height: int) -> FaceKey:
        """The key of a box in pixels of a photo of ``width`` x ``height``."""
        x0, x1 = (round(float(value) / width, 4) for value in (box.x0, box.x1))
        y0, y1 = (round(float(value) / height, 4) for value in (box.y0, box.y1))
        return cls(sha256, (x0, y0, x1, y1))

    @classmethod
    def of_whole(cls, sha256: str) -> FaceKey:
        """The key of a whole picture: of a robot, an animal, a drawing, in which no face was found."""
        return cls(sha256, WHOLE)

    @property
    def is_whole(self) -> bool:
        """Whether a whole picture is meant and not a face in it."""
        return self.box == WHOLE

    def same(self, other: FaceKey) -> bool:
        """Whether both mean one face: the same photo, and boxes that overlap by half (intersection over union)."""
        return self.sha256 == other.sha256 and Box(*self.box).iou(Box(*other.box)) >= 0.5

    def to_json(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "box": list(self.box)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FaceKey:
        x0, y0, x1, y1 = (float(value) for value in data["box"])
        return cls(str(data["sha256"]), (x0, y0, x1, y1))


@dataclass(frozen=True, eq=False)
class VaultFace:
    """A face as the scan saw it.

    Attributes:
        face: box and landmarks in pixels of the upright photo; ``embedding`` is None where the face is too small or
            unusable.
        quality: 0..1, how far its embedding can be trusted (size, sharpness, confidence corrected for the head's turn).
        measures: of this face alone: ``sharpness`` (Laplacian variance at 112 px), ``brightness`` (mean grey),
            ``eyes_open`` (0..1)... A name that is absent was not measured.
    """

    face: Face
    quality: float
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class VaultPhoto:
    """A photo as the scan saw it.

    Attributes:
        sha256: of the file's bytes. paths: of all files with these bytes, absolute, sorted.
        width, height: pixels, upright. phash: 64-bit perceptual hash, 16 hex digits.
        taken: when the camera says it was taken, seconds since 1970 in the camera's own time; None = it does not say.
        origin: ``real`` or ``synthetic``. measures: whole-image numbers, named as in `Observation.measures`.
        faces: largest and surest first.
    """

    sha256: str
    paths: tuple[str, ...]
    width: int
    height: int
    phash: str
    taken: float | None
    origin: str
    measures: Mapping[str, float]
    faces: tuple[VaultFace, ...]

    def key(self, number: int) -> FaceKey:
        """The lasting key of ``faces[number]``."""
        return FaceKey.of(self.sha256, self.faces[number].face.box, self.width, self.height)


@dataclass(frozen=True)
class Person:
    """Faces that belong together.

    Attributes:
        id: ``p001``..., given once and never used for someone else. name: given by the user, or None.
        hidden: not shown and not prepared, at the user's wish.
    """

    id: str
    name: str | None
    faces: tuple[FaceKey, ...]
    hidden: bool = False

    @property
    def called(self) -> str:
        """``p001 (alice)``, or ``p001``: the person in what people read."""
        return f"{self.id} ({self.name})" if self.name else self.id

    @property
    def folder_name(self) -> str:
        """What the folder of the person's training set is called: the name, else the id."""
        return self.name or self.id


@dataclass(frozen=True)
class Decision:
    """One thing the user said, in the order it was said. ``undone`` ones are kept, and count for nothing.

    Kinds and their data (``faces`` may be whole pictures):
        ``name``      {person, name}             ``hide`` / ``show``  {person}
        ``merge``     {into, people}             all faces of these people belong to ``into``
        ``split``     {person, faces, new}       these faces leave ``person`` and become the person ``new``
        ``reject``    {person, faces}            "not this person": these faces never belong to ``person``
        ``assign``    {person, faces}            these faces belong to ``person``
        Those above also have ``anchors``: some faces of each person they name, by which it is known again.
        ``keep``      {sha256, instead_of}       of a duplicate group keep this photo, not that one
        ``distinct``  {photos}                   these photos (sha256) are not duplicates of each other
        ``exclude``   {person, photos}           these photos (sha256) stay out of the person's training set
        ``include``   {person, photos}           these go into it, whatever speaks against them
        ``automatic`` {person, photos}           neither is said of these any more
        ``label``     {person, trigger, class_word, consent}
        ``caption``   {person, sha256, text}     the user's own caption of a photo
        ``forget``    {person, faces, names, kept}
                                                 these faces are not kept, whatever a scan sees, nor the names that
                                                 photo programs gave ({salt, hashes}); until all of the person is
                                                 removed ``kept`` is false, and there are the ``name``, all that the
                                                 person is ``called`` and the ``pictures`` that were prepared
                                                 (sha256) instead of ``names``
        ``redacted``  {}                         what was said about someone who is forgotten
        ``captions``  {person, texts}            the same for several photos at once: sha256 -> text

    Attributes:
        number: from 1. when: ISO 8601 with seconds, UTC.
    """

    number: int
    kind: str
    data: Mapping[str, Any]
    when: str
    undone: bool = False


@dataclass(frozen=True)
class Consent:
    """On what ground the photos of a person may be used.

    Attributes:
        kind: ``self``, ``written``, ``licence`` or ``fictional``; None = not recorded.
        who: gave it, or recorded it. when: date as the user wrote it (ISO 8601). scope: what it covers.
    """

    kind: str | None = None
    who: str = ""
    when: str = ""
    scope: str = ""

    KINDS = CONSENTS

    @property
    def text(self) -> str:
        """One line for outputs and LoRA metadata; ``not recorded`` where nothing was."""
        if self.kind is None:
            return "not recorded"
        words = {
            "self": "the person themself",
            "written": "written consent",
            "licence": "licence",
            "fictional": "fictional character",
        }
        parts = [
            words[self.kind],
            *(
                f"{name}: {value}"
                for name, value in (("by", self.who), ("on", self.when), ("for", self.scope))
                if value
            ),
        ]
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "who": self.who, "when": self.when, "scope": self.scope, "text": self.text}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Consent:
        if not data:
            return cls()
        return cls(data.get("kind"), str(data.get("who", "")), str(data.get("when", "")), str(data.get("scope", "")))


NOT_RECORDED = Consent()


@dataclass(frozen=True)
class Label:
    """How a person is called in training: ``trigger`` (a rare word, or the user's), class word (``person``, ``woman``,
    ``1girl``...).
    """

    person: str
    trigger: str
    class_word: str
    consent: Consent = NOT_RECORDED
