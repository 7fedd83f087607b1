"""What the vault knows of each photo of a person, for who looks through them. Reads only; nothing is measured here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.vault import FaceKey, Person, VaultPhoto
from twinloop.stages.vault.copies.of_person import worse_copies
from twinloop.stages.vault.dataset.caption import last_options
from twinloop.stages.vault.dataset.choose import sorted_out
from twinloop.stages.vault.dataset.cut import Cut
from twinloop.stages.vault.opened import OpenVault

KEPT, DROPPED, LEFT_OUT = "kept", "dropped", "left out"


@dataclass(frozen=True, eq=False)
class KnownPhoto:
    """One photo of a person.

    Attributes:
        state: ``kept``, ``dropped`` (a copy of another one) or ``left out``. reason: why it is not kept; "" where it
            is.
        facets: facet -> the values that hold, in the scan's eyes; a facet that could not be told is absent.
        numbers: ``face`` (height in pixels), ``sharpness`` (of the face, Laplacian variance at 112 px), ``yaw``
            (degrees), ``quality`` (0..1), so far as measured. notes: what to know of its cut.
        unmeasured: what the scan did not look for, as facets call it (``hands``): neither there nor not there.
    """

    photo: VaultPhoto
    state: str
    reason: str
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
            "facets": {name: list(values) for name, values in self.facets.items()},
            "numbers": dict(self.numbers),
            "notes": list(self.notes),
            "unmeasured": list(self.unmeasured),
        }


def known_photos(opened: OpenVault, person: Person, facets: Sequence[Facet]) -> tuple[KnownPhoto, ...]:
    """All photos of a person, by path: kept or not as `prep` would decide now with its last options."""
    cutting, _ = last_options(opened, person)
    duplicates = worse_copies(opened, person)
    choice = sorted_out(opened, person, duplicates, cutting)
    cuts = {cut.photo.sha256: cut for cut in choice.cuts}
    reasons = {item.photo.sha256: item.reason for item in choice.left_out}
    faces = defaultdict(list)
    for key in person.faces:
        faces[key.sha256].append(key)
    found = []
    for photo in (*(cut.photo for cut in choice.cuts), *(item.photo for item in choice.left_out)):
        reason = reasons.get(photo.sha256, "")
        state = DROPPED if photo.sha256 in duplicates else LEFT_OUT if reason else KEPT
        seen = _seen(photo, _number(photo, faces[photo.sha256]))
        cut: Cut | None = cuts.get(photo.sha256)
        told = {facet.name: facet.classify(seen) for facet in facets}
        found.append(
            KnownPhoto(
                photo,
                state,
                reason,
                {name: reading.present for name, reading in told.items() if reading.measured},
                _numbers(seen),
                cut.remarks(cutting.size) if cut is not None else (),
                _unmeasured(seen, facets),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.photo.paths[0], item.photo.sha256)))


def _unmeasured(seen: Observation, facets: Sequence[Facet]) -> tuple[str, ...]:
    """What the facets need and the scan did not look for, in the facets' order."""
    needs = (need for facet in facets for need in facet.needs)
    return tuple(dict.fromkeys(need for need in needs if need not in seen.measured))


def _number(photo: VaultPhoto, mine: Sequence[FaceKey]) -> int:
    """Which of the photo's faces is the person's: the largest, should there be two.

    ``mine``: the person's in this photo.
    """
    numbers = [n for n in range(len(photo.faces)) if any(photo.key(n).same(key) for key in mine)]
    return max(numbers, key=lambda n: photo.faces[n].face.box.area, default=0)


def _seen(photo: VaultPhoto, number: int) -> Observation:
    """The scan's measures of a photo with the person's face as its subject, as facets read them."""
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
    return Observation(
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        faces=(found.face, *rest),
        parts=(),
        measures=measures,
        measured=frozenset(looked),
        phash=photo.phash,
        fingerprint="",
        origin=photo.origin,
    )


def _numbers(seen: Observation) -> dict[str, float]:
    face = seen.faces[0]
    found = {"face": face.box.height, "sharpness": seen.measure("face_sharpness"), "quality": seen.measure("quality")}
    found["yaw"] = None if face.pose is None else float(face.pose.yaw)
    return {name: round(float(value), 3) for name, value in found.items() if value is not None}
