"""Masks told to other trainers: a file for every picture, of its size, in a folder that the configuration names."""

from __future__ import annotations

import io
import json
import tomllib
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.contract.makers import TRAINING
from tests.helpers import foreign_keys as keys
from twinloop.domain.records import Mask, TrainingSample
from twinloop.errors import InputError, StateError, UnreadableImage
from twinloop.families import FAMILIES
from twinloop.foreign import aitoolkit, kohya, onetrainer
from twinloop.foreign.job import Job
from twinloop.foreign.kohya_dataset import dataset_toml
from twinloop.foreign.masks import mask_png
from twinloop.foreign.pictures import folders_of
from twinloop.store.atomic import sha256_file

HALF = np.repeat(np.array([[0, 0, 255, 255]], np.uint8), 3, axis=0)


def sample(folder: Path, name: str, mask: Mask | None = None, **more: Any) -> TrainingSample:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 40), "grey").save(folder / name, exif=exif)  # seen as 40 x 30
    return TrainingSample(folder / name, sha256_file(folder / name), "photo of ana", 1.0, mask=mask, **more)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[TrainingSample, TrainingSample]:
    (tmp_path / "masks").mkdir()
    path = tmp_path / "masks" / "a.png"
    Image.fromarray(HALF).save(path)
    return sample(tmp_path, "a.jpg", Mask(path, sha256_file(path))), sample(tmp_path, "b.jpg")


def job(*photos: TrainingSample) -> Job:
    folders = folders_of(photos, "ana")
    return Job(
        "ana", "/base", FAMILIES["sdxl"], TRAINING, "ana", PurePosixPath("/data"), PurePosixPath("/out"), folders
    )


def grey(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (40, 30))
        return np.asarray(image)


def test_each_picture_has_one_of_its_size(photos: tuple[TrainingSample, TrainingSample]) -> None:
    masked, bare = job(*photos).folders[0].pictures
    made = grey(mask_png(masked, 0.0))
    assert made[:, :14].max() == 0 and made[:, 26:].min() == 255
    assert grey(mask_png(masked, 0.2))[0, 0] == 51
    assert grey(mask_png(bare, 0.0)).min() == 255, "without a mask all of it is learned"
    assert mask_png(masked, 0.2) == mask_png(masked, 0.2)


def test_what_is_no_longer_there_is_named(photos: tuple[TrainingSample, TrainingSample]) -> None:
    masked, bare = job(*photos).folders[0].pictures
    photos[0].mask.path.write_bytes(b"another")  # type: ignore[union-attr]
    with pytest.raises(StateError, match=r"The mask .*a\.png"):
        mask_png(masked, 0.0)
    photos[1].path.unlink()
    with pytest.raises(UnreadableImage, match=r"b\.jpg cannot be read"):
        mask_png(bare, 0.0)


def test_sd_scripts_are_told_as_of_a_controlnet(photos: tuple[TrainingSample, TrainingSample]) -> None:
    told = job(*photos)
    (subset,) = tomllib.loads(dataset_toml(told))["datasets"][0]["subsets"]
    assert subset["conditioning_data_dir"] == "/data/masks/1_ana"
    assert not {"is_reg", "class_tokens"} & subset.keys(), "which such a subset does not know"
    assert subset.keys() <= keys.KOHYA_SUBSET | {"conditioning_data_dir"}
    dataset = tomllib.loads(kohya.training_toml(told, "d"))["dataset"]
    assert dataset["masked_loss"] is True and dataset.keys() <= keys.KOHYA_TRAINING
    with pytest.raises(InputError, match=r"training\.masks or prior_images, not both"):
        dataset_toml(job(*photos, replace(photos[1], prior=True)))


def test_ai_toolkit_is_told_of_all_but_prior_pictures(photos: tuple[TrainingSample, TrainingSample]) -> None:
    told = aitoolkit.job_yaml(job(*photos, replace(photos[1], prior=True)))
    subject, prior = yaml.safe_load(told)["config"]["process"][0]["datasets"]
    assert (subject["mask_path"], subject["mask_min_value"]) == ("/data/masks/1_ana", 0.0)
    assert subject.keys() <= keys.AI_TOOLKIT["datasets"] and prior["is_reg"] and "mask_path" not in prior


def test_onetrainer_weighs_them_as_this_program_does(photos: tuple[TrainingSample, TrainingSample]) -> None:
    told = job(*photos)
    config = json.loads(onetrainer.config_json(replace(told, settings=replace(told.settings, mask_floor=0.2)), "c"))
    assert config.keys() <= keys.ONETRAINER
    names = ("masked_training", "unmasked_probability", "unmasked_weight", "normalize_masked_area_loss")
    assert [config[name] for name in names] == [True, 0.0, 0.2, True]


def test_without_any_nothing_is_said(photos: tuple[TrainingSample, TrainingSample]) -> None:
    bare = job(photos[1])
    assert "conditioning_data_dir" not in dataset_toml(bare) and "masked_loss" not in kohya.training_toml(bare, "d")
    assert "mask_path" not in aitoolkit.job_yaml(bare)
    assert "masked" not in onetrainer.config_json(bare, "c")


def test_grey_lies_between_the_floor_and_white(photos: tuple[TrainingSample, TrainingSample]) -> None:
    path = photos[0].mask.path  # type: ignore[union-attr]
    Image.new("L", (4, 3), 102).save(path)
    told = replace(photos[0], mask=Mask(path, sha256_file(path)))
    made = grey(mask_png(job(told).folders[0].pictures[0], 0.5))
    assert made.min() == made.max() == round((0.5 + 0.5 * 102 / 255) * 255)
