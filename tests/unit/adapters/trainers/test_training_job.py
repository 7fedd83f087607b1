"""What is learned, what is measured, and which settings mean something: told before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.trainers.training_job import TrainingJob, applicable  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import InputError, NothingToDo  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SDXL = FAMILIES["sdxl"]


@pytest.fixture
def photos(tmp_path: Path) -> tuple[TrainingSample, ...]:
    return samples(tmp_path / "photos")


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    return open_base(BaseChoice(str(full_base), "cpu"), SDXL)


def test_every_sample_has_its_part(base: BaseModel, photos: tuple[TrainingSample, ...]) -> None:
    subject, prior = photos[:2], replace(photos[2], prior=True)
    held_out = [replace(photo, weight=0.0) for photo in photos[3:]]
    left_out = replace(prior, weight=0.0)  # neither learned nor a photo of the subject
    settings = replace(TRAINING, validate_every=2)
    job = TrainingJob.of((*held_out, *subject, left_out, prior), settings, base)
    assert job.learned == (*subject, prior) and job.images == 2 and job.has_prior
    assert sorted(sample.sha256 for sample in job.measured) == sorted(sample.sha256 for sample in held_out)
    assert job.settings.validate_every == 2
    alone = TrainingJob.of(subject, settings, base)
    assert alone.measured == () and alone.settings.validate_every == 0 and not alone.has_prior


def test_a_training_without_the_subject_is_none(base: BaseModel, photos: tuple[TrainingSample, ...]) -> None:
    for given in (
        (),
        [replace(photo, weight=0.0) for photo in photos],
        [replace(photo, prior=True) for photo in photos],
    ):
        with pytest.raises(NothingToDo, match="no photo"):
            TrainingJob.of(given, TRAINING, base)


def test_what_does_not_go_with_the_base_is_refused(base: BaseModel, photos: tuple[TrainingSample, ...]) -> None:
    with pytest.raises(InputError, match=r"blocks_to_swap"):
        TrainingJob.of(photos, replace(TRAINING, blocks_to_swap=1), base)


def test_what_is_learned_decides_what_is_measured_does_not(base: BaseModel, photos: tuple[TrainingSample, ...]) -> None:
    """A training goes on as the same one where photos are held out beside it."""
    held_out = replace(photos[4], weight=0.0)
    plain = TrainingJob.of(photos[:4], TRAINING, base).inputs("trainer")
    assert TrainingJob.of((*photos[:4], held_out), TRAINING, base).inputs("trainer") == plain
    assert TrainingJob.of(photos[:3], TRAINING, base).inputs("trainer") != plain
    assert TrainingJob.of(photos[:4], TRAINING, base).inputs("another") != plain


def test_settings_without_a_use_are_left_out(full_base: Path, tiny_base: Path) -> None:
    offset = replace(TRAINING, noise_offset=0.1, min_snr_gamma=5.0)
    plain, zero = (applicable(offset, open_base(BaseChoice(str(path), "cpu"), SDXL)) for path in (full_base, tiny_base))
    assert (plain.noise_offset, zero.noise_offset, plain.min_snr_gamma) == (0.1, 0.0, 5.0)
