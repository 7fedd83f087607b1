"""Prompts and seeds that stay the same while LoRAs change: the panel that they are measured on, and the samples of a
training.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from twinloop.domain.facet import Facet, Shares, wanted_shares
from twinloop.domain.shots import Shot, derive_seed
from twinloop.stages.words import Voice

USUAL_SAMPLES = 4
"""Sample images at a time, where no prompts are given."""
NO_SHARES: Shares = {}


def plan_panel(
    facets: Sequence[Facet],
    voice: Voice,
    seed: int,
    count: int,
    shares: Shares = NO_SHARES,
) -> list[Shot]:
    """The fixed panel, the same for every LoRA of a run: prompts that walk through all values of all facets.

    Every prompt asks for a value of each exclusive facet, each value as often as the others. Of a facet whose values
    may hold together as many prompts ask for a value as its target share says, where the others' values leave room for
    it (no hands in a close-up); values that nearly every picture has anyway are not asked for.

    Args:
        shares: facet -> value -> share that is wanted, over the facets' own.
    """
    wanted = {facet.name: wanted_shares(facet, shares) for facet in facets}
    exclusive = [facet for facet in facets if not facet.multiple and wanted[facet.name]]
    several = [facet for facet in facets if facet.multiple]
    decks = {facet.name: _deck(facet, wanted[facet.name], seed, count) for facet in exclusive}
    for facet in several:
        decks[facet.name] = _with_room(_deck_of_some(facet, wanted[facet.name], seed, count), facet, decks)
    lead = exclusive[0].name if exclusive else ""
    return [_panel_shot(number, decks, lead, facets, voice, seed) for number in range(1, count + 1)]


def plan_samples(
    prompts: Sequence[str],
    facets: Sequence[Facet],
    voice: Voice,
    seed: int,
    shares: Shares,
) -> list[Shot]:
    """What a training draws on its way: the given prompts as they are, each with a seed of its own; without any, four
    of the kind of a panel's.
    """
    if not prompts:
        return [
            replace(shot, key=_sample_key(shot.index))
            for shot in plan_panel(facets, voice, seed, USUAL_SAMPLES, shares)
        ]
    return [
        Shot(
            key=_sample_key(number),
            facet="sample",
            value="",
            index=number,
            prompt=prompt,
            negative_prompt=voice.negative(),
            seed=derive_seed(seed, "sample", number),
        )
        for number, prompt in enumerate(prompts, start=1)
    ]


def _sample_key(number: int) -> str:
    return f"sample_{number:02d}"


def _panel_shot(
    number: int,
    decks: Mapping[str, Sequence[str | None]],
    lead: str,
    facets: Sequence[Facet],
    voice: Voice,
    seed: int,
) -> Shot:
    traits = {name: value for name, deck in decks.items() if (value := deck[number - 1]) is not None}
    wanted = {name: {value: number % 2} for name, value in traits.items()}
    return Shot(
        key=f"panel_{number:03d}", facet=lead, value=traits.get(lead, ""), index=number,
        prompt=voice.prompt(facets, wanted),
        negative_prompt=voice.negative(facets, wanted),
        seed=derive_seed(seed, voice.trigger, "panel", number), traits=tuple(sorted(traits.items())),
    )  # fmt: skip


def _deck(facet: Facet, shares: Mapping[str, float], seed: int, count: int) -> list[str | None]:
    """``count`` values of a facet, each as often as the others, in an order of the facet's own."""
    values = [value for value in facet.values if shares.get(value, 0) > 0] or list(facet.values)
    return _shuffled([values[number % len(values)] for number in range(count)], facet, seed)


def _deck_of_some(facet: Facet, wanted: Mapping[str, float], seed: int, count: int) -> list[str | None]:
    """``count`` places of which each unusual value of a facet has its target share, and None the others; a prompt asks
    for one of them at most.
    """
    shares = {value: wanted.get(value, 0.0) for value in facet.values if not facet.phrases[value].usual}
    whole = max(1.0, sum(shares.values()))
    deck: list[str | None] = [value for value, share in shares.items() for _ in range(int(share / whole * count))]
    return _shuffled([*deck, *[None] * (count - len(deck))], facet, seed)


def _with_room(deck: Sequence[str | None], facet: Facet, decks: Mapping[str, Sequence[str | None]]) -> list[str | None]:
    """The deck with each value that has no room beside the others' values changed for the next card that both places
    have room for.
    """

    def fits(value: str | None, place: int) -> bool:
        beside = {} if value is None else facet.phrases[value].beside
        return all(decks[name][place] in values for name, values in beside.items() if name in decks)

    dealt = list(deck)
    for place, value in enumerate(deck):
        others = (*range(place + 1, len(deck)), *range(place))
        if not fits(value, place):
            other = next((o for o in others if fits(value, o) and fits(dealt[o], place) and dealt[o] != value), place)
            dealt[place], dealt[other] = dealt[other], dealt[place]
    return dealt


def _shuffled(deck: Sequence[str | None], facet: Facet, seed: int) -> list[str | None]:
    mixed = list(deck)
    random.Random(derive_seed(seed, "panel-deck", facet.name)).shuffle(mixed)
    return mixed
