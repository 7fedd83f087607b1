"""What does not go together in a training is said in one wording: of a configuration, and by the built-in trainer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.makers import TRAINING
from twinloop.adapters.trainers.preflight import check_fits
from twinloop.config import TrainingConfig, parse_settings
from twinloop.domain.training_rules import clashes
from twinloop.errors import ConfigError, InputError
from twinloop.families import FAMILIES

LEAST = {"person_name": "alice", "person_trigger": "ohwx alice", "dataset_dir": "photos"}
SCHEDULE_FREE = {"optimizer": "adamw_schedulefree", "schedule": "constant"}
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"loss": "l1"}, "training.loss: input should be 'l2', 'huber' or 'smooth_l1' (given: 'l1')"),
    ({"schedule": "step"}, "training.schedule: input should be 'cosine', 'constant', 'linear' or 'cosine_restarts'"),
    ({"adapter": "dora", "rank_dropout": 0.1}, 'rank_dropout goes with "adapter": "lora"'),
    ({"adapter": "lokr", "network_dropout": 0.1, "module_dropout": 0.1}, "network_dropout and module_dropout go with"),
    ({"adapter": "dora", "scale_weight_norms": 1.0}, 'scale_weight_norms goes with "adapter": "lora"'),
    ({"adapter": "lokr", "scale_weight_norms": 1.0}, 'scale_weight_norms goes with "adapter": "lora"'),
    ({"adapter": "lokr", "loraplus_lr_ratio": 4.0}, "a LoKr has no such pairs of matrices"),
    ({"optimizer": "prodigy", "loraplus_lr_ratio": 4.0}, "leave loraplus_lr_ratio out"),
    ({"adapter": "lokr", "text_encoder": True}, "a LoKr adapts the denoiser alone"),
    (
        {"text_encoder": True, "optimizer": "prodigy", "text_encoder_learning_rate": 0.5},
        "prodigy finds one rate for all that it trains; leave text_encoder_learning_rate out",
    ),
    ({"text_encoder_learning_rate": 1e-5}, "say nothing without text_encoder: true"),
    ({"text_encoder_share": 0.5}, "say nothing without text_encoder: true"),
    ({"adapter": "dora", "start_from": "ana.safetensors"}, 'start_from goes with "adapter": "lora"'),
    ({"adapter": "lokr", "rank_stabilized": True}, "a LoKr is not scaled by its rank"),
    ({"adapter": "lokr", "conv_rank": 8}, "a LoKr leaves convolutions alone"),
    ({"adapter": "lokr", "lokr_factor": 1}, "lokr_factor must be 2 or more"),
    ({"adapter": "dora", "lokr_factor": 8}, 'lokr_factor is for "adapter": "lokr", not "dora"'),
    ({"rank": 1025}, "rank 1025 is more than 1024"),
    ({**SCHEDULE_FREE, "schedule": "cosine"}, "adamw_schedulefree runs at one rate after the warm-up"),
    ({**SCHEDULE_FREE, "ema_decay": 0.99}, "writes an average by itself; leave ema_decay out"),
    ({**SCHEDULE_FREE, "scale_weight_norms": 1.0}, "scale_weight_norms shortens weights that adamw_schedulefree"),
    ({"blocks_to_swap": 2, "gradient_checkpointing": False}, "blocks_to_swap needs gradient checkpointing"),
)  # fmt: skip


@pytest.mark.parametrize(("bad", "words"), BAD)
def test_configuration_and_trainer_say_the_same_sentence(bad: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as of_configuration:
        parse_settings({**LEAST, "training": bad}, "my.json")
    with pytest.raises(InputError) as of_trainer:
        check_fits(replace(TRAINING, **bad), FAMILIES["sdxl"])
    (problem,) = of_configuration.value.problems
    assert words in problem and str(of_trainer.value) == f"{problem}."


@pytest.mark.parametrize(
    "good",
    [
        {},
        SCHEDULE_FREE,
        {"adapter": "lokr", "lokr_factor": 8, "rank": 10000},
        {"adapter": "dora", "rank": 1024, "text_encoder": True, "loraplus_lr_ratio": 4.0, "conv_rank": 8},
        {"text_encoder": True, "text_encoder_learning_rate": 1e-5, "text_encoder_share": 0.5, "rank_stabilized": True},
        {"optimizer": "prodigy", "text_encoder": True, "scale_weight_norms": 1.0, "network_dropout": 0.1},
        {"start_from": "ana.safetensors", "blocks_to_swap": 0, "gradient_checkpointing": False},
        {"blocks_to_swap": 2, "gradient_checkpointing": True},
    ],
)
def test_what_goes_together(good: dict[str, Any]) -> None:
    assert not list(clashes(TrainingConfig.model_validate(good)))
    assert not list(clashes(replace(TRAINING, **good)))


def test_all_that_is_wrong_is_told() -> None:
    wrong = {"adapter": "lokr", "conv_rank": 8, "optimizer": "prodigy", "loraplus_lr_ratio": 4.0, "loss": "l1"}
    found = list(clashes(replace(TRAINING, **wrong)))  # type: ignore[arg-type]
    assert [fields for fields, _ in found] == [
        ("loss",), ("loraplus_lr_ratio", "optimizer"), ("loraplus_lr_ratio", "adapter"), ("conv_rank", "adapter"),
    ]  # fmt: skip
