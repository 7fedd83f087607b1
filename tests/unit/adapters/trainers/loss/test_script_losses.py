"""A training against the loop of the SDXL LoRA script of diffusers, written out: with the same draws the losses of
every step are the same.

Nothing of the loop is kept from step to step: each encodes its pictures and its caption again, adds noise with
diffusers' own scheduler, and steps PyTorch's plain AdamW. So this also holds that what the trainer computes once is
what would be computed every time. `bench/training_peer.py --same-draws` does the same with the script itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDPMScheduler, StableDiffusionXLPipeline  # noqa: E402
from peft import LoraConfig  # noqa: E402
from PIL import Image  # noqa: E402

from tests.helpers.tiny_models import build_tiny_sdxl  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.data.sampler import SampleSchedule  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402

SDXL = FAMILIES["sdxl"]
SIZE, STEPS, PHOTOS, RANK, RATE = 64, 12, 4, 4, 1e-2
PLAIN = TrainingSettings(
    "sdxl",
    STEPS,
    RANK,
    float(RANK),
    RATE,
    2,
    SIZE,
    3,
    schedule="constant",
    warmup_steps=0,
    min_snr_gamma=0.0,
    noise_offset=0.0,
    caption_dropout=0.0,
    checkpoint_every=STEPS,
    tensorboard=False,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sdxl(tmp_path_factory.mktemp("base"), full_vae=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingSample]:
    """As large as the training wants them, so that no resizing stands between the two; each with its own caption."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        Image.fromarray(rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    captions = (
        "photo of ohwx ana",
        "photo of ohwx ana smiling",
        "photo of ohwx ana indoors",
        "profile photo of ohwx ana",
    )
    return [
        TrainingSample(path, sha256_file(path), text, 1.0)
        for path, text in zip(sorted(folder.iterdir()), captions, strict=True)
    ]


def steps_of(base: Path) -> Iterator[tuple[tuple[int, ...], torch.Tensor, torch.Tensor]]:
    """What the trainer draws at each step: numbers of photos, noise and times."""
    model = open_base(BaseChoice(str(base), "cpu", "float32"), SDXL)
    schedule = schedule_for(SDXL, model.scheduler_config)
    photos = SampleSchedule([1.0] * PHOTOS, [(SIZE, SIZE)] * PHOTOS, batch=2, seed=PLAIN.seed, flip=False, dropout=0.0)
    for step in range(1, STEPS + 1):
        cells = SIZE // model.vae_scale
        (drawn,) = draw_noise(schedule, [(2, 4, cells, cells)], 0.0, PLAIN.seed, step)
        yield photos.draw(step).samples, drawn.noise, drawn.times


def first_weights(base: Path) -> dict[str, torch.Tensor]:
    model = open_base(BaseChoice(str(base), "cpu", "float32"), SDXL)
    with adapted(model, AdapterPlan(SDXL.targets, RANK, RANK), PLAIN.seed) as denoiser:
        return {name: parameter.detach().clone() for name, parameter in denoiser.parameters.items()}


def losses_of_the_loop(base: Path, photos: list[TrainingSample]) -> list[float]:
    draws, start = list(steps_of(base)), first_weights(base)
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(base, use_safetensors=True)
    unet, vae, schedule = pipeline.unet, pipeline.vae, DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    unet.requires_grad_(False)
    unet.add_adapter(
        LoraConfig(
            r=RANK,
            lora_alpha=RANK,
            target_modules=[name.removesuffix(".lora_A") for name in start if name.endswith("lora_A")],
        )
    )
    learned = {
        name.replace(".default.weight", ""): part for name, part in unet.named_parameters() if part.requires_grad
    }
    for name, parameter in learned.items():
        parameter.data.copy_(start[name])
    optimizer = torch.optim.AdamW(
        learned.values(), lr=RATE, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8, foreach=False
    )
    losses = []
    for samples, noise, times in draws:
        shown = [photos[number] for number in samples]
        pixels = torch.stack(
            [
                torch.from_numpy(np.asarray(Image.open(one.path), np.float32) / 127.5 - 1).permute(2, 0, 1)
                for one in shown
            ]
        )
        with torch.no_grad():
            clean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
            words, _, pooled, _ = pipeline.encode_prompt(
                [one.caption for one in shown], do_classifier_free_guidance=False
            )
        sizes = torch.tensor([[SIZE, SIZE, 0, 0, SIZE, SIZE]] * len(shown), dtype=torch.float32)
        noisy = schedule.add_noise(clean, noise, times)
        made = unet(
            noisy, times, words, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}, return_dict=False
        )[0]
        loss = torch.nn.functional.mse_loss(made, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_losses_are_those_of_the_script(base: Path, photos: list[TrainingSample], tmp_path: Path) -> None:
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL)
    trainer.train(photos, PLAIN, tmp_path / "lora.safetensors", tmp_path / "work", {}, lambda *_: None)
    ours = [json.loads(line)["loss"] for line in (tmp_path / "lora.metrics.jsonl").read_text().splitlines()]
    theirs = losses_of_the_loop(base, photos)
    assert len(ours) == STEPS and theirs == pytest.approx(ours, rel=1e-5)
    assert max(ours) - min(ours) > 0.01  # not the same number twelve times


def test_the_loop_notices_other_weights(
    base: Path, photos: list[TrainingSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison has teeth: from other first weights the losses drift apart."""
    usual = losses_of_the_loop(base, photos)
    start = first_weights(base)
    monkeypatch.setattr(f"{__name__}.first_weights", lambda _: {name: 2 * part for name, part in start.items()})
    assert losses_of_the_loop(base, photos) != pytest.approx(usual, rel=1e-5)
