"""What does not go together in the section ``training``: what `domain.training_rules` says, and what is about fields
that only a configuration has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twinloop.config.section import Clash
from twinloop.domain import training_rules
from twinloop.domain.choices import TAG_PRESETS
from twinloop.domain.optimizer_args import mistakes
from twinloop.domain.training_rules import LAST_TIME
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
    "debiased_estimation_loss": lambda training: not training["debiased_estimation_loss"],
    "multires_noise_iterations": lambda training: not training["multires_noise_iterations"],
    "multires_noise_discount": lambda training: not training["multires_noise_iterations"],
    "ip_noise_gamma": lambda training: not training["ip_noise_gamma"],
    "min_timestep": lambda training: not training["min_timestep"],
    "max_timestep": lambda training: training["max_timestep"] == LAST_TIME,
}
"""Field -> whether the others of a whole section leave it without a meaning. Two trainings that differ in such a field
are the same."""


def clashes(training: TrainingConfig) -> Iterator[Clash]:
    """All of it, each with the fields that it is about."""
    yield from _beyond_trainer(training)
    yield from (Clash(fields, problem) for fields, problem in training_rules.clashes(training))
    yield from _about_optimizer(training)
    yield from _about_warm_start(training)
    yield from _about_checkpoints(training)
    yield from _beyond_steps(training)
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
    if training.trainer == "ai-toolkit" and training.text_encoder and training.only_layers:
        yield Clash(
            ("trainer", "text_encoder", "only_layers"),
            "ai-toolkit's only_if_contains leaves out the text encoders, too; leave text_encoder or only_layers out",
        )


def _about_checkpoints(training: TrainingConfig) -> Iterator[Clash]:
    if training.early_stop and training.keep_checkpoints < training.early_stop + 2:
        yield Clash(
            ("early_stop", "keep_checkpoints"),
            f"early_stop {training.early_stop} needs keep_checkpoints of {training.early_stop + 2} or more; with fewer,"
            " no step is left that it could leave out",
        )
    elif training.keep_checkpoints == 1:
        yield Clash(
            ("keep_checkpoints",), "keep_checkpoints of 1 leaves no choice: 2 or more, or 0 to take the last one"
        )
    if "keep_checkpoints" not in training.model_fields_set and _asked(training, "checkpoint_panel"):
        yield Clash(
            ("checkpoint_panel", "keep_checkpoints"),
            "checkpoint_panel says nothing without keep_checkpoints of 2 or more",
        )


def _beyond_steps(training: TrainingConfig) -> Iterator[Clash]:
    """What a training is too short for, where the section alone tells that it has so many steps at most."""
    most = training.steps or training.max_train_steps
    if not most or (training.early_stop and training.keep_checkpoints < training.early_stop + 2):
        return
    named = "steps" if training.steps else "max_train_steps"
    for fields, problem in training_rules.never_reached(training, most):
        yield Clash(tuple(named if field == "steps" else field for field in fields), problem)


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
    elif training.prior_weight == 0 and training.prior_images is not None:
        yield Clash(
            ("prior_weight", "prior_images"),
            "prior_images with a prior_weight of 0 change nothing and take as long as others: leave them out",
        )
    if _in_vain(training, "mask_floor"):
        yield Clash(("mask_floor", "masks"), "mask_floor says nothing without masks")
    if vain := [name for name in ("huber_c", "huber_schedule") if _in_vain(training, name)]:
        yield Clash(
            (*vain, "loss"),
            f'{" and ".join(vain)} {agree(len(vain), "says", "say")} nothing without "loss": "huber" or "smooth_l1"',
        )
    if _in_vain(training, "multires_noise_discount"):
        yield Clash(
            ("multires_noise_discount", "multires_noise_iterations"),
            "multires_noise_discount says nothing without multires_noise_iterations of 1 or more",
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


def _about_optimizer(training: TrainingConfig) -> Iterator[Clash]:
    for problem in mistakes(training.optimizer, training.optimizer_args):
        yield Clash(("optimizer_args", "optimizer"), f"optimizer_args: {problem}")
    if "weight_decay" in training.optimizer_args and training.weight_decay is not None:
        yield Clash(
            ("optimizer_args", "weight_decay"),
            "weight_decay is set twice, by itself and among optimizer_args; keep one",
        )


def _about_warm_start(training: TrainingConfig) -> Iterator[Clash]:
    if training.adapter != "lora" and training.warm_start:
        yield Clash(("adapter", "warm_start"), 'warm_start goes with "adapter": "lora"')
