"""The validation loss: it changes no LoRA, depends on weights and held-out pictures alone, and is the same after a
kill.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.data.prepare import measured_photos, prepare_validation  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution.process_group import Workers  # noqa: E402
from twinloop.adapters.trainers.loss import validation  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import schedule_for  # noqa: E402
from twinloop.adapters.trainers.loss.validation import Validation  # noqa: E402
from twinloop.adapters.trainers.optim.optimizer import Optimizer  # noqa: E402
from twinloop.domain import validation_plan  # noqa: E402
from twinloop.domain.extras import OPTIMIZER_MODULES  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.domain.records import Mask, TrainingSample  # noqa: E402
from twinloop.errors import StateError, UnreadableImage  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.families.predictions import Asked  # noqa: E402
from twinloop.ports import Trained, TrainingSettings  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.training_log import logged_steps  # noqa: E402

V, AS_IT_SAYS = Asked("v_prediction"), Asked()
QUIET = replace(TRAINING, tensorboard=False, validation_times=3)
EVERY = replace(QUIET, validate_every=2)
THINNED = {"network_dropout": 0.3, "rank_dropout": 0.2, "module_dropout": 0.2}
LOOKS = {
    "sd15": replace(EVERY, conv_rank=2, text_encoder=True, noise_offset=0.1, **THINNED),
    "sdxl": replace(EVERY, ema_decay=0.9, flip=True, caption_dropout=0.5, caption_tag_dropout_rate=0.3, mask_floor=0.1),
    "flux": replace(EVERY, adapter="lokr", lokr_factor=4, rank=1, loss="huber", smaller_resolutions=(32,)),
    "zimage": replace(EVERY, adapter="dora", batch_size=1, gradient_accumulation=2, face_weight=3.0),
    "sd35": replace(EVERY, optimizer="adamw_schedulefree", schedule="constant", rank_stabilized=True, save_every=2),
}
"""Family -> settings, each of which could meet a validation in its own way."""


class Killed(Exception):
    """Stands for a kill; everything in memory is thrown away."""


def photos_in(folder: Path) -> tuple[TrainingSample, ...]:
    """Three that are trained on and two that are held out, one of them with a mask and a face."""
    made = samples(folder)
    grey = np.zeros((72 + 30 * 3, 96), np.uint8)
    grey[20:90, 10:70] = 255
    Image.fromarray(grey).save(folder / "mask.png")
    mask = Mask(folder / "mask.png", sha256_file(folder / "mask.png"))
    masked = replace(made[3], mask=mask, face=Box(20, 30, 60, 80))
    return (*made[:3], replace(masked, weight=0.0), replace(made[4], weight=0.0))


def train(
    base: Path,
    family: str,
    photos: tuple[TrainingSample, ...],
    home: Path,
    settings: TrainingSettings,
    progress: Any = lambda *_: None,
    notice: Any = lambda text: None,
) -> Trained:
    choice = BaseChoice(str(base), "cpu", "float32", prediction=V if family == "sd15" else AS_IT_SAYS)
    trainer = DiffusersLoraTrainer(choice, FAMILIES[family], notice)
    return trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, progress)


def lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "lora.metrics.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.mark.slow
@pytest.mark.parametrize("family", LOOKS)
def test_it_changes_no_lora_and_is_the_same_after_a_kill(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two steps, and inside of a validation."""
    base, photos, asked = build_tiny(family, tmp_path / "base"), photos_in(tmp_path / "photos"), LOOKS[family]
    if asked.optimizer in OPTIMIZER_MODULES:
        pytest.importorskip(OPTIMIZER_MODULES[asked.optimizer][0], reason="the optimizers extra is not installed")
    measure = Validation.measure

    def watched(self: Validation, step: int) -> Any:
        before = torch.get_rng_state()
        found = measure(self, step)
        assert torch.equal(torch.get_rng_state(), before)
        return found

    monkeypatch.setattr(Validation, "measure", watched)
    trained = train(base, family, photos, tmp_path / "whole", asked)
    train(base, family, photos[:3], tmp_path / "without", replace(asked, validate_every=0))
    seen = list[tuple[Any, ...]]()

    def progress(*told: Any) -> None:
        seen.append(told)
        if len(seen) == 3:
            raise Killed

    with pytest.raises(Killed):
        train(base, family, photos, tmp_path / "killed", asked, progress)
    own = Validation._of_picture

    def killed_inside(self: Validation, number: int) -> Any:
        if number == 1:
            raise Killed
        return own(self, number)

    monkeypatch.setattr(Validation, "_of_picture", killed_inside)
    with pytest.raises(Killed):
        train(base, family, photos, tmp_path / "killed", asked, progress)
    monkeypatch.setattr(Validation, "_of_picture", own)
    assert train(base, family, photos, tmp_path / "killed", asked, progress) == trained
    wanted = (tmp_path / "without" / "lora.safetensors").read_bytes()
    assert all((tmp_path / home / "lora.safetensors").read_bytes() == wanted for home in ("whole", "killed"))
    found = lines(tmp_path / "whole")
    assert lines(tmp_path / "killed") == found
    assert [line["step"] for line in found if "validation_loss" in line] == [2, 4, 6]
    assert trained.validation is not None and trained.validation.step == 6
    assert trained.validation.loss == found[-1]["validation_loss"] > 0
    assert len(found[-1]["validation_losses"]) == 3
    assert seen[0][3:] == () and seen[-1][3:] == (found[-1]["validation_loss"],)
    plain = lines(tmp_path / "without")
    assert [{name: line[name] for name in ("step", "loss", "rate", "grad_norm", "seconds")} for line in found] == plain


