"""The base model: does it make what the product's own prompts ask for, by the product's own ruler?"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twinloop.domain.observation import Observation
from twinloop.domain.shots import Shot, derive_seed
from twinloop.domain.statistics import bootstrap_mean
from twinloop.families.base import Family
from twinloop.nano.evaluation.figures import share
from twinloop.nano.evaluation.renders import observe_pixels
from twinloop.ports import Generator, Reporter
from twinloop.stages.fixed_shots import plan_panel
from twinloop.stages.observe import Observer
from twinloop.stages.words import Voice

PRESET = "nano"
WHOLE_FACE = 0.4
"""Least ``face_quality`` that the product's check approves by default."""
_PEOPLE = ("a woman", "a man")


def panel(observer: Observer, family: Family, count: int, seed: int, trigger: str | None = None) -> list[Shot]:
    """Prompts that walk through all values of all facets, as those of a run's panel do.

    ``trigger`` is the word of a LoRA; without it the prompts are about women and men in turn.
    """
    voice = Voice(trigger or "", family.preset(PRESET).style)
    shots = plan_panel(observer.facets, voice, seed, count)
    made = []
    for number, shot in enumerate(shots):
        wanted = {name: {value: number % 2} for name, value in shot.traits}
        spoken = voice if trigger else replace(voice, trigger=_PEOPLE[number // 2 % 2])
        made.append(
            replace(
                shot,
                prompt=spoken.prompt(observer.facets, wanted),
                negative_prompt=spoken.negative(observer.facets, wanted),
                seed=derive_seed(seed, "evaluate", number),
            )
        )
    return made


def measure_base(
    generator: Generator, family: Family, observer: Observer, count: int, seed: int, reporter: Reporter
) -> dict[str, Any]:
    """How often each asked value was hit, how good the faces are, and how long an image takes."""
    shots, seen, started = panel(observer, family, count, seed), [], time.monotonic()
    generator.load_lora(None)
    for number, (_, pixels) in enumerate(generator.generate(shots, family.preset(PRESET).generation), 1):
        seen.append(observe_pixels(observer, pixels))
        reporter.progress("Generated images", number, count)
    seconds = (time.monotonic() - started) / max(1, count)
    return {"seconds_per_image": seconds, **panel_figures(shots, seen, observer)}


def panel_figures(shots: Sequence[Shot], seen: Sequence[Observation], observer: Observer) -> dict[str, Any]:
    """Hit rates of the asked values with intervals, and the faces' quality."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for shot, observation in zip(shots, seen, strict=True):
        for facet in observer.facets:
            asked = dict(shot.traits).get(facet.name)
            if asked is None or (facet.name == "expression" and dict(shot.traits).get("face_angle") == "profile"):
                continue
            hit = asked in facet.classify(observation).present
            hits[facet.name].append(hit)
            if facet.name in ("face_angle", "composition"):
                hits[f"{facet.name}.{asked}"].append(hit)
    quality = [o.measure("face_quality") or 0.0 for o in seen]
    return {
        "one_face": share(len(o.faces) == 1 for o in seen),
        "face_quality": bootstrap_mean(quality).to_json(),
        "face_quality_passed": share(q >= WHOLE_FACE for q in quality),
        **{name: share(values) for name, values in sorted(hits.items())},
    }
