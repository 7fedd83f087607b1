"""Videos through OpenCV: every picture once, with its time, the right way up; broken ones with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.hevc import heic, write_hevc
from tests.helpers.videos import lay_on_its_side, write_video
from twinloop.adapters.videos.decoder import CvVideo
from twinloop.errors import UnreadableImage
from twinloop.store.pictures.images import decode


def stripes(count: int) -> list[np.ndarray]:
    """Pictures 64 wide and 48 high, red on the left, darker from one to the next."""
    pictures = [np.full((48, 64, 3), 200 - 20 * number, np.uint8) for number in range(count)]
    for picture in pictures:
        picture[:, :16] = (255, 0, 0)
    return pictures


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
def test_every_picture_comes_with_its_time(tmp_path: Path, name: str) -> None:
    with CvVideo(write_video(tmp_path / name, stripes(8))) as video:
        assert video.seconds == pytest.approx(0.8, abs=0.11)
        times, greys = [], []
        while (second := video.advance()) is not None:
            picture = video.picture()
            assert picture is not None and picture.shape == (48, 64, 3)
            times.append(second)
            greys.append(int(picture[24, 50, 1]))
    assert times == pytest.approx([number / 10 for number in range(8)], abs=0.01)
    assert greys == pytest.approx([200 - 20 * number for number in range(8)], abs=12)
    assert picture[24, 4, 0] > 200 and picture[24, 4, 2] < 60  # RGB


def test_a_video_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", stripes(2))
    lay_on_its_side(path)
    with CvVideo(path) as video:
        video.advance()
        picture = video.picture()
    assert picture is not None and picture.shape == (64, 48, 3)
    assert picture[4, 24, 0] > 200 and picture[4, 24, 2] < 60  # what was on the left is on top
    assert abs(int(picture[60, 24, 0]) - int(picture[60, 24, 2])) < 20


FILMED = [(0.7, 0.7, 0.7), (0.58, 0.58, 0.58), (0.5, 0.4, 0.36), (0.45, 0.4, 0.38), (0.48, 0.5, 0.45), (0.4, 0.45, 0.5)]
"""Colours as a stream has them, 0..1: greys, skin in light and shade, a green and a blue. How vivid ones that sRGB
lacks are brought into it differs.
"""


@pytest.mark.slow
@pytest.mark.parametrize("primaries, transfer, matrix", [(1, 1, 1), (12, 1, 1), (9, 16, 9), (9, 18, 9), (12, 18, 9)])
def test_colours_and_hdr_of_a_film_are_those_of_a_still(
    tmp_path: Path, primaries: int, transfer: int, matrix: int
) -> None:
    """BT.709 and P3, HDR10 (PQ), and HLG as iPhones film it."""
    stripes = np.repeat(np.round(np.array(FILMED) * 65535).astype(np.uint16)[None], 16, axis=1).repeat(64, axis=0)
    still = heic(stripes, primaries, transfer, matrix)
    with CvVideo(write_hevc(tmp_path / "a.mp4", still)) as video:
        assert video.advance() is not None
        frame = video.picture()
    assert frame is not None and frame.shape == stripes.shape
    seen, wanted = (picture[32, 8::16].astype(int) for picture in (frame, decode(still)))
    assert np.abs(seen - wanted).max() <= 16
    if transfer in (16, 18):
        as_it_is_stored = np.array(FILMED) * 255
        assert np.abs(seen - as_it_is_stored).max() > 40


def test_a_file_without_its_index_is_no_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", stripes(8))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(UnreadableImage, match="damaged, cut off"):
        CvVideo(path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="no UTF-8"):
        CvVideo(tmp_path / "a\udcff.mp4")


def test_a_name_in_utf8_is_read_whatever_python_takes_names_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "höhle.mp4", stripes(8))
    code = "import sys\nfrom pathlib import Path\nfrom twinloop.adapters.videos.decoder import CvVideo\n"
    code += "with CvVideo(Path(sys.argv[1])) as video: print(sys.getfilesystemencoding(), video.seconds > 0)"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "LC_ALL": "POSIX",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONPATH": str(Path.cwd()),
        },
    )
    assert done.stdout.split()[1:] == ["True"], done.stderr
