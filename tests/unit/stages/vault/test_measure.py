"""The fused pass: one look at a file gives everything a scan keeps of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter

from twinloop.adapters.fakes import FakeTruth, fake_image, fake_pack
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.stages.pixels import grey_measures, perceptual_hash
from twinloop.stages.vault.measure import MEASURE_SIDE, THUMBNAIL_SIDE, PhotoMeasurer
from twinloop.store.pictures.provenance import synthetic_png


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )


def measured(path: Path) -> ScannedFile:
    """The fused pass over one file, without detectors."""
    return PhotoMeasurer().scan(ListedFile(path, 0, 0))


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, quality=92, **options)
    return path


def test_a_photo_without_detectors(tmp_path: Path) -> None:
    made = measured(saved(tmp_path / "a.jpg", noise(2400, 1600)))
    photo = made.photo
    assert photo is not None and photo.sha256 == made.sha256 and made.problem == ""
    assert (photo.width, photo.height, photo.faces, photo.origin, photo.taken) == (2400, 1600, (), "real", None)
    assert photo.measures.keys() == {"sharpness", "brightness", "contrast", "dark_share", "bright_share"}
    with Image.open(io.BytesIO(made.thumbnail)) as thumbnail:
        assert thumbnail.format == "JPEG" and thumbnail.size == (THUMBNAIL_SIDE, 171)


def test_sharpness_compares_between_sizes_and_tells_blur(tmp_path: Path) -> None:
    """The same picture at 2400 and at 1200 pixels is about as sharp; blurred it is not."""
    picture = noise(2400, 1600).filter(ImageFilter.GaussianBlur(2))
    large, small = (
        measured(saved(tmp_path / f"{side}.jpg", picture.resize((side, side * 2 // 3), Image.Resampling.LANCZOS)))
        for side in (2400, 1200)
    )
    blurred = measured(saved(tmp_path / "b.jpg", picture.filter(ImageFilter.GaussianBlur(20))))
    assert large.photo and small.photo and blurred.photo
    assert 0.75 < large.photo.measures["sharpness"] / small.photo.measures["sharpness"] < 1.35
    assert blurred.photo.measures["sharpness"] < large.photo.measures["sharpness"] / 4


def test_a_small_picture_is_measured_as_it_is(tmp_path: Path) -> None:
    picture = noise(200, 160)
    picture.save(tmp_path / "a.png")
    made = measured(tmp_path / "a.png").photo
    assert made is not None and max(picture.size) < MEASURE_SIDE
    assert made.measures == grey_measures(
        np.asarray(picture.convert("L"), np.float32)
    ) and made.phash == perceptual_hash(np.asarray(picture))


def test_nothing_private_gets_into_what_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRETCAM"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = "SERIAL4711"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    made = measured(saved(tmp_path / "a.jpg", noise(640, 480), exif=exif, comment=b"COMMENT9"))
    text = repr(made.photo).encode() + made.thumbnail
    assert not any(word in text for word in (b"SECRETCAM", b"SERIAL4711", b"COMMENT9", b"Exif", b"GPS"))


def test_the_mark_of_a_model_is_seen(tmp_path: Path) -> None:
    (tmp_path / "made.png").write_bytes(synthetic_png(np.asarray(noise(64, 64)), "prompt", {}))
    made = measured(tmp_path / "made.png").photo
    assert made is not None and made.origin == "synthetic"


def test_known_content_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.jpg", noise(640, 480))
    asked: list[str] = []

    def known(sha256: str) -> bool:
        asked.append(sha256)
        return False

    monkeypatch.setattr("twinloop.stages.vault.measure.decode_small", lambda *_: pytest.fail("decoded"))
    made = PhotoMeasurer().scan(ListedFile(path, 0, 0), known)
    assert made.photo is None and made.problem == "" and asked == [made.sha256]
    assert made.listed.size == path.stat().st_size


def test_a_file_that_is_none_keeps_its_hash_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    made = measured(tmp_path / "a.jpg")
    assert made.photo is None and made.sha256 is not None and "no picture" in made.problem
    gone = measured(tmp_path / "gone.jpg")
    assert gone.sha256 is None and gone.problem == "cannot be read: No such file or directory"


def test_the_fingerprint_changes_with_what_measures() -> None:
    prints = {
        PhotoMeasurer().fingerprint,
        PhotoMeasurer(min_face=50).fingerprint,
        PhotoMeasurer(fake_pack()).fingerprint,
    }
    assert len(prints) == 3 and "fake-1" in PhotoMeasurer(fake_pack()).fingerprint
    handless = replace(fake_pack(), parts=(), slow=fake_pack().measurers)
    assert PhotoMeasurer(handless).fingerprint in prints, "a scan asks for none of them"


def test_measures_of_face_and_photo_are_kept_apart(tmp_path: Path) -> None:
    Image.fromarray(fake_image(FakeTruth(eyes_open=False, setting="studio"), 1, 256)).save(tmp_path / "a.png")
    photo = PhotoMeasurer(fake_pack(), 20).scan(ListedFile(tmp_path / "a.png", 0, 0)).photo
    assert photo is not None
    face = photo.faces[0].measures
    assert face["eyes_open"] == 0.0 and {"sharpness", "brightness", "face_quality", "expression.neutral"} <= face.keys()
    assert (
        photo.measures["setting.studio"] == 0.9
        and "eyes_open" not in photo.measures
        and not any(name.startswith("setting") for name in face)
    )
