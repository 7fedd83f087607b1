"""``twinloop report``: the page of a run, written anew."""

from __future__ import annotations

import json
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


def test_a_folder_without_a_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "report", tmp_path)
    assert said.code == 2
    assert "holds no run" in said.err
