"""Which photo may stand for which state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.exporters.makers import candidate
from twinloop.errors import UnreadableImage
from twinloop.exporters.sprites import VRM, named_slots, talking_slots
from twinloop.exporters.strip import shareable
from twinloop.facets import expression


@pytest.mark.parametrize(
    ("jaw", "eyes", "state"),
    [(0.02, 0.9, "closed"), (0.6, 0.9, "open"), (0.02, 0.05, "closed_blink"), (0.6, 0.05, "open_blink")],
)
def test_each_state_takes_its_own_photos(jaw: float, eyes: float, state: str) -> None:
    one = candidate(measures={"jaw_open": jaw, "eyes_open": eyes})
    assert [slot.name for slot in talking_slots() if slot.admits(one)] == [state]
    turned = candidate(yaw=50.0, measures={"jaw_open": jaw, "eyes_open": eyes})
    assert not any(slot.admits(turned) for slot in talking_slots())


def test_not_measured_is_not_closed() -> None:
    assert [slot.admits(candidate()) for slot in talking_slots()] == [None] * 4


def test_names_without_a_measure_are_never_filled() -> None:
    slots = {slot.name: slot for slot in named_slots(VRM, expression.FACET)}
    assert set(slots) == {"happy", "angry", "sad", "relaxed", "surprised", "neutral"}
    assert slots["happy"].admits(candidate(shown="smile")) and not slots["happy"].admits(candidate(shown="angry"))
    assert slots["sad"].admits(candidate(shown="neutral")) is None and "sad.png" in slots["sad"].remedy


PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


def test_a_photo_to_be_shared_loses_its_texts_not_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[305] = "SecretEditor"
    for name, options in (("a.jpg", {"quality": 90}), ("p.jpg", {"quality": 90, "progressive": True}), ("b.png", {})):
        Image.fromarray(PIXELS).save(tmp_path / name, exif=exif, **options)
        data = (tmp_path / name).read_bytes()
        plain = shareable(tmp_path / name)
        assert b"SecretEditor" in data and b"SecretEditor" not in plain and len(plain) < len(data)
        (tmp_path / "plain").write_bytes(plain)
        with Image.open(tmp_path / "plain") as one, Image.open(tmp_path / name) as other:
            assert one.format == other.format and np.array_equal(np.asarray(one), np.asarray(other))


def test_what_follows_the_first_picture_goes(tmp_path: Path) -> None:
    """Phones put depth maps and videos behind a JPEG's end."""
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole + b"a video of the garden")
    assert shareable(tmp_path / "a.jpg") == whole


def test_a_turned_photo_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "plain").write_bytes(shareable(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "plain") as image:
        assert image.format == "PNG" and image.size == (40, 60)


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(UnreadableImage):
        shareable(tmp_path / "a.jpg")
