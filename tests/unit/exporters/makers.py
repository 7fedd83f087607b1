"""Candidates for the tests of the exporters."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.things import observation
from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.head import find_head


def landmarks(eyes: tuple[float, float], apart: float, tilt: float = 0.0) -> Any:
    """Five points of a face whose eyes are ``apart`` pixels apart, the mouth as far below them, tilted clockwise by
    degrees.
    """
    cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    upright = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1], [0.4, 1]]) * apart
    return (upright @ np.array([[cos, sin], [-sin, cos]]) + np.array(eyes)).astype(np.float32)


def face(yaw: float | None = 0.0, marks: Any = None, box: Box | None = None, pitch: float = 0.0) -> Face:
    pose = None if yaw is None else HeadPose(yaw, pitch, 0.0)
    return Face(box or Box(200, 150, 400, 400), 0.9, landmarks=marks, pose=pose)


def dataset(*items: Candidate, left_out: tuple[tuple[str, str], ...] = ()) -> Candidates:
    """A folder that holds these photos, and the ones that were left out."""
    return Candidates("alice", items, left_out, len(items) + len(left_out), "test")


def candidate(
    name: str = "a.png",
    yaw: float | None = 0.0,
    shown: str | None = "neutral",
    origin: str = "real",
    pitch: float = 0.0,
    **kwargs: Any,
) -> Candidate:
    """A good photo of 640 x 640 pixels unless told otherwise; ``shown`` = its expression."""
    expressions = {} if shown is None else {f"expression.{shown}": 0.9}
    measures = {**expressions, "eyes_open": 1.0, "face_sharpness": 100.0, **kwargs.pop("measures", {})}
    seen = observation(
        name, faces=[face(yaw, pitch=pitch, box=kwargs.pop("box", None))], measures=measures, origin=origin, **kwargs
    )
    seen = dataclasses.replace(seen, width=640, height=640)
    own = seen.faces[0]
    return Candidate(Path(name), name, seen, own, find_head(own), 1.0, None)
