"""Light is measured on the figure where the background is plain: paper is not bright light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.stages.same_picture.sprites import sprite
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.faces import ImageArray
from twinloop.domain.observation import Observation
from twinloop.facets import BUILTIN, lighting
from twinloop.ports import DetectorPack
from twinloop.stages.observe import Observer
from twinloop.store.pictures.images import LoadedImage, load_image

EYE = Observer(DetectorPack("none"), BUILTIN)


def seen(pixels: ImageArray) -> Observation:
    return EYE.observe(LoadedImage(Path("x.png"), "0" * 64, pixels, "real"))


def said(pixels: ImageArray) -> tuple[str, ...]:
    return lighting.FACET.classify(seen(pixels)).present


def on(background: int, figure: int, share: float = 0.3) -> ImageArray:
    """A grey figure with noise that takes this share of a plain background."""
    picture = np.full((200, 200, 3), background, np.uint8)
    height = int(200 * share)
    noise = np.random.default_rng(0).integers(-12, 13, (height, 200, 1))
    picture[200 - height :] = np.clip(figure + noise, 0, 255)
    return picture


def photo(level: int) -> ImageArray:
    """All of it of about that brightness, nothing plain."""
    return np.clip(
        level + np.random.default_rng(1).integers(-15, 16, (200, 200, 1)) + np.zeros((1, 1, 3), int), 0, 255
    ).astype(np.uint8)


def test_a_drawing_on_white_is_not_high_key() -> None:
    drawing = np.asarray(sprite("smile", False))
    whole = seen(drawing)
    assert whole.measures["brightness"] > 140 and whole.measures["plain_background"] > 0.3
    assert said(drawing) == ("normal",)
    assert said(on(255, 120, 0.2)) == ("normal",), "of which the whole has 230"


def test_a_pale_figure_on_white_is_not_told() -> None:
    assert said(on(255, 220)) == (), "it may be pale, or brightly lit"
    assert said(np.full((100, 100, 3), 255, np.uint8)) == (), "nothing but paper"


def test_a_removed_background_counts_as_plain(tmp_path: Path) -> None:
    cut = sprite("smile", False).convert("RGBA")
    pixels = np.array(cut)
    pixels[(pixels[..., :3] == 255).all(-1), 3] = 0
    path = tmp_path / "cut.png"
    Image.fromarray(pixels).save(path)
    assert said(load_image(path).pixels) == ("normal",)


@pytest.mark.parametrize(("level", "value"), [(30, "low_key"), (120, "normal"), (225, "high_key")])
def test_photos_are_judged_as_a_whole(level: int, value: str) -> None:
    assert "plain_background" not in seen(photo(level)).measures
    assert said(photo(level)) == (value,)


def test_the_night_is_dark_though_it_is_plain() -> None:
    assert said(on(0, 70)) == ("low_key",)


def test_a_dark_figure_on_paper_is_low_key_only_with_a_dark_face() -> None:
    pixels = on(255, 30, 0.5)
    assert said(pixels) == ()
    measures = {**seen(pixels).measures, "face_brightness": 40.0}
    dark = Observation("0" * 64, 200, 200, (), (), measures, frozenset(), "0" * 16, "test")
    assert lighting.FACET.classify(dark).present == ("low_key",)


def test_it_is_another_ruler_than_before() -> None:
    assert "lighting-2" in Observer(fake_pack(), BUILTIN).fingerprint
