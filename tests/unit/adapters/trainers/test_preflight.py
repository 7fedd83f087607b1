"""What of a training's settings cannot work here is said at once."""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING  # noqa: E402
from tests.helpers.looks import look_at_all  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import open_base  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.preflight import check_fits, check_on_base, training_checks  # noqa: E402
from twinloop.errors import InputError, MissingExtra  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSize  # noqa: E402

SDXL = FAMILIES["sdxl"]
CPU = BaseChoice("base", "cpu")


@pytest.mark.parametrize(
    ("changes", "processes", "error", "words"),
    [
        ({"optimizer": "adamw8bit"}, 1, InputError, r"needs a CUDA GPU.*adafactor"),
        ({"batch_size": 3}, 2, InputError, r"2 processes cannot share the 3 pictures"),
        (
            {"blocks_to_swap": 1},
            1,
            InputError,
            r"blocks_to_swap saves memory of a CUDA GPU.* cpu, where it does",
        ),
        ({"wandb": "faces"}, 1, MissingExtra, r'pip install .*-e "\.\[wandb\]"'),
    ],
)
def test_what_cannot_work(
    changes: dict[str, Any], processes: int, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(error, match=words):
        look_at_all(training_checks(replace(TRAINING, **changes), SDXL, CPU, processes))


def test_a_trigger_of_spaces_is_none() -> None:
    asked = replace(TRAINING, output_preservation=0.5)
    check_fits(replace(asked, trigger="ohwx ana"), SDXL)
    with pytest.raises(InputError, match="set person_trigger"):
        check_fits(replace(asked, trigger="  "), SDXL)


@pytest.mark.parametrize(
    ("trigger", "word", "fits"),
    [
        ("ohwx woman", "woman", True),
        ("woman", "person", True),
        ("Woman", "woman", False),
        ("ohwx person", "ohwx person", False),
    ],
)
def test_a_trigger_that_is_the_class_is_not_held_against_it(trigger: str, word: str, fits: bool) -> None:
    asked = replace(TRAINING, output_preservation=0.5, trigger=trigger, class_word=word)
    with nullcontext() if fits else pytest.raises(InputError, match="Change person_trigger or class_word"):
        check_fits(asked, SDXL)
    check_fits(replace(asked, output_preservation=0.0), SDXL)


@pytest.mark.parametrize(("quantization", "problem"), [("nf4", True), ("int8", False), (None, False)])
def test_blocks_of_4_bits_are_not_swapped(
    quantization: str | None, problem: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = importlib.import_module("twinloop.adapters.diffusion.compute")
    gpu = compute.Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    monkeypatch.setattr(compute, "choose_compute", lambda *_: gpu)
    settings = replace(TRAINING, blocks_to_swap=1)
    with pytest.raises(InputError, match=r'does not go with "quantization": "nf4"') if problem else nullcontext():
        look_at_all(training_checks(settings, SDXL, BaseChoice("base", "cuda", quantization=quantization), 1))
    look_at_all(training_checks(settings, SDXL, BaseChoice("z.gguf", "cuda", quantization=quantization), 1))


def test_more_blocks_than_there_are(full_base: Path) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    gpu = replace(base, compute=replace(base.compute, device=torch.device("cuda")))
    check_on_base(replace(TRAINING, blocks_to_swap=4), gpu)
    with pytest.raises(InputError, match=r"blocks_to_swap: 5, but this model has 4 blocks"):
        check_on_base(replace(TRAINING, blocks_to_swap=5), gpu)
    trainer = DiffusersLoraTrainer(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    for ask in (lambda asked: check_on_base(asked, base), lambda asked: trainer.forecast(asked, TrainingSize(3))):
        with pytest.raises(InputError, match="does nothing"):
            ask(replace(TRAINING, blocks_to_swap=1))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"only_layers": ("mid_blok.",)}, r"no layer that a LoRA adapts here has 'mid_blok\.' in its name"),
        ({"only_layers": ("attn1",), "skip_layers": ("attentions",)}, "leave none of the"),
        ({"only_layers": ("attn1",), "conv_rank": 2}, "Leave conv_rank out, or name them"),
        ({"only_layers": ("attn1",)}, None),
        ({"blocks_to_swap": 5}, r"blocks_to_swap: 5, but this model has 4 blocks"),
        ({"blocks_to_swap": 4}, None),
    ],
)
def test_layers_and_blocks_that_are_not_there_are_told_before_anything_is_loaded(
    changes: dict[str, Any], problem: str | None, full_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = importlib.import_module("twinloop.adapters.diffusion.compute")
    gpu = compute.Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
    monkeypatch.setattr(compute, "choose_compute", lambda *_: gpu)
    settings = replace(TRAINING, **changes)
    with nullcontext() if problem is None else pytest.raises(InputError, match=problem):
        look_at_all(training_checks(settings, SDXL, BaseChoice(str(full_base), "cuda"), 1))
    look_at_all(training_checks(settings, SDXL, BaseChoice("not/here", "cuda"), 1))  # nothing is known of it


def test_a_dora_is_not_trained_on_packed_weights(full_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = open_base(BaseChoice(str(full_base), "cpu", "float32"), SDXL)
    check_on_base(replace(TRAINING, adapter="dora"), base)
    monkeypatch.setattr("twinloop.adapters.diffusion.quantised.model.is_packed", lambda model: True)
    check_on_base(replace(TRAINING, adapter="lokr"), base)
    with pytest.raises(InputError, match=r'"dora" does not go with the packed weights of a \.gguf.* Use "lora"'):
        check_on_base(replace(TRAINING, adapter="dora"), base)


def test_what_can() -> None:
    look_at_all(training_checks(replace(TRAINING, blocks_to_swap=0), SDXL, CPU, 2))
    look_at_all(
        training_checks(replace(TRAINING, optimizer="adafactor", batch_size=1, gradient_accumulation=3), SDXL, CPU, 3)
    )
