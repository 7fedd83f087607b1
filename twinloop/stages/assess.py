"""Assess: one LoRA on the fixed panel of prompts and seeds, each figure with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.records import PanelScore
from twinloop.domain.shots import Shot
from twinloop.domain.statistics import Estimate, bootstrap_mean, paired_difference
from twinloop.errors import StateError
from twinloop.ports import Reporter
from twinloop.stages.generation_record import MadeImage
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer, observe_files
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog

METRICS = ("identity", "on_target", "quality", "diversity")
OVERALL = ("identity", "on_target", "quality")
"""The metrics whose mean is the overall score that improvement is measured by, those of them that were measured;
diversity is watched by the drift alarm."""
SHARE = "on_target"
"""The metric that is a share in every image."""


def assess(
    made: Sequence[MadeImage],
    version: int,
    observer: Observer,
    catalog: Catalog,
    reference: IdentityReference | None,
    reporter: Reporter,
) -> PanelScore:
    """Measure the panel images of one LoRA.

    identity: similarity to the held-out real photos (to all of them when none are held out), 0 where no face came out.
    on_target: share of the asked facet values that were measured and hit, per image. quality: of the face, 0 where none
    came out or it is too small to tell; left out where the pack does not measure it (`_quality_by`). diversity: mean
    distance (1 - cosine of centred 16x16 thumbnails) to the other images of the panel.
    """
    quality = _quality_by(observer, reference)
    seen = [
        item.observation for item in observe_files([m.path for m in made], observer, catalog, reporter, "Measuring")
    ]
    samples: dict[str, list[float]] = {"on_target": []}
    if quality is not None:
        samples["quality"] = []
    asked: list[dict[str, bool]] = []
    if reference is not None:
        samples["identity"] = [_identity(o, reference) for o in seen]
    for image, observation in zip(made, seen, strict=True):
        if observation is None:
            raise StateError(f"The panel image {image.path} cannot be read. Delete it and run the same command again.")
        asked.append(_hits(image.shot, observation, observer.facets))
        samples["on_target"].append(_share(asked[-1]))
        if quality is not None:
            samples["quality"].append(quality(observation))
    samples["diversity"] = _diversity(list(made))
    ordered = {name: samples[name] for name in METRICS if name in samples}
    ordered["overall"] = overall(ordered)
    metrics = {
        name: _with_interval(name, bootstrap_mean(values, version, (0.0, 1.0) if name == SHARE else None))
        for name, values in ordered.items()
    }
    hits = {facet.name: [found.get(facet.name) for found in asked] for facet in observer.facets}
    without = [observation is not None and _faceless(observation) for observation in seen]
    return PanelScore(
        version,
        metrics,
        ordered,
        {name: row for name, row in hits.items() if set(row) != {None}},
        without if any(without) else [],
    )


def overall(samples: dict[str, list[float]]) -> list[float]:
    """Per panel image, the mean of the metrics that count (those that were measured)."""
    rows = [samples[name] for name in OVERALL if name in samples]
    return [float(np.mean(column)) for column in zip(*rows, strict=True)]


def _identity(seen: Observation | None, reference: IdentityReference) -> float:
    similarity = reference.similarity(seen, held_out_only=True) if seen is not None else None
    return max(0.0, similarity) if similarity is not None else 0.0


def _hits(shot: Shot, seen: Observation, facets: Sequence[Facet]) -> dict[str, bool]:
    """Facet -> whether the asked value was seen, of those that were asked for and measured.

    Where a face was looked for and there is none, every value that is read off a face was missed: a LoRA that ruins
    faces must not gain by it.
    """
    asked, hits = dict(shot.traits), {}
    faceless = _faceless(seen)
    for facet in facets:
        value = asked.get(facet.name)
        if value is None:
            continue
        reading = facet.classify(seen)
        if value in reading.present or value in reading.absent:
            hits[facet.name] = value in reading.present
        elif faceless and "faces" in facet.needs and seen.measured.issuperset(facet.needs):
            hits[facet.name] = False
    return hits


def _faceless(seen: Observation) -> bool:
    """Whether a face was looked for and there is none."""
    return "faces" in seen.measured and not seen.faces


def _share(hits: dict[str, bool]) -> float:
    return sum(hits.values()) / len(hits) if hits else 0.0


def _quality_by(observer: Observer, reference: IdentityReference | None) -> Callable[[Observation], float] | None:
    """How the quality of a panel image is told; None where it cannot be, for any image of the run.

    A scale that has a limit of its own is taken as it is. Any other scores turned heads lower by nature, and a LoRA
    that turns more of them must not lose by it: there a face counts as a share of what real photos of its angle score,
    if they show every angle.
    """
    if "face_quality" not in observer.measured:
        return None
    if observer.pack.least_face_quality is not None:
        return lambda seen: _measured_quality(seen) or 0.0
    if reference is None or not reference.quality.complete:
        return None
    usual = reference.quality
    return lambda seen: usual.share(_measured_quality(seen) or 0.0, seen.pose)


def _measured_quality(seen: Observation) -> float | None:
    return None if seen.face is None else seen.measure("face_quality")


def _diversity(made: Sequence[MadeImage]) -> list[float]:
    if len(made) < 2:
        return [0.0] * len(made)
    rows = np.stack([_thumbnail(m) for m in made])
    cosines = rows @ rows.T
    others = (cosines.sum(axis=1) - np.diag(cosines)) / (len(made) - 1)
    return [float(np.clip(1 - value, 0.0, 2.0)) for value in others]


def _thumbnail(image: MadeImage) -> npt.NDArray[np.float64]:
    pixels = load_image(image.path).pixels
    small = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BOX), dtype=np.float64).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-9)


def compare(before: PanelScore, after: PanelScore, metric: str = "overall") -> Estimate | None:
    """Change of a metric from one LoRA to another, image by image over the same prompts and seeds; None where one lacks
    it.
    """
    if metric not in before.samples or metric not in after.samples:
        return None
    difference = paired_difference(before.samples[metric], after.samples[metric], after.version, metric == SHARE)
    return _with_interval(metric, difference)


def _with_interval(metric: str, estimate: Estimate) -> Estimate:
    return estimate.of_pairs() if metric == "diversity" else estimate
