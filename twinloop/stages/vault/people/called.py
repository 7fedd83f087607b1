"""What photo programs called the faces of a vault. It names nobody: it is shown, and the user decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinloop.domain.names import folded
from twinloop.domain.vault import FaceKey
from twinloop.domain.wording import plural
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.pictures.face_regions import Corners, PhotoName, agreement
from twinloop.store.vault.photo_names import PhotoNames

CLEAR = 2 / 3
"""Share of a person's faces with a name that one name must have, to be the person's."""
SEVERAL = 2
"""Faces from which a second name is more than a slip in the photo program."""
_CONTRADICTING = 0.5
"""Overlap from which two regions mean one face."""


@dataclass(frozen=True)
class InPhotos:
    """What photo programs called the faces of one person. ``counts``: (name, faces), the most frequent first."""

    counts: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str | None:
        """The name that clearly most of the named faces have; None = there is none."""
        if not self.counts:
            return None
        name, most = self.counts[0]
        return name if most >= CLEAR * sum(count for _, count in self.counts) else None

    @property
    def faces(self) -> int:
        """How many faces have the first name."""
        return self.counts[0][1] if self.counts else 0

    @property
    def may_mix(self) -> bool:
        """Whether the names say that two people may be taken for one."""
        return len(self.counts) > 1 and (self.name is None or self.counts[1][1] >= SEVERAL)

    @property
    def text(self) -> str:
        """``called 'Anna Maier' in your photos (12 faces)``; "" without a clear name."""
        return f"called '{self.name}' in your photos ({plural(self.faces, 'face')})" if self.name else ""

    @property
    def mix_text(self) -> str:
        """``'Anna Maier' (12 faces), 'Bea' (4 faces)``."""
        return ", ".join(f"'{name}' ({plural(count, 'face')})" for name, count in self.counts[:5])

    def is_called(self, name: str) -> bool:
        return self.name is not None and folded(self.name) == folded(name)

    def to_json(self) -> list[dict[str, Any]]:
        return [{"name": name, "faces": count} for name, count in self.counts]


NOTHING = InPhotos()


def in_photos(faces: Iterable[FaceKey], named: Mapping[FaceKey, str]) -> InPhotos:
    """The names of these faces. Spellings that count as one name are one, written as most faces have it."""
    spelled = Counter(named[key] for key in faces if key in named)
    counts: Counter[str] = Counter()
    usual: dict[str, str] = {}
    for name, count in sorted(spelled.items(), key=lambda item: (-item[1], item[0])):
        usual.setdefault(folded(name), name)
        counts[folded(name)] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return InPhotos(tuple((usual[name], count) for name, count in ordered))


def named_faces(opened: OpenVault, faces: Iterable[FaceKey]) -> dict[FaceKey, str]:
    """The faces of a vault that a photo program named. ``faces``: all that were found."""
    names = PhotoNames(opened.catalog).all()
    by_photo: dict[str, list[FaceKey]] = {}
    for key in faces:
        if key.sha256 in names:
            by_photo.setdefault(key.sha256, []).append(key)
    return {key: name for sha256, keys in by_photo.items() for key, name in matched(names[sha256], keys).items()}


def matched(names: Sequence[PhotoName], faces: Sequence[FaceKey]) -> dict[FaceKey, str]:
    """Which of the faces of one photo have which name: each face one, and each region one face, the best fit first.

    A name without a place only counts where the photo has one face, and one such name that no region has.
    """
    placed = _without_contradictions([(said.name, said.box) for said in names if said.box is not None])
    fits = [
        (fit, key, number)
        for number, (_, box) in enumerate(placed)
        for key in faces
        if (fit := agreement(box, key.box)) > 0
    ]
    found: dict[FaceKey, str] = {}
    used: set[int] = set()
    for _, key, number in sorted(fits, key=lambda item: (-item[0], item[1].box, item[2])):
        if key not in found and number not in used:
            found[key] = placed[number][0]
            used.add(number)
    taken = {folded(said.name) for said in names if said.box is not None}
    free = {folded(said.name): said.name for said in names if said.box is None and folded(said.name) not in taken}
    if len(faces) == 1 and len(free) == 1 and not found:
        found[faces[0]] = next(iter(free.values()))
    return found


def _without_contradictions(regions: Sequence[tuple[str, Corners]]) -> list[tuple[str, Corners]]:
    """Each face once: what two standards say of it, or two sources; nothing where they give it different names."""
    kept: list[tuple[str, Corners]] = []
    for number, (name, box) in enumerate(regions):
        alike = [other for other in regions if agreement(box, other[1]) >= _CONTRADICTING]
        if any(folded(other) != folded(name) for other, _ in alike):
            continue
        if not any(other in alike for other in regions[:number]):
            kept.append((name, box))
    return kept
