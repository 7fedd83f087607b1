"""``twinloop validate``: what it prints beside the summary, and which folders it makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import Said, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop.adapters.detectors import nano
from twinloop.ports import detectors as ports
from twinloop.store.atomic import read_json


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine pictures of noise, and one face that was asked to be a profile and is one."""
    monkeypatch.chdir(tmp_path)
    Path("made").mkdir()
    for number in range(9):
        noise = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(f"made/synthetic_face_angle_profile_{number:03d}_20241226_143022.png")


def validate(capsys: pytest.CaptureFixture[str], *argv: str) -> Said:
    return twinloop(capsys, "validate", "made", "--models-dir", "fake", "--no-reference", *argv)


def test_noise_has_no_quality_and_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    said = validate(capsys)
    assert said.code == 0
    assert "Approved: 0 (0.0%)\nRejected: 9\nAvg Quality: 0.00\n\nWhy rejected: no face 9" in said.out
    assert "Nothing was copied: name folders with --approved DIR and --rejected DIR.\n" in said.out
    assert "All checks of 9 images: made/verdicts.json" in said.out


def test_images_of_ones_own_have_no_target_and_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    for number in range(4):
        fake_photo(Path(f"mine/{number}.png"), seed=number)
    flags = ("--blur-threshold", "1", "--min-brightness", "1", "--rejected", "rejected_1")
    said = twinloop(capsys, "validate", "mine", "--models-dir", "fake", "--no-reference", *flags)
    assert said.code == 0 and "Unsure: 4" in said.out and "Unsure images: unsure_1\n" in said.out
    assert said.err.count("0.png, 1.png, 2.png and 1 more: no target, because generation_metadata.json") == 1
    assert "synthetic_<facet>_<value>_" in said.err and len(list(Path("unsure_1").glob("*.png"))) == 4
    (record,) = read_json(Path("rejected_1/verdicts.json"))["verdicts"][:1]
    reasons = {check["check"]: check["reason"] for check in record["checks"]}
    assert reasons["on_target"].startswith("no target, because")
    told = validate(capsys)
    assert "no target" not in told.err and "Unsure images" not in told.out


def test_with_and_without_real_photos_is_a_contradiction(capsys: pytest.CaptureFixture[str]) -> None:
    said = validate(capsys, "--reference", "photos")
    assert said.code == 2 and "not allowed with argument" in said.err


def test_a_folder_is_made_when_something_goes_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = validate(capsys, "--approved", "approved_1", "--rejected", "rejected_1")
    assert said.code == 0 and "Nothing was copied" not in said.out
    assert {path.name for path in Path().iterdir() if path.is_dir()} >= {"made", "rejected_1"}
    assert not Path("approved_1").exists() and not Path("unsure_1").exists()
    fake_photo(Path("made/synthetic_face_angle_profile_100_20241226_143022.png"), seed=1, yaw=75)
    validate(
        capsys, "--approved", "approved_1", "--rejected", "rejected_1", "--blur-threshold", "1", "--min-brightness", "1"
    )
    assert len(list(Path("approved_1").glob("*.png"))) == 1


def test_copies_inside_of_the_folder_are_not_judged_again(capsys: pytest.CaptureFixture[str]) -> None:
    fake_photo(Path("made/synthetic_face_angle_profile_100_20241226_143022.png"), seed=1, yaw=75)
    argv = (
        "--approved",
        "made/approved",
        "--rejected",
        "made/rejected",
        "--blur-threshold",
        "1",
        "--min-brightness",
        "1",
    )
    first, second = validate(capsys, *argv), validate(capsys, *argv)
    assert "Approved: 1 (10.0%)\nRejected: 9" in first.out
    assert second.out == first.out
    assert (len(list(Path("made/approved").iterdir())), len(list(Path("made/rejected").glob("*.png")))) == (1, 9)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--approved", "a3", "--rejected", "a3"), "a3 would take approved and rejected images alike"),
        (("--approved", "a3", "--rejected", "./x/../a3/"), "would take approved and rejected images alike"),
        (
            ("--approved", "unsure_3", "--rejected", "rejected_3"),
            "unsure_3 would take approved and unsure images alike",
        ),
    ],
)
def test_two_outcomes_do_not_share_a_folder(
    argv: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = validate(capsys, *argv)
    assert said.code == 2 and words in said.err
    assert {path.name for path in Path().iterdir() if path.is_dir()} == {"made"}


def test_the_help_names_the_limits_of_sharpness_that_the_detectors_have(capsys: pytest.CaptureFixture[str]) -> None:
    said = " ".join(twinloop(capsys, "validate", "--help").out.split())
    assert f"the detectors' own, which is {ports.LEAST_SHARPNESS:g}; with nano {nano.LEAST_SHARPNESS:g})" in said
