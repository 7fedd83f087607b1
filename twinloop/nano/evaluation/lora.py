"""A LoRA of one fresh person: how long it trains, and how like the person its images are."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twinloop.domain.faces import ImageArray
from twinloop.domain.observation import Observation
from twinloop.domain.records import TrainingSample
from twinloop.domain.statistics import bootstrap_mean
from twinloop.families.base import Family
from twinloop.nano.evaluation.base import PRESET, panel, panel_figures
from twinloop.nano.evaluation.figures import auc_and_eer
from twinloop.nano.evaluation.renders import fresh, observe_pixels
from twinloop.ports import Generator, Reporter, Trainer
from twinloop.stages import words
from twinloop.stages.identity import nearest_mean, to_each_other
from twinloop.stages.observe import Observer

PHOTOS, STRANGERS, TRIGGER = 40, 40, "ohwx"
_OWN, _OTHERS = 101, 102
"""Added to the seed, so that neither the person nor the strangers are those of another section."""

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class People:
    """Pictures of the person to be learned, and one of each of many others."""

    person: Sequence[ImageArray]
    strangers: Sequence[ImageArray]

    @classmethod
    def rendered(cls, seed: int) -> People:
        """`PHOTOS` renders of one fresh person and `STRANGERS` of others, 256 px."""
        person = [pixels for pixels, _, _ in fresh(PHOTOS, seed + _OWN, 256, PHOTOS)]
        return cls(person, [pixels for pixels, _, _ in fresh(STRANGERS, seed + _OTHERS, 256, 1)])


def measure_lora(
    trainer: Trainer,
    generator: Generator,
    family: Family,
    observer: Observer,
    people: People,
    count: int,
    seed: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train on the person's pictures; compare ``count`` images of the LoRA, and of the bare base, with the person and
    with strangers.
    """
    person, strangers = (
        _vectors([observe_pixels(observer, pixels) for pixels in p]) for p in (people.person, people.strangers)
    )
    settings = replace(family.preset(PRESET).training, seed=seed)

    def progress(step: int, steps: int, loss: float, validation: float | None = None) -> None:
        reporter.progress("LoRA training", step, steps)

    with tempfile.TemporaryDirectory() as folder:
        samples, output = _samples(Path(folder), people.person, observer, family), Path(folder) / "lora.safetensors"
        started = time.monotonic()
        lora = trainer.train(samples, settings, output, Path(folder) / "work", {}, progress)
        seconds = time.monotonic() - started
        with_lora, figures = _images(generator, output, family, observer, count, seed)
    bare, _ = _images(generator, None, family, observer, count, seed)
    own, _ = auc_and_eer(_nearness(with_lora, person), _nearness(strangers, person))
    return {
        "training_seconds": seconds,
        "steps": lora.steps,
        "rank": settings.rank,
        "similarity_to_the_person": _mean(_nearness(with_lora, person)),
        "photos_among_themselves": _mean(nearest_mean(to_each_other(person)) if len(person) > 1 else np.zeros(0)),
        "without_lora": _mean(_nearness(bare, person)),
        "strangers": _mean(_nearness(strangers, person)),
        "auc_against_strangers": own,
        **figures,
    }


def _samples(folder: Path, pictures: Sequence[ImageArray], observer: Observer, family: Family) -> list[TrainingSample]:
    made = []
    for number, pixels in enumerate(pictures):
        path = folder / f"photo_{number:03d}.png"
        Image.fromarray(pixels).save(path)
        text = words.caption(TRIGGER, observer.facets, observe_pixels(observer, pixels), family.preset(PRESET).style)
        made.append(TrainingSample(path, hashlib.sha256(path.read_bytes()).hexdigest(), text, 1.0))
    return made


def _images(
    generator: Generator, lora: Path | None, family: Family, observer: Observer, count: int, seed: int
) -> tuple[Vectors, dict[str, Any]]:
    generator.load_lora(lora)
    shots = panel(observer, family, count, seed, TRIGGER)
    settings = family.preset(PRESET).generation
    seen = [observe_pixels(observer, pixels) for _, pixels in generator.generate(shots, settings)]
    generator.load_lora(None)
    return _vectors(seen), panel_figures(shots, seen, observer)


def _vectors(seen: Sequence[Observation]) -> Vectors:
    rows = [o.embedding for o in seen if o.embedding is not None]
    return np.stack(rows).astype(np.float64) if rows else np.zeros((0, 1))


def _nearness(vectors: Vectors, person: Vectors) -> NDArray[np.float64]:
    """For each vector the similarity to the person."""
    return nearest_mean(vectors @ person.T) if len(vectors) and len(person) else np.zeros(0)


def _mean(values: NDArray[np.float64]) -> dict[str, Any]:
    return bootstrap_mean([float(v) for v in values]).to_json()
