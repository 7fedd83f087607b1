"""``twinloop generate`` says once which flags do nothing beside the others that were given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import Said, twinloop

BASE = ("--base-model", "fake", "--person", "ohwx ana", "--num-per-gap", 1)
NO_PHOTO = "no image starts from a photo. Name some: --from-photos DIR."
NOTHING_LOOKS = "nothing looks at images or photos without --from-photos, --early-reject or --face-detail."


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"), 4)
    gap = {"type": "face_angle", "target": "profile", "count": 1, "reason": "r"}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap], "dataset": "photos"}))
    return tmp_path


def generate(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    said = twinloop(capsys, "generate", "gaps.json", "--output", "made", *BASE, *argv)
    assert said.code == 0, said.err
    return said


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--strength", 0.5), f"--strength does nothing here: {NO_PHOTO}"),
        (("--references", 1), f"--references does nothing here: {NO_PHOTO}"),
        (("--strength", 0.5, "--references", 1), f"--strength and --references do nothing here: {NO_PHOTO}"),
        (
            ("--from-photos", "photos", "--photo-share", 0, "--strength", 0.5),
            "--from-photos and --strength do nothing here: no image starts from a photo.",
        ),
        (("--lora-scale", 0.5), "--lora-scale does nothing here: no LoRA is given. Name it: --lora FILE."),
        (
            ("--face-detail-below", 0.2),
            "--face-detail-below does nothing here: no face is redrawn. Say how much of it: --face-detail X.",
        ),
        (("--models-dir", "fake"), f"--models-dir does nothing here: {NOTHING_LOOKS}"),
        (("--catalog", "x.sqlite"), f"--catalog does nothing here: {NOTHING_LOOKS}"),
        (
            ("--early-reject", 0.6, "--models-dir", "fake", "--catalog", "x.sqlite"),
            "--catalog does nothing here: it keeps what was seen on photos, and none is looked at.",
        ),
        (
            ("--early-reject", 0.6, "--models-dir", "fake", "--steps", 1),
            "--early-reject does nothing here: no step is left after 0.6 of 1.",
        ),
        (
            ("--guidance-rescale", 0.7, "--guidance", 1),
            "--guidance-rescale does nothing here: it goes with classifier-free guidance, which is off here.",
        ),
        (
            ("--timestep-spacing", "trailing", "--scheduler", "dpmpp_2m_karras"),
            "--timestep-spacing does nothing here: 'dpmpp_2m_karras' spreads its steps its own way.",
        ),
        (("--negative-prompt", "blurry", "--guidance", 1), "generation.negative_prompt does nothing here"),
    ],
    ids=str,
)
def test_each_is_said_once(argv: tuple[object, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = generate(capsys, *argv)
    assert said.err.count(says) == 1 and said.err.count("nothing here") == 1


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--from-photos", "photos", "--strength", 0.5),
        ("--photo-share", 1, "--strength", 0.5, "--models-dir", "fake", "--catalog", "x.sqlite"),
        ("--face-detail", 0.4, "--face-detail-below", 0.2, "--models-dir", "fake"),
        ("--early-reject", 0.6, "--models-dir", "fake"),
        ("--timestep-spacing", "trailing", "--scheduler", "euler_karras"),
        ("--guidance-rescale", 0.7, "--guidance", 5, "--negative-prompt", "blurry"),
    ],
    ids=str,
)
def test_flags_that_do_something_are_not_mentioned(
    argv: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nothing here" not in generate(capsys, *argv).err


def test_a_strength_of_a_lora_that_is_given_is_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    train = ("train", "photos", "--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", 2)
    assert twinloop(capsys, *train, "--output", "a.safetensors").code == 0
    assert "nothing here" not in generate(capsys, "--lora", "a.safetensors", "--lora-scale", 0.5).err
