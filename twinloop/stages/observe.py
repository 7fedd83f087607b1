"""Observe: every measure of one image in one decode, remembered by content hash and model fingerprint."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.facet import Facet, MeasuringFacet
from twinloop.domain.observation import Observation
from twinloop.errors import UnreadableImage
from twinloop.ports import DetectorPack, Reporter
from twinloop.stages import pixels
from twinloop.store.pictures.images import LoadedImage, load_image
from twinloop.store.run.catalog import Catalog

SAME_FACE = 0.3
"""Intersection over union from which two boxes of one picture are one face."""


@dataclass(frozen=True)
class Seen:
    """One file and what was observed in it, or why it could not be read."""

    path: Path
    observation: Observation | None
    problem: str = ""


@dataclass(frozen=True)
class Observer:
    """The ruler: one pack of detectors and the facets' own measures. The same one finds gaps and judges images."""

    pack: DetectorPack
    facets: tuple[Facet, ...]
    plugins: str = ""

    @property
    def fingerprint(self) -> str:
        """Of all that measures: figures of two observers compare where it is the same."""
        measuring = ",".join(_ruler(f) for f in self.facets if isinstance(f, MeasuringFacet))
        return "|".join((pixels.VERSION, self.pack.fingerprint, measuring, self.plugins))

    @property
    def forms(self) -> str:
        """What is told of the form of parts beside all that is measured; "" = nothing."""
        return ",".join(part.forms for part in self.pack.parts if part.forms)

    @property
    def measured(self) -> frozenset[str]:
        """What this pack looks for at all."""
        names: set[str] = set()
        if self.pack.faces is not None:
            names.add("faces")
            if self.pack.pose is not None:
                names.add("pose")
            if self.pack.embedder is not None:
                names.add("identity")
        names.update(f"{part.kind}s" for part in self.pack.parts)
        for measurer in (*self.pack.measurers, *self.pack.slow):
            names.update(measurer.covers)
        return frozenset(names)

    def observe(self, image: LoadedImage, subject: Face | None = None) -> Observation:
        """All numbers of one decoded image; faces sorted by area times confidence, the subject first.

        Args:
            subject: the face that is the subject where that is known (a group photo), in pixels of the image; None =
                the first one.
        """
        array = image.pixels
        faces = self._faces(array, subject)
        measures = pixels.image_measures(array)
        if faces:
            measures.update(pixels.face_measures(array, faces[0].box))
        for measurer in (*self.pack.measurers, *self.pack.slow):
            measures.update(measurer.measure(array, faces[0] if faces else None))
        parts = tuple(part for detector in self.pack.parts for part in detector.parts(array, faces))
        seen = Observation(
            sha256=image.sha256, width=array.shape[1], height=array.shape[0], faces=tuple(faces), parts=parts,
            measures=_finite(measures), measured=self.measured,
            phash=pixels.perceptual_hash(array), fingerprint=self.fingerprint, origin=image.origin,
            forms=self.forms,
        )  # fmt: skip
        return self._with_facet_measures(array, seen)

    def faces(self, array: ImageArray) -> list[Face]:
        """The faces of an image (uint8 HxWx3 RGB), by area times confidence; where they are and no more."""
        if self.pack.faces is None:
            return []
        # a detector of one's own may answer with NaN: such a face was not measured
        found = [face for face in self.pack.faces.detect(array) if math.isfinite(face.box.area * face.confidence)]
        return sorted(found, key=lambda face: -face.box.area * face.confidence)

    def _faces(self, array: ImageArray, subject: Face | None) -> list[Face]:
        found = self.faces(array)
        if subject is not None:
            found = _with_first(found, subject)
        return [self._completed(array, face, subject=index == 0) for index, face in enumerate(found)]

    def _completed(self, array: ImageArray, face: Face, subject: bool) -> Face:
        if self.pack.pose is not None and face.pose is None:
            face = dataclasses.replace(face, pose=self.pack.pose.pose(array, face))
        if self.pack.embedder is not None and subject:
            face = dataclasses.replace(face, embedding=self.pack.embedder.embed(array, face))
        return face

    def _with_facet_measures(self, array: ImageArray, seen: Observation) -> Observation:
        extra: dict[str, float] = {}
        for facet in self.facets:
            if isinstance(facet, MeasuringFacet):
                extra.update(_finite(facet.measure(array, seen)))
        return dataclasses.replace(seen, measures={**seen.measures, **extra}) if extra else seen


def _ruler(facet: Facet) -> str:
    """A measuring facet by name, and by the version of its measures from the second on."""
    version = getattr(facet, "version", 1)
    return facet.name if version == 1 else f"{facet.name}-{version}"


