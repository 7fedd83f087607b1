"""The analysis on photos that nobody here took, through the command people type.

Skipped, loudly, where the fixtures are not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import ROOT, python
from twinloop.domain.statistics import wilson

FIXTURES = ROOT / ".." / "shared" / "fixtures"
WEIGHTS = FIXTURES / "weights"
PHOTOS = FIXTURES / "photos"

pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="shared fixtures are not on this machine (looked for ../shared/fixtures)"
)

Line = dict[str, Any]


def models(folder: Path, *names: str) -> Path:
    """A models folder with these files of the fixtures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(WEIGHTS / name, folder)
    return folder


def photos(folder: Path, sources: Iterable[Path]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copy(source, folder)
    return folder


def observed(folder: Path, models_dir: Path, home: Path, *flags: str) -> tuple[dict[str, Line], Line, str]:
    """Observations by file name, gaps.json, and what was printed."""
    said = python(
        "gap_analysis.py",
        folder,
        "--models-dir",
        models_dir,
        "--output",
        "gaps.json",
        "--observations",
        "seen.jsonl",
        "--catalog",
        "catalog.sqlite",
        *flags,
        cwd=home,
    )
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in (home / "seen.jsonl").read_text().splitlines()]
    return {Path(line["path"]).stem: line for line in lines}, json.loads((home / "gaps.json").read_text()), said.out


@pytest.fixture(scope="module")
def cmu(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Line], Line, str]:
    """A fifth of the CMU portraits (60x64 grey): 14 people looking forward, left, right."""
    home = tmp_path_factory.mktemp("cmu")
    chosen = [p for p in sorted((PHOTOS / "cmu_faces" / "png").glob("*.png")) if "_up_" not in p.name][::4]
    return observed(photos(home / "photos", chosen), WEIGHTS, home)


def looking(lines: dict[str, Line], *sides: str) -> list[Line]:
    return [line for name, line in lines.items() if name.split("_")[1] in sides]


def test_heads_that_look_forward_are_frontal(cmu: tuple[dict[str, Line], Line, str]) -> None:
    forward = looking(cmu[0], "forward")
    hits = sum(line["facets"]["face_angle"] == "front" for line in forward)
    assert len(forward) >= 25
    assert hits / len(forward) >= 0.95, wilson(hits, len(forward))


def test_turned_heads_are_told_from_forward_and_by_side(cmu: tuple[dict[str, Line], Line, str]) -> None:
    """A face that is not found counts as a miss. yaw > 0 = the nose points to image right."""
    turned = looking(cmu[0], "left", "right")
    hits = sum(line["facets"]["face_angle"] in ("three_quarter", "profile") for line in turned)
    assert len(turned) >= 50
    assert hits / len(turned) >= 0.90, wilson(hits, len(turned))
    sides = [line["faces"][0]["yaw"] > 0 for line in looking(cmu[0], "right") if line["faces"]]
    others = [line["faces"][0]["yaw"] > 0 for line in looking(cmu[0], "left") if line["faces"]]
    assert np.mean(sides) >= 0.95 and np.mean(others) <= 0.05


def test_a_folder_of_many_people_loses_nobody_as_a_stranger(cmu: tuple[dict[str, Line], Line, str]) -> None:
    lines, gaps, printed = cmu
    reasons = [item["reason"] for item in gaps["left_out"]]
    assert all(reason.startswith(("no face found", "nearly the same picture")) for reason in reasons), reasons
    assert gaps["images"] + len(reasons) == len(lines)
    assert f"{gaps['images']} images counted" in printed
    assert "setting (no detector for: setting" in printed
    kept = set(lines) - {Path(item["path"]).stem for item in gaps["left_out"]}
    assert len({name.split("_")[0] for name in kept}) == len({name.split("_")[0] for name in lines}) >= 14


def test_counting_everything_counts_everything(tmp_path: Path) -> None:
    few = sorted((PHOTOS / "cmu_faces" / "png").glob("alex_forward_*.png"))[:6]
    lines, gaps, _ = observed(
        photos(tmp_path / "photos", few),
        models(tmp_path / "models", "yunet/face_detection_yunet_2026may.onnx"),
        tmp_path,
        "--all",
    )
    assert gaps["images"] == len(lines) == 6 and gaps["left_out"] == []


def test_hands_eyes_and_smiles_of_one_woman(tmp_path: Path) -> None:
    lines, gaps, _ = observed(
        photos(tmp_path / "photos", sorted((PHOTOS / "human_samples").glob("stock-emotions-a-*.jpg"))),
        WEIGHTS,
        tmp_path,
    )
    hands = {name for name, line in lines.items() if "hands_visible" in line["facets"]["composition"]}
    assert hands == {"stock-emotions-a-1"}
    assert all(len(line["faces"]) == 1 for line in lines.values())
    assert not any("another person" in item["reason"] for item in gaps["left_out"])


def square(path: Path, source: Path) -> None:
    """The middle square, so that both models see the same pixels at the same scale."""
    with Image.open(source) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image.convert("RGB").crop((left, top, left + side, top + side)).resize((512, 512)).save(path)


def test_a_checkpoint_and_its_export_give_the_same_boxes(tmp_path: Path) -> None:
    """Through the command, the pickled network read without running it; within 1 px."""
    folder = tmp_path / "photos"
    folder.mkdir()
    sources = [
        PHOTOS / "skimage" / "astronaut.png",
        *sorted((PHOTOS / "human_samples").glob("stock-emotions-a-*.jpg"))[1:5],
    ]
    for number, source in enumerate(sources):
        square(folder / f"{number}.png", source)

    def boxes(name: str) -> dict[str, list[list[float]]]:
        lines, _, _ = observed(folder, models(tmp_path / Path(name).name, name), tmp_path)
        return {key: [face["box"] for face in line["faces"]] for key, line in lines.items()}

    checkpoint, export = boxes("yolov5_face/yolov5n-0.5-face.pt"), boxes("yolov5_face/yolov5n-0.5.onnx")
    assert checkpoint.keys() == export.keys() and sum(map(len, checkpoint.values())) >= 5
    for name, found in checkpoint.items():
        assert len(found) == len(export[name])
        np.testing.assert_allclose(found, export[name], atol=1.0)


MALICIOUS = sorted((FIXTURES / "pickles" / "picklescan").glob("malicious*.pkl"))[::4]


@pytest.mark.parametrize("source", MALICIOUS, ids=lambda path: path.stem)
def test_a_malicious_file_in_its_place_stops_the_command(source: Path, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", [PHOTOS / "skimage" / "astronaut.png"])
    bad = models(tmp_path / "models", "mobilefacenet/MobileFaceNet.onnx")
    shutil.copy(source, bad / "yolov5n-0.5-face.pt")
    said = python("gap_analysis.py", folder, "--models-dir", bad, "--output", "gaps.json", cwd=tmp_path)
    assert said.code == 2
    assert "Traceback" not in said.err
    if "invalid" not in source.name:
        assert "yolov5n-0.5-face.pt: this file would use" in said.err and "nothing was run" in said.err
    assert not (tmp_path / "gaps.json").exists()


def test_there_are_malicious_files_to_try() -> None:
    assert len(MALICIOUS) >= 3
