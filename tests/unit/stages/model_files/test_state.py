"""What is said of the files of a models folder, and why one of them is not opened."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.unit.adapters.detectors.onnx_files import small_onnx
from twinloop.domain.known_models import KNOWN_MODELS, by_hash
from twinloop.domain.model_roles import PACKS
from twinloop.ports import DetectorPack
from twinloop.stages.model_files.state import State, file_states
from twinloop.store.models.folder import resolve_models_dir

YUNET, YOLO = "face_detection_yunet_2026may.onnx", "yolov5n-face.onnx"
ARCFACE, FACENET = "w600k_r50.onnx", "MobileFaceNet.onnx"
PALM, HAND, HAND_YOLO = "palm_detection_lite.onnx", "hand_landmark_lite.onnx", "hand_yolov8n.onnx"
EYES = "eyes_yolov8n.onnx"


def told(folder: Path, names: list[str], opened: list[str], pack: str = "auto", **made: Any) -> dict[str, str]:
    for name in names:
        (folder / name).write_bytes(small_onnx())
    found = file_states(
        resolve_models_dir(folder), {folder / name for name in opened}, pack, DetectorPack(pack, **made)
    )
    states = {state.path.name: state for state in found}
    assert all((states[name].state is State.IN_USE) is (name in opened) for name in names)
    return {name: state.detail for name, state in states.items()}


def test_another_files_work(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, YOLO], [YUNET])
    assert said[YOLO] == f"YOLOv5-face; {YUNET} does its work"


def test_the_other_half_is_named(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, PALM], [YUNET])
    assert said[PALM] == "palm detector; it works only together with hand_landmark_*.onnx, which is missing"


def test_the_half_of_a_pair_beside_a_yolo(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, PALM, HAND, HAND_YOLO], [YUNET, PALM, HAND])
    assert said[HAND_YOLO] == f"YOLOv8 hands; {HAND} and {PALM} do its work"


def test_what_is_not_asked_of_a_drawn_character(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, EYES], [YUNET], unread=frozenset({"eyes", "expression"}))
    assert said[EYES].startswith("YOLOv8 eyes; expression and eyes are not measured of a drawn character: these")
    said = told(tmp_path, [YUNET, EYES], [], faceless=True)
    assert said[YUNET] == "YuNet; no face is looked for (validation.faces is false)"


def test_a_pack_that_leaves_it_aside(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, YOLO], [YOLO], "yolo")
    assert said[YUNET] == "YuNet; the pack yolo does not use it"


def test_nothing_is_opened_without_a_face_detector(tmp_path: Path) -> None:
    said = told(tmp_path, [PALM, HAND], [])
    assert said[PALM].endswith("; without a face detector none is")


def test_of_several_embedders_one_is_taken_and_the_others_say_how_to_use_them(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, ARCFACE, FACENET], [YUNET, FACENET])
    assert said[ARCFACE] == (
        "ArcFace; InsightFace's weights are for non-commercial research only; MobileFaceNet.onnx does its work; "
        "to use this one, take that out of the folder"
    )
    assert said[FACENET] == "MobileFaceNet"


def test_the_licence_of_an_embedder_in_use_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, [YUNET, ARCFACE], [YUNET, ARCFACE])[ARCFACE].endswith("non-commercial research only")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (FACENET, "w600k_mbf.onnx", "ArcFace; InsightFace's weights are for non-commercial research only"),
        ("w600k_mbf.onnx", FACENET, "MobileFaceNet"),
    ],
)
def test_an_embedder_is_what_its_content_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, said: str
) -> None:
    """InsightFace's small net is a MobileFaceNet, too, and lies around under that name."""
    known = replace(
        next(model for model in KNOWN_MODELS if model.name == content), sha256=sha256(small_onnx()).hexdigest()
    )
    monkeypatch.setattr("twinloop.domain.embedders.by_hash", lambda digest: by_hash(digest, (known,)))
    assert told(tmp_path, [YUNET, name], [YUNET, name])[name] == said


def test_a_file_that_was_tried_in_vain(tmp_path: Path) -> None:
    said = told(tmp_path, [YUNET, HAND_YOLO], [YUNET])
    assert said[HAND_YOLO].endswith("; it was tried and cannot be used")


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_is_known(tmp_path: Path, pack: str) -> None:
    assert set(told(tmp_path, [YUNET], [YUNET], pack)) == {YUNET}


def test_a_pointer_is_no_model_whatever_its_name(tmp_path: Path) -> None:
    """As ``twinloop models list`` says of the same file."""
    for name in ("mine.onnx", YUNET):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    found = {state.path.name: state for state in file_states(resolve_models_dir(tmp_path), set(), "auto")}
    assert {state.state for state in found.values()} == {State.BROKEN} and len(found) == 2
    assert all("Git LFS pointer" in state.detail for state in found.values())


def test_a_network_for_masks_measures_nothing_in_any_pack(tmp_path: Path) -> None:
    for pack in PACKS:
        said = told(tmp_path, [YUNET, YOLO, "u2net_human_seg.onnx"], [YOLO], pack)
        assert said["u2net_human_seg.onnx"] == (
            "U-2-Net; measures nothing; `twinloop masks` takes the finest that can be used"
        )
