"""What every trainer must do, the fake and the real ones."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.contract.makers import EXTERNAL, NAMES, TRAINING, Makers, make
from twinloop.config import Settings, TrainingConfig, parse_settings
from twinloop.errors import MissingTool
from twinloop.ports import Trained, TrainingSettings, TrainingSize
from twinloop.store.models.lora_file import header_texts, kohya_path
from twinloop.store.models.step_saves import step_path
from twinloop.wiring import build_makers

CHOICES = get_args(TrainingConfig.model_fields["trainer"].annotation)
TEXTS = {"modelspec.title": "ana v1", "twinloop.dataset_id": "0123456789abcdef"}


@pytest.fixture(scope="module", params=(*NAMES, *EXTERNAL))
def makers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Makers:
    fixture = {"diffusers-tiny-vae": "tiny_base", "diffusers-full-vae": "full_base"}.get(request.param)
    return make(request.param, request.getfixturevalue(fixture) if fixture else None, tmp_path_factory.mktemp("photos"))


@pytest.fixture(autouse=True)
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def test_every_trainer_that_can_be_chosen_is_under_contract() -> None:
    assert {*EXTERNAL, "builtin"} == {*CHOICES}


@pytest.mark.parametrize("name", EXTERNAL)
def test_the_trainer_that_is_named_is_looked_for(name: str) -> None:
    chosen: Settings = parse_settings(
        {
            "person_name": "ana",
            "person_trigger": "ohwx ana",
            "dataset_dir": "photos",
            "training": {"trainer": name, "trainer_path": "nowhere"},
        },
        "x",
    )
    with pytest.raises(MissingTool, match=f'"trainer": "{name}"'):
        build_makers(chosen).trainer()


def train(makers: Makers, home: Path, settings: TrainingSettings = TRAINING, stop_after: int | None = None) -> Trained:
    def progress(step: int, steps: int, loss: float) -> None:
        if step == stop_after:
            raise KeyboardInterrupt(f"stopped after step {step}")

    return makers.trainer().train(makers.samples, settings, home / "lora.safetensors", home / "work", TEXTS, progress)


@pytest.fixture(scope="module")
def undisturbed(makers: Makers, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        train(makers, home)
    return (home / "lora.safetensors").read_bytes()


def test_the_answer_describes_the_file(makers: Makers, tmp_path: Path) -> None:
    trained = train(makers, tmp_path)
    assert trained.steps == TRAINING.steps and math.isfinite(trained.loss)
    texts = header_texts(tmp_path / "lora.safetensors")
    assert TEXTS.items() <= texts.items()
    assert str(tmp_path) not in str(texts)


def test_same_arguments_same_bytes(makers: Makers, undisturbed: bytes, tmp_path: Path) -> None:
    train(makers, tmp_path)
    assert (tmp_path / "lora.safetensors").read_bytes() == undisturbed


@pytest.mark.parametrize("stop_after", [1, 3, 4, 6])
def test_stopped_and_called_again_same_bytes(
    makers: Makers, undisturbed: bytes, tmp_path: Path, stop_after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(makers, tmp_path, stop_after=stop_after)
    assert not (tmp_path / "lora.safetensors").exists()
    train(makers, tmp_path)
    assert (tmp_path / "lora.safetensors").read_bytes() == undisturbed


def test_what_decides_no_weight_may_change_on_the_way(makers: Makers, undisturbed: bytes, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(makers, tmp_path, stop_after=4)
    changed, seen = replace(TRAINING, tensorboard=False, gradient_checkpointing=True), list[int]()
    texts = {**TEXTS, "modelspec.title": "another title"}
    makers.trainer().train(
        makers.samples,
        changed,
        tmp_path / "lora.safetensors",
        tmp_path / "work",
        texts,
        lambda step, *_: seen.append(step),
    )
    assert seen[0] > 1
    assert header_texts(tmp_path / "lora.safetensors")["modelspec.title"] == "another title"
    # the header names the settings, and has the texts
    assert without_header((tmp_path / "lora.safetensors").read_bytes()) == without_header(undisturbed)


def without_header(lora: bytes) -> bytes:
    """The tensors of a safetensors file."""
    return lora[8 + int.from_bytes(lora[:8], "little") :]


def test_finished_and_called_again_same_bytes(makers: Makers, undisturbed: bytes, tmp_path: Path) -> None:
    train(makers, tmp_path)
    train(makers, tmp_path)
    assert (tmp_path / "lora.safetensors").read_bytes() == undisturbed


SAVING = replace(TRAINING, save_every=2, max_step_saves_to_keep=2)


@pytest.fixture
def saves(makers: Makers) -> None:
    """Other programs are not told of the files on the way."""
    if makers.trainer().fingerprint.startswith(EXTERNAL):
        pytest.skip("another program")


@pytest.mark.usefixtures("saves")
def test_loras_of_steps_on_the_way_change_nothing_and_are_what_a_shorter_training_wrote(
    makers: Makers, undisturbed: bytes, tmp_path: Path
) -> None:
    train(makers, tmp_path, SAVING)
    lora = tmp_path / "lora.safetensors"
    assert lora.read_bytes() == undisturbed
    assert [step for step in range(1, 8) if step_path(lora, step).exists()] == [4, 6]
    assert step_path(lora, 6).read_bytes() == undisturbed
    (tmp_path / "short").mkdir()
    train(makers, tmp_path / "short", replace(TRAINING, stop_at=4))
    assert step_path(lora, 4).read_bytes() == (tmp_path / "short" / "lora.safetensors").read_bytes()
    copies = [kohya_path(path).exists() for path in (lora, step_path(lora, 4), step_path(lora, 2))]
    assert copies in ([True, True, False], [False, False, False])  # the fake writes none


@pytest.mark.slow
@pytest.mark.usefixtures("saves")
@pytest.mark.parametrize("stop_after", [3, 4, 5])
def test_a_resumed_training_writes_the_same_loras_of_steps(makers: Makers, tmp_path: Path, stop_after: int) -> None:
    names = ("whole", "stopped")
    for name in names:
        (tmp_path / name).mkdir()
    train(makers, tmp_path / "whole", SAVING)
    with pytest.raises(KeyboardInterrupt):
        train(makers, tmp_path / "stopped", SAVING, stop_after)
    train(makers, tmp_path / "stopped", replace(SAVING, saves_beside=str(tmp_path / "stopped" / "lora.safetensors")))
    whole, stopped = ({p.name: p.read_bytes() for p in (tmp_path / name).glob("*.safetensors")} for name in names)
    assert whole == stopped and "lora-step00000004.safetensors" in whole


def test_another_seed_makes_another_lora(makers: Makers, undisturbed: bytes, tmp_path: Path) -> None:
    train(makers, tmp_path, replace(TRAINING, seed=8))
    assert (tmp_path / "lora.safetensors").read_bytes() != undisturbed


def test_progress_counts_every_step(makers: Makers, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    makers.trainer().train(
        makers.samples,
        TRAINING,
        tmp_path / "lora.safetensors",
        tmp_path / "work",
        TEXTS,
        lambda step, steps, loss: seen.append((step, steps)),
    )
    assert seen == [(step, TRAINING.steps) for step in range(1, TRAINING.steps + 1)]


def test_photos_are_only_read(makers: Makers, tmp_path: Path) -> None:
    train(makers, tmp_path)
    for sample in makers.samples:
        assert hashlib.sha256(sample.path.read_bytes()).hexdigest() == sample.sha256


def test_a_training_that_was_foretold_is_the_same(makers: Makers, undisturbed: bytes, tmp_path: Path) -> None:
    trainer = makers.trainer()
    alone, beside = (trainer.forecast(TRAINING, TrainingSize(5, prior=prior)) for prior in (0, 100))
    assert (alone is None) is (beside is None)
    assert alone is None or (beside is not None and 0 < alone.disk < beside.disk and alone.plan.peak > 0)
    trainer.train(makers.samples, TRAINING, tmp_path / "lora.safetensors", tmp_path / "work", TEXTS, lambda *_: None)
    assert (tmp_path / "lora.safetensors").read_bytes() == undisturbed


def test_only_other_programs_do_anything_otherwise(makers: Makers) -> None:
    trainer = makers.trainer()
    notes = trainer.notes(TRAINING, prior=True)
    assert bool(notes) is trainer.fingerprint.startswith(EXTERNAL)
    assert all(note.endswith(".") for note in notes)
    assert set(trainer.notes(TRAINING, prior=False)) <= set(notes)


def test_fingerprint(makers: Makers) -> None:
    assert makers.trainer().fingerprint == makers.trainer().fingerprint
    assert "/" not in makers.trainer().fingerprint
