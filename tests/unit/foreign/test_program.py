"""What a program cannot be told is never left out in silence: whatever is not known to be told is beyond it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.contract.makers import samples
from twinloop.families import FAMILIES, family_of_preset
from twinloop.foreign import TITLES, kohya, program
from twinloop.foreign.job import Job
from twinloop.foreign.pictures import folders_of
from twinloop.foreign.program import COMMON, MASKED, NOT_HERE, OWN, Program, beyond
from twinloop.foreign.programs import PROGRAMS
from twinloop.ports import TrainingSettings

FIELDS = {one.name: one for one in dataclasses.fields(TrainingSettings)}
USUAL = TrainingSettings(
    preset="sdxl", steps=100, rank=8, alpha=8.0, learning_rate=1e-4, batch_size=1, resolution=512, seed=0
)
EVERY = [pytest.param(one, id=name) for name, one in PROGRAMS.items()]

ASKED: Mapping[str, Mapping[str, Any]] = {
    "steps": {"steps": 200},
    "warmup_steps": {"schedule": "constant", "warmup_steps": 5},
    "adapter": {"adapter": "lokr"},
    "lokr_factor": {"adapter": "lokr", "lokr_factor": 8},
    "optimizer": {"optimizer": "prodigy"},
    "optimizer_args": {"optimizer_args": (("betas", (0.9, 0.99)),)},
    "schedule": {"schedule": "linear"},
    "restarts": {"schedule": "cosine_restarts", "restarts": 3},
    "keep_trigger": {"keep_trigger": False},
    "keep_tokens": {"shuffle_captions": True, "keep_tokens": 2},
    "loss": {"loss": "huber"},
    "huber_c": {"loss": "huber", "huber_c": 0.3},
    "huber_schedule": {"loss": "huber", "huber_schedule": "constant"},
    "gradient_checkpointing": {"gradient_checkpointing": False},
    "text_encoder": {"text_encoder": True},
    "text_encoder_learning_rate": {"text_encoder": True, "text_encoder_learning_rate": 1e-5},
    "smaller_resolutions": {"smaller_resolutions": (256,)},
    "flow_sampling": {"flow_sampling": "uniform"},
    "only_layers": {"only_layers": ("a",)},
    "skip_layers": {"skip_layers": ("a",)},
    "conv_alpha": {"conv_rank": 4, "conv_alpha": 2.0},
    "assistant_lora": {"assistant_lora": "a.safetensors"},
    "max_step_saves_to_keep": {"save_every": 10, "max_step_saves_to_keep": 2},
    "blocks_to_swap": {"blocks_to_swap": 3},
    "multires_noise_discount": {"multires_noise_iterations": 6, "multires_noise_discount": 0.5},
    "max_timestep": {"max_timestep": 700},
}
"""Field -> settings that ask for it; the others are numbers and truth values, of which any other one asks."""
FLOWS = ("flow_sampling", "flow_shift", "assistant_lora", "blocks_to_swap")
"""Fields that only flow models have, or only they are told of."""
ELSEWHERE = frozenset(("mask_floor",))
"""Told in files of their own (tests/unit/foreign/test_masks.py)."""
FLOW = {"musubi-tuner": "flux2"}
"""Programs that train flow models only -> a family of theirs."""
NO_USE = frozenset(("min_snr_gamma", "noise_offset", "caption_dropout", "keep_trigger"))
"""Such a program has no use for these: flows know neither of the first two, and captions are not dropped there, however
often that is asked for, which its notes say (tests/unit/foreign/test_musubi.py).
"""


def another(name: str) -> Any:
    value = getattr(USUAL, name)
    return not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value / 2 + 0.125


def asking(name: str) -> TrainingSettings:
    return dataclasses.replace(USUAL, **(ASKED[name] if name in ASKED else {name: another(name)}))


def without(name: str) -> TrainingSettings:
    """The same settings, but for the field itself."""
    return dataclasses.replace(asking(name), **{name: getattr(USUAL, name)})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    photos = samples(tmp_path, count=2)
    mixed = (photos[0], dataclasses.replace(photos[1], prior=True))
    return Job(
        "ana", "/base", FAMILIES["sdxl"], USUAL, "ana", PurePosixPath("/d/set"), PurePosixPath("/o"),
        folders_of(mixed, "ana"),
    )  # fmt: skip


def told(one: Program, job: Job, settings: TrainingSettings, family: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    made = dataclasses.replace(job, settings=settings, family=FAMILIES[family])
    return one.files(made), one.notes(made)


@pytest.mark.parametrize("one", EVERY)
def test_what_a_program_is_said_to_be_told_is_in_its_files_or_its_notes(one: Program, job: Job) -> None:
    known = {name.partition(" ")[0] for name in COMMON | one.able if not name.endswith(" 0")} - {MASKED} - ELSEWHERE
    assert known <= FIELDS.keys()
    for name in sorted(known - (NO_USE if one.name in FLOW else frozenset())):
        family = FLOW.get(one.name, "flux" if name in FLOWS else "sd15" if name == "clip_skip" else "sdxl")
        assert told(one, job, asking(name), family) != told(one, job, without(name), family), name
        assert not beyond(asking(name), one.able), name


@pytest.mark.parametrize("one", EVERY)
def test_every_other_field_is_beyond_it(one: Program) -> None:
    everything = dataclasses.replace(USUAL, **{name: object() for name in FIELDS})
    named = {text.split()[0].removeprefix("training.") for text in beyond(everything, one.able)}
    named = {"stop_at" if name == "keep_checkpoints" else name for name in named}
    whole = {name for name in COMMON | OWN | one.able if " " not in name} - {MASKED}
    assert not named & whole and named | whole == FIELDS.keys()
    assert beyond(USUAL, one.able) == () == beyond(USUAL)


def test_a_field_that_nobody_has_thought_of_is_beyond_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = dataclasses.make_dataclass(
        "Wider",
        [("magic", float, 0.0), ("spells", tuple, dataclasses.field(default_factory=tuple))],
        bases=(TrainingSettings,),
        frozen=True,
    )
    monkeypatch.setattr(program, "TrainingSettings", wider)
    usual = wider(**{name: getattr(USUAL, name) for name in FIELDS})
    for one in PROGRAMS.values():
        assert beyond(usual, one.able) == ()
        asked = dataclasses.replace(usual, magic=0.5, spells=("a",))
        assert beyond(asked, one.able) == ("training.magic", "training.spells")


def test_what_is_saved_on_the_way_is_told_but_not_taken_where_this_program_starts_the_training() -> None:
    asked = asking("max_step_saves_to_keep")
    assert beyond(asked, kohya.ABLE) == ()
    assert beyond(asked, kohya.ABLE, run_here=True) == ("training.save_every", "training.max_step_saves_to_keep")
    assert FIELDS.keys() >= NOT_HERE


def test_a_programs_own_training_adapters_are_for_presets_that_it_trains(job: Job) -> None:
    brought = {name: one.own_adapters for name, one in PROGRAMS.items() if one.own_adapters}
    assert brought.keys() == {"ai-toolkit"}
    for preset, adapter in brought["ai-toolkit"].items():
        settings = dataclasses.replace(USUAL, preset=preset)
        asked = dataclasses.replace(job, settings=settings, family=family_of_preset(preset))
        assert adapter in "".join(PROGRAMS["ai-toolkit"].files(asked).values())


def test_the_table_of_names_is_that_of_the_programs() -> None:
    assert list(TITLES) == list(PROGRAMS) and [one.title for one in PROGRAMS.values()] == list(TITLES.values())


def test_dropped_captions_and_their_trigger_words(job: Job) -> None:
    """ai-toolkit puts the trigger back; the others drop it with the caption."""

    def said(keep: bool, dropout: float = 0.1, family: str = "sdxl") -> set[str]:
        settings = dataclasses.replace(USUAL, keep_trigger=keep, caption_dropout=dropout)
        made = dataclasses.replace(job, settings=settings, family=FAMILIES[family])
        return {
            name for name, one in PROGRAMS.items() if any("training.keep_trigger" in note for note in one.notes(made))
        }

    assert said(True) == {"kohya", "onetrainer", "simpletuner"} and said(False) == {"ai-toolkit"}
    assert said(True, 0.0) == said(False, 0.0) == set()
    assert said(True, family="flux") == {"onetrainer", "simpletuner"}, "sd-scripts drops no caption of it"


def test_what_a_program_cannot_follow_is_not_said_to_have_been_done(job: Job) -> None:
    def followed(program: str, family: str, **asked: Any) -> TrainingSettings:
        settings = dataclasses.replace(USUAL, **asked)
        made = dataclasses.replace(job, settings=settings, family=FAMILIES[family])
        return PROGRAMS[program].followed(made)

    rate = {"schedule": "cosine_restarts", "restarts": 3, "warmup_steps": 5}
    done = followed("ai-toolkit", "sdxl", **rate, keep_trigger=False)
    assert (done.schedule, done.warmup_steps, done.keep_trigger) == ("cosine", 0, True)
    assert followed("ai-toolkit", "sdxl", schedule="constant", warmup_steps=5).warmup_steps == 5
    done = followed("kohya", "sdxl", **rate, caption_dropout=0.1)
    assert (done.schedule, done.warmup_steps, done.caption_dropout) == ("cosine_restarts", 5, 0.1)
    assert not done.keep_trigger
    done = followed("kohya", "flux", caption_dropout=0.1, shuffle_captions=True, min_snr_gamma=5.0, noise_offset=0.1)
    assert (done.caption_dropout, done.shuffle_captions, done.min_snr_gamma, done.noise_offset) == (0.0, False, 0, 0)
    assert followed("onetrainer", "sdxl", **rate).schedule == "cosine_restarts"


def test_blocks_are_swapped_by_the_scripts_that_can(job: Job) -> None:
    swapping = asking("blocks_to_swap")
    for family in ("flux", "sd35"):
        files, notes = told(kohya.PROGRAM, job, swapping, family)
        assert "blocks_to_swap = 3\n" in files["training.toml"] and not any("blocks" in note for note in notes)
    files, notes = told(kohya.PROGRAM, job, swapping, "sdxl")
    assert "blocks_to_swap" not in files["training.toml"] and any("all blocks stay on the GPU" in one for one in notes)
    assert beyond(swapping) == ("training.blocks_to_swap",)
    assert beyond(dataclasses.replace(USUAL, blocks_to_swap=0)) == (), "which is what every program does by itself"
