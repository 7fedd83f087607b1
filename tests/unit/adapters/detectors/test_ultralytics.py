"""Ultralytics checkpoints run without that package and without torch, and give what the network itself gives."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinloop.adapters.detectors import checkpoints
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.detectors.part_classes import exported_names, part_classes
from twinloop.adapters.detectors.ultralytics_graph import convert
from twinloop.adapters.detectors.yolov8 import YoloV8Parts, decode, decode_head
from twinloop.errors import ModelFileError, UnsafeModelFile
from twinloop.pickles import Inert, TensorRef
from twinloop.pickles.values import Global, StorageRef

pytest.importorskip("torch")
from tests.helpers import ultralytics_files as ultra
from tests.unit.pickles.files import walk

IMAGE = np.random.default_rng(3).random((1, 3, 96, 128), dtype=np.float32)


def ours(path: Path, kind: str = "hand", classes: tuple[int, ...] | None = None) -> np.ndarray:
    """Every cell, in the order and form of `ultra.reference`, for one class at a time."""
    detector = YoloV8Parts(path, kind)
    net = detector._net
    count = len(net.names)
    found = []
    for index in range(count) if classes is None else classes:
        net._classes = (index,)
        boxes, scores = net.candidates(net.model.run(IMAGE), -1.0)
        found.append((boxes, scores))
    boxes = found[0][0]
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([center.T, size.T, [scores for _, scores in found]])


@pytest.mark.parametrize("layout", ["8", "9", "10", "11"])
def test_boxes_and_scores_are_those_of_the_network(layout: str, tmp_path: Path) -> None:
    net = ultra.network(layout, ["hand", "other"])
    ultra.write_checkpoint(tmp_path / "hand_yolo.pt", net)
    wanted = ultra.reference(ultra.rounded(net), IMAGE)
    found = ours(tmp_path / "hand_yolo.pt")
    assert found.shape == wanted.shape == (6, 12 * 16 + 6 * 8 + 3 * 4)
    assert np.ptp(wanted[4]) > 0.5 and np.ptp(wanted[2:4]) > 30
    assert np.abs(found - wanted).max() < 1e-3


def test_fused_and_full_precision(tmp_path: Path) -> None:
    net = ultra.network("11", ["hand"])
    wanted = ultra.reference(net, IMAGE)
    for part in net.modules():
        if isinstance(part, ultra.Conv):
            part.fuse()
    ultra.write_checkpoint(tmp_path / "hand_yolo.pt", net, half=False)
    assert np.abs(ours(tmp_path / "hand_yolo.pt") - wanted).max() < 1e-3


def test_the_averaged_network_is_preferred(tmp_path: Path) -> None:
    raw, averaged = ultra.network("8", ["hand"], seed=1), ultra.network("8", ["hand"], seed=2)
    ultra.write_checkpoint(tmp_path / "hand_yolo.pt", raw, ema=averaged)
    found = ours(tmp_path / "hand_yolo.pt")
    assert np.abs(found - ultra.reference(ultra.rounded(averaged), IMAGE)).max() < 1e-3
    assert np.abs(found - ultra.reference(ultra.rounded(raw), IMAGE)).max() > 1


def test_one_distance_per_side_instead_of_a_distribution(tmp_path: Path) -> None:
    net = ultra.network("8", ["hand"])
    net.model[-1] = ultra.Detect(1, (32, 64, 128), light=True, bins=1).eval()
    net.model[-1].f, net.model[-1].i = [15, 18, 21], 22
    ultra.lively(net)
    ultra.write_checkpoint(tmp_path / "hand_yolo.pt", net)
    assert np.abs(ours(tmp_path / "hand_yolo.pt") - ultra.reference(ultra.rounded(net), IMAGE)).max() < 1e-3


def test_parts_of_a_photo_come_back_in_its_pixels(tmp_path: Path) -> None:
    net = ultra.network("8", ["hand"])
    ultra.write_checkpoint(tmp_path / "hand_yolo.pt", net)
    photo = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    found = YoloV8Parts(tmp_path / "hand_yolo.pt", confidence=0.6).parts(photo, [])
    assert found and all(part.kind == "hand" and part.confidence >= 0.6 for part in found)
    assert all(part.box == part.box.clipped(200, 300) and part.box.area > 0 for part in found)
    assert [part.confidence for part in found] == sorted((part.confidence for part in found), reverse=True)


def test_no_torch_is_needed(tmp_path: Path) -> None:
    ultra.write_checkpoint(tmp_path / "eyes_yolov.pt", ultra.network("11", ["eye"]))
    code = (
        "import sys; from pathlib import Path; from twinloop.adapters.detectors.yolov8 import YoloV8Parts\n"
        f"YoloV8Parts(Path({str(tmp_path / 'eyes_yolov.pt')!r}), 'eye')\n"
        "print(sorted(set(sys.modules) & {'torch', 'torchvision', 'ultralytics', 'onnx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINLOOP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "hand_yolo.pt"
    ultra.write_checkpoint(path, ultra.network("8", ["hand"]))
    first = YoloV8Parts(path).fingerprint
    (kept,) = (tmp_path / "cache" / "models").iterdir()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in kept.name
    whole = kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "read_torch_file", None)  # nothing is read a second time
        assert YoloV8Parts(path).fingerprint == first
    kept.write_bytes(whole[: len(whole) // 2])
    assert YoloV8Parts(path).fingerprint == first
    assert kept.read_bytes() == whole
    monkeypatch.setenv("TWINLOOP_CACHE", "off")
    kept.unlink()
    assert YoloV8Parts(path).fingerprint == first
    assert not kept.exists()


def test_a_malicious_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hand_yolov8n.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafeModelFile, match=r"hand_yolov8n\.pt: this file would use os\.system"):
        YoloV8Parts(path)


def record(kind: str, modules: dict[str, Inert] | None = None, **state: object) -> Inert:
    state |= {"_modules": modules or {}, "_parameters": {}, "_buffers": {}}
    return Inert(Global("ultralytics.nn.modules.block", kind, 0), state=state)


def test_an_unknown_block_is_named_with_its_place() -> None:
    layers = {"0": record("Strange", f=-1), "1": record("Detect", f=[-1])}
    with pytest.raises(ModelFileError, match=r"model\.model\.0 \(Strange\): this kind of block is not known"):
        convert(record("DetectionModel", {"model": record("Sequential", layers)}))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (record("Classify", f=-1), "does not detect"),
        (record("Detect", {"cv2": record("ModuleList"), "cv3": record("ModuleList")}, f=[-1], nc=1), "do not fit"),
        (record("Detect", f=[5]), "comes later"),
        (
            record(
                "Detect",
                {
                    "cv2": record("ModuleList", {"0": record("Identity")}),
                    "cv3": record("ModuleList", {"0": record("Identity")}),
                },
                f=[-1],
                nc=1,
            ),
            "cells",
        ),
    ],
)
def test_heads_that_cannot_be_read(head: Inert, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        convert(record("DetectionModel", {"model": record("Sequential", {"0": record("Identity", f=-1), "1": head})}))


def test_a_network_that_is_not_of_that_package(weights: Path) -> None:
    with pytest.raises(ModelFileError, match=r"not an Ultralytics checkpoint \(its network is models\.yolo\.Model\)"):
        YoloV8Parts(weights / "yolov5_face/yolov5n-0.5-face.pt")


@pytest.mark.parametrize(
    ("kind", "names", "wanted"),
    [
        ("hand", ["hand"], (0,)),
        ("hand", ["face", "left_hand", "right_hand"], (1, 2)),
        ("hand", ["call", "dislike", "peace"], (0, 1, 2)),
        ("hand", ["0"], (0,)),
        ("eye", ["closed_eye", "open-eye"], (1,)),
        ("eye", ["Eyes"], (0,)),
        ("eye", ["closed"], (0,)),
    ],
)
def test_which_classes_count(kind: str, names: list[str], wanted: tuple[int, ...]) -> None:
    assert part_classes(kind, names, "x.pt") == wanted


@pytest.mark.parametrize("names", [["person", "bicycle", "handbag"], ["face"], ["human head"]])
def test_classes_of_another_detector(names: list[str]) -> None:
    with pytest.raises(ModelFileError, match=r"x\.pt: finds .*, not hands"):
        part_classes("hand", names, "x.pt")


def test_names_in_an_export() -> None:
    assert exported_names("{0: 'hand', 1: 'face'}") == ["hand", "face"]
    for text in (None, "", "nonsense(", "[1]", "{1: 'hand'}", "__import__('os')", "{}"):
        assert exported_names(text) is None


def test_decoding_by_hand() -> None:
    raw = np.full((4 * 2 + 2, 2, 2), -20.0, np.float32)
    raw[:8, 1, 0] = [0, 0, -50, 50, 50, -50, 0, 0]  # left 0.5, top 1, right 0, bottom 0.5 cells
    raw[9, 1, 0] = 20.0
    boxes, scores = decode_head(raw, stride=8, bins=2, confidence=0.5, classes=(1,))
    # cell (column 0, row 1): its centre is (0.5, 1.5) cells
    assert boxes[0] == pytest.approx([0, 0.5 * 8, 0.5 * 8, 2 * 8])
    assert scores == pytest.approx([1.0])
    assert len(decode_head(raw, stride=8, bins=2, confidence=0.5, classes=(0,))[1]) == 0
    boxes, scores = decode(np.array([[10], [20], [4], [6], [0.2], [0.9]], np.float32), 0.5, (1,))
    assert boxes.tolist() == [[8, 17, 12, 23]] and scores == pytest.approx([0.9])


def test_notes_say_what_the_graph_does_not(tmp_path: Path) -> None:
    path = tmp_path / "hand.pt"
    ultra.write_checkpoint(path, ultra.network("8", ["hand", "eye"]))
    model = OnnxModel(convert(checkpoints.read_network(path, ("ema", "model"))), "test")
    assert json.loads(model.texts["twinloop"]) == {"strides": [8, 16, 32], "bins": 16, "names": ["hand", "eye"]}


def spoil(records: list[Inert], rng: random.Random) -> None:
    """Put something strange where a layer, a weight or a number was."""
    record = rng.choice(records)
    state = record.state if isinstance(record.state, dict) else {}
    holders = [
        state,
        *(state[name] for name in ("_parameters", "_buffers", "_modules") if isinstance(state.get(name), dict)),
    ]
    holder = rng.choice([item for item in holders if item] or [{"x": 0}])
    numbers = np.arange(4, dtype=np.float32)
    strange = [
        None,
        0,
        -1,
        3,
        2**40,
        2.5,
        float("nan"),
        "zeros",
        True,
        [],
        {},
        (),
        [-1, 3],
        (0, 0),
        (-1, 2),
        record,
        rng.choice(records),
        TensorRef(StorageRef("0", "float32", 4), 0, (2, 2), (2, 1), lambda _: numbers),
    ]
    holder[rng.choice(list(holder))] = rng.choice(strange)


@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_a_network_that_makes_no_sense_is_one_clear_error(small: Inert, seed: int, count: int) -> None:
    network = copy.deepcopy(small)
    rng, records = random.Random(seed), [item for item in walk(network) if isinstance(item, Inert)]
    for _ in range(count):
        spoil(records, rng)
    try:
        OnnxModel(convert(network), "spoilt")
    except ModelFileError as error:
        assert str(error)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Inert:
    """A network of the largest variety of blocks, read once."""
    path = tmp_path_factory.mktemp("small") / "hand.pt"
    ultra.write_checkpoint(path, ultra.network("11", ["hand"], width=4))
    return checkpoints.read_network(path, ("model",))
