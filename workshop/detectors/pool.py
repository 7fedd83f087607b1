"""The pictures that the detectors learn from: renders with their truths, reconstructions of them, and labelled
generated faces.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workshop import render
from workshop.detectors.worn import for_training, read_faces

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture (size, size, 3) and its truth as it lies in a shard.

    Attributes:
        person: number of the person, the same in all pictures of that person.
        fault: of the latents that the picture was decoded from (see `decoded`); 0 for a render.
    """

    image: Pixels
    truth: dict[str, Any]
    person: int
    fault: float = 0.0


@dataclass(frozen=True, eq=False)
class Labelled:
    """One generated picture, its face box, and whether the face was called whole by eye."""

    image: Pixels
    box: tuple[float, float, float, float]
    whole: bool


WORN = 0.8
"""Share of the labelled faces that the base drew while it wore a LoRA."""
WORST, RUINED = 0.5, 0.9
"""Fault up to which a decoded picture still shows what its render showed, and from which its face counts as smeared."""


class Pool:
    """All pictures, in memory.

    Args:
        folder: of shards, which are only read.
        further: a folder that the steps ``decoded`` and ``generated`` filled.
        share: of the draws that are decoded pictures, when there are any.
        judged: of the face crops that are labelled faces, when there are any.
    """

    def __init__(self, folder: Path, further: Path, share: float = 0.35, judged: float = 0.18) -> None:
        images, truths = render.load(folder)
        self.renders = [
            Shown(i, t, n // render.PER_PERSON) for n, (i, t) in enumerate(zip(images, truths, strict=True))
        ]
        decoded = _decoded(further, self.renders)
        self.decoded = [shown for shown in decoded if shown.fault <= WORST]
        self.ruined = [shown for shown in decoded if shown.fault >= RUINED]
        self.labelled = _labelled(further)
        worn = for_training(read_faces())
        self.worn = [Labelled(face.tile, face.box, bool(face.whole)) for face in worn]
        self.share, self.judged, self.people = share, judged, self.renders[-1].person + 1

    def draw(self, rng: np.random.Generator) -> Shown:
        """A random picture that shows what its truth says."""
        source = self.decoded if self.decoded and rng.random() < self.share else self.renders
        return source[int(rng.integers(len(source)))]

    def draw_ruined(self, rng: np.random.Generator) -> Shown | None:
        """A decoded picture whose face is smeared, when there is one."""
        return self.ruined[int(rng.integers(len(self.ruined)))] if self.ruined else None

    def draw_labelled(self, rng: np.random.Generator) -> Labelled | None:
        """A generated picture; whole and smeared ones equally often."""
        source = self.worn if rng.random() < WORN else self.labelled or self.worn
        wanted = bool(rng.random() < 0.5)
        found = [item for item in source if item.whole == wanted] or source
        return found[int(rng.integers(len(found)))] if found else None


def _decoded(folder: Path, renders: Sequence[Shown]) -> list[Shown]:
    found = []
    for path in sorted(folder.glob("decoded_*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            images, sources, faults = stored["images"], stored["sources"], stored["faults"]
        for image, source, fault in zip(images, sources, faults, strict=True):
            if source < len(renders):
                found.append(Shown(image, renders[source].truth, renders[source].person, float(fault)))
    return found


def _labelled(folder: Path) -> list[Labelled]:
    found = []
    for path in sorted(folder.glob("generated_*.npz")):
        labels = json.loads(path.with_suffix(".json").read_text())
        with np.load(path, allow_pickle=False) as stored:
            images, boxes = stored["images"], stored["boxes"]
        for image, box, label in zip(images, boxes, labels, strict=True):
            if label is not None:
                found.append(Labelled(image, tuple(box.tolist()), bool(label)))
    return found


def flipped(shown: Shown) -> Shown:
    """The mirror image; left and right of the truth change places."""
    size, old = shown.image.shape[1], shown.truth
    order = (1, 0, 2, 4, 3)
    truth = dict(
        old,
        face_box=_flip(old["face_box"], size),
        landmarks=[[size - old["landmarks"][i][0], old["landmarks"][i][1]] for i in order],
        landmarks_visible=[old["landmarks_visible"][i] for i in order],
        yaw=-old["yaw"],
        roll=-old["roll"],
        hand_boxes=[_flip(box, size) for box in old["hand_boxes"]],
        eye_boxes=[_flip(box, size) for box in old["eye_boxes"]],
    )
    return Shown(np.ascontiguousarray(shown.image[:, ::-1]), truth, shown.person, shown.fault)


def _flip(box: Sequence[float], size: int) -> list[float]:
    return [size - box[2], box[1], size - box[0], box[3]]
