"""``twinloop report``: the page of a run, written anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import twinloop


def test_writes_the_same_page_as_the_run_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=1))
    page = Path("out/report.html")
    before = page.read_bytes()
    page.unlink()
    said = twinloop(capsys, "report", "out")
    assert (said.code, said.out.strip()) == (0, "Report: out/report.html")
    assert page.read_bytes() == before
    page.unlink()
    Path("c.json").write_text(json.dumps(loops.settings(max_iterations=1).model_dump(mode="json")))
    assert twinloop(capsys, "report", "--config", "c.json").code == 0 and page.read_bytes() == before


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run was started; its LoRAs are where they go by default."""
    home = tmp_path_factory.mktemp("started")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(Path("photos"))
        loops.run(loops.settings(max_iterations=1, lora_output_dir=None))
    return home


def test_a_run_is_told_of_from_any_folder(
    started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = started / "out/report.html"
    before = page.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert twinloop(capsys, "report", started / "out").code == 0
    assert page.read_bytes() == before and b"lora.safetensors" in before


@pytest.mark.parametrize("by_config", [True, False])
def test_a_lora_that_is_not_measured_yet_is_found(
    by_config: bool, started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after the first training: no history names the LoRA."""
    home = Path(shutil.copytree(started, tmp_path / "home"))
    monkeypatch.chdir(home)
    for name in ("iteration_history.json", "panel_v1.json", "panel_v2.json", "gaps_iter1.json", "verdicts_iter1.json"):
        Path("out", name).unlink()
    if by_config:
        Path("outputs/lora_models/ana").rename("elsewhere")
        config = loops.settings(max_iterations=1, lora_output_dir="elsewhere").model_dump(mode="json")
        Path("c.json").write_text(json.dumps(config))
    assert twinloop(capsys, "report", *(["--config", "c.json"] if by_config else ["out"])).code == 0
    assert "v1 is trained, not measured yet" in Path("out/report.html").read_text()


def test_the_loras_of_another_run_of_the_same_person_are_not_taken(
    started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Path(shutil.copytree(started, tmp_path / "home"))
    monkeypatch.chdir(home)
    Path("other").mkdir()
    shutil.copy("out/run.json", "other/run.json")
    photos = json.loads(Path("out/dataset_iter0.json").read_text())
    Path("other/dataset_iter0.json").write_text(json.dumps({**photos, "id": "f" * 16, "members": []}))
    assert twinloop(capsys, "report", "other").code == 0
    assert "the photos are selected" in Path("other/report.html").read_text()


def test_a_folder_without_a_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "report", tmp_path)
    assert said.code == 2
    assert "holds no run" in said.err
