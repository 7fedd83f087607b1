"""The detectors on fresh renders, whose truth is known exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinloop.domain.faces import Box, ImageArray
from twinloop.domain.observation import Observation
from twinloop.domain.statistics import bootstrap_mean
from twinloop.facets import composition, expression, face_angle, framing, lighting, setting
from twinloop.nano.evaluation.figures import auc_and_eer, f1, matches, share
from twinloop.nano.world.params import sample_identity, sample_scene
from twinloop.nano.world.render import Truth, render
from twinloop.ports import Reporter
from twinloop.stages.observe import Observer
from twinloop.store.pictures.images import LoadedImage

PER_PERSON, SIZE = 4, 384
_STREAM = 0x6E616E6F
"""Keeps these people apart from those of the training, which are drawn from (seed, number of the shard)."""
_SAME_BOX, _SAME_HAND = 0.5, 0.4
"""IoU from which a box counts as found."""
_READABLE = 65.0
"""Degrees of |yaw| up to which an expression is asked for."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One render: its truth, what was observed, and whose it is."""

    truth: Truth
    seen: Observation
    person: int


def observe_pixels(observer: Observer, pixels: ImageArray) -> Observation:
    """The product's observation of a picture that lies in no file."""
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return observer.observe(LoadedImage(Path("picture"), digest, pixels, "real"))


def fresh(
    count: int, seed: int, size: int = SIZE, per_person: int = PER_PERSON
) -> Iterator[tuple[ImageArray, Truth, int]]:
    """Pictures of people that no training saw, ``per_person`` of each, with their truth and the person's number."""
    rng = np.random.default_rng([seed, _STREAM])
    identity = sample_identity(rng)
    for number in range(count):
        if number % per_person == 0:
            identity = sample_identity(rng)
        drawn = render(identity, sample_scene(rng), size)
        yield drawn.image, drawn.truth, number // per_person


def measure_detectors(observer: Observer, count: int, seed: int, reporter: Reporter) -> dict[str, Any]:
    """Sections ``renders`` and ``identity``."""
    measured = []
    for number, (pixels, truth, person) in enumerate(fresh(count, seed), 1):
        measured.append(Measured(truth, observe_pixels(observer, pixels), person))
        reporter.progress("Fresh renders", number, count)
    return {"renders": {**_faces(measured), **_hands(measured), **_facets(measured)}, "identity": _identity(measured)}


def _faces(measured: Sequence[Measured]) -> dict[str, Any]:
    overlaps, turned = [], {name: list[float]() for name in ("yaw", "pitch", "roll")}
    for item in measured:
        truth, size = item.truth, item.seen.width
        wanted = Box(*truth.face_box).clipped(size, size)
        best = max(item.seen.faces, key=lambda face, wanted=wanted: face.box.iou(wanted), default=None)  # type: ignore[misc]
        overlaps.append(0.0 if best is None else best.box.iou(wanted))
        if best is not None and best.pose is not None and overlaps[-1] >= _SAME_BOX:
            for name, angles in turned.items():
                angles.append(abs(getattr(best.pose, name) - getattr(truth, name)))
    found = [o for o in overlaps if o >= _SAME_BOX]
    errors = {f"{name}_error_degrees": bootstrap_mean(values).to_json() for name, values in turned.items()}
    return {
        "face_found": share(o >= _SAME_BOX for o in overlaps),
        "one_face": share(len(item.seen.faces) == 1 for item in measured),
        "face_iou": bootstrap_mean(found).to_json(),
        **errors,
        "face_quality_passed": share((item.seen.measure("face_quality") or 0.0) >= 0.4 for item in measured),
    }


def _hands(measured: Sequence[Measured]) -> dict[str, Any]:
    hits = found = wanted = 0
    for item in measured:
        parts = [p.box for p in item.seen.parts if p.confidence >= composition.HAND_CONFIDENCE]
        boxes = [Box(*box) for box in item.truth.hand_boxes]
        hits, found, wanted = hits + matches(parts, boxes, _SAME_HAND), found + len(parts), wanted + len(boxes)
    return {
        "hands_f1": f1(hits, found, wanted),
        "hands_precision": hits / found if found else float("nan"),
        "hands_recall": hits / wanted if wanted else float("nan"),
    }


def _facets(measured: Sequence[Measured]) -> dict[str, Any]:
    shown = [(item, item.truth.scene, item.seen) for item in measured]
    readable = [(item, scene, seen) for item, scene, seen in shown if abs(scene.yaw) <= _READABLE]
    return {
        "face_angle": share(face_angle.angle_of(s.yaw) in face_angle.FACET.classify(o).present for _, s, o in shown),
        "hands_visible": share(_says(o, "hands_visible") == bool(i.truth.hand_boxes) for i, _, o in shown),
        "eyes_visible": share(_says(o, "eyes_visible") == i.truth.eyes_visible for i, _, o in shown),
        "eyes_hidden_seen": share(not _says(o, "eyes_visible") for i, _, o in shown if not i.truth.eyes_visible),
        f"expression_to_{_READABLE:.0f}_degrees": share(
            s.expression in expression.FACET.classify(o).present for _, s, o in readable
        ),
        "expression": share(s.expression in expression.FACET.classify(o).present for _, s, o in shown),
        "setting": share(s.setting in setting.FACET.classify(o).present for _, s, o in shown),
        "lighting": share(s.lighting in lighting.FACET.classify(o).present for _, s, o in shown),
        "framing": share(s.framing in framing.FACET.classify(o).present for _, s, o in shown),
    }


def _says(seen: Observation, value: str) -> bool:
    return value in composition.FACET.classify(seen).present


def _identity(measured: Sequence[Measured]) -> dict[str, Any]:
    rows = [(m.seen.embedding, m.person) for m in measured if m.seen.embedding is not None]
    vectors = np.stack([vector for vector, _ in rows]).astype(np.float64) if rows else np.zeros((0, 1))
    people = np.array([person for _, person in rows])
    similarity = vectors @ vectors.T
    upper = np.triu(np.ones_like(similarity, dtype=bool), 1)
    equal = people[:, None] == people[None] if len(rows) else upper
    same, other = similarity[upper & equal], similarity[upper & ~equal]
    area, error = auc_and_eer(same, other)
    return {"auc": area, "equal_error_rate": error, "same_person": _spread(same), "others": _spread(other)}


def _spread(values: NDArray[np.float64]) -> dict[str, Any]:
    return (
        {"mean": float(values.mean()), "std": float(values.std()), "pairs": len(values)}
        if len(values)
        else {"pairs": 0}
    )
