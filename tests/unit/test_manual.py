"""Orders by hand: a folder belongs to one order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeGenerator
from twinloop.errors import InputError, StateError
from twinloop.manual import ImageOrder, Studio, make_images
from twinloop.ports import GenerationSettings
from twinloop.store.clock import SystemClock

SETTINGS = GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=2)
SHOTS = [shot(number) for number in range(2)]


def make(folder: Path, settings: GenerationSettings = SETTINGS) -> list[str]:
    studio = Studio(FakeGenerator, settings, "fake", "prose", (), SystemClock())
    return [made.sha256 for made in make_images(SHOTS, ImageOrder((), 1, folder, None), studio, Recording())]


def test_another_order_is_refused(tmp_path: Path) -> None:
    first = make(tmp_path)
    assert make(tmp_path, replace(SETTINGS, offload="model", planned=7)) == first, "that decides no pixel"
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(SETTINGS, steps=3))
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(SETTINGS, precision="float16"))


class Interrupted(FakeGenerator):
    """One that is stopped before its first image."""

    def load_lora(self, lora: Path | None) -> None:
        raise KeyboardInterrupt


def test_a_folder_that_holds_no_image_yet_is_begun_anew_with_other_settings(tmp_path: Path) -> None:
    stopped = Studio(Interrupted, SETTINGS, "fake", "prose", (), SystemClock())
    folder, other, reporter = tmp_path / "made", replace(SETTINGS, steps=3, batch_size=1), Recording()
    with pytest.raises(KeyboardInterrupt):
        make_images(SHOTS, ImageOrder((), 1, folder, None), stopped, reporter)
    assert (folder / "shots.json").is_file() and (folder / ".journal.jsonl").is_file()
    studio = Studio(FakeGenerator, other, "fake", "prose", (), SystemClock())
    shots = [*SHOTS, shot(2)]
    made = make_images(shots, ImageOrder((), 1, folder, None), studio, reporter)
    said = "\n".join(reporter.lines)
    assert len(made) == 3 and "(shots, settings differ) and holds no image yet: begun anew" in said
    assert json.loads((folder / "shots.json").read_text())["count"] == 3
    for image in folder.glob("*.png"):
        image.unlink()
    with pytest.raises(StateError, match="settings differ"):
        make(folder)


class Unusable(FakeGenerator):
    """One that refuses its LoRA."""

    def load_lora(self, lora: Path | None) -> None:
        raise InputError("it holds no LoRA weights")


def test_an_order_that_fails_before_its_first_image_leaves_no_folder(tmp_path: Path) -> None:
    studio = Studio(Unusable, SETTINGS, "fake", "prose", (), SystemClock())
    with pytest.raises(InputError, match="no LoRA weights"):
        make_images(SHOTS, ImageOrder((), 1, tmp_path / "made", None), studio, Recording())
    assert list(tmp_path.iterdir()) == []
