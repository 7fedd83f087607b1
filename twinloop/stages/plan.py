"""Plan: gaps -> shots. Prompts combine the gap's value with variety in all other facets; seeds come from names, never from order."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from twinloop.domain.facet import Facet
from twinloop.domain.shots import Gap, Shot, derive_seed
from twinloop.stages import words
from twinloop.stages.sources import Source, choose

PLAIN = {"face_angle": ("front", "three_quarter"), "framing": ("close_up", "portrait", "half_body")}
"""Values that keep another gap's target recognisable: nobody can see a smile from behind, or in a full-length picture."""
USUAL_SAMPLES = 4
"""Sample images at a time, where no prompts are given."""


@dataclass(frozen=True)
class PlanSettings:
    """What planning needs to know.

    Attributes:
        style: ``prose`` or ``tags``. num_per_gap: shots per gap and round.
        from_photos: share of shots that start from a real photo. photos: the photos to start from.
        references: how many of them one shot names.
    """

    trigger: str
    style: str
    seed: int
    iteration: int
    num_per_gap: int
    negative: str | None = None
    from_photos: float = 0.0
    photos: tuple[Source, ...] = ()
    references: int = 1


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
    seed = derive_seed(settings.seed, settings.trigger, settings.iteration, gap.facet, gap.value, index)
    rng = random.Random(seed)
    traits = _traits(gap, gaps, facets, rng)
    # the gap's own phrase goes round with the index (left, right, left...), the others are drawn
    wanted: dict[str, dict[str, int]] = {name: {value: rng.randrange(8)} for name, value in traits.items()}
    wanted.setdefault(gap.facet, {})[gap.value] = index - 1
    sources: tuple[str, ...] = ()
    if settings.photos and rng.random() < settings.from_photos:
        angle, turn = next(iter(wanted.get("face_angle", {}).items()), ("", 0))
        sources = choose(settings.photos, angle, turn % 2, settings.references, rng)
    return Shot(
        key=f"{gap.facet}_{gap.value}_{index:03d}", facet=gap.facet, value=gap.value, index=index,
        prompt=words.prompt(settings.trigger, facets, wanted, settings.style),
        negative_prompt=words.negative_prompt(facets, wanted, settings.style, settings.negative),
        seed=seed, traits=tuple(sorted(traits.items())),
        source=sources[0] if sources else None, references=sources[1:],
    )  # fmt: skip


def _traits(gap: Gap, gaps: Sequence[Gap], facets: Sequence[Facet], rng: random.Random) -> dict[str, str]:
    """One value for every other exclusive facet: half of the time one that is a gap too, else drawn by its target share."""
    traits = {}
    for facet in facets:
        if facet.name == gap.facet or facet.multiple:
            continue
        allowed = [v for v in PLAIN.get(facet.name, ()) if v in facet.values] or list(facet.values)
        # in the facet's order, not the gaps': a shot may not depend on how the others are sorted
        lacking_here = {g.value for g in gaps if g.facet == facet.name}
        lacking = [value for value in allowed if value in lacking_here]
        if lacking and rng.random() < 0.5:
            traits[facet.name] = rng.choice(lacking)
        else:
            weights: Mapping[str, float] = facet.shares
            traits[facet.name] = rng.choices(allowed, [max(weights.get(v, 0.0), 0.01) for v in allowed])[0]
    return traits


def plan_panel(
    facets: Sequence[Facet], trigger: str, style: str, seed: int, count: int, negative: str | None
) -> list[Shot]:
    """The fixed panel, the same for every LoRA of a run: prompts that walk through all values of all facets.

    Every prompt asks for a value of each exclusive facet, each value as often as the others. Of a facet whose values may hold together
    as many prompts ask for a value as its target share says; values that nearly every picture has anyway are not asked for.
    """
    exclusive = [facet for facet in facets if not facet.multiple and facet.shares]
    several = [facet for facet in facets if facet.multiple]
    decks = {facet.name: _deck(facet, seed, count) for facet in exclusive}
    decks |= {facet.name: _deck_of_some(facet, seed, count) for facet in several}
    lead = exclusive[0].name if exclusive else ""
    return [_panel_shot(number, decks, lead, facets, trigger, style, seed, negative) for number in range(1, count + 1)]


def plan_samples(
    prompts: Sequence[str], facets: Sequence[Facet], trigger: str, style: str, seed: int, negative: str | None
) -> list[Shot]:
    """What a training draws on its way: the given prompts as they are, each with a seed of its own; without any, four of the kind of a panel's."""
    if not prompts:
        return [
            replace(shot, key=_sample_key(shot.index))
            for shot in plan_panel(facets, trigger, style, seed, USUAL_SAMPLES, negative)
        ]
    return [
        Shot(
            key=_sample_key(number), facet="sample", value="", index=number, prompt=prompt,
            negative_prompt=words.negative_prompt(facets, {}, style, negative), seed=derive_seed(seed, "sample", number),
        )
        for number, prompt in enumerate(prompts, start=1)
    ]  # fmt: skip


def _sample_key(number: int) -> str:
    return f"sample_{number:02d}"


def _panel_shot(
    number: int,
    decks: Mapping[str, Sequence[str | None]],
    lead: str,
    facets: Sequence[Facet],
    trigger: str,
    style: str,
    seed: int,
    negative: str | None,
) -> Shot:
    traits = {name: value for name, deck in decks.items() if (value := deck[number - 1]) is not None}
    wanted = {name: {value: number % 2} for name, value in traits.items()}
    return Shot(
        key=f"panel_{number:03d}", facet=lead, value=traits.get(lead, ""), index=number,
        prompt=words.prompt(trigger, facets, wanted, style),
        negative_prompt=words.negative_prompt(facets, wanted, style, negative),
        seed=derive_seed(seed, trigger, "panel", number), traits=tuple(sorted(traits.items())),
    )  # fmt: skip


def _deck(facet: Facet, seed: int, count: int) -> list[str | None]:
    """``count`` values of a facet, each as often as the others, in an order of the facet's own."""
    values = [value for value in facet.values if facet.shares.get(value, 0) > 0] or list(facet.values)
    return _shuffled([values[number % len(values)] for number in range(count)], facet, seed)


def _deck_of_some(facet: Facet, seed: int, count: int) -> list[str | None]:
    """``count`` places of which each unusual value of a facet has its target share, and None the others; a prompt asks for one of them at most."""
    shares = {value: facet.shares.get(value, 0.0) for value in facet.values if not facet.phrases[value].usual}
    whole = max(1.0, sum(shares.values()))
    deck: list[str | None] = [value for value, share in shares.items() for _ in range(int(share / whole * count))]
    return _shuffled([*deck, *[None] * (count - len(deck))], facet, seed)


def _shuffled(deck: Sequence[str | None], facet: Facet, seed: int) -> list[str | None]:
    mixed = list(deck)
    random.Random(derive_seed(seed, "panel-deck", facet.name)).shuffle(mixed)
    return mixed