FREE: dict[str, Any] = {"optimizer": "adamw_schedulefree", "schedule": "constant"}


@pytest.mark.parametrize("changes", [{"ema_decay": 0.9}, FREE], ids=["ema", "schedulefree"])
def test_the_average_is_measured_where_it_is_written(changes: dict[str, Any], tmp_path: Path) -> None:
    """A base with the LoRA of a step as it was written has the loss that was measured at that step."""
    if changes == FREE:
        pytest.importorskip("pytorch_optimizer", reason="the optimizers extra is not installed")
    base, photos = build_tiny("sdxl", tmp_path / "base"), photos_in(tmp_path / "photos")
    settings = replace(EVERY, **changes)
    kept = train(base, "sdxl", photos, tmp_path / "kept", settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "averaged", lambda _: nullcontext())
        own = train(base, "sdxl", photos, tmp_path / "own", replace(settings, ema_decay=0.0))
    assert kept.validation is not None and own.validation is not None
    assert kept.validation.loss != own.validation.loss
    begun = replace(settings, start_from=str(tmp_path / "kept" / "lora.safetensors"), learning_rate=1e-12, steps=1)
    begun = replace(begun, ema_decay=0.0, optimizer="adamw")
    again = train(base, "sdxl", photos, tmp_path / "again", replace(begun, validate_every=1))
    assert again.validation is not None
    assert again.validation.loss == pytest.approx(kept.validation.loss, rel=1e-3)  # files hold 16 bits


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_times_are_the_middles_of_equal_parts_and_noise_knows_the_picture_alone(family: str, tmp_path: Path) -> None:
    base = open_base(BaseChoice(str(build_tiny(family, tmp_path / "base")), "cpu", "float32"), FAMILIES[family])
    photos = photos_in(tmp_path / "photos")[3:]
    schedule = schedule_for(base.family, base.scheduler_config, EVERY)
    drawn = list[Any]()

    class Recorded:
        def unweighted(self, batch: Any, noise: Any) -> Any:
            drawn.append((batch, noise))
            return noise.noise.mean(dim=(1, 2, 3)) + 1

    def measured(rows: tuple[TrainingSample, ...], settings: TrainingSettings) -> Any:
        held = prepare_validation(base, rows, settings, tmp_path / "work")
        return Validation(held, Recorded(), schedule, 4, Workers()).measure(8)  # type: ignore[arg-type]

    first = measured(photos, replace(EVERY, flip=True, caption_dropout=1.0 - 1e-9, shuffle_captions=True))
    before, drawn = drawn, []
    assert first == measured(photos[::-1], replace(EVERY, seed=99, noise_offset=0.3))
    for batch, noise in before:
        shape = tuple(batch.latents.shape)
        middles = schedule.times(torch.tensor([0.125, 0.375, 0.625, 0.875], dtype=torch.float64), shape)
        assert noise.times in middles and shape[0] == 1
        assert batch.mirrored == (False,) and batch.texts[0] in {photo.caption for photo in photos}
    assert len({float(noise.noise.sum()) for _, noise in before}) == 8
    assert [one.time for one in first.by_time] == [round(float(time)) for time in middles]
    assert before[0][0].mask is not None and float(before[0][0].mask.mean()) == pytest.approx(1.0)


