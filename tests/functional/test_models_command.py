"""``twinloop models`` and ``twinloop doctor`` as people type them."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional.console import ROOT, twinloop
from tests.helpers.http_files import Site, serving
from tests.unit.adapters.detectors.onnx_files import small_onnx
from twinloop.cli.models import told
from twinloop.domain.known_models import KNOWN_MODELS, UNSEEN, KnownModel
from twinloop.domain.model_roles import NEEDS, role_of
from twinloop.stages.model_files import shelf as stage
from twinloop.stages.model_files.shelf import chosen
from twinloop.store import download as downloading

WEIGHTS = ROOT.parent / "shared" / "fixtures" / "weights"
real = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="shared fixtures are not on this machine")
NOT_A_FIXTURE = {"selfie_segmentation.tflite"}
"""It was at hand, and is not among the fixtures."""
EVIL = b"cos\nsystem\n(S'true'\ntR."


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_of_a_computer_that_is_not_reached_are_tried_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = list[str]()

    def unknown(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    monkeypatch.setattr(downloading, "_OPENER", without_proxy)
    there, first, second, elsewhere = b"there", b"first", b"second", b"elsewhere"
    models = [
        KnownModel(f"{data.decode()}.onnx", "hands", "onnx", len(data), hashlib.sha256(data).hexdigest(), "", "", url)
        for data, url in (
            (first, "https://one.invalid/first.onnx"),
            (second, "https://one.invalid/second.onnx"),
            (there, "https://one.invalid/there.onnx"),
            (elsewhere, "https://two.invalid/elsewhere.onnx"),
        )
    ]
    monkeypatch.setattr(stage, "chosen", lambda names: models)
    Path("models").mkdir()
    Path("models/there.onnx").write_bytes(there)
    said = twinloop(capsys, "models", "pull", "onnx", "--json")
    assert said.code == 2 and asked == ["one.invalid", "two.invalid"]
    assert said.err.count("Name or service not known") == 2
    assert "not tried, because one.invalid is not reached: second.onnx. With a connection" in said.err
    assert "models add" in said.err and "two.invalid is not reached" not in said.err, "nothing of it was skipped"
    problems = {item["known"]: item["problem"] for item in said.data}
    assert problems["there.onnx"] is None and problems["second.onnx"].startswith("not tried")


@real
def test_a_folder_brought_offline_is_known_verified_and_used(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "models", "add", WEIGHTS)
    assert said.code == 2, "broken downloads lie in that folder"
    assert "Added: models/palm_detection_lite.onnx (a known file)" in said.out
    assert (
        "web page" in said.err and "Git LFS pointer" in said.err and "lora_disney.safetensors: no detector" in said.err
    )
    here = {model.name for model in KNOWN_MODELS} - UNSEEN - NOT_A_FIXTURE
    assert {path.name for path in Path("models").iterdir()} == {*here, "models.json"}
    said = twinloop(capsys, "models", "verify", "--json")
    assert said.code == 0
    assert {item["state"] for item in said.data} == {"known"} and len(said.data) == len(here)
    said = twinloop(capsys, "doctor")
    assert "Detectors: faces from face_detection_yunet_2026may.onnx (YuNet)" in said.out
    assert "eyes and expression from face_landmarker_v2_with_blendshapes.task (MediaPipe face)" in said.out


def test_a_list_without_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "models", "list")
    assert said.code == 0
    assert "MobileFaceNet.onnx" in said.out and "missing" in said.out and "twinloop models pull" in said.out
    data = twinloop(capsys, "models", "list", "--json").data
    usual = ["yolov5l-face.pt", "hand_yolov8n.pt", "eyes_yolov.pt"]
    assert [item["name"] for item in data] == [*(model.name for model in KNOWN_MODELS), *usual]
    known = data[: len(KNOWN_MODELS)]
    assert all(item["licence"] and item["source"] and item["sha256"] and item["size"] for item in known)
    assert all(item["state"] == "missing" and item["source"] and item["detail"] for item in data[len(known) :])
    assert twinloop(capsys, "models", "verify").code == 2


def test_the_files_that_guides_name_are_told_with_what_serves_instead(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    Path("models/palm_a.onnx").write_bytes(small_onnx())
    Path("models/hand_landmark_a.onnx").write_bytes(small_onnx())
    shutil.copy(Path("models/palm_a.onnx"), "models/yolov5l-face.pt")  # an ONNX file under its name
    for command in (("models", "list"), ("doctor",)):
        said = " ".join(twinloop(capsys, *command).out.split())
        assert "yolov5l-face.pt: broken, and nothing does its work; a YuNet file" in said
        assert "hand_yolov8n.pt: missing; hand_landmark_a.onnx and palm_a.onnx could do its work" in said
        assert "From Bingsu/adetailer" in said and "eyes_yolov.pt: missing, and nothing does its work" in said
    files = {item["name"]: item for item in twinloop(capsys, "doctor", "--json").data["usual_files"]}
    assert files["hand_yolov8n.pt"]["instead"] == ["hand_landmark_a.onnx", "palm_a.onnx"]
    assert [item["name"] for item in twinloop(capsys, "models", "list", "--json").data].count("yolov5l-face.pt") == 1
    assert twinloop(capsys, "doctor", "--models-dir", "fake", "--json").data["usual_files"] == []


@real
def test_the_doctor_names_what_was_opened_and_the_list_what_could_be(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    shutil.copy(WEIGHTS / "yolov5_face/yolov5n-0.5-face.pt", "models/yolov5n-0.5-face.pt")
    shutil.copy(WEIGHTS / "yunet/face_detection_yunet_2026may.onnx", "models")
    listed = " ".join(twinloop(capsys, "models", "list").out.split())
    assert "yolov5l-face.pt: missing; yolov5n-0.5-face.pt could do its work" in listed
    said = twinloop(capsys, "doctor")
    assert "yolov5l-face.pt: missing; face_detection_yunet_2026may.onnx does its work" in " ".join(said.out.split())
    assert "yolov5n-0.5-face.pt: not opened" in said.out
    assert "Optional: face quality: no model" in said.out and "face quality" not in said.err
    data = twinloop(capsys, "doctor", "--json").data
    assert [line.partition(":")[0] for line in data["optional_models"]] == ["face quality", "setting"]
    assert not any(line.startswith(("face quality", "setting")) for line in data["missing_models"])


@real
def test_a_classifier_under_a_detectors_name_is_called_unusable(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    shutil.copy(WEIGHTS / "ultralytics_format/emotion_cls_train_best.pt", "models/hand_yolov8n.pt")
    shutil.copy(WEIGHTS / "yunet/face_detection_yunet_2026may.onnx", "models")

    def state(*argv: str) -> str:
        files = {item["name"]: item for item in twinloop(capsys, *argv, "--json").data["usual_files"]}
        return str(files["hand_yolov8n.pt"]["state"])

    said = twinloop(capsys, "doctor")
    assert "tried and cannot be used" in said.out and "no detection head at its end but Classify" in said.err
    assert "hand_yolov8n.pt: unusable, and nothing does its work" in " ".join(said.out.split())
    assert "yolo export" not in said.err, "an export of a classifier finds no hands either"
    assert state("doctor") == "unusable"
    assert state("doctor", "--models-dir", "onnx:models") == "there", "that pack does not open it"
    for half in ("palm_detection_lite_pr_v1.onnx", "hand_landmark_lite_pr_v1.onnx"):
        shutil.copy(WEIGHTS / "mediapipe_hands" / half, "models")
    assert state("doctor") == "there", "others do the work, so that it was not tried"


def test_what_a_file_that_is_there_does_already_is_told_apart_from_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("models").mkdir()
    for name in ("yunet_mine.onnx", "palm_detection_lite.onnx", "mobilefacenet_mine.onnx"):
        Path("models", name).write_bytes(small_onnx())
    missing, _, other = twinloop(capsys, "models", "list").out.partition("\nCan be fetched:")[2].partition(", too;")
    names = {"ediffiqa_tiny_jun2024.onnx", "hand_landmark_lite.onnx", "fsanet-1x1-iter-688590.onnx"}
    pulled = {model.name for words in re.findall("pull (.+)", missing) for model in chosen(words.split())}
    assert names < pulled and "(" not in missing
    assert "face_detection_yunet_2023mar.onnx" not in pulled, "a pack is named where all of it is missing"
    assert "face_detection_yunet_2023mar.onnx\n    (yunet_mine.onnx does its work)" in other
    assert "face_recognition_sface_2021dec.onnx\n    (mobilefacenet_mine.onnx does its work)" in other


def test_of_two_files_that_do_the_same_work_the_one_of_the_same_kind_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("models").mkdir()
    for name in ("a_yolov5n-face.onnx", "yunet_mine.onnx"):
        Path("models", name).write_bytes(small_onnx())
    said = twinloop(capsys, "models", "list").out
    assert "face_detection_yunet_2023mar.onnx\n    (yunet_mine.onnx does its work)" in said


def test_insightfaces_files_are_known_and_never_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "models", "list")
    assert "non-commercial research only" in said.out and "pull w600k" not in said.out and "pull glint" not in said.out
    for name in ("w600k_r50.onnx", "glintr100.onnx", "w600k_mbf.onnx"):
        said = twinloop(capsys, "models", "pull", name)
        assert said.code == 2 and "no address" in said.err and "insightface" in said.err and "models add" in said.err
    assert {model.name for model in chosen(["alternatives"])} == {"face_recognition_sface_2021dec.onnx"}


def test_a_list_fits_80_columns_and_names_every_licence(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "models", "list")
    assert max(map(len, said.out.splitlines())) <= 80
    licences = said.out.split("\nLicences\n")[1]
    assert all(f"  {model.licence}\n" in licences and f"    {model.name}\n" in licences for model in KNOWN_MODELS)
    fetched = said.out.split("\nCan be fetched:\n")[1]
    assert fetched.startswith("  twinloop models pull onnx mediapipe\n    which are ")
    packs = {model.name for model in chosen(["onnx", "mediapipe"])}
    for model in KNOWN_MODELS:
        alone = f"  twinloop models pull {model.name}\n" in fetched
        assert alone == (model.url is not None and model.name not in packs) and (not model.url or model.name in fetched)


def test_a_known_file_under_another_name_is_told_by_both() -> None:
    found = stage.Brought("here.onnx", Path("models/mine.onnx"), KNOWN_MODELS[0], True)
    assert told(found) == f"a known file: {KNOWN_MODELS[0].name}"
    assert told(replace(found, target=Path("models") / KNOWN_MODELS[0].name)) == "a known file"
    assert told(replace(found, known=None)) == "not a known file, passed the checks"


def test_refused_files_do_not_stop_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("given").mkdir()
    Path("given/eyes_evil.pt").write_bytes(EVIL)
    Path("given/palm_a.onnx").write_bytes(small_onnx())
    said = twinloop(capsys, "models", "add", "given", "--models-dir", "shelf", "--json")
    assert said.code == 2
    assert [bool(item["problem"]) for item in said.data] == [True, False]
    assert Path("shelf/palm_a.onnx").is_file() and not Path("shelf/eyes_evil.pt").exists()
    assert Path("given/palm_a.onnx").is_file(), "the original stays"


@pytest.mark.parametrize("name", ["../evil.pt", "a/b.onnx", "", ".hidden", "a\\b"])
def test_names_that_lead_out_of_the_folder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.onnx").write_bytes(small_onnx())
    assert twinloop(capsys, "models", "add", "x.onnx", "--as", name).code == 2


def test_one_name_for_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x.onnx", "y.onnx"):
        Path(name).write_bytes(small_onnx())
    said = twinloop(capsys, "models", "add", "x.onnx", "y.onnx", "--as", "palm_x.onnx")
    assert said.code == 2 and "exactly one" in said.err
    assert twinloop(capsys, "models", "add", "x.onnx", "--as", "palm_x.onnx").code == 0


def test_fetching(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    data = small_onnx()
    digest = hashlib.sha256(data).hexdigest()
    with serving(Site({"/good": data, "/bad": data[::-1]})) as site:
        table = [
            KnownModel("palm_bad.onnx", "hands", "onnx", len(data), digest, "MIT", "here", f"{site.url}/bad"),
            KnownModel("palm_good.onnx", "hands", "onnx", len(data), digest, "MIT", "here", f"{site.url}/good"),
        ]
        monkeypatch.setattr(stage, "chosen", lambda names: table)
        said = twinloop(capsys, "models", "pull", "onnx")
    assert said.code == 2
    assert "palm_bad.onnx: " in said.err and said.err.count(f"{site.url}/bad") == 1, "the address once in a warning"
    assert "sha256 differs" in said.err and "Fetched: models/palm_good.onnx" in said.out and "licence: MIT" in said.out
    assert {path.name for path in Path("models").iterdir()} == {"palm_good.onnx", "models.json"}


def test_an_unknown_name_asks_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "models", "pull", "nope")
    assert said.code == 2 and "Can be fetched: " in said.err
    assert not Path("models").exists()


@real
def test_doctor_names_a_malicious_file_that_nobody_opened(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    for name in ("yunet/face_detection_yunet_2026may.onnx", "mediapipe_face/face_landmarker_v2_with_blendshapes.task"):
        shutil.copy(WEIGHTS / name, "models")
    Path("models/eyes_yolov.pt").write_bytes(EVIL)
    Path("models/other.pkl").write_bytes(EVIL)
    said = twinloop(capsys, "doctor")
    assert said.code == 0
    assert said.err.count("not opened, dangerous (would use os.system") == 2
    assert "not measured: hands, face quality, identity, setting." in said.out
    states = {Path(item["path"]).name: item["state"] for item in twinloop(capsys, "doctor", "--json").data["files"]}
    assert states["eyes_yolov.pt"] == states["other.pkl"] == "not opened, dangerous"
    assert states["face_detection_yunet_2026may.onnx"] == "in use"


def test_doctor_without_a_models_folder_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "doctor")
    assert said.code == 2
    for command in ("twinloop models list", "twinloop models pull", "twinloop models add"):
        assert command in said.err
    assert "Face_angle is" not in said.err and "setting (needs setting)" in said.err


@real
def test_a_pack_can_be_forced(capsys: pytest.CaptureFixture[str]) -> None:
    for pack, faces in (
        ("yolo", "yolov5n-0.5-face.pt"),
        ("onnx", "face_detection_yunet_2026may.onnx"),
        ("mediapipe", "face_landmarker_v2_with_blendshapes.task"),
    ):
        data = twinloop(capsys, "doctor", "--models-dir", f"{pack}:{WEIGHTS}", "--json").data
        assert data["pack"] == pack
        assert [Path(file).name for c in data["choices"] if c["port"] == "faces" for file in c["files"]] == [faces]
    Path("empty").mkdir()
    said = twinloop(capsys, "doctor", "--models-dir", "yolo:empty")
    assert "no usable face detector for the pack yolo" in said.err


@real
def test_analyze_says_which_detectors_it_uses(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    shutil.copy(WEIGHTS.parent / "photos" / "skimage" / "astronaut.png", "photos")
    said = twinloop(capsys, "analyze", "photos", "--models-dir", f"mediapipe:{WEIGHTS}")
    assert said.code == 0
    assert said.out.startswith(
        "Detectors (mediapipe): faces, head pose, hands, eyes, expression, identity; not measured: face quality,"
        " setting.\n"
    )
    assert "face_landmarker_v2" not in said.out, "which file measures what is told by the doctor"
    said = twinloop(capsys, "analyze", "nowhere", "--models-dir", f"mediapipe:{WEIGHTS}")
    assert said.code == 2 and "Detectors" not in said.out + said.err, "a wrong folder is told alone"


def test_a_file_named_for_the_folder_is_called_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.onnx").write_bytes(b"x")
    for argv in (("doctor",), ("models", "list"), ("models", "verify")):
        said = twinloop(capsys, *argv, "--models-dir", "m.onnx")
        assert said.code == 2 and "m.onnx is a file. Name the folder it lies in" in said.err, argv


def test_the_list_names_its_folder_in_every_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        line for line in twinloop(capsys, "models", "list", "--models-dir", "m").out.splitlines() if " pull " in line
    ]
    assert lines and all(line.endswith("--models-dir m") for line in lines)


def test_what_is_advised_to_pull_has_a_face_detector(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The advice of ``doctor`` without models, taken at its word."""
    advice = re.search(r"`twinloop models pull ([\w ]+)`", twinloop(capsys, "doctor").err)
    assert advice is not None
    fetched = {role_of(model.name) for model in chosen(advice[1].split())}
    assert any(choice <= fetched for choice in NEEDS[0].choices)


def test_analyze_asks_first_whether_it_may_write(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_bytes(b"x")
    for flag in ("--output", "--observations"):
        said = twinloop(capsys, "analyze", "nowhere", "--models-dir", "fake", flag, "file/x.json")
        assert said.code == 2 and "file/x.json cannot be written" in said.err
