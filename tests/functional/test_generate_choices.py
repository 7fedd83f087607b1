"""``twinloop generate``: whose photos images start from, and which preset draws them, where several could be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import Said, configuration, twinloop
from tests.helpers.fake_photos import fake_photo


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gaps that name ``photos``, another picture in the working directory, and another person's run in the usual
    folder.
    """
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"), 8)
    Path("junk").mkdir()
    fake_photo(Path("junk/notme.png"), seed=77, person=5)
    loops.write_photos(Path("hers"), 12)
    hers = loops.settings(person_name="eve", dataset_dir="hers", output_dir="outputs/bootstrap", max_iterations=1)
    loops.run(hers)
    return tmp_path


def gaps(**more: str) -> None:
    gap = {"type": "face_angle", "target": "profile", "count": 3, "reason": "r"}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap], **more}))


def generate(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "generate", "gaps.json", "--output", "made", "--num-per-gap", 4, "--json", *argv)


def sources(said: Said) -> set[str]:
    assert said.code == 0, said.err
    return {str(Path(image["source"]).parent) for image in said.data["images"]}


BASE = ("--base-model", "fake", "--person", "ohwx ana", "--photo-share", 1)


def test_a_share_of_photos_means_those_behind_the_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    gaps(dataset="photos")
    assert sources(generate(capsys, *BASE)) == {"photos"}


def test_poses_are_looked_at_where_something_is_named_that_can(capsys: pytest.CaptureFixture[str]) -> None:
    """One photo in three is near in pose to start from: of these twelve the four on the wanted side."""
    loops.write_photos(Path("faces"), 4)
    for number, yaw in enumerate((-62.0, 62.0, -64.0, 64.0, -66.0, 66.0, -68.0, 68.0)):
        fake_photo(Path(f"faces/SIDE_{number}.png"), seed=90 + number, yaw=yaw)
    gaps()
    call = ("--base-model", "fake", "--person", "ohwx ana", "--from-photos", "faces")

    def starts(said: Said) -> set[str]:
        assert said.code == 0, said.err
        return {Path(image["source"]).name[:4] for image in said.data["images"]}

    looked = twinloop(
        capsys, "generate", "gaps.json", "--output", "a", "--num-per-gap", 12, "--json", *call, "--models-dir", "fake"
    )
    assert starts(looked) == {"SIDE"}
    assert starts(twinloop(capsys, "generate", "gaps.json", "--output", "b", "--num-per-gap", 12, "--json", *call)) == {
        "SIDE",
        "IMG_",
    }


def test_what_is_noticed_while_images_are_made_is_said(tiny_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gaps()
    said = generate(
        capsys,
        "--base-model",
        tiny_base,
        "--person",
        "ohwx ana",
        "--steps",
        1,
        "--width",
        64,
        "--height",
        64,
        "--device",
        "cpu",
        "--negative-prompt",
        "blurry " * 60,
    )
    assert said.code == 0 and "Only the first 42 tokens of this prompt are read" in said.err


def test_the_trigger_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gaps(dataset="photos")
    config = configuration(home, person_trigger="ohwx ana woman")
    said = twinloop(capsys, "generate", "gaps.json", "--config", config, "--output", "made", "--num-per-gap", 1)
    assert said.code == 0 and "Trigger: ohwx ana woman\n" in said.out


@pytest.mark.parametrize("named", [{}, {"dataset": "gone"}])
def test_without_any_the_folder_is_asked_for(named: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    gaps(**named)
    said = generate(capsys, *BASE)
    assert said.code == 2 and "--from-photos DIR" in said.err and not Path("made").exists()


def test_a_configuration_never_takes_the_photos_of_another_persons_run(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps(dataset="photos")
    config = configuration(home, output_dir="outputs/bootstrap")
    assert sources(generate(capsys, "--config", config, "--photo-share", 1)) == {"photos"}
