"""Face embedders of several makers. Their weights are not here: small files of the same form stand for them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.adapters.detectors.onnx_files import embedder_onnx, small_onnx
from twinloop.adapters.embedders.aligned_face import AlignedFaceEmbedder, aligned, tensor_of
from twinloop.domain import embedders
from twinloop.domain.embedders import ARCFACE, EMBEDDERS, MOBILEFACENET, SFACE, embedder_of
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.domain.known_models import KNOWN_MODELS
from twinloop.errors import ModelFileError

LANDMARKS = np.array([[42, 60], [78, 55], [62, 80], [48, 100], [80, 96]], np.float32)
FACE = Face(Box(25, 25, 100, 125), 0.9, LANDMARKS)
NAMES = {
    "w600k_r50.onnx": ARCFACE,
    "glintr100.onnx": ARCFACE,
    "w600k_mbf.onnx": ARCFACE,
    "buffalo_l-w600k_r50.onnx": ARCFACE,
    "face_recognition_sface_2021dec.onnx": SFACE,
    "sface.onnx": SFACE,
    "MobileFaceNet.onnx": MOBILEFACENET,
    "mobile_facenet.onnx": MOBILEFACENET,
    "det_10g.onnx": None,
    "genderage.onnx": None,
    "surface.onnx": None,
}


@pytest.fixture
def picture() -> ImageArray:
    return np.random.default_rng(3).integers(0, 256, (150, 130, 3), dtype=np.uint8)


def written(folder: Path, name: str, dimensions: int = 512, size: int = 112, seed: int = 0) -> Path:
    path = folder / name
    path.write_bytes(embedder_onnx(dimensions, size, seed))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_file_is_by_its_name(name: str) -> None:
    assert embedder_of(name) is NAMES[name]


def test_content_goes_before_the_name() -> None:
    """InsightFace's small net is a MobileFaceNet, and lies around under that name; it wants other pixels."""
    (small,) = (model for model in KNOWN_MODELS if model.name == "w600k_mbf.onnx")
    assert embedder_of("mobile_facenet.onnx", small.sha256) is ARCFACE
    assert embedder_of("mobile_facenet.onnx", "0" * 64) is MOBILEFACENET


def test_every_known_file_of_identity_is_of_a_known_kind() -> None:
    known = [model for model in KNOWN_MODELS if model.role == "identity"]
    kinds = {model.name: embedder_of(model.name) for model in known}
    assert set(kinds.values()) == set(EMBEDDERS)
    fetched = {model.name for model in known if model.url is not None}
    assert {name for name, kind in kinds.items() if kind is not None and kind.notice}.isdisjoint(fetched)


def test_sface_sees_what_opencv_shows_it(tmp_path: Path, picture: ImageArray) -> None:
    path = written(tmp_path, "face_recognition_sface_2021dec.onnx", SFACE.dimensions or 0)
    theirs = cv2.FaceRecognizerSF.create(str(path), "")
    row = np.concatenate([[25, 25, 75, 100], LANDMARKS.ravel(), [0.9]]).astype(np.float32)[None]
    vector = theirs.feature(theirs.alignCrop(picture[:, :, ::-1].copy(), row)).ravel()
    ours = AlignedFaceEmbedder(path).embed(picture, FACE)
    assert ours is not None and float(ours @ vector / np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)


def test_arcface_sees_what_insightface_shows_it(picture: ImageArray) -> None:
    crop = aligned(picture, FACE)
    theirs = cv2.dnn.blobFromImages(
        [crop[:, :, ::-1].copy()], 1.0 / 127.5, (112, 112), (127.5, 127.5, 127.5), swapRB=True
    )
    np.testing.assert_allclose(tensor_of(crop, ARCFACE), theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "dimensions", "key"),
    [
        ("w600k_r50.onnx", 512, "arcface2-"),
        ("face_recognition_sface_2021dec.onnx", 128, "sface2-"),
        ("MobileFaceNet.onnx", 128, "mobilefacenet2-"),
    ],
)
def test_a_unit_vector_of_its_own_length(
    tmp_path: Path, picture: ImageArray, name: str, dimensions: int, key: str
) -> None:
    embedder = AlignedFaceEmbedder(written(tmp_path, name, dimensions))
    vector = embedder.embed(picture, FACE)
    assert vector is not None and vector.shape == (dimensions,) and vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    assert embedder.fingerprint.startswith(key), "catalogues are kept by it"
    assert embedder.embed(picture, Face(Box(1, 1, 6, 6), 0.9)) is None


