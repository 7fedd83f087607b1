"""What a step minimises: micro-batches, priors, faces, the class word that keeps its meaning; and running out of memory
on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.contract.makers import TRAINING, samples  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers import training_loop  # noqa: E402
from twinloop.adapters.trainers.data.batches import class_caption, dropped_caption, texts_to_embed  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.lora.adapted_model import adapted  # noqa: E402
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan  # noqa: E402
from twinloop.adapters.trainers.loss.noise_schedule import draw_noise, schedule_for  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.domain.choices import SCHEDULE_FREE  # noqa: E402
from twinloop.domain.extras import OPTIMIZER_MODULES  # noqa: E402
from twinloop.domain.faces import Box  # noqa: E402
from twinloop.domain.optimizer_args import ordered  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import OutOfMemory  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402

SDXL = FAMILIES["sdxl"]
FOUR = replace(TRAINING, batch_size=4, steps=3, trigger="ohwx ana")
Photos = tuple[TrainingSample, ...]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return samples(tmp_path / "photos")


def train(
    base: Path, photos: Photos, home: Path, settings: TrainingSettings, notice: Callable[[str], None] = pytest.fail
) -> dict[str, Any]:
    trainer = DiffusersLoraTrainer(BaseChoice(str(base), "cpu", "float32"), SDXL, notice)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, lambda *_: None)
    weights: dict[str, Any] = load_file(home / "lora.safetensors")
    return weights


def near(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(torch.allclose(a[name].float(), b[name].float(), atol=2e-3) for name in a)


def test_the_same_pictures_in_micro_batches_are_the_same_training(
    tiny_base: Path, photos: Photos, tmp_path: Path
) -> None:
    whole = train(tiny_base, photos, tmp_path / "a", FOUR)
    parts = train(tiny_base, photos, tmp_path / "b", replace(FOUR, batch_size=1, gradient_accumulation=4))
    other = train(tiny_base, photos, tmp_path / "c", replace(FOUR, batch_size=1))
    assert near(whole, parts) and not near(whole, other)


def test_out_of_memory_splits_the_step_and_nothing_else(
    tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that holds one picture at a time: the same training, and it says so."""
    whole, said = train(tiny_base, photos, tmp_path / "a", FOUR), list[str]()
    sizes = short_of_memory(monkeypatch, 1)
    parts = train(tiny_base, photos, tmp_path / "b", FOUR, said.append)
    assert near(whole, parts)
    # it learns once, and remembers; the first remedy, computing activations again, leaves the micro-batches as they
    # are, and the second, micro-batches of two, is no smaller than the pictures of one size in this step
    assert [size for size in sizes if size > 1] == [2, 2, 2]
    assert len(said) == 3 and "gradient checkpointing" in said[0]
    assert "the 4 pictures of a step now go through 1 at a time" in said[-1]


