"""The facet: one axis of variety, and all that the product knows about it in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from twinloop.domain.faces import ImageArray
from twinloop.domain.observation import Observation, Reading

BARE = -1
"""What a facet's ``wording`` says of a picture of which the value was told and nothing more."""


@dataclass(frozen=True)
class Phrase:
    """Words for one facet value. Several variants give variety; a shot takes one by its index.

    Attributes:
        prose: for models that read sentences (SDXL, Flux).
        tags: for models trained on tag lists (Animagine, Illustrious, Pony): tags of Danbooru with spaces, several of
            them divided by commas; ("",) = no tag says it, () = the words of ``prose``.
        negative: what to keep away when this value is wanted.
        usual: nearly every picture has it, so that a caption leaves it unsaid: said in all, it would fuse with the
            trigger. Prompts say it.
        missing: what a caption says of a picture in which it was looked for and not found; () = nothing. Of several the
            facet's ``wording`` picks one.
        wish: how photos of it are asked for, after "5 real photos": ``in profile``; "" = in general words.
        bare: the value alone, for the caption of a picture of which no more was told than that (the facet's ``wording``
            says `BARE`); "" = a phrase.
        beside: other facet -> its values that leave room for this one in a picture; a facet that is not named leaves it
            with all of its values.
        negative_tags, missing_tags, bare_tags: ``negative``, ``missing`` and ``bare`` as tags; empty = the same words.
    """

    prose: tuple[str, ...]
    tags: tuple[str, ...]
    negative: tuple[str, ...] = ()
    usual: bool = False
    missing: tuple[str, ...] = ()
    wish: str = ""
    bare: str = ""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    negative_tags: tuple[str, ...] = ()
    missing_tags: tuple[str, ...] = ()
    bare_tags: str = ""


@runtime_checkable
class Facet(Protocol):
    """One axis of variety.

    Attributes:
        name: ``face_angle``, ``lighting``... = ``type`` in gaps.json and part of file names.
        values: in the order of reports.
        multiple: whether several values may hold at the same time (composition).
        shares: value -> wanted share of the dataset, 0..1. A value without a share is never a gap.
        phrases: value -> words.
        needs: what must have been looked for (names of ``Observation.measured``); shown by ``doctor`` and in "not
            measured".
    """

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> tuple[str, ...]: ...
    @property
    def multiple(self) -> bool: ...
    @property
    def shares(self) -> Mapping[str, float]: ...
    @property
    def phrases(self) -> Mapping[str, Phrase]: ...
    @property
    def needs(self) -> tuple[str, ...]: ...

    def classify(self, seen: Observation) -> Reading:
        """Judge raw numbers; never touches pixels. ``Reading.unknown()`` = cannot tell."""
        ...


Shares = Mapping[str, Mapping[str, float]]
"""Facet -> value -> share of the dataset that the user wants, 0..1."""


def wanted_shares(facet: Facet, shares: Shares) -> Mapping[str, float]:
    """The wanted shares of a facet's values: its own, and the user's over them."""
    return {**facet.shares, **shares.get(facet.name, {})}


@runtime_checkable
class MeasuringFacet(Protocol):
    """A facet that brings a measure of its own, taken in the same decode as all others."""

    def measure(self, image: ImageArray, seen: Observation) -> Mapping[str, float]:
        """Numbers measured on the pixels (uint8 HxWx3 RGB), stored under ``<facet>.<key>`` names of its choice."""
        ...


@dataclass(frozen=True)
class DefinedFacet:
    """A facet given by its parts: what the built-in ones are made of, and the short way for yours.

    ``judge`` turns raw numbers into a `Reading`; the optional ``measurer`` takes numbers of its own from the pixels,
    and another ``version`` of it is another ruler; the optional ``wording`` says which of a value's phrases describes
    an image (or which of ``missing``, where the value was not found).
    """

    name: str
    values: tuple[str, ...]
    shares: Mapping[str, float]
    phrases: Mapping[str, Phrase]
    needs: tuple[str, ...]
    judge: Callable[[Observation], Reading]
    multiple: bool = False
    measurer: Callable[[ImageArray, Observation], Mapping[str, float]] | None = None
    wording: Callable[[Observation, str], int] | None = None
    version: int = 1

    def classify(self, seen: Observation) -> Reading:
        return self.judge(seen)

    def measure(self, image: ImageArray, seen: Observation) -> Mapping[str, float]:
        return self.measurer(image, seen) if self.measurer is not None else {}

    def variant(self, seen: Observation, value: str) -> int:
        """Which of the value's phrases fits this image (left or right, one hand or both); 0 when they all do."""
        return self.wording(seen, value) if self.wording is not None else 0


def one_of(values: tuple[str, ...], value: str) -> Reading:
    """The reading of an exclusive facet: ``value`` holds, the others do not."""
    return Reading((value,), tuple(v for v in values if v != value))


def most_probable(seen: Observation, prefix: str, values: tuple[str, ...], at_least: float) -> Reading:
    """The value whose measure ``<prefix>.<value>`` is largest, or unknown when none was measured or none is sure
    enough.
    """
    scored = [(seen.measures[f"{prefix}.{v}"], v) for v in values if f"{prefix}.{v}" in seen.measures]
    if not scored or max(scored)[0] < at_least:
        return Reading.unknown()
    return one_of(values, max(scored)[1])