def test_one_content_read_as_two_kinds_is_two_rulers(tmp_path: Path) -> None:
    arcface = AlignedFaceEmbedder(written(tmp_path, "w600k_r50.onnx"))
    other = AlignedFaceEmbedder(written(tmp_path, "mobilefacenet.onnx"))
    assert arcface.fingerprint != other.fingerprint
    assert arcface.fingerprint.split("-")[1] == other.fingerprint.split("-")[1]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("w600k_r50.onnx", embedder_onnx(128), "its vectors have 128 numbers, expected 512"),
        ("face_recognition_sface.onnx", embedder_onnx(512), "its vectors have 512 numbers, expected 128"),
        ("glintr100.onnx", embedder_onnx(512, 160), "its input is 1x3x160x160, expected Nx3x112x112"),
        ("det_10g.onnx", small_onnx(), "no face embedder is known by this name"),
    ],
)
def test_another_network_is_refused(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelFileError, match=why):
        AlignedFaceEmbedder(tmp_path / name)


def test_the_best_file_of_all_comes_first() -> None:
    names = [
        "w600k_mbf.onnx",
        "glintr100.onnx",
        "sface_int8.onnx",
        "w600k_r50.onnx",
        "sface.onnx",
        "MobileFaceNet.onnx",
    ]
    assert sorted(names, key=embedders.preference) == [
        "MobileFaceNet.onnx", "sface.onnx", "sface_int8.onnx", "w600k_r50.onnx", "glintr100.onnx", "w600k_mbf.onnx",
    ]  # fmt: skip


def test_mobilefacenet_sees_what_torchvision_shows_it(picture: ImageArray) -> None:
    """ImageNet's means and deviations are written red, green, blue."""
    crop = aligned(picture, FACE)
    mean, std = (np.array(row, np.float32)[:, None, None] for row in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    theirs = ((crop.transpose(2, 0, 1).astype(np.float32) / 255 - mean) / std)[None]
    np.testing.assert_allclose(tensor_of(crop, MOBILEFACENET), theirs, atol=1e-5)


def test_a_narrow_face_is_too_small(tmp_path: Path, picture: ImageArray) -> None:
    embedder = AlignedFaceEmbedder(written(tmp_path, "sface.onnx", 128))
    assert embedder.embed(picture, Face(Box(20, 20, 35, 90), 0.9)) is None
    assert embedder.embed(picture, Face(Box(20, 20, 36, 90), 0.9)) is not None


def test_another_content_is_another_ruler(tmp_path: Path) -> None:
    first = AlignedFaceEmbedder(written(tmp_path, "w600k_r50.onnx", seed=0)).fingerprint
    assert AlignedFaceEmbedder(written(tmp_path, "w600k_r50.onnx", seed=1)).fingerprint != first


def larger(picture: ImageArray, times: int) -> tuple[ImageArray, Face]:
    """The picture with each pixel ``times`` x ``times`` times, and the face in it."""
    landmarks = ((LANDMARKS + 0.5) * times - 0.5).astype(np.float32)
    box = Box(*(times * side for side in (25, 25, 100, 125)))
    return picture.repeat(times, 0).repeat(times, 1), Face(box, 0.9, landmarks)


@pytest.mark.parametrize("times", [2, 3, 5, 8])
def test_a_large_face_is_cut_where_a_small_one_is(picture: ImageArray, times: int) -> None:
    smooth = cv2.GaussianBlur(picture, (0, 0), 3)
    difference = aligned(*larger(smooth, times)).astype(int) - aligned(smooth, FACE)
    assert np.abs(difference).mean() < 0.6


def test_the_noise_of_a_large_face_is_averaged_away(picture: ImageArray) -> None:
    smooth = cv2.GaussianBlur(picture, (0, 0), 5)
    large, face = larger(smooth, 8)
    noise = np.random.default_rng(0).normal(0, 40, large.shape)
    noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
    assert np.abs(aligned(noisy, face).astype(int) - aligned(smooth, FACE)).mean() < 8  # 40 / 8, and what a warp adds


def test_a_large_face_at_the_edge_is_black_beyond_it(picture: ImageArray) -> None:
    small, (large, face) = aligned(picture[:, 40:], shifted(FACE, 40)), larger(picture, 4)
    crop = aligned(large[:, 160:], shifted(face, 160))
    assert (small[56, :8] == 0).all() and (crop[56, :8] == 0).all()
    assert np.abs(crop.astype(int) - small).mean() < 12


def test_landmarks_that_are_one_point_or_far_outside_stop_nothing(picture: ImageArray) -> None:
    for landmarks in (np.full((5, 2), 60.0), LANDMARKS * 50 + 9000, LANDMARKS * 50 - 20000):
        assert aligned(picture, Face(FACE.box, 0.9, landmarks.astype(np.float32))).shape == (112, 112, 3)


def shifted(face: Face, left: float) -> Face:
    box, landmarks = face.box, face.landmarks
    assert landmarks is not None
    return Face(Box(box.x0 - left, box.y0, box.x1 - left, box.y1), 0.9, landmarks - np.float32([left, 0]))
