"""Segmentation networks of every published form, on stand-ins that mark what is red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.segmenter_files import grey_onnx, red_onnx, red_tflite
from tests.unit.adapters.detectors.onnx_files import small_onnx
from twinloop.adapters.segmenters.networks import Segmenter
from twinloop.domain.faces import FloatArray, ImageArray
from twinloop.domain.segmenters import BIREFNET, ISNET, ISNET_ANIME, MODNET, SELFIE, U2NET
from twinloop.errors import InputError, MaskFailed, ModelFileError

FILES = {
    "u2net_human_seg.onnx": red_onnx(U2NET, outputs=7),
    "silueta.onnx": red_onnx(U2NET, ("w", "h")),
    "isnet-general-use.onnx": red_onnx(ISNET),
    "isnet-anime.onnx": red_onnx(ISNET_ANIME),
    "BiRefNet-portrait-epoch_150.onnx": red_onnx(BIREFNET),
    "modnet.onnx": red_onnx(MODNET, ("width", "height")),
    "modnet_512.onnx": red_onnx(MODNET, (512, 512)),
    "selfie_segmentation.onnx": red_onnx(SELFIE, colours_first=False),
    "selfie_segmentation.tflite": red_tflite(),
    "selfie_segmentation_landscape.tflite": red_tflite(256, 144),
}
HEIGHT, WIDTH = 240, 160


def picture() -> ImageArray:
    """A red square, its upper left corner at a quarter of both sides, on green; nothing of it is brighter than 200."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 1] = 90
    pixels[60:120, 40:80] = (200, 20, 10)
    return pixels


def at(found: FloatArray, x: float, y: float) -> float:
    """What is said of a place, by shares of both sides."""
    return float(found[int(y * found.shape[0]), int(x * found.shape[1])])


@pytest.mark.parametrize("name", FILES)
def test_the_red_square_is_where_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    network = Segmenter(path)
    found = network.segment(picture())
    assert found.dtype == np.float32 and found.min() >= 0.0 and found.max() <= 1.0
    for x, y in ((0.28, 0.28), (0.47, 0.47), (0.28, 0.47)):
        assert at(found, x, y) > 0.9
    for x, y in ((0.22, 0.3), (0.3, 0.22), (0.54, 0.4), (0.4, 0.54), (0.01, 0.01), (0.99, 0.99)):
        assert at(found, x, y) < 0.1
    assert network.fingerprint == Segmenter(path).fingerprint


def test_another_file_is_another_fingerprint(tmp_path: Path) -> None:
    prints = set()
    for name in ("u2net.onnx", "u2netp.onnx", "isnet.onnx"):
        (tmp_path / name).write_bytes(FILES["silueta.onnx" if name == "u2netp.onnx" else "u2net_human_seg.onnx"])
        prints.add(Segmenter(tmp_path / name).fingerprint)
    assert len(prints) == 3, "the same bytes, too, where they are read as another kind"


def test_files_that_are_none(tmp_path: Path) -> None:
    def refused(name: str, data: bytes, says: str) -> None:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelFileError, match=says):
            Segmenter(tmp_path / name).segment(picture())

    whole = FILES["u2net_human_seg.onnx"]
    refused("u2net.onnx", whole[: len(whole) - 40], "cut short")
    refused("u2net.onnx", b"<!DOCTYPE html><html>", "web page")
    refused("u2net.onnx", small_onnx(), "answers 1x3x320x320 for a picture of 320 x 320, and not one map of it")
    refused("modnet.onnx", FILES["selfie_segmentation.tflite"], "expected onnx, found TFLite")
    refused("selfie_segmenter.tflite", red_tflite()[:500], "OpenCV cannot read it")
    refused("selfie_segmenter.tflite", FILES["modnet.onnx"], "expected TFLite, found onnx")


def test_a_network_of_other_pictures_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "u2net.onnx").write_bytes(grey_onnx())
    with pytest.raises(ModelFileError, match="its input is not one picture of 3 colours"):
        Segmenter(tmp_path / "u2net.onnx")
    (tmp_path / "u2net.onnx").write_bytes(red_onnx(U2NET, maps=4))
    with pytest.raises(ModelFileError, match="its answer is not one map, but 4"):
        Segmenter(tmp_path / "u2net.onnx")


def test_a_network_that_breaks_down_fails_on_the_picture_alone(tmp_path: Path) -> None:
    (tmp_path / "isnet.onnx").write_bytes(red_onnx(ISNET, broken=float("nan")))
    with pytest.raises(MaskFailed, match="no number"):
        Segmenter(tmp_path / "isnet.onnx").segment(picture())


def test_a_name_that_says_nothing_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(FILES["u2net_human_seg.onnx"])
    with pytest.raises(InputError, match=r"no segmentation network goes by this name\. Known are selfie_segmentation"):
        Segmenter(tmp_path / "mine.onnx")
    with pytest.raises(InputError, match="no such file"):
        Segmenter(tmp_path / "u2net.onnx")
