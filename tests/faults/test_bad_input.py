"""Wrong folders, files, models and flags: one clear message, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional import loops
from tests.functional.console import Said, configuration, twinloop


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos() -> Path:
    loops.write_photos(Path("photos"))
    return Path("photos")


def refused(said: Said, *texts: str) -> None:
    assert said.code == 2
    assert said.err.startswith("error: ") or "\nerror: " in said.err
    assert "Traceback" not in said.err + said.out
    missing = [text for text in texts if text not in said.err]
    assert not missing, said.err


def analyze(capsys: pytest.CaptureFixture[str], folder: object, *more: object) -> Said:
    return twinloop(capsys, "analyze", folder, "--models-dir", "fake", *more)


def write_faceless(folder: Path) -> None:
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (80, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"wall_{number}.png")


def test_a_missing_folder(capsys: pytest.CaptureFixture[str]) -> None:
    refused(analyze(capsys, "nowhere"), "Folder not found: nowhere")


def test_no_folder_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    refused(twinloop(capsys, "analyze"), "Which folder?")


def test_an_empty_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    refused(analyze(capsys, "empty"), "No images in empty", "Put photos of the person there")
    refused(twinloop(capsys, "run", "--config", configuration(Path(), dataset_dir="empty")), "No images in empty")
    assert not Path("out").exists(), "a run that never began leaves no folder"
    assert not Path("gaps.json").exists()


def test_a_folder_without_faces(capsys: pytest.CaptureFixture[str]) -> None:
    write_faceless(Path("walls"))
    refused(analyze(capsys, "walls"), "None of the 3 images in walls can be used", "wall_0.png: no face found")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"cut"])
def test_a_corrupt_image_among_good_ones(content: bytes, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (photos / "IMG_0001.png").read_bytes()
    (photos / "broken.png").write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    said = analyze(capsys, photos, "--observations", "seen.jsonl")
    assert said.code == 0
    assert "warning: skipped broken.png: " in said.err
    left_out = {item["path"]: item["reason"] for item in json.loads(Path("gaps.json").read_text())["left_out"]}
    assert left_out["photos/broken.png"]
    lines = {line["path"]: line for line in map(json.loads, Path("seen.jsonl").read_text().splitlines())}
    assert len(lines) == 15 and lines["photos/broken.png"]["error"] == left_out["photos/broken.png"]


def test_a_corrupt_image_does_not_stop_the_loop(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    said = twinloop(capsys, "run", "--config", configuration(Path(), max_iterations=1))
    assert said.code == 0
    assert "skipped broken.jpg: " in said.err


def test_a_configuration_with_three_mistakes_names_all(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(
        Path(), max_iterations=0, generaton={"num_per_gap": 2}, generation={"guidance_scale": "high"}
    )
    said = twinloop(capsys, "run", "--config", config)
    refused(
        said,
        "bootstrap_config.json: 3 mistakes",
        "max_iterations: ",
        "generaton: unknown field; did you mean 'generation'?",
        "generation.guidance_scale: ",
    )
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "hint"), [("{", "line 1, column 2"), ("[1]", "one JSON object"), ("", "not valid JSON")]
)
def test_a_configuration_that_is_no_configuration(text: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.json").write_text(text)
    refused(twinloop(capsys, "run", "--config", "c.json"), "c.json", hint)


def test_no_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    refused(twinloop(capsys, "run", "--config", "c.json"), "Write one: twinloop init --output c.json\n")


def test_wrong_numbers_are_named_by_their_flag(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze(capsys, photos)
    call = [
        "generate",
        "gaps.json",
        "--base-model",
        "fake",
        "--person",
        "x",
        "--guidance",
        "99",
        "--num-per-gap",
        "0",
        "--width",
        "7",
    ]
    refused(twinloop(capsys, *call), "command line: 3 mistakes", "--guidance: ", "--num-per-gap: ", "--width: ")


def test_no_models_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(
        twinloop(capsys, "analyze", photos),
        "models: no such models folder",
        "yolov5l-face.pt (deepcam-cn/yolov5-face)",
        "Not measured: face_angle (needs faces, pose)",
    )


def test_a_models_folder_without_models(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("models").mkdir()
    refused(
        twinloop(capsys, "analyze", photos, "--models-dir", "models"), "no usable face detector", "yolov5l-face.pt",
        "--models-dir nano", "Not measured: face_angle",
    )  # fmt: skip
    assert not Path("gaps.json").exists()


def test_some_models_missing_is_not_no_gap(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from twinloop.adapters import fakes

    line = "hands: no model. Composition: hands_visible is not measured. Get palm_detection_*.onnx."
    poor = replace(fakes.fake_pack(), parts=(), pose=None, missing=(line,))
    monkeypatch.setattr(fakes, "fake_pack", lambda: poor)
    said = analyze(capsys, photos)
    assert said.code == 0
    assert line in said.out
    assert "face_angle (no detector for: pose)" in said.out
    data = json.loads(Path("gaps.json").read_text())
    assert "face_angle" in data["not_measured"] and data["missing_models"] == [line]
    assert not [
        gap for gap in data["recommendations"] if gap["type"] == "face_angle" or gap["target"] == "hands_visible"
    ]
    verdicts = [v for v in _made_for_profile(capsys) if v["target"] == "profile"]
    assert verdicts and all(verdict["outcome"] != "approved" for verdict in verdicts)


def test_a_run_warns_of_what_lacks_a_detector_and_not_of_what_is_optional(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said where the detectors are; on each run again the user would look for one."""
    from dataclasses import replace

    from twinloop.adapters import fakes

    class NoSetting:
        covers = frozenset({"eyes", "lighting"})
        fingerprint = "no-setting"

        def measure(self, image: object, face: object) -> dict[str, float]:
            return {"eyes_open": 1.0}

    poor = replace(fakes.fake_pack(), measurers=(NoSetting(),))
    monkeypatch.setattr(fakes, "fake_pack", lambda: poor)
    said = twinloop(capsys, "run", "--config", configuration(tmp_path, max_iterations=1, dataset_dir=str(photos)))
    assert "expression: not measured (no detector for: expression)" in said.err
    assert "setting" not in said.err
    gaps = json.loads(Path("out/gaps_iter1.json").read_text())
    assert gaps["not_measured"]["setting"] == "no detector for: setting"