def test_processes_share_the_pictures_and_have_the_sum_of_one(tmp_path: Path) -> None:
    """Each place is measured by one of them."""
    base = open_base(BaseChoice(str(build_tiny("sdxl", tmp_path / "base")), "cpu", "float32"), FAMILIES["sdxl"])
    held = prepare_validation(base, photos_in(tmp_path / "photos"), EVERY, tmp_path / "work")
    schedule = schedule_for(base.family, base.scheduler_config, EVERY)
    parts = list[Any]()

    class Shared(Workers):
        def all_reduce_numbers(self, values: Any) -> Any:
            parts.append(values)
            return values

    class Plain:
        def unweighted(self, batch: Any, noise: Any) -> Any:
            return noise.noise.square().mean(dim=(1, 2, 3))

    for workers in (Shared(0, 2), Shared(1, 2), Shared()):
        Validation(held, Plain(), schedule, 3, workers).measure(1)  # type: ignore[arg-type]
    assert torch.equal(parts[0] + parts[1], parts[2])
    assert bool(((parts[0] == 0) | (parts[1] == 0)).all()) and bool((parts[2] > 0).all())


def test_a_held_out_photo_that_goes_missing_on_the_way_stops_nothing(tmp_path: Path) -> None:
    base, photos = build_tiny("sdxl", tmp_path / "base"), photos_in(tmp_path / "photos")
    whole = train(base, "sdxl", photos, tmp_path / "whole", EVERY)

    def progress(step: int, *_: Any) -> None:
        if step == 1:
            for photo in photos[3:]:
                photo.path.unlink()
            (tmp_path / "photos" / "mask.png").unlink()

    assert train(base, "sdxl", photos, tmp_path / "home", EVERY, progress) == whole
    with pytest.raises((UnreadableImage, StateError)):
        train(base, "sdxl", photos, tmp_path / "new", EVERY, lambda *_: pytest.fail("a step was taken"))


def test_where_nobody_asked_some_photos_are_measured_and_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, made = build_tiny("sdxl", tmp_path / "base"), samples(tmp_path / "photos")
    photos = (*made[:1], *(replace(one, weight=0.0) for one in made[1:]))
    seen, own = list[tuple[int, tuple[str, ...]]](), Validation.measure

    def watched(self: Validation, step: int) -> Any:
        seen.append((step, self._photos.sha256))
        return own(self, step)

    monkeypatch.setattr(Validation, "measure", watched)
    monkeypatch.setattr(validation_plan, "MOST_PHOTOS", 2)
    monkeypatch.setattr(validation_plan, "PICTURES_PER_PASS", 2)
    usual = replace(QUIET, batch_size=2, validation_times=1, validate_every=None)
    train(base, "sdxl", photos, tmp_path / "usual", usual)
    chosen = tuple(one.sha256 for one in measured_photos(photos[1:], 2))
    assert seen == [(2, chosen), (4, chosen), (6, chosen)]
    seen.clear()
    train(base, "sdxl", photos, tmp_path / "short", replace(usual, batch_size=1))
    assert seen == [], "as many passes as its steps have"


