"""A folder becomes a dataset: one way, with detectors and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.things import dataset_of, observation, photo
from twinloop.stages.first_dataset import TOO_MANY_MADE, FirstDataset, from_folder
from twinloop.stages.merge import MergeLimits
from twinloop.stages.select import Reading
from twinloop.stages.selection_rules import READABLE_ONLY, UNMEASURED, Rule
from twinloop.store.pictures.dataset_folders import read_folders
from twinloop.store.pictures.provenance import synthetic_png


@given(real=st.integers(1, 20), made=st.integers(0, 40))
def test_a_folder_merged_by_hand_keeps_the_same_caps(real: int, made: int) -> None:
    """Copied into the folder by the user, synthetic images still are at most half, and weigh less than the photos."""
    photos = [photo(f"p{n}") for n in range(real)] + [photo(f"s{n}", origin="synthetic") for n in range(made)]
    found = dataset_of(photos)
    assert len(found.real) == real and all(m.weight == 1.0 for m in found.real)
    assert len(found.synthetic) == min(real, made)
    total = sum(m.weight for m in found.synthetic)
    assert total <= real / 1.3 + 1e-9 and (total > 0) == (made > 0)


def test_the_first_dataset_holds_out_and_marks() -> None:
    photos = [photo("a.jpg"), photo("b.jpg"), photo("made.png", observation("made.png", origin="synthetic"))]
    first = dataset_of(photos, {observation("b.jpg").sha256})
    assert [(Path(m.path).name, m.origin, m.weight) for m in first.members] == [
        ("a.jpg", "real", 1.0), ("b.jpg", "real", 0.0), ("made.png", "synthetic", pytest.approx(1 / 1.3))
    ]  # fmt: skip


def test_a_caption_beside_the_photo_wins_over_the_measured_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("in a park\nanother variant\n")
    (tmp_path / "b.txt").write_text("ohwx ana asleep")
    photos = [photo(str(tmp_path / name)) for name in ("a.png", "b.png", "c.png")]
    texts = [member.caption for member in dataset_of(photos).members]
    assert texts[:2] == ["ohwx ana, in a park", "ohwx ana asleep"]
    assert texts[2].startswith("ohwx ana, ") and "front view" in texts[2]


def test_the_folder_tells_weight_and_caption_of_what_has_none_beside_it(tmp_path: Path) -> None:
    names = ("10_ohwx woman/a.png", "10_ohwx woman/b.png", "4_hat/c.png", "4_hat/held.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "10_ohwx woman/a.txt").write_text("in a park")
    photos = [photo(str(tmp_path / name)) for name in names]
    made = dataset_of(photos, {photos[3].seen.sha256}, folders=read_folders(tmp_path))
    assert [(one.caption, one.weight) for one in made.members] == [
        ("ohwx ana, in a park", 1.0),
        ("ohwx ana, ohwx woman", 1.0),
        ("ohwx ana, hat", 0.4),
        ("ohwx ana, hat", 0.0),
    ]


def test_by_hand_made_images_are_of_the_first_round_as_they_were_always() -> None:
    """The round is part of a dataset's identity, by which a trained LoRA knows its photos again."""
    photos = [photo("a.jpg"), photo("made.png", observation("made.png", origin="synthetic"))]
    by_hand = dataset_of(photos, made_in=1)
    assert [(m.round, m.weight) for m in by_hand.members] == [(0, 1.0), (1, pytest.approx(1 / 1.3))]


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 48, 3), np.uint8)


def read(folder: Path, rules: tuple[Rule, ...] = UNMEASURED, character: bool = False) -> FirstDataset:
    reading = Reading(rules, character, prior=str(folder / "others"), masks=None)
    return from_folder(folder, reading, "ohwx ana", "photo of ohwx ana", MergeLimits())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, one of them twice, three made images, a prior image, and a file that is none."""
    for number in range(2):
        Image.fromarray(pixels(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "0.txt").write_text("smiling")
    (tmp_path / "1 copy.png").write_bytes((tmp_path / "1.png").read_bytes())
    for number in range(3):
        (tmp_path / f"made_{number}.png").write_bytes(synthetic_png(pixels(9 + number), "prompt", {}))
    (tmp_path / "others").mkdir()
    Image.fromarray(pixels(7)).save(tmp_path / "others" / "7.png")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8")
    return tmp_path


def named(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_without_detectors_copies_unreadable_files_and_too_many_made_ones_are_left_out(folder: Path) -> None:
    first = read(folder)
    assert named([one.path for one in first.dataset.members]) == ["0.png", "1 copy.png", "made_0.png", "made_1.png"]
    reasons = {Path(path).name: reason for path, reason in first.left_out}
    assert reasons.keys() == {"1.png", "made_2.png", "torn.jpg"}
    assert (reasons["1.png"], reasons["made_2.png"]) == ("same file as 1 copy.png", TOO_MANY_MADE)
    assert named(list(first.uncaptioned)) == ["1 copy.png", "made_0.png", "made_1.png"]
    assert [one.caption for one in first.dataset.members][:2] == ["ohwx ana, smiling", "photo of ohwx ana"]
    assert all(0 < one.weight < 1 for one in first.dataset.synthetic)


def test_all_readable_files_are_kept_where_that_is_asked_for(folder: Path) -> None:
    """A copy of a made image counts as one more, since each of them is drawn."""
    (folder / "made_0 copy.png").write_bytes((folder / "made_0.png").read_bytes())
    first = read(folder, READABLE_ONLY)
    assert len(first.dataset.real) == 3 == len(first.dataset.synthetic)
    assert sum(one.weight for one in first.dataset.synthetic) <= 3 / 1.3 + 1e-9


def test_what_a_character_looks_like_are_originals_without_detectors_too(folder: Path) -> None:
    for path in folder.glob("[01t]*"):
        path.unlink()
    assert [one.origin for one in read(folder).dataset.members] == ["real"] * 3, "all of them are made"
