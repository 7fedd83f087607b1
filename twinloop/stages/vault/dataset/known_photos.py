"""What the vault knows of each photo of a person, for who looks through them. Reads only; nothing is measured here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.faces import Face
from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.vault import Person, VaultPhoto
from twinloop.stages.vault.copies.of_person import copies_of
from twinloop.stages.vault.dataset.caption import last_options
from twinloop.stages.vault.dataset.choose import COPY, EXCLUDED_COPY, LeftOut, face_number, sorted_out
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.stages.vault.opened import OpenVault

KEPT, DROPPED, LEFT_OUT = "kept", "dropped", "left out"


@dataclass(frozen=True, eq=False)
class KnownPhoto:
    """One photo of a person.

    Attributes:
        state: ``kept``, ``dropped`` (a copy of another one) or ``left out``. reason: why it is not kept; "" where it
            is. by_hand: ``exclude`` or ``include`` where the user said so, else ``automatic``.
        facets: facet -> the values that hold, in the scan's eyes; a facet that could not be told is absent.
        numbers: ``face`` (height in pixels), ``sharpness`` (of the face, Laplacian variance at 112 px), ``yaw``
            (degrees), ``quality`` (0..1), so far as measured. notes: what to know of its cut.
        unmeasured: what the scan did not look for, as facets call it (``hands``): neither there nor not there.
    """

    photo: VaultPhoto
    state: str
    reason: str
    by_hand: str
    facets: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, float]
    notes: tuple[str, ...]
    unmeasured: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        photo = self.photo
        return {
            "sha256": photo.sha256,
            "name": Path(photo.paths[0]).name,
            "path": photo.paths[0],
            "width": photo.width,
            "height": photo.height,
            "taken": photo.taken,
            "origin": photo.origin,
            "state": self.state,
            "reason": self.reason,
            "by_hand": self.by_hand,
            "facets": {name: list(values) for name, values in self.facets.items()},
            "numbers": dict(self.numbers),
            "notes": list(self.notes),
            "unmeasured": list(self.unmeasured),
        }


def known_photos(opened: OpenVault, person: Person, facets: Sequence[Facet]) -> tuple[KnownPhoto, ...]:
    """All photos of a person, by path: kept or not as `prep` would decide now with its last options."""
    cutting, _ = last_options(opened, person)
    choice = sorted_out(opened, person, copies_of(opened, person), cutting)
    said = choice.by_hand
    cuts = {cut.photo.sha256: cut for cut in choice.cuts}
    left_out = {item.photo.sha256: item for item in choice.left_out}
    faces = defaultdict(list)
    for key in person.faces:
        faces[key.sha256].append(key)
    found = []
    for photo in (*(cut.photo for cut in choice.cuts), *(item.photo for item in choice.left_out)):
        out = left_out.get(photo.sha256)
        state = KEPT if out is None else DROPPED if out.kind == COPY else LEFT_OUT
        seen = _seen(photo, face_number(photo, faces[photo.sha256]))
        cut: Cut | None = cuts.get(photo.sha256)
        told = {facet.name: facet.classify(seen) for facet in facets}
        found.append(
            KnownPhoto(
                photo,
                state,
                "" if out is None else out.reason,
                said.of(photo.sha256),
                {name: reading.present for name, reading in told.items() if reading.measured},
                _numbers(seen),
                cut.remarks(cutting.size) if cut is not None else (),
                _unmeasured(seen, facets),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.photo.paths[0], item.photo.sha256)))


def still_left_out(opened: OpenVault, person: Person, photos: Sequence[str]) -> tuple[LeftOut, ...]:
    """Which of these photos (sha256) `prep` would leave out now with its last options, and why."""
    choice = sorted_out(opened, person, copies_of(opened, person), last_options(opened, person)[0])
    return tuple(item for item in choice.left_out if item.photo.sha256 in photos)


def copies_left_out(opened: OpenVault, person: Person, photos: Sequence[str]) -> tuple[LeftOut, ...]:
    """Which copies of these photos (sha256) `prep` leaves out now, because these were left out or taken in by hand."""
    choice = sorted_out(opened, person, copies_of(opened, person), last_options(opened, person)[0])
    said = {**choice.by_hand.copies_out, **choice.by_hand.copies_in}
    out = (item for item in choice.left_out if item.kind in (COPY, EXCLUDED_COPY))
    return tuple(item for item in out if said.get(item.photo.sha256) in photos)


def _unmeasured(seen: Observation, facets: Sequence[Facet]) -> tuple[str, ...]:
    """What the facets need and the scan did not look for, in the facets' order."""
    needs = (need for facet in facets for need in facet.needs)
    return tuple(dict.fromkeys(need for need in needs if need not in seen.measured))


def _seen(photo: VaultPhoto, number: int | None) -> Observation:
    """The scan's measures of a photo with the person's face as its subject, as facets read them; without any face where
    the whole picture is the person's.
    """
    if number is None:
        return _observed(photo, (), photo.measures, {"faces"})
    found = photo.faces[number]
    rest = tuple(other.face for n, other in enumerate(photo.faces) if n != number)
    own = {
        ("face_sharpness" if name == "sharpness" else name): value
        for name, value in found.measures.items()
        if name != "brightness"
    }
    measures = {**photo.measures, **own, "face_share": found.face.box.height / photo.height, "quality": found.quality}
    looked = {
        "faces",
        *(["pose"] if found.face.pose is not None else []),
        *(["eyes"] if "eyes_open" in measures else []),
        *(name.split(".")[0] for name in measures if "." in name),
    }
    return _observed(photo, (found.face, *rest), measures, looked)


def _observed(
    photo: VaultPhoto, faces: tuple[Face, ...], measures: Mapping[str, float], looked: Set[str]
) -> Observation:
    return Observation(
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        faces=faces,
        parts=(),
        measures=measures,
        measured=frozenset(looked),
        phash=photo.phash,
        fingerprint="",
        origin=photo.origin,
    )


def _numbers(seen: Observation) -> dict[str, float]:
    found = {"sharpness": seen.measure("face_sharpness"), "quality": seen.measure("quality")}
    found["face"] = None if seen.face is None else seen.face.box.height
    found["yaw"] = None if seen.pose is None else float(seen.pose.yaw)
    return {name: round(float(value), 3) for name, value in found.items() if value is not None}
