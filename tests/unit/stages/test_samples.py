"""What a training sees: faces where they count, pictures of others of the class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.contract.makers import TRAINING
from tests.unit.things import Recording, dataset, face, member, observation
from twinloop.config import TrainingConfig
from twinloop.domain.faces import Box
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.samples import NOTHING_BESIDE, Beside, beside_dataset, faces_of, training_samples

WOMAN = replace(TRAINING, class_word="woman")


@pytest.fixture
def others(tmp_path: Path) -> Path:
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "0.txt").write_text("photo of an old woman")
    return tmp_path


def test_others_of_the_class_come_after_the_dataset_with_their_captions(others: Path) -> None:
    made = training_samples(dataset(2), WOMAN, Beside(prior=others), "prose", Recording())
    assert [sample.prior for sample in made] == [False, False, True, True, True]
    assert [sample.caption for sample in made[2:]] == ["photo of an old woman", "photo of woman", "photo of woman"]
    tags = training_samples(dataset(2), WOMAN, Beside(prior=others), "tags", Recording())
    assert tags[-1].caption == "1girl, solo"


def test_one_that_cannot_be_read_is_named_and_the_rest_is_used(others: Path) -> None:
    (others / "torn.png").write_bytes(b"\x89PNG")
    reporter = Recording()
    assert len(training_samples(dataset(2), WOMAN, Beside(prior=others), "prose", reporter)) == 5
    assert "skipped torn.png of training.prior_images" in reporter.warnings[0]


def test_a_folder_without_any_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.prior_images: no usable image"):
        training_samples(dataset(2), WOMAN, Beside(prior=tmp_path), "prose", Recording())
    with pytest.raises(InputError, match="Folder not found"):
        training_samples(dataset(2), WOMAN, Beside(prior=tmp_path / "missing"), "prose", Recording())


def test_faces_are_found_by_content() -> None:
    seen = [observation("a", faces=[face(box=Box(1, 2, 3, 4))]), observation("b", faces=[])]
    data = Dataset((replace(member("a"), sha256=seen[0].sha256), member("c")))
    made = training_samples(data, WOMAN, Beside(faces_of(seen)), "prose", Recording())
    assert [sample.face for sample in made] == [Box(1, 2, 3, 4), None]


def test_what_is_not_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    def observations() -> list[Observation]:
        pytest.fail("observing takes long, and no face counts")

    reporter = Recording()
    assert beside_dataset(dataset(2), tmp_path, TrainingConfig(), observations, reporter) == NOTHING_BESIDE
    assert reporter.lines == []


def test_what_is_asked_for_lies_beside_the_dataset(others: Path) -> None:
    seen = [observation("a", faces=[face(box=Box(1, 2, 3, 4))])]
    data = Dataset((replace(member("a"), path=str(others / "1.png")), replace(member("b"), path=str(others / "2.png"))))
    masks = others / "masks"
    masks.mkdir()
    Image.new("L", (64, 64), 255).save(masks / "1.png")
    asked = TrainingConfig(face_weight=2.0, prior_images=str(others), masks=str(masks))
    reporter = Recording()
    found = beside_dataset(data, others, asked, lambda: seen, reporter)
    assert (found.faces, found.prior, list(found.masks)) == (faces_of(seen), others, [others / "1.png"])
    assert reporter.lines == ["1 of 2 pictures with a mask; where there is none, all of it is learned"]


def test_faces_that_count_more_are_told_where_none_is_known(tmp_path: Path) -> None:
    reporter, asked = Recording(), TrainingConfig(face_weight=2.0)
    assert beside_dataset(dataset(2), tmp_path, asked, lambda: [observation("a", faces=[])], reporter) == NOTHING_BESIDE
    assert len(reporter.warnings) == 1 and "face_weight does nothing here" in reporter.warnings[0]


def test_held_out_photos_do_not_make_a_training() -> None:
    with pytest.raises(NothingToDo, match="no photo to train on"):
        training_samples(Dataset((member("a", weight=0.0),)), WOMAN, NOTHING_BESIDE, "prose", Recording())
