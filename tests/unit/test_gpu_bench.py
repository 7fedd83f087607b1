"""The bench for GPUs: which card's peak counts, what is trained, whose memory the forecast is held against, and what
becomes of the images when no LoRA was trained.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gpu_sdxl")


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H200", 989.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40", 181.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA GeForce RTX 4090", 165.0),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 0.0),
        ("NVIDIA GeForce RTX 3090 Ti", 0.0),
        ("no GPU", 0.0),
    ],
)
def test_a_card_is_known_by_its_whole_name(bench: Any, name: str, peak: float) -> None:
    assert bench.peak_of(name) == peak


def test_without_a_lora_there_are_no_images_and_that_is_said(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "run", pytest.fail)
    bench.images(tmp_path / "model", tmp_path, argparse.Namespace(resolution=64, images="1,1,1"))
    assert "none of ours was trained" in capsys.readouterr().out


def test_images_are_made_with_whichever_lora_there_is(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora, given = tmp_path / "preset_1_checkpointing" / "lora.safetensors", list[list[object]]()
    lora.parent.mkdir()
    lora.touch()
    figures = {"s an image": 1.0, "texts encoded": 1.0, "exchange of a LoRA, s": 0.1}

    def run(command: list[object], home: Path) -> Any:
        given.append(command)
        return {"figures": figures}

    monkeypatch.setattr(bench, "run", run)
    bench.images(tmp_path / "model", tmp_path, argparse.Namespace(resolution=64, images="1,1,1"))
    assert len(given) == 2 and all(lora in command for command in given)


def test_ours_is_trained_with_and_without_compiling_and_the_script_without(bench: Any) -> None:
    made = bench.rows(bench.KINDS, [1, 4])
    assert len(made) == len({row.folder for row in made}) == 2 * 2 * (2 + 2 + 1)
    assert {row.kind for row in made if row.compiled} == set(bench.KINDS[:2])


@pytest.mark.parametrize(("compiled", "told"), [(True, "regional"), (False, "off")])
def test_a_training_is_told_whether_to_compile(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool, told: str
) -> None:
    """So few steps would not be compiled by themselves."""
    given = list[list[object]]()
    monkeypatch.setattr(bench, "run", lambda command, home: given.append(command))
    task = bench.Task(tmp_path / "model", tmp_path / "photos", 20, 1, 64, "auto")
    bench.trained(bench.Row(bench.KINDS[0], 1, False, compiled), task, tmp_path, argparse.Namespace())
    assert given[0][given[0].index("--compile") + 1] == told


def test_the_forecast_is_held_against_the_steps_that_are_timed(bench: Any) -> None:
    """Loading, and photos that are encoded beside the first steps, may take more memory than any step."""
    steps, forecast = bench.WARM + bench.TIMED, (3072 + bench.CONTEXT_MIB) * 2**20
    report = {
        "steps": [(0.5 * step, 0.0) for step in range(steps)],
        "gpu_peaks": [8192.0] * bench.WARM + [2048.0] * bench.TIMED,
        "predicted": forecast,
    }
    line = bench.line(bench.Row(bench.KINDS[0], 1, True, False), report, 0.0, False)
    assert line.endswith("| with | without | 0.500 | 0.500 | - | - | 2.00 | 1.500 | 8.00 |")


def test_every_step_has_a_peak_of_its_own(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH / "peers"))
    torch, clock = importlib.import_module("torch"), importlib.import_module("clock").Clock()
    held = [5 << 20]

    def forget() -> None:
        held[0] = 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: held[0])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forget)
    clock.step(0.0)
    held[0] = max(held[0], 2 << 20)
    clock.step(0.0)
    assert json.loads(clock.report())["gpu_peaks"] == [5.0, 2.0]
