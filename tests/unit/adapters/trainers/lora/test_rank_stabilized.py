"""rsLoRA: alpha / root of rank, in files that say it as alpha / rank."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file, save_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import ADAPTER, AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.preflight import check_fits  # noqa: E402
from twinloop.domain.faces import ImageArray  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.loras.adapter import understood  # noqa: E402
from twinloop.loras.lora import Layer, read_lora  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402

SDXL = FAMILIES["sdxl"]
SETTINGS = replace(
    TRAINING, rank=8, alpha=4.0, rank_stabilized=True, text_encoder=True, steps=3, learning_rate=0.02, warmup_steps=0
)
ALPHA = 4 * math.sqrt(8)
"""Not a number of half precision."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("sdxl", tmp_path_factory.mktemp("base") / "sdxl")


def train(base: Path, home: Path, settings: TrainingSettings) -> Path:
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL)
    photos = samples(home / "photos", count=3)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    return home / "lora.safetensors"


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(base, tmp_path_factory.mktemp("trained"), SETTINGS)


def picture(base: Path, file: Path | None) -> ImageArray:
    """Made by diffusers' own pipeline, as anyone would call it."""
    from diffusers import StableDiffusionXLPipeline

    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(base, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    if file is not None:
        pipeline.load_lora_weights(str(file), adapter_name="mine")
    made = pipeline(
        "photo of ohwx ana", num_inference_steps=2, width=64, height=64, output_type="np",
        generator=torch.Generator().manual_seed(5),
    ).images[0]  # fmt: skip
    return np.asarray((made * 255).round(), np.uint8)


def test_pefts_own_rslora_draws_the_same_pixels(base: Path, trained: Path, tmp_path: Path) -> None:
    """The same matrices with PEFT's ``use_rslora`` and the alpha that was asked for, against ours and the copy."""
    texts = header_texts(trained)
    own = json.loads(texts["lora_adapter_metadata"])
    for name in list(own):
        own |= {name: True} if name.endswith(".use_rslora") else {}
        own |= {name: 4.0} if name.endswith(".lora_alpha") else {}
    assert sum(name.endswith(".use_rslora") for name in own) == 3
    theirs = tmp_path / "peft.safetensors"
    save_file(load_file(trained), theirs, {**texts, "lora_adapter_metadata": json.dumps(own)})
    ours, copy, peft, bare = (picture(base, file) for file in (trained, kohya_path(trained), theirs, None))
    assert np.array_equal(ours, peft) and np.array_equal(ours, copy) and not np.array_equal(ours, bare)


def test_files_say_the_alpha_that_is_divided_by_the_rank(trained: Path) -> None:
    for file in (trained, kohya_path(trained)):
        texts = header_texts(file)
        assert (texts["ss_network_dim"], float(texts["ss_network_alpha"])) == ("8", ALPHA)
        assert json.loads(texts["ss_network_args"]) == {"rank_stabilized": "True"}
        layers = understood(read_lora(file), "sdxl").layers.values()
        alphas = [layer.alpha for layer in layers if isinstance(layer, Layer)]
        assert alphas and alphas == pytest.approx([ALPHA] * len(alphas), rel=1e-7)


@pytest.mark.parametrize("adapter", ["lora", "dora"])
def test_what_is_trained_has_the_scale_that_is_written(base: Path, adapter: str) -> None:
    opened = open_base(BaseChoice(str(base), "cpu", "float32"), SDXL)
    settings = replace(SETTINGS, adapter=adapter, conv_rank=4, conv_alpha=1.0)
    with adapted(opened, AdapterPlan.of(settings, SDXL), 0) as model:
        scales = {
            (layer.r[ADAPTER], round(layer.scaling[ADAPTER], 9))
            for layer in opened.denoiser.modules()
            if ADAPTER in getattr(layer, "scaling", {})
        }
        assert scales == {(8, round(4 / math.sqrt(8), 9)), (4, round(1 / math.sqrt(4), 9))}
        weights = model.weights(torch.float32)
        assert weights.alpha == pytest.approx(ALPHA) and set(weights.alphas.values()) == {2.0}


def test_it_is_the_training_with_that_alpha(base: Path, trained: Path, tmp_path: Path) -> None:
    plain = train(base, tmp_path, replace(SETTINGS, rank_stabilized=False, alpha=ALPHA))
    one, other = load_file(trained), load_file(plain)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert "ss_network_args" not in header_texts(plain)


def test_convolutions_keep_the_proportion_where_no_alpha_is_given() -> None:
    settings = replace(SETTINGS, conv_rank=4)
    assert settings.convolution_alpha == 2.0 * math.sqrt(4)
    assert replace(settings, rank_stabilized=False).convolution_alpha == 2.0


def test_a_lokr_has_no_such_scale() -> None:
    with pytest.raises(InputError, match='rank_stabilized goes with "adapter": "lora" or "dora"'):
        check_fits(replace(SETTINGS, adapter="lokr", text_encoder=False), SDXL)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schedule": "cosine"}, "adamw_schedulefree runs at one rate after the warm-up"),
        ({"ema_decay": 0.9}, "adamw_schedulefree writes an average by itself"),
        ({"scale_weight_norms": 1.0}, "shortens weights that adamw_schedulefree averages"),
    ],
)
def test_what_does_not_go_with_a_schedule_free_optimizer(changes: dict[str, Any], told: str) -> None:
    free = replace(TRAINING, optimizer="adamw_schedulefree", schedule="constant")
    check_fits(free, SDXL)
    with pytest.raises(InputError, match=told):
        check_fits(replace(free, **changes), SDXL)
