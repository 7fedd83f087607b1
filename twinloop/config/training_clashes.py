"""What does not go together in the section ``training``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twinloop.config.section import Clash
from twinloop.domain.choices import SCHEDULE_FREE, TAG_PRESETS
from twinloop.domain.optimizer_args import mistakes
from twinloop.domain.wording import agree

if TYPE_CHECKING:
    from twinloop.config.training import TrainingConfig

BUILTIN_ONLY = (
    "keep_checkpoints",
    "early_stop",
    "sample_every",
    "processes",
    "warm_start",
)
"""Settings of the training that other programs' trainers cannot follow, as far as `ports.TrainingSettings` has no such
field: those fields that are among its own, a trainer refuses by itself (`foreign.program.beyond`)."""
OTHERS_ONLY = ("trainer_path", "trainer_python", "extra_args")
"""Settings that only another program's trainer is told."""


def _reads_tags(training: Mapping[str, Any]) -> bool:
    return str(training["preset"]).casefold() in TAG_PRESETS


def _shuffles(training: Mapping[str, Any]) -> bool:
    """Whether captions come in changing orders; a preset that is chosen by the base model may have it so."""
    if training["shuffle_captions"] is None:
        return training["preset"] is None or _reads_tags(training)
    return bool(training["shuffle_captions"])


SAYS_NOTHING_WITHOUT: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "keep_checkpoints": lambda training: training["keep_checkpoints"] < 2,
    "checkpoint_panel": lambda training: training["keep_checkpoints"] < 2,
    "class_word": lambda training: (
        training["prior_images"] is None and not training["output_preservation"] and not _reads_tags(training)
    ),
    "prior_weight": lambda training: training["prior_images"] is None,
    "restarts": lambda training: training["schedule"] != "cosine_restarts",
    "repeats": lambda training: training["epochs"] is None or training["steps"] is not None,
    "max_train_steps": lambda training: (
        not training["max_train_steps"] or training["epochs"] is None or training["steps"] is not None
    ),
    "keep_tokens": lambda training: not _shuffles(training) and not training["caption_tag_dropout_rate"],
    "mask_floor": lambda training: training["masks"] is None,
    "conv_alpha": lambda training: not training["conv_rank"],
    "huber_c": lambda training: training["loss"] == "l2",
    "huber_schedule": lambda training: training["loss"] == "l2",
    "extra_args": lambda training: training["trainer"] == "builtin",
    "loraplus_lr_ratio": lambda training: not training["loraplus_lr_ratio"],
    "scale_weight_norms": lambda training: not training["scale_weight_norms"],
    "rank_stabilized": lambda training: not training["rank_stabilized"],
}
"""Field -> whether the others of a whole section leave it without a meaning. Two trainings that differ in such a field
are the same."""

DROPOUTS = ("network_dropout", "rank_dropout", "module_dropout")
LARGEST_RANK = 1024
"""Of a LoRA. A LoKr takes any: from half of a large matrix's side on it is whole."""


def clashes(training: TrainingConfig) -> Iterator[Clash]:
    """All of it, each with the fields that it is about."""
    yield from _beyond_trainer(training)
    yield from _about_memory(training)
    yield from _about_optimizer(training)
    yield from _about_adapter(training)
    yield from _about_text_encoder(training)
    yield from _about_checkpoints(training)
    yield from _said_in_vain(training)


def _asked(training: TrainingConfig, *names: str) -> list[str]:
    """Those of the fields that are not as usual."""
    return [name for name in names if getattr(training, name) != type(training).model_fields[name].default]


def _beyond_trainer(training: TrainingConfig) -> Iterator[Clash]:
    if training.trainer == "builtin":
        # who names the built-in one has chosen it, and may keep what the other needs for another time
        if "trainer" not in training.model_fields_set and (asked := _asked(training, *OTHERS_ONLY)):
            yield Clash(
                ("trainer", *asked),
                f'the built-in trainer is not told {", ".join(asked)}; set "trainer": "kohya" or "ai-toolkit", or leave'
                " it out",
            )
    elif asked := _asked(training, *BUILTIN_ONLY):
        yield Clash(("trainer", *asked), f"only the built-in trainer knows {', '.join(asked)}")
    if training.trainer == "kohya" and training.masks and training.prior_images:
        yield Clash(
            ("trainer", "masks", "prior_images"), "sd-scripts takes masks or prior_images, not both; leave one out"
        )


