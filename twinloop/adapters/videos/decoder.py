"""Videos through OpenCV, which reads them with FFmpeg."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from twinloop.domain.faces import ImageArray
from twinloop.errors import UnreadableImage

_THREADS = 4
"""Of one decoder: more of them hold more pictures at a time, and memory is limited."""


class CvVideo:
    """A video file. Pictures come turned as its container says: phones film lying on their side.

    Raises:
        UnreadableImage: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            # OpenCV hands a name on as UTF-8, whatever Python takes names for, and crashes on one that is none
            name = os.fsencode(os.path.abspath(path)).decode("utf-8")
        except UnicodeDecodeError:
            raise UnreadableImage("has a name that is no UTF-8: rename it") from None
        try:
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, (cv2.CAP_PROP_N_THREADS, _THREADS))
            opened = self._capture.isOpened()
        except cv2.error as error:
            raise UnreadableImage(f"cannot be opened as a video: {error}") from error
        if not opened:
            raise UnreadableImage("is damaged, cut off, or made with a codec that this OpenCV does not decode")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._rate = self._number(cv2.CAP_PROP_FPS)
        self.seconds = self._number(cv2.CAP_PROP_FRAME_COUNT) / self._rate if self._rate else 0.0
        self._index, self._second = -1, 0.0

    def __enter__(self) -> CvVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()

    def advance(self) -> float | None:
        try:
            if not self._capture.grab():
                return None
        except cv2.error:
            return None
        self._index += 1
        # containers without times say 0 for every frame
        second = self._number(cv2.CAP_PROP_POS_MSEC) / 1000 or (self._index / self._rate if self._rate else 0.0)
        self._second = max(self._second, second)
        return self._second

    def picture(self) -> ImageArray | None:
        try:
            readable, picture = self._capture.retrieve()
            if not readable:
                return None
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        except cv2.error:
            return None

    def _number(self, what: int) -> float:
        value = float(self._capture.get(what))
        return value if 0 < value < float("inf") else 0.0
