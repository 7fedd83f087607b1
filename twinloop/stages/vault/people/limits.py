"""How alike faces must be to be of one person: from what is known of the embedder, not from one number for all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from twinloop.domain.likeness import Spread, above, fisher_step

UNKNOWN: Spread = (0.02, 0.1)
"""Mean and standard deviation of the cosine between strangers where the embedder's are not known: those of small face
networks."""
FALSE_NEIGHBOURS = 0.0133
"""So many strangers may reach the limit of a face, on average. With the count of faces this is the limit; chosen on LFW
(docs/log.md)."""
FEWEST = 1000
"""The limit of so many faces holds for fewer as well: a small vault is no reason for mixing people up."""
ATTACH = 0.8
"""How far below the limit a single face may still go to a person of several, in standard deviations; it has to be as
much nearer to that person than to any other."""


@dataclass(frozen=True)
class Limits:
    """Limits on the cosine, -1..1.

    Attributes:
        link: average over the faces of two groups from which they are one person.
        groups: the same where both groups are people already; there are fewer chances to go wrong.
        attach: average to a person's faces from which a single face goes to that person.
        margin: how much more it has to be than to any other person.
    """

    link: float
    groups: float
    attach: float
    margin: float


def limits_for(strangers: Spread | None, faces: int, people: int = 0, chosen: float | None = None) -> Limits:
    """Limits for so many faces.

    Cosines of strangers spread like correlations, so they are measured on Fisher's scale (atanh), where the spread is
    the same everywhere: with standard deviation s of the cosine it is 1/sqrt(1/s^2 - 2). On that scale the limit is as
    many deviations above the mean as keep `FALSE_NEIGHBOURS` strangers away from each of ``faces`` faces.

    Args:
        strangers: mean and standard deviation of the cosine between different people (`Likeness.strangers`).
        people: groups that are compared with each other, at most; 0 = as many as faces.
        chosen: the user's own ``link``, over 0; the others follow it.
    """
    known = strangers or UNKNOWN
    link = above(known, _deviations(faces)) if chosen is None else min(chosen, 0.999)
    groups = min(link, above(known, _deviations(people or faces))) if chosen is None else link
    attach = math.tanh(math.atanh(link) - ATTACH * fisher_step(known[1]))
    return Limits(round(link, 4), round(groups, 4), round(attach, 4), round(link - attach, 4))


def _deviations(faces: int) -> float:
    """How many standard deviations keep all but `FALSE_NEIGHBOURS` of so many strangers away."""
    return -NormalDist().inv_cdf(FALSE_NEIGHBOURS / max(faces, FEWEST))
