"""The identity reference: frozen from the real photos before round 1, with limits learned from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from twinloop.domain.faces import FloatArray
from twinloop.domain.json_fields import entry, flag, list_of, number, optional, table_of, text, whole
from twinloop.domain.observation import Observation
from twinloop.facets.face_angle import angle_of
from twinloop.stages.observe import Observer
from twinloop.stages.usual_quality import UsualQuality, usual_quality

Floating = TypeVar("Floating", np.float32, np.float64)

NEAREST = 3
"""Similarity to a person = mean cosine to this many nearest reference photos: one odd photo cannot decide."""
NOT_ITSELF = -np.inf
"""Stands for the cosine of a photo to itself, which says nothing."""
FEWEST_PER_BAND = 5
FEW = 10
"""Photos, below which two of somebody else could still spread the limit down to strangers."""
ODD_BELOW = 2.5
"""Standard deviations above strangers. A photo that is less like the others than that may show somebody else."""
ODD_SHARE = 0.25
"""Odd photos that may be left out of what a person's photos teach; where more are, the photos do differ so much."""
HOLD_OUT_FROM = 20
HOLD_OUT_SHARE = 0.15


def held_out_of(photos: int) -> int:
    """How many of so many photos are held out at most."""
    return math.ceil(HOLD_OUT_SHARE * photos) if photos >= HOLD_OUT_FROM else 0


def nearest_mean(cosines: npt.NDArray[Floating]) -> npt.NDArray[Floating]:
    """Similarity to a person: (..., N) cosines to N photos, at least one of them not `NOT_ITSELF` -> (...) the mean of
    the `NEAREST` highest.
    """
    nearest = np.sort(cosines, axis=-1)[..., -NEAREST:]
    return np.asarray(np.nanmean(np.where(np.isneginf(nearest), np.nan, nearest), axis=-1))