def _finite(measures: Mapping[str, float]) -> dict[str, float]:
    """Those that are numbers; NaN and infinity count as not measured, and JSON has no word for them."""
    return {name: float(value) for name, value in measures.items() if math.isfinite(value)}


def _with_first(found: list[Face], subject: Face) -> list[Face]:
    """The faces with the subject's first; as it was given, where the detector overlooks it in this picture."""
    meant = max(found, key=lambda face: face.box.iou(subject.box), default=subject)
    if meant.box.iou(subject.box) < SAME_FACE:
        meant = subject
    return [meant, *(face for face in found if face is not meant)]


def observe_files(
    paths: Sequence[Path], observer: Observer, catalog: Catalog, reporter: Reporter, label: str
) -> Iterator[Seen]:
    """Observe files in order; known content is looked up, unchanged files are not even read.

    Unreadable ones are passed on with the reason.
    """
    memory = _Memory(catalog, observer.fingerprint, observer.forms)
    for number, path in enumerate(paths, 1):
        yield _observe_one(path, observer, memory)
        reporter.progress(label, number, len(paths))


def recall_files(paths: Sequence[Path], observer: Observer, catalog: Catalog) -> tuple[Seen, ...] | None:
    """As `observe_files`, where the catalogue knows every picture that can be read; None where it lacks one. Nothing is
    measured, told or noted.
    """
    memory, found = _Memory(catalog, observer.fingerprint, observer.forms), list[Seen]()
    for path in paths:
        one = _look_up(path, memory)
        if isinstance(one, _Unseen):
            if one.content is None:
                return None
            one = one.as_known
        found.append(one)
    return tuple(found)


@dataclass(frozen=True)
class _Memory:
    """What the catalogue holds of an observer of this fingerprint that tells the same of the form of parts."""

    catalog: Catalog
    fingerprint: str
    forms: str

    def get(self, sha256: str) -> Observation | None:
        known = self.catalog.get(sha256, self.fingerprint)
        return known if known is not None and known.forms == self.forms else None


@dataclass(frozen=True)
class _Unseen:
    """A file that the catalogue does not know as it is now; its content it may know from elsewhere."""

    path: Path
    stat: os.stat_result
    image: LoadedImage
    content: Observation | None

    @property
    def as_known(self) -> Seen:
        assert self.content is not None
        return Seen(self.path, dataclasses.replace(self.content, origin=self.image.origin))


def _observe_one(path: Path, observer: Observer, memory: _Memory) -> Seen:
    found = _look_up(path, memory)
    if isinstance(found, Seen):
        return found
    seen = Seen(path, observer.observe(found.image)) if found.content is None else found.as_known
    assert seen.observation is not None
    memory.catalog.put(seen.observation)
    memory.catalog.remember_file(path, found.stat, found.image.sha256, found.image.origin)
    return seen


def _look_up(path: Path, memory: _Memory) -> Seen | _Unseen:
    """What is known of a file, or that it cannot be read; a file that is not known is decoded."""
    try:
        stat = path.stat()
    except OSError as error:
        return Seen(path, None, f"cannot be read: {error.strerror or error}")
    known = memory.catalog.known_file(path, stat)
    if known is not None:
        remembered = memory.get(known[0])
        if remembered is not None:
            return Seen(path, dataclasses.replace(remembered, origin=known[1]))
    try:
        image = load_image(path)
    except UnreadableImage as error:
        return Seen(path, None, str(error))
    return _Unseen(path, stat, image, memory.get(image.sha256))


def observation_line(seen: Seen, facets: Sequence[Facet], path: str) -> Mapping[str, Any]:
    """The exchange form of one observation: one line of ``--observations FILE``, to check the ruler against ground
    truth.
    """
    observation = seen.observation
    if observation is None:
        return {"path": path, "error": seen.problem}
    return {
        "path": path,
        "sha256": observation.sha256,
        "faces": [_face_json(face) for face in observation.faces],
        "facets": {facet.name: facet_json(facet, observation) for facet in facets},
        "measures": {name: round(value, 5) for name, value in observation.measures.items()},
    }


def facet_json(facet: Facet, observation: Observation) -> str | list[str] | None:
    """A value, a list of values (composition), or None for "not measured"."""
    reading = facet.classify(observation)
    if not reading.measured:
        return None
    return list(reading.present) if facet.multiple else (reading.present[0] if reading.present else None)


def _face_json(face: Face) -> dict[str, Any]:
    pose = face.pose
    return {
        "box": face.box.to_list(),
        "confidence": round(float(face.confidence), 4),
        "yaw": None if pose is None else round(float(pose.yaw), 2),
        "pitch": None if pose is None else round(float(pose.pitch), 2),
        "roll": None if pose is None else round(float(pose.roll), 2),
    }
