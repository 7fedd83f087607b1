"""A YOLOv5-face checkpoint and its own ONNX export say the same; strange and hostile files are refused."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.detectors.onnx_writer import NOTES, GraphWriter
from twinloop.adapters.detectors.yolov5_face import ANCHORS, STRIDES, YoloV5Face, decode
from twinloop.adapters.detectors.yolov5_graph import convert
from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles import Inert, TensorRef
from twinloop.pickles.values import Global, StorageRef


def test_checkpoint_and_export_find_the_same_boxes(weights: Path) -> None:
    folder, photos = weights / "yolov5_face", weights.parent / "photos"
    ours, theirs = YoloV5Face(folder / "yolov5n-0.5-face.pt"), YoloV5Face(folder / "yolov5n-0.5.onnx")
    compared = 0
    ours._fixed = 640  # the export has a fixed size
    for path in (photos / "skimage/astronaut.png", *sorted((photos / "human_samples").glob("*.jpg"))):
        image = np.asarray(Image.open(path).convert("RGB"), dtype=np.uint8)
        first, second = ours.detect(image), theirs.detect(image)
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert np.abs(np.array(a.box.to_list()) - b.box.to_list()).max() < 1.0
            assert a.landmarks is not None and b.landmarks is not None
            assert np.abs(a.landmarks - b.landmarks).max() < 1.0
            compared += 1
    assert compared >= 40


def test_raw_heads_agree(weights: Path) -> None:
    folder = weights / "yolov5_face"
    image = np.random.default_rng(0).random((1, 3, 640, 640), dtype=np.float32)
    ours, theirs = YoloV5Face(folder / "yolov5n-0.5-face.pt"), YoloV5Face(folder / "yolov5n-0.5.onnx")
    first, second = (d._heads(d._model.run(image), 640) for d in (ours, theirs))
    for stride in STRIDES:
        assert np.abs(first[stride] - second[stride]).max() < 1e-4


def test_decode_follows_the_formula() -> None:
    raw = np.full((3, 2, 2, 16), -20.0, dtype=np.float32)
    raw[1, 0, 1] = 0.0
    raw[1, 0, 1, 4] = raw[1, 0, 1, 15] = 20.0
    raw[1, 0, 1, 5:7] = 0.5
    (row,) = decode({16: raw}, {16: ANCHORS[1]}, 0.5)
    # sigmoid(0) = 0.5: centre (0.5 + cell) * 16, size (2 * 0.5)^2 * anchor (43, 55); landmarks: raw * anchor + cell *
    # 16
    assert row[:4] == pytest.approx([24 - 21.5, 8 - 27.5, 24 + 21.5, 8 + 27.5])
    assert row[4] == pytest.approx(1.0)
    assert row[5:9] == pytest.approx([0.5 * 43 + 16, 0.5 * 55, 16, 0])


def zipped(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return path


@pytest.mark.parametrize("inside_a_zip", [True, False])
def test_a_malicious_pickle_in_its_place_is_refused(weights: Path, tmp_path: Path, inside_a_zip: bool) -> None:
    evil = (weights.parent / "pickles/picklescan/malicious2_v3.pkl").read_bytes()
    path = tmp_path / "yolov5l-face.pt"
    if inside_a_zip:
        zipped(path, evil)
    else:
        path.write_bytes(evil)
    with pytest.raises(
        UnsafeModelFile, match=r"yolov5l-face\.pt: this file would use posix\.system \(byte 2 .*nothing was run"
    ):
        YoloV5Face(path)


def test_weights_without_a_network(tmp_path: Path) -> None:
    path = zipped(tmp_path / "weights.pt", pickle.dumps({"state_dict": {}}, 2))
    with pytest.raises(ModelFileError, match="holds no network"):
        YoloV5Face(path)


def test_an_ultralytics_checkpoint_is_named_as_such(weights: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Ultralytics checkpoint, which has no face landmarks.*yolov5l-face\.pt"):
        YoloV5Face(weights / "ultralytics_format/emotion_cls_train_best.pt")


def test_another_onnx(weights: Path) -> None:
    with pytest.raises(ModelFileError, match="raw heads"):
        YoloV5Face(weights / "yunet/face_detection_yunet_2026may.onnx")


# -- blocks that the small checkpoint does not have: built by hand and compared with numpy
# --------------------------------


def tensor(values: np.ndarray) -> TensorRef:
    flat = np.ascontiguousarray(values).ravel()
    strides = tuple(s // values.itemsize for s in np.ascontiguousarray(values).strides)
    return TensorRef(StorageRef("0", str(values.dtype), flat.size), 0, values.shape, strides, lambda _: flat)


def module(
    kind: str, children: dict[str, Inert] | None = None, parameters: dict[str, np.ndarray] | None = None, **rest: object
) -> Inert:
    state = {
        "_modules": children or {},
        "_parameters": {k: tensor(v) for k, v in (parameters or {}).items()},
        "_buffers": {},
        **rest,
    }
    return Inert(Global("models.common", kind, 0), state=state)


def conv(weight: np.ndarray, stride: int = 1, padding: int = 0) -> Inert:
    return module(
        "Conv2d",
        None,
        {"weight": weight},
        stride=(stride, stride),
        padding=(padding, padding),
        dilation=(1, 1),
        groups=1,
    )


def plain(weight: np.ndarray) -> Inert:
    return module("Conv", {"conv": conv(weight), "act": module("ReLU")})


def head(channels: int) -> Inert:
    weight = np.zeros((48, channels, 1, 1), np.float32)
    weight[:, 0] = 1.0
    detect = module("Detect", {"m": module("ModuleList", {"0": conv(weight)})}, f=[-1], nl=1, na=3, no=16, nc=1)
    cells = (ANCHORS[:1] / 8).astype(np.float32)
    detect.state["_buffers"] = {"anchors": tensor(cells), "anchor_grid": tensor(ANCHORS[:1].reshape(1, 1, 3, 1, 1, 2))}  # type: ignore[index]
    return detect


def run(layer: Inert, channels: int, image: np.ndarray) -> np.ndarray:
    """The first channel after ``layer``, through the whole conversion."""
    layer.state["f"] = -1  # type: ignore[index]
    model = OnnxModel(
        convert(module("Model", {"model": module("Sequential", {"0": layer, "1": head(channels)})})), "test"
    )
    assert json.loads(model.texts[NOTES])["strides"] == [8]
    output = next(iter(model.run(image).values()))
    return np.asarray(output[0, 0])


IMAGE = np.random.default_rng(1).random((1, 3, 8, 8), dtype=np.float32)


def test_spp_pools_keep_the_size() -> None:
    pools = {
        str(i): module("MaxPool2d", kernel_size=k, stride=1, padding=k // 2, ceil_mode=False)
        for i, k in enumerate((3, 5, 7))
    }
    pick = np.zeros((1, 12, 1, 1), np.float32)
    pick[0, 9] = 1.0  # first channel of the 7x7 pool
    spp = module(
        "SPP",
        {
            "cv1": plain(np.eye(3, dtype=np.float32)[..., None, None]),
            "m": module("ModuleList", pools),
            "cv2": plain(pick),
        },
    )
    padded = np.pad(IMAGE[0, 0], 3, constant_values=-np.inf)
    expected = [[padded[y : y + 7, x : x + 7].max() for x in range(8)] for y in range(8)]
    assert run(spp, 1, IMAGE) == pytest.approx(np.array(expected))


def test_focus_takes_every_second_pixel() -> None:
    for index, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        pick = np.zeros((1, 12, 1, 1), np.float32)
        pick[0, 3 * index] = 1.0
        assert run(module("Focus", {"conv": plain(pick)}), 1, IMAGE) == pytest.approx(IMAGE[0, 0, row::2, column::2])


def test_bottleneck_adds_its_input() -> None:
    identity = np.eye(3, dtype=np.float32)[..., None, None]
    block = module("Bottleneck", {"cv1": plain(identity), "cv2": plain(2 * identity)}, add=True)
    assert run(block, 3, IMAGE) == pytest.approx(3 * IMAGE[0, 0])


def test_upsample_repeats_pixels() -> None:
    doubled = run(module("Upsample", mode="nearest", scale_factor=2.0), 3, IMAGE)
    assert doubled == pytest.approx(IMAGE[0, 0].repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (module("Strange"), "not known here"),
        (module("Upsample", mode="bilinear", scale_factor=2.0), "nearest"),
        (module("Conv", {}), "no part 'conv'"),
        (module("Conv2d", None, {"weight": np.zeros((1, 3), np.float32)}), "wrong shape"),
    ],
)
def test_blocks_that_cannot_be_read(layer: Inert, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        run(layer, 3, IMAGE)


def test_shared_parts_cannot_multiply_without_end() -> None:
    block = module("Identity")
    for _ in range(12):
        block = module("Sequential", {str(i): block for i in range(8)})
    with pytest.raises(ModelFileError, match="more blocks"):
        run(block, 3, IMAGE)


def test_a_part_that_contains_itself() -> None:
    loop = module("Sequential")
    loop.state["_modules"]["0"] = loop  # type: ignore[index]
    with pytest.raises(ModelFileError, match="more blocks"):
        run(loop, 3, IMAGE)


def test_the_writer_agrees_with_the_onnx_package() -> None:
    onnx = pytest.importorskip("onnx")
    graph = GraphWriter()
    out = graph.one("Conv", ["image", graph.weight(np.ones((2, 3, 1, 1), np.float32))], kernel_shape=[1, 1])
    onnx.checker.check_model(onnx.load_model_from_string(graph.finish("test", "image", [out])), full_check=True)