def _about_checkpoints(training: TrainingConfig) -> Iterator[Clash]:
    if training.early_stop and training.keep_checkpoints < 2:
        yield Clash(("early_stop", "keep_checkpoints"), "early_stop needs keep_checkpoints of 2 or more")
    elif training.keep_checkpoints == 1:
        yield Clash(
            ("keep_checkpoints",), "keep_checkpoints of 1 leaves no choice: 2 or more, or 0 to take the last one"
        )
    if "keep_checkpoints" not in training.model_fields_set and _asked(training, "checkpoint_panel"):
        yield Clash(
            ("checkpoint_panel", "keep_checkpoints"),
            "checkpoint_panel says nothing without keep_checkpoints of 2 or more",
        )


def _said_in_vain(training: TrainingConfig) -> Iterator[Clash]:
    """Fields that only another one gives a meaning."""
    if training.sample_prompts and not training.sample_every:
        yield Clash(("sample_prompts", "sample_every"), "sample_prompts are drawn every sample_every steps; set it")
    if training.max_step_saves_to_keep and not training.save_every:
        yield Clash(
            ("max_step_saves_to_keep", "save_every"), "max_step_saves_to_keep are those of save_every steps; set it"
        )
    if training.validate_every == 0 and "validation_times" in training.model_fields_set:
        yield Clash(("validation_times", "validate_every"), "validation_times say nothing with validate_every 0")
    if vain := [name for name in ("repeats", "max_train_steps") if _in_vain(training, name)]:
        yield Clash(
            (*vain, "epochs", "steps"),
            f"{' and '.join(vain)} {agree(len(vain), 'is', 'are')} about the steps that epochs ask for: set epochs and"
            " no steps, or set steps alone",
        )
    if _in_vain(training, "restarts"):
        yield Clash(("restarts", "schedule"), 'restarts are those of "schedule": "cosine_restarts"; set it')
    if _in_vain(training, "keep_tokens"):
        yield Clash(("keep_tokens", "shuffle_captions"), "keep_tokens says nothing without shuffle_captions: true")
    if _in_vain(training, "conv_alpha"):
        yield Clash(("conv_alpha", "conv_rank"), "conv_alpha says nothing without a conv_rank of 1 or more")
    if _in_vain(training, "prior_weight"):
        yield Clash(("prior_weight", "prior_images"), "prior_weight says nothing without prior_images")
    if _in_vain(training, "mask_floor"):
        yield Clash(("mask_floor", "masks"), "mask_floor says nothing without masks")
    if vain := [name for name in ("huber_c", "huber_schedule") if _in_vain(training, name)]:
        yield Clash(
            (*vain, "loss"),
            f'{" and ".join(vain)} {agree(len(vain), "says", "say")} nothing without "loss": "huber" or "smooth_l1"',
        )
    if _in_vain(training, "class_word"):
        yield Clash(
            ("class_word", "prior_images", "output_preservation"),
            "class_word says nothing without prior_images, output_preservation or a preset that reads tags; captions"
            " have theirs from the photos' label",
        )


def _in_vain(training: TrainingConfig, name: str) -> bool:
    """Whether a field is set that has no meaning beside the others."""
    return bool(_asked(training, name)) and SAYS_NOTHING_WITHOUT[name](vars(training))


def _about_memory(training: TrainingConfig) -> Iterator[Clash]:
    if training.blocks_to_swap and training.gradient_checkpointing is False:
        yield Clash(
            ("blocks_to_swap", "gradient_checkpointing"),
            "blocks_to_swap needs gradient checkpointing: the backward pass would keep what it brings over; leave"
            " gradient_checkpointing out",
        )


