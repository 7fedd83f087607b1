"""Orders by hand: a folder belongs to one order, also to one that an older version began."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeGenerator
from twinloop.errors import InputError, StateError
from twinloop.manual import RECORD, Order, Studio, make_images
from twinloop.ports import GenerationSettings
from twinloop.store.clock import SystemClock

SETTINGS = GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=2)
SHOTS = [shot(number) for number in range(2)]


def make(folder: Path, settings: GenerationSettings = SETTINGS) -> list[str]:
    studio = Studio(FakeGenerator, settings, "fake", "prose", (), SystemClock())
    return [made.sha256 for made in make_images(SHOTS, Order((), 1, folder, None), studio, Recording())]


def test_an_order_goes_on_after_an_update(tmp_path: Path) -> None:
    first = make(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    for name in ("compile", "quantization", "vae_tiling", "precision"):
        del record["settings"][name]
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert make(tmp_path) == first


def test_another_order_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    make(tmp_path, replace(SETTINGS, offload="model", planned=7))  # decides no pixel
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(SETTINGS, steps=3))
    with pytest.raises(StateError, match="settings differ"):
        make(tmp_path, replace(SETTINGS, precision="float16"))


class Unusable(FakeGenerator):
    """One that refuses its LoRA."""

    def load_lora(self, lora: Path | None) -> None:
        raise InputError("it holds no LoRA weights")


def test_an_order_that_fails_before_its_first_image_leaves_no_folder(tmp_path: Path) -> None:
    studio = Studio(Unusable, SETTINGS, "fake", "prose", (), SystemClock())
    with pytest.raises(InputError, match="no LoRA weights"):
        make_images(SHOTS, Order((), 1, tmp_path / "made", None), studio, Recording())
    assert list(tmp_path.iterdir()) == []