def test_the_measured_photos_are_the_same_in_any_order_and_among_more(tmp_path: Path) -> None:
    made = samples(tmp_path)
    first = measured_photos(made, 3)
    assert {one.sha256 for one in first} == set(sorted(one.sha256 for one in made)[:3])
    assert measured_photos(made[::-1], 3) == first[::-1] and measured_photos(first, 3) == first
    assert measured_photos(made, 9) == list(made)


def test_without_held_out_photos_there_is_none(tmp_path: Path) -> None:
    base, photos = build_tiny("sdxl", tmp_path / "base"), photos_in(tmp_path / "photos")
    trained = train(base, "sdxl", photos[:3], tmp_path / "home", EVERY)
    assert trained.validation is None and all("validation_loss" not in line for line in lines(tmp_path / "home"))


def test_a_loss_that_is_no_number_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, photos = build_tiny("sdxl", tmp_path / "base"), photos_in(tmp_path / "photos")
    own = Validation._of_picture
    overflown = torch.tensor([[1.0], [torch.nan]], dtype=torch.float64)
    monkeypatch.setattr(Validation, "_of_picture", lambda self, number: own(self, number) * overflown)
    trained = train(base, "sdxl", photos, tmp_path / "home", EVERY)
    assert trained.validation is None and "NaN" not in (tmp_path / "home" / "lora.metrics.jsonl").read_text()


def test_a_rise_is_told_once_also_over_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, photos, said = build_tiny("sdxl", tmp_path / "base"), photos_in(tmp_path / "photos"), list[str]()
    settings = replace(QUIET, steps=7, checkpoint_every=1, validate_every=1)

    def rising(self: Validation, number: int) -> Any:
        calls.append(number)
        losses = torch.full((3,), 0.5 + len(calls) / 100, dtype=torch.float64)
        return torch.stack([torch.tensor([100.0, 500.0, 900.0], dtype=torch.float64), losses])

    calls = list[int]()
    monkeypatch.setattr(validation.Validation, "_of_picture", rising)

    def progress(step: int, *_: Any) -> None:
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        train(base, "sdxl", photos, tmp_path / "home", settings, progress, said.append)
    train(base, "sdxl", photos, tmp_path / "home", settings, notice=said.append)
    told = [text for text in said if "validation loss has risen 3 times in a row" in text]
    assert len(told) == 1 and "at step 1 to" in told[0] and "at step 4:" in told[0]
    assert [one.step for one in logged_steps(tmp_path / "home" / "lora.metrics.jsonl")] == list(range(1, 8))


class OnDevice(torch.Tensor):
    """Stands for a tensor on a device without float64, as Apple's are."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        made = super().__torch_function__(func, types, args, kwargs or {})
        if isinstance(made, torch.Tensor) and made.dtype is torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return made


def test_devices_that_know_no_float64_are_given_none() -> None:
    """The losses come to the CPU as they are."""
    with pytest.raises(TypeError, match="MPS"):
        torch.ones(1).as_subclass(OnDevice).double()
    photos = SimpleNamespace(
        sha256=("ab",), batches=SimpleNamespace(alone=lambda _: SimpleNamespace(latents=torch.zeros(1, 4, 8, 8)))
    )
    objective = SimpleNamespace(unweighted=lambda batch, drawn: torch.full((1,), 0.25).as_subclass(OnDevice))
    schedule = SimpleNamespace(times=lambda places, shape: places * 1000)
    found = Validation(photos, objective, schedule, 2, Workers()).measure(3)  # type: ignore[arg-type]
    assert found.step == 3 and [one.loss for one in found.by_time] == [0.25, 0.25]