def _about_optimizer(training: TrainingConfig) -> Iterator[Clash]:
    for problem in mistakes(training.optimizer, training.optimizer_args):
        yield Clash(("optimizer_args", "optimizer"), f"optimizer_args: {problem}")
    if training.optimizer == "prodigy" and training.loraplus_lr_ratio:
        yield Clash(
            ("loraplus_lr_ratio", "optimizer"),
            "prodigy finds one rate for all that it trains; leave loraplus_lr_ratio out",
        )
    if training.optimizer in SCHEDULE_FREE:
        yield from _beside_schedule_free(training)
    if "weight_decay" in training.optimizer_args and training.weight_decay is not None:
        yield Clash(
            ("optimizer_args", "weight_decay"),
            "weight_decay is set twice, by itself and among optimizer_args; keep one",
        )


def _beside_schedule_free(training: TrainingConfig) -> Iterator[Clash]:
    if training.schedule not in (None, "constant"):
        yield Clash(
            ("schedule", "optimizer"),
            f'{training.optimizer} runs at one rate after the warm-up; leave schedule out, or set it to "constant"',
        )
    if training.ema_decay:
        yield Clash(
            ("ema_decay", "optimizer"), f"{training.optimizer} writes an average by itself; leave ema_decay out"
        )
    if training.scale_weight_norms:
        yield Clash(
            ("scale_weight_norms", "optimizer"),
            f"scale_weight_norms shortens weights that {training.optimizer} averages; leave one of the two out",
        )


def _about_adapter(training: TrainingConfig) -> Iterator[Clash]:
    if training.adapter != "lora" and (asked := _asked(training, "start_from", "warm_start")):
        yield Clash(
            ("adapter", *asked), f'{" and ".join(asked)} {agree(len(asked), "goes", "go")} with "adapter": "lora"'
        )
    if training.adapter != "lora" and training.scale_weight_norms:
        yield Clash(
            ("scale_weight_norms", "adapter"),
            'scale_weight_norms goes with "adapter": "lora", whose pairs of matrices it shortens',
        )
    if training.adapter == "lokr" and training.rank_stabilized:
        yield Clash(
            ("rank_stabilized", "adapter"),
            'rank_stabilized goes with "adapter": "lora" or "dora"; a LoKr is not scaled by its rank',
        )
    if training.adapter == "lokr" and training.loraplus_lr_ratio:
        yield Clash(
            ("loraplus_lr_ratio", "adapter"),
            'loraplus_lr_ratio goes with "adapter": "lora" or "dora": a LoKr has no such pairs of matrices',
        )
    if training.adapter != "lora" and (asked := _asked(training, *DROPOUTS)):
        yield Clash(
            ("adapter", *asked),
            f'{" and ".join(asked)} {agree(len(asked), "goes", "go")} with "adapter": "lora": there is no such thing of'
            f" a {training.adapter}",
        )
    if training.adapter == "lokr":
        if training.conv_rank:
            yield Clash(
                ("conv_rank", "adapter"),
                'conv_rank goes with "adapter": "lora" or "dora"; a LoKr leaves convolutions alone',
            )
        if training.lokr_factor in (0, 1):
            yield Clash(
                ("lokr_factor", "adapter"),
                "lokr_factor must be 2 or more, or -1 for automatic: 0 and 1 divide nothing",
            )
        if training.text_encoder:
            yield Clash(
                ("text_encoder", "adapter"),
                'text_encoder goes with "adapter": "lora" or "dora"; a LoKr adapts the denoiser alone',
            )
        return
    if training.lokr_factor != -1:
        yield Clash(("lokr_factor", "adapter"), f'lokr_factor is for "adapter": "lokr", not "{training.adapter}"')
    if (training.rank or 0) > LARGEST_RANK:
        yield Clash(
            ("rank", "adapter"),
            f'rank {training.rank} is more than {LARGEST_RANK}; only "adapter": "lokr" takes more, as whole matrices',
        )


def _about_text_encoder(training: TrainingConfig) -> Iterator[Clash]:
    rate, share = "text_encoder_learning_rate", "text_encoder_share"
    asked = _asked(training, rate, share)
    if not training.text_encoder and asked:
        yield Clash(("text_encoder", *asked), f"{rate} and {share} say nothing without text_encoder: true")
    if training.optimizer == "prodigy" and rate in asked:
        yield Clash(("optimizer", rate), f"prodigy finds one rate for all that it trains; leave {rate} out")
