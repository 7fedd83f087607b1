"""Face detail: a face that is small in its picture is cut out, enlarged, drawn over by the same model and LoRA, and
pasted back.

A model draws a face of few pixels badly that it draws well in a close-up; the dataset's images are better for it. What
measures a LoRA (panel, checkpoints, samples) goes without: there the LoRA's own faces count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from twinloop.checks.base import Check, CheckLimits
from twinloop.checks.face import FaceQuality, faces_that_count
from twinloop.checks.target import OnTarget
from twinloop.domain.faces import ImageArray
from twinloop.domain.patches import Patch, patch_around
from twinloop.domain.shots import Shot, derive_seed
from twinloop.domain.verdicts import Outcome
from twinloop.ports import GenerationSettings, Generator
from twinloop.stages.early import results_of
from twinloop.stages.observe import Observer

DECISIVE: tuple[Check, ...] = (FaceQuality(), OnTarget())
"""Whose answers make redrawing a waste. What they cannot tell is no reason against it."""
MARGIN = 1.7
"""Side of the cut as a multiple of the face box: the face then fills as much of it as of a close-up (docs/log.md)."""
STEP = 64
"""Pixels; every base model makes sizes that are multiples of it."""

Made = tuple[Shot, ImageArray]


@dataclass(frozen=True)
class FaceDetail:
    """Which faces are redrawn, and how much.

    Attributes:
        strength: 0..1, how much of a face is drawn anew. below: height of the face box as a share of the picture's,
            under which it is.
        observer: whose detectors look at them. limits: those of the checks: a face of enough quality stays as it is.
        margin: side of the cut over the longer side of the face box.
    """

    strength: float
    below: float
    observer: Observer
    limits: CheckLimits
    margin: float = MARGIN

    def to_json(self) -> dict[str, Any]:
        """Under ``settings`` of generation_metadata.json."""
        return {"face_detail": self.strength, "face_detail_below": self.below}

    def redrawn(self, made: Sequence[Made], generator: Generator, settings: GenerationSettings) -> list[Redrawn]:
        """All pictures in order, those with one small face with that face redrawn.

        Args:
            made: shots and their finished pictures (uint8 HxWx3 RGB). generator: wears the LoRA that made them.
        """
        wanted = drawn_over(settings, self.strength)
        patches = {shot.key: self._patch(shot, pixels, wanted.width) for shot, pixels in made}
        faces = [
            (face_shot(shot), _scaled(patch.cut(pixels), wanted.width))
            for shot, pixels in made
            if (patch := patches[shot.key]) is not None
        ]
        copies = {shot.key: pixels for shot, pixels in generator.redraw(faces, wanted)} if faces else {}
        return [self._pasted(shot, pixels, patches[shot.key], copies.get(shot.key)) for shot, pixels in made]

    def _patch(self, shot: Shot, pixels: ImageArray, enlarged: int) -> Patch | None:
        """Where the picture's face is redrawn; None = not at all: none or several, not small, or nothing to gain."""
        height, width = pixels.shape[:2]
        found = faces_that_count(self.observer.faces(pixels))
        if not shot.face_prompt or len(found) != 1 or found[0].box.height >= self.below * height:
            return None
        patch = patch_around(found[0].box, width, height, self.margin)
        return patch if patch.side < enlarged and self._is_worth_it(shot, pixels) else None

    def _is_worth_it(self, shot: Shot, pixels: ImageArray) -> bool:
        """Whether a better face can get the image approved: it cannot where the face is good already, or something else
        was asked for.
        """
        results = results_of(shot, pixels, self.observer, self.limits, DECISIVE)
        said = {result.name: result.outcome for result in results}
        return said.get("face_quality") is not Outcome.APPROVED and said.get("on_target") is not Outcome.REJECTED

    def _pasted(self, shot: Shot, pixels: ImageArray, patch: Patch | None, copy: ImageArray | None) -> Redrawn:
        if patch is None or copy is None:
            return Redrawn(shot, pixels, None)
        return Redrawn(shot, patch.pasted(pixels, _scaled(copy, patch.side)), self._record(shot, patch))

    def _record(self, shot: Shot, patch: Patch) -> dict[str, Any]:
        box = [patch.left, patch.top, patch.left + patch.side, patch.top + patch.side]
        return {"strength": self.strength, "box": box, "seed": face_shot(shot).seed}


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A picture after the pass. ``record``: what was redrawn of it, for the metadata; None = nothing."""

    shot: Shot
    pixels: ImageArray
    record: Mapping[str, Any] | None


def face_shot(shot: Shot) -> Shot:
    """The shot of a shot's face alone, with a seed of its own."""
    return replace(
        shot, prompt=shot.face_prompt, seed=derive_seed(shot.seed, "face detail"), source=None, references=()
    )


def drawn_over(settings: GenerationSettings, strength: float) -> GenerationSettings:
    """The same settings for a square of about the same area, of which ``strength`` is drawn anew."""
    side = max(STEP, round((settings.width * settings.height) ** 0.5 / STEP) * STEP)
    return replace(settings, width=side, height=side, strength=strength)


def _scaled(pixels: ImageArray, side: int) -> ImageArray:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS), np.uint8)
