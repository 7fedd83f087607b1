"""Plan: gaps -> shots.

Prompts combine the gap's value with variety in all other facets; seeds come from names, never from order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from twinloop.domain.facet import Facet, Shares, wanted_shares
from twinloop.domain.shots import Gap, Shot, derive_seed
from twinloop.stages.sources import Source, choose
from twinloop.stages.words import Voice

PLAIN = {"face_angle": ("front", "three_quarter"), "framing": ("close_up", "portrait", "half_body")}
"""Values that keep another gap's target recognisable: nobody can see a smile from behind, or in a full-length
picture."""


@dataclass(frozen=True)
class PlanSettings:
    """What planning needs to know.

    Attributes:
        voice: how prompts are worded. num_per_gap: shots per gap and round.
        from_photos: share of shots that start from a real photo. photos: the photos to start from.
        faces: shots also say what is asked of the face alone, for images whose small faces are redrawn.
        references: how many of them one shot names. shares: facet -> value -> share that is wanted, over the facets'
            own.
    """

    voice: Voice
    seed: int
    iteration: int
    num_per_gap: int
    from_photos: float = 0.0
    photos: tuple[Source, ...] = ()
    references: int = 1
    faces: bool = False
    shares: Shares = field(default_factory=dict)


def plan(gaps: Sequence[Gap], facets: Sequence[Facet], settings: PlanSettings) -> list[Shot]:
    """All shots of a round, gap by gap."""
    known = {facet.name: facet for facet in facets}
    shots = []
    for gap in gaps:
        if gap.facet not in known or gap.value not in known[gap.facet].values:
            continue
        for index in range(1, settings.num_per_gap + 1):
            shots.append(_shot(gap, index, gaps, facets, settings))
    return shots


def unplannable(gaps: Sequence[Gap], facets: Sequence[Facet]) -> list[Gap]:
    """Gaps of facets or values that nobody registered: they are named, not silently dropped."""
    known = {facet.name: facet.values for facet in facets}
    return [gap for gap in gaps if gap.value not in known.get(gap.facet, ())]


def _shot(gap: Gap, index: int, gaps: Sequence[Gap], facets: Sequence[Facet], settings: PlanSettings) -> Shot:
    seed = derive_seed(settings.seed, settings.voice.trigger, settings.iteration, gap.facet, gap.value, index)
    rng = random.Random(seed)
    traits = _traits(gap, gaps, facets, settings.shares, rng)
    # the gap's own phrase goes round with the index (left, right, left...), the others are drawn
    wanted: dict[str, dict[str, int]] = {name: {value: rng.randrange(8)} for name, value in traits.items()}
    wanted.setdefault(gap.facet, {})[gap.value] = index - 1
    sources: tuple[str, ...] = ()
    if settings.photos and rng.random() < settings.from_photos:
        angle, turn = next(iter(wanted.get("face_angle", {}).items()), ("", 0))
        sources = choose(settings.photos, angle, turn % 2, settings.references, rng)
    known = {photo.path: photo.face for photo in settings.photos if photo.face is not None}
    return Shot(
        key=f"{gap.facet}_{gap.value}_{index:03d}", facet=gap.facet, value=gap.value, index=index,
        prompt=settings.voice.prompt(facets, wanted),
        negative_prompt=settings.voice.negative(facets, wanted),
        seed=seed, traits=tuple(sorted(traits.items())),
        source=sources[0] if sources else None, references=sources[1:],
        face_prompt=settings.voice.face_prompt(facets, wanted) if settings.faces else "",
        source_faces=tuple(known.get(path) for path in sources) if known.keys() & set(sources) else (),
    )  # fmt: skip


def _traits(
    gap: Gap, gaps: Sequence[Gap], facets: Sequence[Facet], shares: Shares, rng: random.Random
) -> dict[str, str]:
    """One value for every other exclusive facet: half of the time one that is a gap too, else drawn by its target
    share.
    """
    traits = {}
    beside = next((facet.phrases[gap.value].beside for facet in facets if facet.name == gap.facet), {})
    for facet in facets:
        if facet.name == gap.facet or facet.multiple:
            continue
        allowed = [v for v in beside.get(facet.name, PLAIN.get(facet.name, ())) if v in facet.values] or list(
            facet.values
        )
        # in the facet's order, not the gaps': a shot may not depend on how the others are sorted
        lacking_here = {g.value for g in gaps if g.facet == facet.name}
        lacking = [value for value in allowed if value in lacking_here]
        if lacking and rng.random() < 0.5:
            traits[facet.name] = rng.choice(lacking)
        else:
            weights = _weights(allowed, facet, shares)
            traits[facet.name] = rng.choices(allowed, weights)[0]
    return traits


def _weights(values: Sequence[str], facet: Facet, shares: Shares) -> list[float]:
    """How often each value is drawn: by its share, seldom where it has none, never where the user wants none of it (but
    for want of others).
    """
    unwanted = {value for value, share in shares.get(facet.name, {}).items() if share <= 0}
    wanted = wanted_shares(facet, shares)
    weights = [0.0 if value in unwanted else max(wanted.get(value, 0.0), 0.01) for value in values]
    return weights if any(weights) else [1.0] * len(values)
