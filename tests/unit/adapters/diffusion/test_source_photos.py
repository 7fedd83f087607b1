"""Photos that images start from: the face stays in the picture, wherever in the photo it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from tests.unit.things import shot
from twinloop.adapters.diffusion.source_photos import shown_photos, start_photo
from twinloop.domain.faces import Box
from twinloop.domain.shots import Shot
from twinloop.families.base import Editing
from twinloop.ports import GenerationSettings

FACE = Box(520, 20, 560, 70)
SETTINGS = GenerationSettings(steps=1, guidance=1.0, width=64, height=64, references=2)


@pytest.fixture
def panorama(tmp_path: Path) -> Path:
    """Black, but for a face near its right end."""
    pixels = np.zeros((100, 600, 3), np.uint8)
    pixels[20:70, 520:560] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    return tmp_path / "wide.png"


def shot_from(panorama: Path, *faces: Box | None) -> Shot:
    return replace(shot(), source=str(panorama), references=(str(panorama),), source_faces=faces)


def test_a_shot_starts_from_the_part_with_the_face(panorama: Path) -> None:
    assert np.asarray(start_photo(shot_from(panorama), SETTINGS)).max() == 0
    picture = np.asarray(start_photo(shot_from(panorama, FACE), SETTINGS))
    assert picture.shape == (64, 64, 3)
    assert (picture > 127).all(axis=2).sum() == pytest.approx(40 * 50 * 0.64**2, rel=0.1)


@pytest.mark.parametrize("scales", [True, False])
def test_editing_models_are_shown_it_too_in_each_photo(panorama: Path, scales: bool) -> None:
    editing = Editing({"any": 2}, scales=scales)
    first, second = shown_photos(shot_from(panorama, None, FACE), editing, 2, SETTINGS)
    assert np.asarray(first.photo).max() == 0 and np.asarray(second.photo).max() == 255
    assert first.photo.size == second.photo.size
    assert first.key != second.key, "what is seen is embedded once by its key"
