"""The bench for GPUs: which card's peak counts, and what becomes of the images when no LoRA was trained."""

from __future__ import annotations

import argparse
import importlib
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
