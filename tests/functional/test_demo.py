"""`twinloop demo`, with the fakes in the place of the embedded models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import twinloop
from twinloop.cli import demo
from twinloop.nano.world import photos as world
from twinloop.store.models.lora_file import header_texts


@pytest.fixture
def fake_world(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The demo on the fakes; the list holds the folders that were rendered."""
    rendered: list[Path] = []

    def write(folder: Path, *, seed: int, count: int) -> list[int]:
        rendered.append(folder)
        loops.write_photos(folder)
        return [0] * 14

    monkeypatch.setattr(world, "write_photo_set", write)
    fakes = {
        "base_model": "fake",
        "models_dir": "fake",
        "training": {"steps": 3},
        "panel": {"images": 4},
        "max_iterations": 1,
    }
    monkeypatch.setattr(demo, "CONFIG", {**demo.CONFIG, **fakes})
    return rendered


def test_everything_lies_under_the_folder(
    tmp_path: Path, fake_world: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = twinloop(capsys, "demo", "--out", "outputs/demo")
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == "Report: outputs/demo/bootstrap/report.html"
    home = Path("outputs/demo")
    assert {path.name for path in home.iterdir()} == {"photos", "bootstrap_config.json", "bootstrap", "lora_models"}
    assert (home / "bootstrap/report.html").is_file() and (home / "bootstrap/iteration_history.json").is_file()
    assert (home / "lora_models/lora.safetensors").is_file()
    # the manual scripts take the demo's own configuration
    config = json.loads((home / "bootstrap_config.json").read_text())
    assert config["dataset_dir"] == "outputs/demo/photos"
    assert twinloop(capsys, "analyze", "--config", home / "bootstrap_config.json", "--output", "gaps.json").code == 0
    assert Path("gaps.json").read_bytes() == (home / "bootstrap/gaps_iter1.json").read_bytes()


def test_a_second_demo_goes_on_from_the_first(
    tmp_path: Path, fake_world: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/.photos.unfinished").mkdir()  # as a kill while rendering leaves it
    assert twinloop(capsys, "demo", "--out", "d").code == 0
    before = loops.tree("d")
    assert twinloop(capsys, "demo", "--out", "d").code == 0
    assert loops.tree("d") == before
    assert fake_world == [Path("d/.photos.unfinished")]


def test_report_and_lora_say_that_nobody_real_is_shown(
    tmp_path: Path, fake_world: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert twinloop(capsys, "demo", "--out", "d").code == 0
    words = "fictional character; by: twinloop demo, which rendered every photo"
    assert f"<dt>Consent</dt><dd>{words}</dd>" in Path("d/bootstrap/report.html").read_text()
    assert header_texts(Path("d/lora_models/lora.safetensors"))["twinloop.consent"] == words
