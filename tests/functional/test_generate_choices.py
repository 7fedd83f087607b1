"""``twinloop generate``: whose photos images start from, and which preset draws them, where several could be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import Said, configuration, twinloop
from twinloop.adapters.fakes import fake_photo


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gaps that name ``photos``, another picture in the working directory, and another person's run in the usual folder."""
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