def test_one_picture_that_does_not_fit_is_one_error(
    tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of_memory(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"Lower training\.resolution.*rank"):
        train(tiny_base, photos, tmp_path, FOUR, lambda text: None)


def short_of_memory(monkeypatch: pytest.MonkeyPatch, room: int) -> list[int]:
    """Make the loss fail as a full GPU does, from ``room`` pictures on; the sizes that were tried."""
    sizes: list[int] = []
    real = Objective.terms

    def terms(self: Objective, batch: Any, drawn: Any) -> Any:
        sizes.append(len(batch.latents))
        if sizes[-1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, batch, drawn)

    monkeypatch.setattr(Objective, "terms", terms)
    return sizes


def test_other_errors_are_not_taken_for_it(
    tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(self: Objective, batch: Any, drawn: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Objective, "terms", terms)
    with pytest.raises(RuntimeError, match="shapes"):
        train(tiny_base, photos, tmp_path, FOUR)


def test_captions_of_dropped_draws_and_of_the_class() -> None:
    assert dropped_caption(FOUR) == "ohwx ana"
    assert dropped_caption(replace(FOUR, keep_trigger=False)) == ""
    assert class_caption("photo of ohwx ana smiling", replace(FOUR, class_word="woman")) == "photo of woman smiling"
    assert class_caption("photo", replace(FOUR, trigger="")) == "photo"


def test_only_texts_that_can_be_asked_for_are_embedded() -> None:
    told = replace(FOUR, caption_dropout=0.0, output_preservation=0.0)
    assert texts_to_embed(["a", "b", "a"], told) == ["a", "b"]
    assert texts_to_embed(["a"], replace(told, caption_dropout=0.1)) == ["a", "ohwx ana"]
    assert texts_to_embed(["a"], replace(told, caption_dropout=0.1, keep_trigger=False)) == ["a", ""]
    assert texts_to_embed(["ohwx ana"], replace(told, output_preservation=0.5, class_word="woman")) == [
        "ohwx ana",
        "woman",
    ]


@pytest.mark.parametrize(("keep_trigger", "of_class"), [(True, {"woman"}), (False, {"photo of woman smiling"})])
def test_a_caption_is_dropped_for_the_class_too_where_the_trigger_is_left(
    tiny_base: Path, photos: Photos, tmp_path: Path, keep_trigger: bool, of_class: set[str]
) -> None:
    """With no words at all the base's own answer would be held to what the subject's picture is to change."""
    said = [replace(photo, caption="photo of ohwx ana smiling") for photo in photos]
    settings = replace(
        FOUR, caption_dropout=0.5, keep_trigger=keep_trigger, output_preservation=1.0, class_word="woman"
    )
    model = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL)
    batches = prepare_batches(model, said, settings, tmp_path)
    seen = [
        pair
        for step in range(1, 9)
        for batch in batches.step(step)
        for pair in zip(batch.texts, batch.class_texts, strict=True)
    ]
    whole = ("photo of ohwx ana smiling", "photo of woman smiling")
    dropped = {pair for pair in seen if pair != whole}
    assert whole in seen and dropped == {("ohwx ana" if keep_trigger else "", text) for text in of_class}


def terms_of(base: Path, photos: Photos, home: Path, settings: TrainingSettings, moved: bool) -> list[float]:
    """The terms of the first step, with a LoRA as it begins, or with one that changes something."""
    model = open_base(BaseChoice(str(base), "cpu", "float32"), SDXL)
    batch = prepare_batches(model, photos, settings, home).step(1)[0]
    schedule = schedule_for(SDXL, model.scheduler_config)
    (drawn,) = draw_noise(schedule, [tuple(batch.latents.shape)], 0.0, 1, 1)
    with adapted(model, AdapterPlan(SDXL.targets, 4, 4.0), 0) as denoiser:
        if moved:
            for name, parameter in denoiser.parameters.items():
                if name.endswith("lora_B"):
                    parameter.data.fill_(0.05)
        return [float(term.detach()) for term in Objective(denoiser, schedule, settings).terms(batch, drawn)]


def test_the_class_word_costs_nothing_until_the_lora_moves_it(tiny_base: Path, photos: Photos, tmp_path: Path) -> None:
    held = replace(FOUR, output_preservation=1.0)
    assert len(terms_of(tiny_base, photos, tmp_path, FOUR, True)) == 1
    assert terms_of(tiny_base, photos, tmp_path, held, False)[1] == 0.0
    moved = terms_of(tiny_base, photos, tmp_path, held, True)[1]
    assert moved > 1e-6
    assert terms_of(tiny_base, photos, tmp_path, replace(held, output_preservation=3.0), True)[1] == pytest.approx(
        3 * moved, rel=1e-4
    )


def test_holding_the_class_word_holds_it(tiny_base: Path, photos: Photos, tmp_path: Path) -> None:
    """Trained with it, a LoRA changes the base's answer to the class word less."""
    longer = replace(FOUR, steps=12, warmup_steps=1)
    free = train(tiny_base, photos, tmp_path / "a", longer)
    held = train(tiny_base, photos, tmp_path / "b", replace(longer, output_preservation=10.0))
    size = [sum(float(w.float().square().sum()) for n, w in one.items() if "lora_B" in n) for one in (free, held)]
    assert size[1] < 0.8 * size[0]


def test_errors_in_the_face_count_more(tiny_base: Path, photos: Photos, tmp_path: Path) -> None:
    faces = tuple(replace(sample, face=Box(10, 10, 60, 60)) for sample in photos)
    weighed = replace(FOUR, face_weight=8.0)
    plain = terms_of(tiny_base, faces, tmp_path, FOUR, False)
    assert terms_of(tiny_base, faces, tmp_path, weighed, False) != plain
    assert terms_of(tiny_base, photos, tmp_path, weighed, False) == plain  # no face is known: all cells count the same


def test_mirrored_pictures_have_mirrored_faces(tiny_base: Path, photos: Photos, tmp_path: Path) -> None:
    model = open_base(BaseChoice(str(tiny_base), "cpu"), SDXL)
    faces = tuple(replace(sample, face=Box(0, 10, 30, 60)) for sample in photos)
    batches = prepare_batches(model, faces, replace(FOUR, face_weight=8.0, flip=True), tmp_path)
    sides = set()
    for step in range(1, 9):
        for batch in batches.step(step):
            assert batch.mask is not None
            for mask, mirrored in zip(batch.mask, batch.mirrored, strict=True):
                half = mask.shape[-1] // 2
                assert (mask[..., :half].sum() > mask[..., half:].sum()) != mirrored
                sides.add(mirrored)
    assert sides == {False, True}


def test_prior_pictures_are_learned_beside_the_subject(
    tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, float]] = []
    real = training_loop.TrainingRun._backward

    def backward(self: Any, batches: Any, seed: int, step: int, weight: float) -> float:
        seen.append((sum(len(batch.latents) for batch in batches), weight))
        return real(self, batches, seed, step, weight)

    monkeypatch.setattr(training_loop.TrainingRun, "_backward", backward)
    others = tuple(
        replace(
            sample, prior=True, caption="photo of person", sha256=hashlib.sha256(sample.path.read_bytes()).hexdigest()
        )
        for sample in samples(tmp_path / "others", count=3)
    )
    settings = replace(FOUR, steps=2, prior_weight=0.5)
    with_prior = train(tiny_base, (*photos, *others), tmp_path / "a", settings)
    assert seen == [(4, 1.0), (4, 0.5)] * 2
    assert not near(with_prior, train(tiny_base, photos, tmp_path / "b", settings))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["prodigy", "adafactor", "lion", "came", "adamw_schedulefree"])
