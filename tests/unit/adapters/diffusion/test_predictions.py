"""A base model is taken for what the user says that it predicts: when images are made, when it is trained on, and in
what identifies it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import GENERATION, TRAINING, samples, shots  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.diffusion.preflight import Wanted, checks  # noqa: E402
from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.distributed.job import SHARED, NamedFamily, SharedTraining  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import NoiseSchedule  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.predictions import NOT_ASKED, Asked  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402

SDXL = FAMILIES["sdxl"]
ZERO = Asked("v_prediction", True)


def choice(base: Path, asked: Asked = NOT_ASKED) -> BaseChoice:
    return BaseChoice(str(base), "cpu", "float32", prediction=asked)


@pytest.mark.parametrize("family", ["sdxl", "sd15"])
def test_the_scheduler_does_as_the_user_says(family: str, tmp_path: Path) -> None:
    base = build_tiny(family, tmp_path / family)
    plain = open_base(choice(base), FAMILIES[family])
    assert plain.scheduler_config.prediction_type == "epsilon"
    opened = open_base(choice(base, ZERO), FAMILIES[family])
    config = opened.scheduler_config
    assert (config.prediction_type, config.timestep_spacing) == ("v_prediction", "trailing")
    assert not config.get("clip_sample")
    noise = NoiseSchedule(config)
    assert noise.prediction == "v_prediction" and not noise.takes_offset
    for name in ("", "euler", "dpmpp_2m", "unipc"):
        opened.use_sampler(name, None)
        scheduler = opened.pipeline.scheduler
        assert scheduler.config.prediction_type == "v_prediction", name
        assert scheduler.alphas_cumprod[-1] < 1e-6, name
    assert opened.fingerprint != plain.fingerprint and opened.fingerprint.startswith(plain.fingerprint)


def test_what_a_folder_says_may_be_taken_back(tiny_base: Path) -> None:
    told = open_base(choice(tiny_base), SDXL).scheduler_config
    assert told.prediction_type == "v_prediction" and told.rescale_betas_zero_snr
    config = open_base(choice(tiny_base, Asked(None, False)), SDXL).scheduler_config
    assert config.prediction_type == "v_prediction" and not config.rescale_betas_zero_snr
    assert open_base(choice(tiny_base, Asked("epsilon")), SDXL).scheduler_config.prediction_type == "epsilon"


def test_flow_models_are_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are flow models"):
        open_base(choice(build_tiny("flux", tmp_path / "flux"), ZERO), FAMILIES["flux"])


def test_training_and_images_are_of_that_kind(full_base: Path, tmp_path: Path) -> None:
    photos = samples(tmp_path / "photos")
    files = []
    for name, asked in (("plain", NOT_ASKED), ("told", ZERO)):
        trainer = DiffusersLoraTrainer(choice(full_base, asked), SDXL)
        trainer.train(photos, replace(TRAINING, steps=1), tmp_path / f"{name}.safetensors", tmp_path / "work", {}, say)
        files.append(tmp_path / f"{name}.safetensors")
    kinds = [header_texts(file)["modelspec.prediction_type"] for file in files]
    assert kinds == ["epsilon", "v"] and files[0].read_bytes() != files[1].read_bytes()
    plain, told = (images(DiffusersGenerator(choice(full_base, asked), SDXL)) for asked in (NOT_ASKED, ZERO))
    assert not np.array_equal(plain, told)


def say(step: int, steps: int, loss: float) -> None: ...


def images(generator: DiffusersGenerator, rescale: float = 0.0) -> ImageArray:
    generator.load_lora(None)
    asked = replace(GENERATION, guidance=9.0, guidance_rescale=rescale)
    return np.stack([image for _, image in generator.generate(shots(2), asked)])


def test_guidance_is_rescaled(full_base: Path) -> None:
    generator = DiffusersGenerator(choice(full_base), SDXL)
    assert not np.array_equal(images(generator), images(generator, 0.7))


@pytest.mark.parametrize(
    ("family", "from_photos"), [("flux", False), ("sd35", False), ("zimage", False), ("sd15", True)]
)
def test_pipelines_that_cannot_rescale_are_said_before_anything_starts(
    family: str, from_photos: bool, tmp_path: Path
) -> None:
    asked = replace(GENERATION, guidance_rescale=0.7)
    wanted = Wanted(choice(tmp_path / "none"), FAMILIES[family], asked, from_photos=from_photos)
    with pytest.raises(
        InputError, match=rf"generation\.guidance_rescale: \w+Pipeline, .*'{family}', has no such argument"
    ):
        look_at_all(checks(wanted))


def test_no_image_is_made_without_what_was_asked_for(tmp_path: Path) -> None:
    generator = DiffusersGenerator(choice(build_tiny("sd35", tmp_path / "base")), FAMILIES["sd35"])
    with pytest.raises(InputError, match=r"generation\.guidance_rescale"):
        images(generator, 0.7)


def test_processes_that_share_a_training_are_told(tmp_path: Path) -> None:
    shared = SharedTraining(choice(tmp_path, ZERO), NamedFamily("sdxl"), (), TRAINING, tmp_path, tmp_path, {})
    assert SHARED.validate_python(SHARED.dump_python(shared, mode="json")) == shared
