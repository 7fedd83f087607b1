"""Pictures of an exported dataset are what their names say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from twinloop.domain.records import Dataset, Member
from twinloop.domain.vault import Consent
from twinloop.errors import NothingToDo
from twinloop.exporters.captioned import CaptionedDataset, Wanted, gather_captioned
from twinloop.exporters.training_set import _picture
from twinloop.foreign.pictures import Picture
from twinloop.stages.merge import MergeLimits
from twinloop.stages.select import Reading
from twinloop.stages.selection_rules import UNMEASURED
from twinloop.store.atomic import write_json


def gathered(dataset: Path) -> CaptionedDataset:
    reading = Reading(UNMEASURED, character=False, prior=None, masks=None)
    wanted = Wanted(trigger="ohwx ana", limits=MergeLimits(), reading=reading, tags=False)
    return gather_captioned(dataset, wanted)


@pytest.mark.parametrize(
    ("name", "format", "as_it_is", "ends", "becomes"),
    [
        ("a.jpg", "JPEG", True, ".jpg", "JPEG"),
        ("a.png", "PNG", True, ".png", "PNG"),
        ("a.webp", "WEBP", True, ".webp", "WEBP"),
        ("a.jfif", "JPEG", False, ".png", "PNG"),
        ("a.tiff", "TIFF", False, ".png", "PNG"),
    ],
)
def test_the_ending_is_that_of_the_content(
    tmp_path: Path, name: str, format: str, as_it_is: bool, ends: str, becomes: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / name, format)
    picture = Picture("0000", tmp_path / name, "ohwx ana", as_it_is)
    assert picture.suffix == ends
    with Image.open(io.BytesIO(_picture(picture))) as made, Image.open(tmp_path / name) as source:
        assert made.format == becomes
        assert np.array_equal(np.asarray(made.convert("RGB")), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize(("kind", "told"), [("fictional", "fictional character"), ("self", "the person themself")])
def test_the_consent_of_the_folder_comes_along(tmp_path: Path, kind: str, told: str) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "person.json").write_text(json.dumps({"consent": Consent(kind).to_json()}))
    assert gathered(tmp_path).consent == told


def picture(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64, 3), shade, np.uint8)).save(path)
    return path


def run_of(record: Path, *pictures: tuple[Path, str, float]) -> Path:
    """The dataset of a run: (file, origin, weight)."""
    members = [Member(str(path), path.name, "ohwx ana", origin, 0, weight) for path, origin, weight in pictures]
    write_json(record, Dataset(tuple(members)).to_json())
    return record


def test_of_a_run_the_photos_tell_the_folder_and_weightless_pictures_are_left_out(tmp_path: Path) -> None:
    photos = [picture(tmp_path / "photos" / name, 9) for name in ("a.png", "deep/b.png")]
    made = picture(tmp_path / "runs" / "made.png", 99)
    found = gathered(
        run_of(
            tmp_path / "runs" / "d.json", (photos[0], "real", 1.0), (photos[1], "real", 0.0), (made, "synthetic", 0.5)
        )
    )
    assert found.root == tmp_path / "photos" and found.made == {made}
    assert found.left_out == (("b.png", "weight 0"),) and found.pictures == 2


def test_where_nothing_is_left_the_reason_is_told(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photos" / "a.png")
    with pytest.raises(NothingToDo, match=r"No picture to export in .*d\.json \(a\.png: weight 0\)"):
        gathered(run_of(tmp_path / "d.json", (photo, "real", 0.0)))


def test_pictures_without_a_caption_are_counted_among_those_that_are_there(tmp_path: Path) -> None:
    """A byte copy is not, as in a training by this program."""
    for number in range(2):
        Image.fromarray(np.full((64, 64, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "1.png").read_bytes())
    (tmp_path / "0.txt").write_text("smiling")
    found = gathered(tmp_path)
    assert (found.pictures, found.uncaptioned, found.bare) == (2, 1, "photo of ohwx ana")
    assert found.left_out == (("copy.png", "same file as 1.png"),)
