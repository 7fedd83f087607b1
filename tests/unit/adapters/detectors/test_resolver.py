"""Models folders as users have them: complete, half full, full of broken downloads, hostile."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.captioner_models import build_place_tagger
from tests.unit.adapters.detectors.onnx_files import quality_onnx, small_onnx
from twinloop.adapters.detectors.blaze_face import BlazeFace
from twinloop.adapters.detectors.face_quality import EDifFiqa
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.onnx_writer import GraphWriter
from twinloop.adapters.detectors.real_pack import open_real_pack
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yolov8 import PartsAsEyes, YoloV8Parts
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.domain.faces import Box, Face
from twinloop.domain.model_roles import AUTO, Role, pack_and_folder, role_of
from twinloop.errors import InputError, MissingModel, ModelFileError, UnsafeModelFile
from twinloop.ports import DetectorPack
from twinloop.store.models.content import Content, complaint, sniff
from twinloop.store.models.folder import problem_of, resolve_models_dir

FILES = {
    "yunet/face_detection_yunet_2026may.onnx": Role.FACE_YUNET,
    "yolov5_face/yolov5n-0.5-face.pt": Role.FACE_YOLO,
    "headpose/fsanet-1x1-iter-688590.onnx": Role.POSE_FSANET,
    "headpose/fsanet-var-iter-688590.onnx": Role.POSE_FSANET,
    "mediapipe_hands/palm_detection_lite_pr_v1.onnx": Role.PALM,
    "mediapipe_hands/hand_landmark_lite_pr_v1.onnx": Role.HAND,
    "mediapipe_face/face_landmarker_v2_with_blendshapes.task": Role.FACE_TASK,
    "mobilefacenet/MobileFaceNet.onnx": Role.EMBEDDER,
}

QUALITY = "ediffiqa_tiny_jun2024.onnx"
"""The file itself is not here: a stand-in of the same form has its name."""


@pytest.fixture
def models(weights: Path, tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copy(weights / name, tmp_path / Path(name).name)
    (tmp_path / QUALITY).write_bytes(quality_onnx())
    build_place_tagger(tmp_path / "wd14")
    return tmp_path


def opened(folder: Path, pack: str = AUTO) -> DetectorPack:
    return open_real_pack(folder, pack, scanning=False, faceless=False)


def test_a_complete_folder(models: Path) -> None:
    report = resolve_models_dir(models)
    wanted = {Path(k).name: v for k, v in FILES.items()}
    assert {m.path.name: m.role for m in report.found} == {
        **wanted,
        QUALITY: Role.FACE_QUALITY,
        "model.onnx": Role.TAGGER,
    }
    assert report.problems == ()
    pack = opened(models)
    assert pack.missing == () and pack.optional == ()
    assert isinstance(pack.faces, YuNet)  # the half-width nano YOLO is only a fallback
    assert pack.pose is not None and pack.parts and pack.measurers and pack.embedder is not None and pack.slow


def test_what_is_missing_names_a_source_and_a_consequence(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / "yolov5_face/yolov5n-0.5-face.pt", tmp_path / "yolov5l-face.pt")
    pack = opened(tmp_path)
    text = "\n".join((*pack.missing, *pack.optional))
    assert [line.partition(":")[0] for line in pack.missing] == [
        "head pose",
        "hands",
        "eyes and expression",
        "identity",
    ]
    assert [line.partition(":")[0] for line in pack.optional] == ["face quality", "setting"], "no reason to warn"
    assert "not measured: hands, eyes, expression, face quality, identity, setting" in pack.brief
    for needle in (
        "five landmarks",
        "fsanet",
        "hands_visible is not measured",
        "palm_detection",
        "expression is not measured",
        "MobileFaceNet",
        "face quality is not measured: it is no part of the overall score",
        QUALITY,
        "selected_tags.csv",
    ):
        assert needle.lower() in text.lower()
    assert pack.pose is not None and pack.parts == () and pack.measurers == () and pack.embedder is None


@pytest.mark.parametrize("other", ["face_detection_yunet_2026may.onnx", "yunet_mine.onnx"])
def test_a_yunet_that_was_not_tried_here_replaces_no_other(tmp_path: Path, other: str) -> None:
    """Whichever comes first by name."""
    for name in ("face_detection_yunet_2023mar.onnx", other):
        (tmp_path / name).write_bytes(small_onnx())
    assert [path.name for path in resolve_models_dir(tmp_path).usable(Role.FACE_YUNET)] == [
        other,
        "face_detection_yunet_2023mar.onnx",
    ]


def test_broken_downloads_are_called_by_their_name(weights: Path, tmp_path: Path) -> None:
    for path in (weights / "broken").glob("*yunet*"):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "yunet_cut.onnx").write_bytes(
        (weights / "yunet/face_detection_yunet_2026may.onnx").read_bytes()[:100_000]
    )
    (tmp_path / "yunet_empty.onnx").touch()
    problems = "\n".join(resolve_models_dir(tmp_path).problems)
    for needle in ("web page", "Git LFS pointer", "cut short", "is empty"):
        assert needle in problems
    with pytest.raises(MissingModel, match=r"(?s)no usable face detector.*web page.*Git LFS pointer.*yolov5l-face\.pt"):
        opened(tmp_path)


def test_a_broken_file_beside_a_good_one_is_reported_but_does_not_stop(models: Path, weights: Path) -> None:
    name = "lfs_pointer_face_detection_yunet_2023mar.onnx"
    shutil.copy(weights / "broken" / name, models / name)
    pack = opened(models)
    assert isinstance(pack.faces, YuNet)
    assert len(pack.missing) == 1 and "Git LFS pointer" in pack.missing[0]


def test_a_cut_checkpoint_falls_back(models: Path) -> None:
    data = (models / "yolov5n-0.5-face.pt").read_bytes()
    (models / "yolov5l-face.pt").write_bytes(data[: len(data) // 2])
    pack = opened(models)
    assert isinstance(pack.faces, YuNet)
    assert "yolov5l-face.pt" in pack.missing[0] and "cut short" in pack.missing[0]


@pytest.mark.parametrize("name", ["yolov5l-face.pt", "hand_yolov8n.pt", "eyes_yolov.pt", "yolov5l-face.pkl"])
def test_a_malicious_file_stops_everything(models: Path, name: str) -> None:
    for path in models.glob("*.*"):
        if "yunet" not in path.name:
            path.unlink()
    (models / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafeModelFile, match=r"os\.system"):
        opened(models)


def test_an_ultralytics_classifier_is_no_hand_detector(models: Path, weights: Path) -> None:
    (models / "palm_detection_lite_pr_v1.onnx").unlink()
    shutil.copy(weights / "ultralytics_format/emotion_cls_train_best.pt", models / "hand_yolov8n.pt")
    text = "\n".join(opened(models).missing)
    assert (
        "hand_yolov8n.pt: no detection head at its end but Classify" in text and "hands_visible is not measured" in text
    )


def test_the_yolo_files_of_the_usual_names_work_together(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.helpers import ultralytics_files as ultra

    shutil.copy(weights / "yolov5_face/yolov5n-0.5-face.pt", tmp_path / "yolov5l-face.pt")
    ultra.write_checkpoint(tmp_path / "hand_yolov8n.pt", ultra.network("8", ["hand"]))
    ultra.write_checkpoint(tmp_path / "eyes_yolov.pt", ultra.network("11", ["eye"]))
    pack = opened(tmp_path)
    assert pack.spoken == (
        "Detectors: faces from yolov5l-face.pt (YOLOv5-face), head pose from the face's five landmarks, "
        "hands from hand_yolov8n.pt (YOLOv8 hands), eyes from eyes_yolov.pt (YOLOv8 eyes); "
        "not measured: expression, face quality, identity, setting."
    )
    assert (
        pack.brief
        == "Detectors: faces, head pose, hands, eyes; not measured: expression, face quality, identity, setting."
    )
    assert [part.kind for part in pack.parts] == ["hand"] and pack.measurers[0].covers == {"eyes"}


def test_a_forced_pack_leaves_the_rest_aside(models: Path) -> None:
    assert isinstance(opened(models, "mediapipe").faces, BlazeFace)
    yolo = opened(models, "yolo")
    assert isinstance(yolo.faces, YoloV5Face) and yolo.name == "yolo" and yolo.parts == ()
    assert isinstance(opened(models, "onnx").faces, YuNet)
    with pytest.raises(InputError, match="Unknown pack 'x'"):
        opened(models, "x")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("models", ("auto", "models")),
        ("yolo:models", ("yolo", "models")),
        ("C:models", ("auto", "C:models")),
        ("onnx:C:\\models", ("onnx", "C:\\models")),
        ("yolo", ("auto", "yolo")),
    ],
)
def test_pack_and_folder(given: str, wanted: tuple[str, str]) -> None:
    assert pack_and_folder(given) == wanted


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("yolov5l-face.pt", Role.FACE_YOLO),
        ("hand_yolov8n.pt", Role.HAND_YOLO),
        ("hand_yolov5s.pt", Role.HAND_YOLO),
        ("eyes_yolov.pt", Role.EYES_YOLO),
        ("Eyes.pt", Role.EYES_YOLO),
        ("full_eyes_detect_v1.pt", Role.EYES_YOLO),
        (QUALITY, Role.FACE_QUALITY),
        ("face_image_quality_assessment_ediffiqa_tiny_2024.onnx", Role.FACE_QUALITY),
        ("eDifFIQA_T.onnx", Role.FACE_QUALITY),
        ("quality.onnx", None),
        ("eyeglasses.onnx", None),
        ("hand_landmark_full.onnx", Role.HAND),
        ("yolov8n.pt", None),
        ("handbook.pt", None),
    ],
)
def test_roles_by_name(name: str, role: Role | None) -> None:
    assert role_of(name) is role


def test_blaze_face_agrees_with_yunet_on_portraits(weights: Path, photo_names: list[Path]) -> None:
    task = weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task"
    ours, theirs = BlazeFace(task, MediaPipeFace(task)), YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
    compared = 0
    for path in photo_names:
        image = np.asarray(Image.open(path).convert("RGB"), dtype=np.uint8)
        (face, *_), (other, *_) = ours.detect(image), theirs.detect(image)
        assert face.landmarks is not None and other.landmarks is not None
        assert np.abs(face.landmarks - other.landmarks).max() < 0.15 * other.box.width
        compared += 1
    assert compared == 8


@pytest.fixture
def photo_names(weights: Path) -> list[Path]:
    folder = weights.parent / "photos"
    return [folder / "skimage/astronaut.png", *sorted((folder / "lfw").rglob("*.jpg"))[:70:10]]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such models folder"):
        opened(tmp_path / "models")


def test_swapped_files_are_refused(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights / "mobilefacenet/MobileFaceNet.onnx", tmp_path / "yunet.onnx")
    with pytest.raises(ModelFileError, match="not a YuNet"):
        YuNet(tmp_path / "yunet.onnx")


def test_another_network_under_the_name_of_the_quality_one(models: Path, weights: Path) -> None:
    pack = opened(models)
    assert f"face quality from {QUALITY} (eDifFIQA)" in pack.spoken and "face quality" in pack.brief.partition(";")[0]
    assert any(isinstance(measurer, EDifFiqa) for measurer in pack.measurers)
    assert pack.least_face_quality is None, "its scale is not calibrated"
    shutil.copy(weights / "mobilefacenet/MobileFaceNet.onnx", models / QUALITY)
    with pytest.raises(ModelFileError, match="not an eDifFIQA: it gives 128 numbers for a face, expected 1"):
        EDifFiqa(models / QUALITY)
    refused = opened(models)
    assert any("not an eDifFIQA" in line for line in refused.missing)
    assert not any(isinstance(measurer, EDifFiqa) for measurer in refused.measurers)


def test_a_task_bundle_without_blendshapes(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.tflite", b"x")
    with pytest.raises(ModelFileError, match="holds no face_landmarks_detector"):
        MediaPipeFace(path)


def yolov8_file(path: Path) -> Path:
    """An ONNX whose answer is always one hand of score 0.9 at (320, 320), 100x50 px of a 640 px canvas."""
    graph = GraphWriter()
    answer = np.zeros((1, 5, 100), np.float32)
    answer[0, :, 7] = (320, 320, 100, 50, 0.9)
    zero = graph.one("Mul", ["image", graph.weight(np.zeros(1, np.float32))])
    zero = graph.one("ReduceMax", [zero], axes=[1, 2, 3], keepdims=0)
    out = graph.one("Add", [graph.weight(answer), zero])
    path.write_bytes(graph.finish("hands", "image", [out]))
    return path


def test_yolov8_exports_are_read(tmp_path: Path) -> None:
    detector = YoloV8Parts(yolov8_file(tmp_path / "hand_yolov8n.onnx"))
    (hand,) = detector.parts(np.zeros((320, 320, 3), np.uint8), [])
    assert hand.box.to_list() == pytest.approx([135, 147.5, 185, 172.5])
    assert hand.kind == "hand" and hand.confidence == pytest.approx(0.9)
    eyes = PartsAsEyes(detector)
    image = np.zeros((320, 320, 3), np.uint8)
    assert eyes.measure(image, Face(Box(100, 100, 220, 220), 0.9)) == {"eyes_open": pytest.approx(0.9)}
    assert eyes.measure(image, Face(Box(0, 0, 50, 50), 0.9)) == {"eyes_open": 0.0, "eyes_untold": 1.0}
    assert eyes.measure(image, None) == {}


def test_contents_are_told_apart(weights: Path, tmp_path: Path) -> None:
    assert sniff(weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task") is Content.TASK
    assert sniff(weights / "yolov5_face/yolov5n-0.5-face.pt") is Content.TORCH
    assert sniff(weights / "lora/lora_disney.safetensors") is Content.SAFETENSORS
    text = tmp_path / "notes.onnx"
    text.write_text("hello")
    assert sniff(text) is Content.UNKNOWN
    assert str(complaint(text, Content.ONNX)).startswith("expected onnx, found unknown. ")


def test_a_pickle_is_told_by_its_content_not_by_the_words_of_a_name(tmp_path: Path) -> None:
    pickled, page = tmp_path / "yolov5n-face.pt", tmp_path / "yolov5n-face found pickle.pt"
    pickled.write_bytes(b"(lp0\n.")
    page.write_text("<!doctype html>")
    assert problem_of(pickled) is None
    assert str(problem_of(page)).startswith("this is a web page")
    assert problem_of(tmp_path / "gone.pt") == "cannot be read (No such file or directory)"
