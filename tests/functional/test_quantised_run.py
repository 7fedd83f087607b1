"""The loop on a base with quantised weights, by its configuration alone; and what is said where it cannot be."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.functional.real_bases import configured, run  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402


def test_the_loop_runs_and_its_records_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchao", reason="the quant extra is not installed")
    monkeypatch.chdir(tmp_path)
    config = configured(tmp_path, build_tiny("zimage", tmp_path / "base"), preset=None)
    said = run(capsys, config, quantization="int8")
    assert said.code == 0, said.err
    assert Path("outputs/lora_models/alice/lora_v1.safetensors").is_file()
    kept = json.loads(Path("outputs/bootstrap/run.json").read_text())
    assert kept["settings"]["quantization"] == "int8"
    images = json.loads(Path("outputs/bootstrap/synthetic_iter1/generation_metadata.json").read_text())
    assert images["settings"]["quantization"] == "int8" and images["images"]
    again = run(capsys, config, quantization=None)  # other weights are another run
    assert again.code == 2 and "quantization" in again.err


def test_a_missing_library_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = configured(tmp_path, build_tiny("zimage", tmp_path / "base"), preset=None)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "bitsandbytes" else real(name, *rest)
    )
    said = run(capsys, config, quantization="nf4")
    assert said.code == 2 and '-e ".[quant]"' in said.err and "Traceback" not in said.err
    assert not Path("outputs").exists()


def test_an_unknown_kind_is_a_mistake_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = configured(tmp_path, tmp_path / "base", preset="zimage")
    said = run(capsys, config, quantization="int3")
    assert said.code == 2 and "quantization" in said.err and "nf4" in said.err