def test_resumed_with_everything_on_it_ends_in_the_same_bytes(
    optimizer: str, tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    if optimizer in OPTIMIZER_MODULES:
        pytest.importorskip(OPTIMIZER_MODULES[optimizer][0], reason="the optimizers extra is not installed")
    argued = {
        "prodigy": {"d0": 1e-3, "betas": [0.8, 0.9]}, "adafactor": {"beta1": 0.8}, "lion": {"betas": [0.8, 0.9]},
        "came": {"betas": [0.8, 0.9, 0.99]}, "adamw_schedulefree": {"betas": [0.8, 0.9], "r": 1.0},
    }[optimizer]  # fmt: skip
    free = optimizer in SCHEDULE_FREE
    settings = replace(
        FOUR,
        steps=4,
        checkpoint_every=2,
        optimizer=optimizer,
        optimizer_args=ordered(optimizer, argued),
        learning_rate=1.0 if optimizer == "prodigy" else 0.01,
        ema_decay=0.0 if free else 0.9,
        gradient_accumulation=2,
        batch_size=1,
        output_preservation=0.5,
        face_weight=3.0,
        schedule="constant" if free else "cosine_restarts",
        save_every=3,
        loraplus_lr_ratio=0.0 if optimizer == "prodigy" else 4.0,
        restarts=2,
        gradient_checkpointing=optimizer == "adafactor",
        warmup_steps=1,
    )
    trainer = DiffusersLoraTrainer(BaseChoice(str(tiny_base), "cpu"), SDXL)

    def run(home: Path, stop: int = 0) -> None:
        def progress(step: int, steps: int, loss: float) -> None:
            if step == stop:
                raise KeyboardInterrupt

        trainer.train(photos, settings, home / "lora.safetensors", home / "work", {}, progress)

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "torn", 3)
    run(tmp_path / "torn")
    for name in ("lora.safetensors", "lora_kohya.safetensors", "lora.metrics.jsonl"):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_stopped_on_purpose_and_gone_on_is_the_whole_training(
    tiny_base: Path, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the choice among checkpoints rests on: a candidate is the training as it was there, and the rest goes on
    from it.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    settings = replace(FOUR, steps=5, ema_decay=0.5)
    whole = train(tiny_base, photos, tmp_path / "whole", settings)
    early = train(tiny_base, photos, tmp_path / "parts", replace(settings, stop_at=3))
    rest = train(tiny_base, photos, tmp_path / "parts", settings)
    assert all(torch.equal(rest[name], whole[name]) for name in whole) and not near(early, whole)
    # an earlier one, asked for afterwards
    again = train(tiny_base, photos, tmp_path / "parts", replace(settings, stop_at=3))
    assert all(torch.equal(again[name], early[name]) for name in early)
