"""What is looked for of a subject that is drawn, or has no face: detectors made for photos of people say nothing there,
or the wrong thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.facet import Facet
from twinloop.domain.model_roles import NEEDS, NEEDS_FACE, missing_line
from twinloop.errors import InputError
from twinloop.ports import DetectorPack, Measurer

UNREAD = frozenset({"eyes", "expression"})
"""What detectors that are not made for drawings misread on them (docs/science.md)."""
_MEASURES: Mapping[str, tuple[str, ...]] = {
    "eyes": ("eyes_", "sunglasses"),
    "expression": ("expression.", "smile", "jaw_open"),
    "face_quality": ("face_quality",),
}
"""How the names of the measures begin that belong to what a measurer covers."""


def facets_without_faces(facets: Sequence[Facet], listed: bool) -> tuple[Facet, ...]:
    """Those that can be told of a subject without a face.

    Raises:
        InputError: the user named (``listed``) one that cannot.
    """
    blind = [facet.name for facet in facets if NEEDS_FACE.intersection(facet.needs)]
    if listed and blind:
        raise InputError(
            f"analysis.facets: {', '.join(blind)} cannot be told without a face, and validation.faces is false. Leave"
            " one of the two out."
        )
    return tuple(facet for facet in facets if facet.name not in blind)


def without_faces(pack: DetectorPack) -> DetectorPack:
    """The pack for a subject that has no face."""
    return replace(
        pack, faces=None, pose=None, embedder=None, parts=(), faceless=True,
        measurers=tuple(_without(pack.measurers, NEEDS_FACE)), slow=tuple(_without(pack.slow, NEEDS_FACE)),
    )  # fmt: skip


def for_drawings(pack: DetectorPack, wanted: Iterable[Facet]) -> DetectorPack:
    """The pack for a drawn subject: without what its detectors, not made for drawings, read wrongly on them.

    What is slow are taggers, which were trained on drawings.

    Args:
        wanted: facets that the user named, and of which everything is measured all the same.
    """
    asked = {need for facet in wanted for need in facet.needs}
    read = {name for measurer in pack.slow for name in measurer.covers}
    unread = UNREAD - asked - read
    lines = {missing_line(need) for need in NEEDS if need.port == "eyes and expression" and unread == UNREAD}
    return replace(
        pack, unread=unread, measurers=tuple(_without(pack.measurers, unread)),
        choices=tuple(choice for choice in pack.choices if choice.port not in unread),
        missing=tuple(line for line in pack.missing if line not in lines),
    )  # fmt: skip


def _without(measurers: Iterable[Measurer], names: frozenset[str]) -> Iterable[Measurer]:
    for measurer in measurers:
        left = measurer.covers - names
        if left == measurer.covers:
            yield measurer
        elif left:
            yield _Part(measurer, left)


@dataclass(frozen=True)
class _Part:
    """A measurer of which only a part of what it covers is asked."""

    whole: Measurer
    covers: frozenset[str]

    @property
    def fingerprint(self) -> str:
        return f"{self.whole.fingerprint}({','.join(sorted(self.covers))})"

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        beginnings = tuple(
            start for name in self.whole.covers - self.covers for start in _MEASURES.get(name, (f"{name}.",))
        )
        return {
            name: value for name, value in self.whole.measure(image, face).items() if not name.startswith(beginnings)
        }
