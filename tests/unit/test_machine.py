"""What users are told about the device that models compute on."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.functional.console import twinloop  # noqa: E402
from twinloop.adapters.diffusion import compute  # noqa: E402
from twinloop.config import Settings  # noqa: E402
from twinloop.wiring import build_toolbox  # noqa: E402

UNSEEN = "There is an NVIDIA driver here, but PyTorch sees no GPU"


class Said:
    """A reporter."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, label: str, done: int, total: int) -> None: ...


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU with a driver and a PyTorch that does not see it."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(compute, "has_nvidia_driver", lambda: True)


def told(tmp_path: Path, base: str, device: str) -> Said:
    settings = Settings.model_validate(
        {
            "base_model": base,
            "person_name": "ana",
            "person_trigger": "ohwx ana",
            "dataset_dir": str(tmp_path),
            "models_dir": "fake",
            "output_dir": str(tmp_path / "out"),
            "lora_output_dir": str(tmp_path / "loras"),
            "device": device,
        }
    )
    said = Said()
    toolbox = build_toolbox(settings, said, planning=True)
    said.warnings.clear()
    toolbox.tell_device()
    return said


@pytest.mark.usefixtures("unseen")
def test_a_run_says_where_it_computes_and_why_not_on_the_gpu(tmp_path: Path) -> None:
    said = told(tmp_path, "nano", "auto")
    assert said.lines == ["Computes on: cpu"]
    assert len(said.warnings) == 1 and said.warnings[0].startswith(UNSEEN)
    asked = told(tmp_path, "nano", "cpu")
    assert asked.lines == ["Computes on: cpu"] and asked.warnings == []
    assert told(tmp_path, "fake", "auto").lines == [], "the fakes compute nothing"


@pytest.mark.usefixtures("unseen")
def test_the_doctor_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "doctor", "--models-dir", "fake", "--json")
    assert UNSEEN in said.err and said.data["device"] == "cpu"