def _made_for_profile(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    Path("asked.json").write_text('{"recommendations": [{"type": "face_angle", "target": "profile", "count": 3}]}')
    twinloop(capsys, "generate", "asked.json", "--base-model", "fake", "--person", "x", "--output", "made")
    verdicts: list[dict[str, object]] = twinloop(capsys, "validate", "made", "--models-dir", "fake", "--json").data[
        "verdicts"
    ]
    return verdicts


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "not a valid gap analysis"),
        ("{", "not a valid gap analysis"),
        ("[]", "holds no list"),
        ('{"gaps": []}', "holds no list"),
        ('{"recommendations": [{"type": "face_angle"}]}', "recommendation 1 needs 'type', 'target'"),
        ('{"recommendations": [{"type": "face_angle", "target": "profile", "count": "many"}]}', "recommendation 1"),
        ('{"recommendations": [{"type": "face_angle", "target": "profile", "count": -2}]}', "recommendation 1"),
        ('{"recommendations": ["profile"]}', "recommendation 1"),
    ],
)
def test_gaps_that_are_no_gaps(text: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("gaps.json").write_text(text)
    said = twinloop(capsys, "generate", "gaps.json", "--base-model", "fake", "--person", "x", "--output", "made")
    refused(said, "gaps.json", hint, "python gap_analysis.py DATASET")
    assert not Path("made").exists()


def test_no_gaps_file(capsys: pytest.CaptureFixture[str]) -> None:
    refused(twinloop(capsys, "generate", "gaps.json", "--person", "x"), "Gap analysis not found: gaps.json")


def test_no_gaps_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gaps.json").write_text('{"recommendations": []}')
    said = twinloop(capsys, "generate", "gaps.json", "--person", "x")
    assert said.code == 0 and "nothing to generate" in said.out


def test_gaps_of_an_unknown_facet(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gaps.json").write_text('{"recommendations": [{"type": "mood", "target": "../../x", "count": 3}]}')
    said = twinloop(capsys, "generate", "gaps.json", "--base-model", "fake", "--person", "x", "--output", "made")
    refused(said, "No shot can be planned", "--facet FILE")


def test_a_person_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gaps.json").write_text('{"recommendations": [{"type": "face_angle", "target": "profile", "count": 3}]}')
    said = twinloop(capsys, "generate", "gaps.json", "--base-model", "fake", "--person", " ", "--output", "made")
    refused(said, "--person: string should have at least 1 character")
    assert not Path("made").exists()


def test_a_number_of_the_round_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    gap = '{"type": "face_angle", "target": "profile", "count": 3}'
    Path("gaps.json").write_text(f'{{"iteration": true, "recommendations": [{gap}]}}')
    said = twinloop(capsys, "generate", "gaps.json", "--base-model", "fake", "--person", "x", "--num-per-gap", 1)
    assert said.code == 0 and json.loads(Path("synthetic_1/shots.json").read_text())["iteration"] is not True


def test_a_lora_that_is_not_there(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze(capsys, photos)
    call = ["generate", "gaps.json", "--base-model", "fake", "--person", "x"]
    refused(twinloop(capsys, *call, "--lora", "lora_v9.safetensors"), "LoRA not found: lora_v9.safetensors")
    Path("page.safetensors").write_bytes(b"<!DOCTYPE html><html>not found</html>")
    refused(
        twinloop(capsys, *call, "--lora", "page.safetensors"), "page.safetensors is not a readable safetensors file"
    )


def test_nobody_to_draw(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze(capsys, photos)
    refused(twinloop(capsys, "generate", "gaps.json", "--base-model", "fake"), "--person 'ohwx person'")


@pytest.mark.parametrize(
    "argv",
    [
        ["analyze", "p", "--iteration", "0"],
        ["generate", "g", "--iteration", "-1"],
        ["generate", "g", "--photo-share", "2"],
        ["nano", "evaluate", "--images", "-3"],
        ["nano", "evaluate", "--seed", "-1"],
        ["nano", "photos", "--out", "p", "--seed", "-1"],
        ["nano", "photos", "--out", "p", "--size", "0"],
    ],
)
def test_numbers_out_of_range(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, *argv)
    assert said.code == 2 and "expected a" in said.err and "got " in said.err


def test_an_unknown_preset(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyze(capsys, photos)
    refused(
        twinloop(capsys, "generate", "gaps.json", "--person", "x", "--preset", "sd9"),
        "unknown preset 'sd9'",
        "animagine",
    )


def test_nothing_to_validate(capsys: pytest.CaptureFixture[str]) -> None:
    refused(twinloop(capsys, "validate", "nowhere", "--models-dir", "fake"), "Folder not found: nowhere")
    Path("made").mkdir()
    refused(
        twinloop(capsys, "validate", "made", "--models-dir", "fake"),
        "No images in made",
        "python generate_synthetic.py",
    )


def test_a_plug_in_that_fails(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text("1 / 0\n")
    refused(analyze(capsys, photos, "--facet", "mine.py"), "mine.py failed: ZeroDivisionError")
    refused(analyze(capsys, photos, "--facet", "gone.py"), "Plug-in file not found: gone.py")


@pytest.mark.parametrize(
    "argv", [["--output", "photos/IMG_0000.png/gaps.json"], ["--observations", "photos/IMG_0000.png/o.jsonl"]]
)
def test_output_that_cannot_be_written(argv: list[str], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = loops.tree("photos")
    refused(analyze(capsys, photos, *argv), "IMG_0000.png")
    assert loops.tree("photos") == before


def test_output_without_permission(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twinloop.store import atomic

    def replace(source: object, target: object) -> None:
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(atomic.os, "replace", replace)
    refused(analyze(capsys, photos), "No permission to write gaps.json", "another output folder")


def test_a_cache_that_cannot_be_written_costs_only_time(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("outputs").write_text("a file where the folder should be")
    said = analyze(capsys, photos)
    assert said.code == 0 and "going on without a cache" in said.err
