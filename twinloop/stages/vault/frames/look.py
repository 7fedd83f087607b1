"""Looking through one video, and taking the chosen frames out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from twinloop.domain.faces import Box, ImageArray
from twinloop.domain.vault import VaultFace
from twinloop.domain.video import FaceInFrame, SeenFrame, SeenVideo, VideoTask
from twinloop.errors import UnreadableImage
from twinloop.ports import DetectorPack, FrameDesk, Video
from twinloop.stages import pixels
from twinloop.stages.vault.find_faces import FaceFinder
from twinloop.stages.vault.measure import DETECT_SIDE, MEASURE_SIDE, shrunk
from twinloop.store.pictures.photo_file import Pixels, scale_for
from twinloop.store.pictures.videos import check_video, frame_jpeg

LOOKS = 4
"""So many frames of a stretch are decoded and compared; the sharpest stands for it."""
LOOKING = 0.8
"""Share of the time for looking; the rest is for taking."""
_ROOM = 0.4
"""Around the box of a face, for the hash: a head that turns changes its outline, too."""


@dataclass(frozen=True, eq=False)
class _Glance:
    """A decoded frame before anything is looked for in it."""

    index: int
    second: float
    image: ImageArray
    sharpness: float


class FrameWork:
    """Takes pictures out of videos, one video after the other.

    Args:
        pack: detectors; None = the sharpest frames, whatever they show. min_face: as in `FaceFinder`.
        open_video: raises UnreadableImage.
    """

    def __init__(self, pack: DetectorPack | None, min_face: int, open_video: Callable[[Path], Video]) -> None:
        self.notes: tuple[str, ...] = () if pack is None else tuple(pack.missing)
        # who it is, and what the hands do, is asked by the scan
        self._finder = None if pack is None else FaceFinder(replace(pack, embedder=None, parts=(), slow=()), min_face)
        self._open = open_video

    def take(self, task: VideoTask, desk: FrameDesk) -> None:
        """Look, ask which frames are wanted, and hand them in.

        Raises:
            UnreadableImage: with the reason.
        """
        check_video(task.path)
        chosen = task.chosen
        if chosen is None:
            with self._open(task.path) as video:
                chosen = desk.choose(task, self._look(video, task, desk))
        if not chosen:
            return
        with self._open(task.path) as video:
            self._hand_in(video, task, frozenset(chosen), desk)

    def _look(self, video: Video, task: VideoTask, desk: FrameDesk) -> SeenVideo:
        frames, without, last = [], 0, 0.0
        for stretch in _stretches(video, task.per_second):
            best = self._best(stretch)
            last = _end(stretch[-1])
            if best is None:
                without += 1
            else:
                frames.append(best)
            desk.progress(task, LOOKING * _share(last, video.seconds))
        if not frames and not without:
            raise UnreadableImage("holds no picture that can be decoded")
        return SeenVideo(tuple(frames), without, last, video.seconds)

    def _best(self, stretch: list[_Glance]) -> SeenFrame | None:
        """The sharpest frame of a stretch that shows a face; None where none does."""
        sharpest = sorted(stretch, key=lambda glance: -glance.sharpness)
        if self._finder is None:
            best = sharpest[0]
            return SeenFrame(best.index, best.second, best.sharpness, pixels.perceptual_hash(best.image))
        found = ((glance, self._face(glance.image)) for glance in sharpest)
        glance, face = next(((one, seen) for one, seen in found if seen is not None), (None, None))
        if glance is None or face is None:
            return None
        box = face.face.box  # within a stretch a head moves little: the picture may be sharp, and the head blurred
        clearest = max(stretch, key=lambda one: _sharpness_in(one.image, box))
        if clearest is not glance and (again := self._face(clearest.image)) is not None:
            glance, face = clearest, again
        return SeenFrame(
            glance.index,
            glance.second,
            glance.sharpness,
            pixels.perceptual_hash(_cut(glance.image, face.face.box.expanded(_ROOM))),
            FaceInFrame(face.quality, face.face.pose, dict(face.measures)),
        )

    def _face(self, image: ImageArray) -> VaultFace | None:
        """The main face."""
        if self._finder is None:
            return None
        height, width = image.shape[:2]
        scale = scale_for(max(height, width), DETECT_SIDE)
        small = image if scale == 1 else np.asarray(Image.fromarray(image).reduce(scale), np.uint8)
        faces, _ = self._finder.find(Pixels(small, width, height, None, lambda: image))
        return faces[0] if faces else None

    def _hand_in(self, video: Video, task: VideoTask, chosen: frozenset[int], desk: FrameDesk) -> None:
        left = set(chosen)
        for index, second in enumerate(_seconds(video)):
            if index not in left:
                continue
            picture = video.picture()
            if picture is not None:
                desk.keep(task, index, frame_jpeg(picture, task.taken + second))
                left.remove(index)
                desk.progress(task, LOOKING + (1 - LOOKING) * (1 - len(left) / len(chosen)))
            if not left:
                return
        if left:
            raise UnreadableImage(f"could not be read a second time as far as the first: {len(left)} pictures missing")


def _seconds(video: Video) -> Iterator[float]:
    while (second := video.advance()) is not None:
        yield second


def _stretches(video: Video, per_second: float) -> Iterator[list[_Glance]]:
    """The video in stretches of 1 / ``per_second`` seconds: a few decoded frames of each."""
    held: list[_Glance] = []
    number, due = 0, 0.0
    for index, second in enumerate(_seconds(video)):
        if int(second * per_second) != number:
            if held:
                yield held
            held, number, due = [], int(second * per_second), second
        if second < due or len(held) == LOOKS:
            continue
        picture = video.picture()
        if picture is not None:
            held.append(_Glance(index, second, picture, _sharpness(picture)))
            due = second + 1 / (per_second * LOOKS) - 1e-3  # containers round times to milliseconds
    if held:
        yield held


def _end(last: _Glance) -> float:
    """Where a frame ends, if it lasts as long as those before it."""
    return last.second * (last.index + 1) / last.index if last.index else last.second


def _share(second: float, seconds: float) -> float:
    return min(1.0, second / seconds) if seconds else 0.0


def _sharpness(image: ImageArray) -> float:
    small = shrunk(Image.fromarray(image).convert("L"), MEASURE_SIDE)
    return pixels.grey_measures(np.asarray(small, np.float32))["sharpness"]


def _sharpness_in(image: ImageArray, box: Box) -> float:
    return pixels.face_measures(image, box).get("face_sharpness", 0.0)


def _cut(image: ImageArray, box: Box) -> ImageArray:
    inside = box.clipped(image.shape[1], image.shape[0])
    part = image[int(inside.y0) : int(np.ceil(inside.y1)), int(inside.x0) : int(np.ceil(inside.x1))]
    return part if part.size else image
