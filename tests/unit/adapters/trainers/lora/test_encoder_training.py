"""Training text encoders: their own rate, their own end, and what else a training may be asked for at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.saved_tensors import bytes_kept  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.training_memory import demand_of  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import latent_shape  # noqa: E402
from twinloop.adapters.diffusion.prompts import join  # noqa: E402
from twinloop.adapters.trainers.data.batches import Batch  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel, adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.adapters.trainers.preflight import check_on_base  # noqa: E402
from twinloop.errors import InputError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402

SDXL = FAMILIES["sdxl"]
SETTINGS = replace(TRAINING, text_encoder=True, warmup_steps=1, schedule="constant", tensorboard=False)
Tensors = dict[str, Any]


def trained(base: Path, home: Path, settings: TrainingSettings, *, prior: bool = False) -> tuple[Tensors, Tensors]:
    """What the denoiser and what the text encoders learned."""
    photos = samples(home / "photos", count=4)
    if prior:
        photos = (*photos[:2], *(replace(photo, prior=True) for photo in photos[2:]))
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    found = load_file(home / "lora.safetensors")
    of_encoders = {name: tensor for name, tensor in found.items() if name.startswith("text_encoder")}
    return {name: tensor for name, tensor in found.items() if name not in of_encoders}, of_encoders


def test_they_stop_to_learn_after_their_share_of_the_steps(full_base: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=4, text_encoder_share=0.5)
    of_denoiser, of_encoders = trained(full_base, tmp_path, replace(settings, stop_at=2))
    later, still = trained(full_base, tmp_path, settings)
    assert all(torch.equal(tensor, still[name]) for name, tensor in of_encoders.items())
    assert not any(
        torch.equal(tensor, later[name]) for name, tensor in of_denoiser.items() if name.endswith("lora_B.weight")
    )
    _, whole = trained(full_base, tmp_path / "whole", replace(settings, text_encoder_share=1.0))
    assert any(not torch.equal(tensor, whole[name]) for name, tensor in of_encoders.items())


@pytest.mark.parametrize(("asked", "wanted"), [(0.0, 0.025), (0.01, 0.01)])
def test_they_learn_at_their_own_rate(full_base: Path, tmp_path: Path, asked: float, wanted: float) -> None:
    """AdamW's first step is as long as the rate says, whatever the gradient."""
    one = replace(SETTINGS, steps=1, learning_rate=0.05, text_encoder_learning_rate=asked)
    for rate, tensors in zip((0.05, wanted), trained(full_base, tmp_path, one), strict=True):
        longest = max(float(tensor.abs().max()) for name, tensor in tensors.items() if name.endswith("lora_B.weight"))
        assert longest == pytest.approx(rate, rel=1e-2)


def test_prodigy_is_told_one_rate_to_the_last_bit(full_base: Path, tmp_path: Path) -> None:
    """It refuses two rates, also where only rounding makes them two."""
    pytest.importorskip("prodigyopt", reason="the optimizers extra is not installed")
    rate = 0.8
    assert rate * rate / rate != rate
    _, of_encoders = trained(full_base, tmp_path, replace(SETTINGS, steps=1, optimizer="prodigy", learning_rate=rate))
    assert any(bool(tensor.any()) for name, tensor in of_encoders.items() if name.endswith("lora_B.weight"))


def test_micro_batches_make_no_difference(full_base: Path, tmp_path: Path) -> None:
    at_once = trained(full_base, tmp_path / "one", replace(SETTINGS, steps=2, batch_size=4))
    apart = trained(
        full_base,
        tmp_path / "two",
        replace(SETTINGS, steps=2, batch_size=2, gradient_accumulation=2, gradient_checkpointing=True),
    )
    for first, second in zip(at_once, apart, strict=True):
        assert all(torch.allclose(tensor.float(), second[name].float(), atol=5e-3) for name, tensor in first.items())


def test_pictures_of_others_teach_them_too(full_base: Path, tmp_path: Path) -> None:
    """Their captions go the same way as the subject's: without any weight they would change nothing."""
    settings = replace(SETTINGS, steps=2)
    _, some = trained(full_base, tmp_path / "some", settings, prior=True)
    _, none = trained(full_base, tmp_path / "none", replace(settings, prior_weight=0.0), prior=True)
    assert any(not torch.equal(tensor, none[name]) for name, tensor in some.items())


@pytest.fixture
def denoiser(full_base: Path) -> Iterator[tuple[BaseModel, AdaptedModel]]:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    with adapted(base, AdapterPlan(SDXL.targets, 4, 4.0, text_encoder=True), 0) as made:
        yield base, made


def test_the_class_keeps_its_meaning_to_the_encoders_too(denoiser: tuple[BaseModel, AdaptedModel]) -> None:
    """The base's own answer is that to the caption as the bare encoders read it; the LoRA's that to the caption as it
    is read now.
    """
    base, made = denoiser
    settings = replace(SETTINGS, output_preservation=1.0)
    words, classes = (join([base.prompts.embed(text)], "cat") for text in ("photo of ohwx ana", "photo of woman"))
    batch = Batch(
        torch.ones(latent_shape(base, 64, 64)),
        words,
        torch.zeros(1, 6),
        (0,),
        (False,),
        None,
        classes,
        ("photo of ohwx ana",),
        ("photo of woman",),
    )
    schedule = schedule_for(SDXL, base.scheduler_config)
    (drawn,) = draw_noise(schedule, [tuple(batch.latents.shape)], 0.0, 0, 1)
    _, moved = Objective(made, schedule, settings).terms(batch, drawn)
    assert moved.item() == pytest.approx(0.0, abs=1e-9)
    for name in made.encoder_parameters:
        if name.endswith("lora_B"):
            torch.nn.init.constant_(made.parameters[name], 0.2)
    _, moved = Objective(made, schedule, settings).terms(batch, drawn)
    torch.autograd.backward(moved)
    assert moved.item() > 1e-6 and any(made.parameters[name].grad is not None for name in made.encoder_parameters)