def to_each_other(vectors: npt.NDArray[Floating]) -> npt.NDArray[Floating]:
    """(N, D) unit vectors -> (N, N) their cosines, with `NOT_ITSELF` on the diagonal."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, NOT_ITSELF)
    return cosines


@dataclass(frozen=True, eq=False)
class IdentityReference:
    """How this person's real photos look to the embedder.

    Attributes:
        embeddings: (N, D) float32 of unit norm. sha256: (N,) the photos behind them.
        held_out: hashes of the photos that are never trained on; the panel is measured against them alone.
        bands: head-angle class -> (mean, standard deviation, n) of the photos' own leave-one-out similarity.
        overall: the same over all of them.
        highest_pair: largest cosine between two different real photos; above it a made image is suspiciously close.
        fingerprint: of the observer; embeddings of another model do not compare.
        strangers: mean and standard deviation of the cosine between different people, where the embedder's is known.
        quality: how good their faces are, by head angle, where that was measured.
    """

    embeddings: FloatArray
    sha256: tuple[str, ...]
    held_out: frozenset[str]
    bands: Mapping[str, tuple[float, float, int]]
    overall: tuple[float, float, int]
    highest_pair: float
    fingerprint: str
    sharpness: float | None
    strangers: tuple[float, float] | None = None
    quality: UsualQuality = field(default_factory=UsualQuality)

    def similarity(self, seen: Observation, held_out_only: bool = False) -> float | None:
        """Mean cosine to the nearest reference photos, -1..1; None without a face or an embedding."""
        if seen.embedding is None or not len(self.embeddings):
            return None
        rows = self.embeddings
        if held_out_only and self.held_out:
            rows = rows[[digest in self.held_out for digest in self.sha256]]
        return float(nearest_mean(rows @ seen.embedding))

    def nearest(self, seen: Observation) -> float | None:
        """Cosine to the single nearest reference photo."""
        if seen.embedding is None or not len(self.embeddings):
            return None
        return float((self.embeddings @ seen.embedding).max())

    @property
    def unlike_the_rest(self) -> frozenset[str]:
        """The photos that do not count in `overall`: they may show somebody else."""
        usual = _usual(_to_the_others(self.embeddings), _odd_below(self.strangers))
        return frozenset(sha256 for sha256, counts in zip(self.sha256, usual, strict=True) if not counts)

    def lower_limit(self, seen: Observation, tolerance: float) -> float:
        """Least similarity for an image of this head angle: the real photos' mean minus ``tolerance`` standard
        deviations, or, where that asks for too much, halfway from strangers to that mean, and ``tolerance`` of the
        strangers' standard deviations above theirs at least.

        Photos of one camera and one hour can be more alike than any generator gets; an image that is nearer to them
        than to any stranger, and that far above every one, is of the person all the same.

        Of a few photos, one or two that show somebody else would spread so far that every stranger passed: with fewer
        than `FEW`, the limit is never nearer to strangers than that.

        A band with few photos takes the overall spread and the lower of its own and the overall mean; one without any
        photo the lowest mean that is known, because a turned head scores lower in every embedder.
        """
        mean, spread, _ = self.overall
        if seen.pose is not None:
            band = self.bands.get(angle_of(seen.pose.yaw))
            if band is not None and band[2] >= FEWEST_PER_BAND:
                mean, spread, _ = band
            else:
                mean = min([mean, *([band[0]] if band is not None else (known[0] for known in self.bands.values()))])
        own = mean - tolerance * max(spread, 0.02)
        if self.strangers is None:
            return max(0.0, own)
        stranger, deviation = self.strangers
        above = stranger + tolerance * deviation
        if len(self.sha256) < FEW:
            own = max(own, above)
        halfway = (stranger + mean) / 2 if len(self.sha256) > 1 else 0.0
        return max(0.0, min(own, max(halfway, above)))


def freeze_reference(
    photos: Sequence[Observation], fingerprint: str, *, strangers: tuple[float, float] | None
) -> IdentityReference | None:
    """Learn a person from real photos; None when nothing was embedded, or one photo by an embedder of which no more is
    known.

    With 20 photos or more, 15 % are held out from training (never from an angle class that is rare), so that the panel
    measures likeness to photos the LoRA has not seen. They still count in the gap analysis.
    """
    found = [(p, p.embedding) for p in photos if p.origin == "real" and p.embedding is not None]
    found.sort(key=lambda pair: pair[0].sha256)
    if not found or (len(found) == 1 and strangers is None):
        return None
    known = [photo for photo, _ in found]
    rows = np.stack([embedding for _, embedding in found]).astype(np.float32)
    scores = _to_the_others(rows)
    angles = [angle_of(p.pose.yaw) if p.pose is not None else "unknown" for p in known]
    odd = _odd_below(strangers)
    bands = {angle: _spread(scores[[a == angle for a in angles]], odd) for angle in sorted(set(angles))}
    sharp = [p.measures["face_sharpness"] for p in known if "face_sharpness" in p.measures]
    return IdentityReference(
        embeddings=rows,
        sha256=tuple(p.sha256 for p in known),
        held_out=_hold_out(known, angles),
        bands=bands,
        overall=_spread(scores, odd),
        highest_pair=float(to_each_other(rows).max()) if len(known) > 1 else 1.0,
        fingerprint=fingerprint,
        sharpness=float(np.median(sharp)) if sharp else None,
        strangers=strangers,
        quality=usual_quality(known),
    )


def learned(photos: Sequence[Observation], observer: Observer, wanted: bool) -> IdentityReference | None:
    """What a person looks like to this observer, from real photos; None where that is not wanted (``wanted``), and as
    in `freeze_reference`.
    """
    return (
        freeze_reference(photos, observer.fingerprint, strangers=observer.pack.likeness.strangers) if wanted else None
    )


def _to_the_others(rows: FloatArray) -> npt.NDArray[Any]:
    """(N, D) embeddings of photos -> (N,) how like the others each is. A single one has none to be alike: what
    strangers look like is then the only limit.
    """
    return nearest_mean(to_each_other(rows)) if len(rows) > 1 else np.ones(1)


def _odd_below(strangers: tuple[float, float] | None) -> float:
    """The similarity to the others below which a photo is odd."""
    return -np.inf if strangers is None else strangers[0] + ODD_BELOW * strangers[1]


def _usual(scores: npt.NDArray[Any], odd: float) -> npt.NDArray[np.bool_]:
    """Which photos count, by their similarities: all but the few below ``odd``."""
    usual = scores >= odd
    return usual if np.sum(~usual) <= ODD_SHARE * len(scores) else np.ones(len(scores), bool)


def _spread(scores: npt.NDArray[Any], odd: float) -> tuple[float, float, int]:
    """Mean, standard deviation and number of photos' similarities, without the few below ``odd``: one photo of somebody
    else among ten would lower the limit so far that a third of all strangers passed (docs/log.md).
    """
    scores = scores[_usual(scores, odd)]
    return float(np.mean(scores)), float(np.std(scores)), len(scores)


def _hold_out(known: Sequence[Observation], angles: Sequence[str]) -> frozenset[str]:
    wanted = held_out_of(len(known))
    if not wanted:
        return frozenset()
    common = max(sorted(set(angles)), key=angles.count)
    # the hash order of `known` is as good as random and never changes
    return frozenset([p.sha256 for p, angle in zip(known, angles, strict=True) if angle == common][:wanted])


def reference_to_json(reference: IdentityReference | None) -> dict[str, Any]:
    """The record of the frozen reference; ``null`` fields when the run has no embedder."""
    if reference is None:
        return {"measured": False, "why": "no identity embedder, or no usable face"}
    return {
        "measured": True,
        "fingerprint": reference.fingerprint,
        "photos": list(reference.sha256),
        "held_out": sorted(reference.held_out),
        "bands": _rounded(reference.bands),
        "overall": [round(reference.overall[0], 5), round(reference.overall[1], 5), reference.overall[2]],
        "highest_pair": round(reference.highest_pair, 5),
        "strangers": None if reference.strangers is None else list(reference.strangers),
        "sharpness": None if reference.sharpness is None else round(reference.sharpness, 3),
        "quality": _rounded(reference.quality.bands),
        "embeddings": [row.astype(np.float32).tobytes().hex() for row in reference.embeddings],
    }


def _rounded(bands: Mapping[str, tuple[float, float, int]]) -> dict[str, list[float]]:
    return {name: [round(mean, 5), round(spread, 5), n] for name, (mean, spread, n) in bands.items()}


def _band(data: Any) -> tuple[float, float, int]:
    mean, spread, n = list_of(number)(data)
    return mean, spread, whole(n)


def _pair(data: Any) -> tuple[float, float]:
    mean, spread = list_of(number)(data)
    return mean, spread


def _embedding(data: Any) -> FloatArray:
    return np.frombuffer(bytes.fromhex(text(data)), np.float32)


def reference_from_json(data: Any) -> IdentityReference | None:
    """What `reference_to_json` made. Raises ValueError where it is no such record; names the field."""
    if not entry(data, "measured", flag):
        return None
    photos, rows = entry(data, "photos", list_of(text)), entry(data, "embeddings", list_of(_embedding))
    if len(rows) != len(photos):
        raise ValueError(f"{len(rows)} embeddings of {len(photos)} photos")
    return IdentityReference(
        embeddings=np.stack(rows), sha256=photos, held_out=frozenset(entry(data, "held_out", list_of(text))),
        bands=entry(data, "bands", table_of(_band)), overall=entry(data, "overall", _band),
        highest_pair=entry(data, "highest_pair", number), fingerprint=entry(data, "fingerprint", text),
        sharpness=entry(data, "sharpness", optional(number)), strangers=entry(data, "strangers", optional(_pair)),
        quality=UsualQuality(entry(data, "quality", table_of(_band))),
    )  # fmt: skip
