"""What the cosine of two faces says: how strangers look to an embedder, and the limits that follow from that."""

from __future__ import annotations

import math
from dataclasses import dataclass

Spread = tuple[float, float]
"""Mean and standard deviation of the cosine between different people."""

_WIDEST = 0.5


def fisher_step(deviation: float) -> float:
    """One standard deviation of the cosine on Fisher's scale (atanh), where it is equally wide everywhere."""
    return 1.0 / math.sqrt(1.0 / deviation**2 - 2.0) if deviation < _WIDEST else 1.0 / math.sqrt(2.0)


def above(strangers: Spread, deviations: float) -> float:
    """The cosine that lies so many standard deviations over strangers, on Fisher's scale."""
    mean, deviation = strangers
    return math.tanh(math.atanh(mean) + deviations * fisher_step(deviation))


def deviations_of(cosine: float, strangers: Spread) -> float:
    """How many standard deviations a cosine lies over strangers, on Fisher's scale."""
    mean, deviation = strangers
    return (math.atanh(cosine) - math.atanh(mean)) / fisher_step(deviation)


@dataclass(frozen=True)
class Likeness:
    """Limits on the cosine of faces, -1..1, as they are for one embedder.

    Attributes:
        strangers: mean and standard deviation between different people it was not trained on; None = not known.
        same_person: links two photos as one person's; far tighter than the limit for a single pair, because links
            chain.
        alike: least median cosine within a group of linked photos that is one person. On thumbnails links chain through
            everybody.
        apart: median cosine between two groups of photos below which they are two people.
    """

    strangers: Spread | None = None
    same_person: float = 0.45
    alike: float = 0.35
    apart: float = 0.2

    @classmethod
    def of(cls, strangers: Spread) -> Likeness:
        """The limits of another embedder of photos: as many deviations over its strangers as MobileFaceNet's are over
        its own.
        """
        limits = (cls.same_person, cls.alike, cls.apart)
        moved = (round(above(strangers, deviations_of(limit, MEASURED)), 3) for limit in limits)
        return cls(strangers, *moved)


USUAL = Likeness()
"""Where nothing is known of an embedder, or there is none."""
MEASURED: Spread = (0.017, 0.101)
"""MobileFaceNet's: 38,080 pairs of 35 LFW people (docs/log.md, bench/real_detectors.py). The limits of `Likeness` were
chosen with it: one person's photos have a median of 0.46 and more among themselves (24 people of LFW, 15 of Caltech),
strangers of 0.02."""
PUBLISHED_AT = 2.5
"""Deviations over strangers at which a published limit for "one person" is taken to lie: 0.6 % of strangers are over
it. SFace's is said with 99.6 % of 6,000 pairs told rightly, so that at most 0.8 % of the strangers among them can have
been."""
_MEAN = 0.02
"""Mean cosine between strangers where only a limit was published; nets that are trained with margins have about
none."""


def published(limit: float) -> Likeness:
    """The limits of an embedder of which only the cosine is known from which its authors call two faces one person."""
    return Likeness.of((_MEAN, round((limit - _MEAN) / PUBLISHED_AT, 3)))