@pytest.mark.parametrize("name", ["sdxl", "flux"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_forecast_counts_them(name: str, checkpointing: bool, tmp_path: Path) -> None:
    """Their weights, their LoRA, what autograd keeps of them, and what the denoiser keeps more because of them."""
    family = FAMILIES[name]
    base = open_base(BaseChoice(str(build_tiny(name, tmp_path / name)), "cpu", "float32"), family)
    found = demand_of(base, replace(SETTINGS, resolution=64))[0]
    without = demand_of(base, replace(SETTINGS, resolution=64, text_encoder=False))[0]
    encoders = [getattr(base.pipeline, part) for part in family.text_encoders().prefixes]
    assert found.footprint.weights - without.footprint.weights == sum(
        tensor.nbytes for one in encoders for tensor in (*one.parameters(), *one.buffers())
    )
    # in main memory they are there anyway
    assert found.footprint.weights + found.resident == without.footprint.weights + without.resident
    words = join([base.prompts.embed("photo")], family.joining)
    with adapted(
        base, AdapterPlan(family.targets, 4, 4.0, text_encoder=True), 0, checkpointing=checkpointing
    ) as denoiser:
        assert found.footprint.adapter == sum(parameter.numel() for parameter in denoiser.parameters.values())
        inputs = (torch.zeros(latent_shape(base, 64, 64)), torch.tensor([500.0]))
        kept = bytes_kept(
            [base.denoiser, *encoders], lambda: denoiser(*inputs, denoiser.encode(["photo"], words), torch.zeros(1, 6))
        )
    predicted = found.footprint.checkpointed if checkpointing else found.footprint.activations
    assert predicted == pytest.approx(kept, rel=0.01 if checkpointing else 1 / 15)
    assert found.peak(2, checkpointing) > without.peak(2, checkpointing)


@pytest.mark.parametrize("name", ["sdxl", "flux"])
def test_they_weigh_the_same_beside_a_quantised_denoiser(name: str, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(build_tiny(name, tmp_path / name)), "cpu", "float32"), FAMILIES[name])
    found = demand_of(base, replace(SETTINGS, resolution=64))[0]
    without = demand_of(base, replace(SETTINGS, resolution=64, text_encoder=False))[0]
    trained_too = found.footprint.weights - without.footprint.weights
    assert trained_too > 0
    for (how, one), (_, other) in zip(found.quantised(), without.quantised(), strict=True):
        assert one.footprint.weights - other.footprint.weights == other.resident - one.resident == trained_too, how


def test_a_dora_on_them_loads_whole(tmp_path: Path) -> None:
    """Lengths of text encoders have another name in the file than those of the denoiser; SD 1.5's denoiser has some of
    four axes.
    """
    from diffusers import StableDiffusionPipeline

    family = FAMILIES["sd15"]
    base = build_tiny("sd15", tmp_path / "base")
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), family)
    path = tmp_path / "lora.safetensors"
    trainer.train(
        samples(tmp_path / "photos", count=2),
        replace(SETTINGS, steps=2, adapter="dora"),
        path,
        tmp_path / "work",
        {},
        lambda *_: None,
    )
    plain: Any = StableDiffusionPipeline.from_pretrained(base, use_safetensors=True)
    plain.load_lora_weights(str(path), adapter_name="mine")
    tensors = load_file(path)
    lengths = {name: tensor for name, tensor in tensors.items() if "lora_magnitude_vector" in name}
    assert len(lengths) == len(tensors) / 3
    for part, ending in (("unet", ""), ("text_encoder", ".weight")):
        worn = {
            name: value for name, value in getattr(plain, part).named_parameters() if "lora_magnitude_vector" in name
        }
        assert len(worn) == sum(name.startswith(f"{part}.") for name in lengths) > 0
        for name, value in worn.items():
            place = name.replace(".mine.weight", ending)
            written = lengths[
                f"{part}.{place}" if part == "unet" else f"{part}.text_model.{place.removeprefix('text_model.')}"
            ]
            assert torch.equal(value.detach(), written), name


def test_what_does_not_go_with_it(tiny_base: Path) -> None:
    check_on_base(SETTINGS, base := open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL))
    with pytest.raises(InputError, match="language model"):
        check_on_base(SETTINGS, replace(base, family=FAMILIES["zimage"]))


def test_the_share_is_of_the_steps() -> None:
    steps = {
        share: replace(SETTINGS, steps=10, text_encoder_share=share).text_encoder_steps for share in (1.0, 0.25, 0.001)
    }
    assert steps == {1.0: 10, 0.25: 2, 0.001: 1} and replace(SETTINGS, text_encoder=False).text_encoder_steps == 0
    assert math.isclose(replace(SETTINGS, learning_rate=2e-4).text_encoder_rate, 1e-4)


def test_with_checkpointing_text_encoders_are_one_block(tiny_base: Path) -> None:
    """All of their activations are there at once on the way back."""
    from tests.helpers.training_memory import encoders_footprint

    base = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL)
    found = encoders_footprint(base, AdapterPlan(SDXL.targets, 4, 4.0, text_encoder=True))
    assert found.largest_block == found.activations > 0 and found.checkpointed == 0
