"""Videos, and the pictures that are taken out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twinloop.domain.faces import HeadPose


@dataclass(frozen=True)
class VideoTask:
    """One video to take pictures out of.

    Attributes:
        sha256: of the file. taken: when its first picture was taken, seconds since 1970.
        per_second: so many pictures of a second are looked at closely.
        chosen: numbers of the frames to write, where they were chosen before; None = look first.
    """

    path: Path
    sha256: str
    taken: float
    per_second: float
    chosen: tuple[int, ...] | None = None


@dataclass(frozen=True)
class FaceInFrame:
    """The main face of a frame. ``quality`` and ``measures`` as in `VaultFace`; ``pose``: None = not measured."""

    quality: float
    pose: HeadPose | None
    measures: Mapping[str, float]


@dataclass(frozen=True)
class SeenFrame:
    """A frame that was looked at closely: the best of its short stretch of the video.

    Attributes:
        index: its number in the video, from 0. second: its place in time.
        sharpness: Laplacian variance of the whole picture at 480 pixels.
        phash: perceptual hash of the face with its surroundings, of the whole picture where there is no face.
    """

    index: int
    second: float
    sharpness: float
    phash: str
    face: FaceInFrame | None = None


@dataclass(frozen=True)
class SeenVideo:
    """What was seen of a video.

    Attributes:
        frames: in the order of time. without_face: stretches that were left out because no face was found in them.
        seconds: how far its pictures could be read. stated: how long it says it is; 0 = it does not say.
    """

    frames: tuple[SeenFrame, ...]
    without_face: int
    seconds: float
    stated: float
