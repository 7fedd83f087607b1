"""Which settings of a training do not go together, whatever the model and the machine: told of a configuration while it
is read, and by the built-in trainer of settings that come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from twinloop.domain.choices import LOSSES, SCHEDULE_FREE, SCHEDULES
from twinloop.domain.wording import agree, plural

LARGEST_RANK = 1024
"""Of a LoRA. A LoKr takes any: from half of a large matrix's side on it is whole."""
LAST_TIME = 1000
"""Of pure noise, in the schedulers' count."""
NOT_OF_FLOWS = ("debiased_estimation_loss", "ip_noise_gamma", "multires_noise_iterations")
"""Fields of weights and noise that sd-scripts has for epsilon and v models."""
DROPOUTS = ("network_dropout", "rank_dropout", "module_dropout")

Found = Iterator[tuple[tuple[str, ...], str]]
"""The fields that a problem is about, and what does not fit, with what to do."""


def checkpoint_steps(steps: int, count: int) -> tuple[int, ...]:
    """``count`` steps at even distances in the last half of a training, the last among them, fewer where it has no
    more; () for one or none.
    """
    if count < 2:
        return ()
    first = steps / 2
    return tuple(sorted({round(first + (steps - first) * number / count) for number in range(1, count + 1)}))


class Paused(Protocol):
    """What is to happen on the way of a training, as ``training`` of the configuration has it."""

    @property
    def warmup_steps(self) -> int | None: ...
    @property
    def restarts(self) -> int: ...
    @property
    def save_every(self) -> int: ...
    @property
    def keep_checkpoints(self) -> int: ...
    @property
    def early_stop(self) -> int: ...


def never_reached(asked: Paused, steps: int) -> Found:
    """What of it a training of so many steps is too short for."""
    if asked.warmup_steps and asked.warmup_steps >= steps:
        yield (
            ("warmup_steps", "steps"),
            f"warmup_steps {asked.warmup_steps} of {plural(steps, 'step')} never reach the learning rate; a tenth of"
            " the steps is usual",
        )
    if asked.restarts > 1 and 2 * asked.restarts > steps - (asked.warmup_steps or 0):
        yield (
            ("restarts", "steps"),
            f"restarts {asked.restarts} leave less than two steps for each fall of the rate in a training of"
            f" {plural(steps, 'step')}; lower them",
        )
    if asked.save_every > steps:
        yield (
            ("save_every", "steps"),
            f"save_every {asked.save_every} saves nothing in a training of {plural(steps, 'step')}; lower it, or leave"
            " it out",
        )
    measured = checkpoint_steps(steps, asked.keep_checkpoints)
    if len(measured) == 1:
        yield (
            ("keep_checkpoints", "steps"),
            f"keep_checkpoints leaves no choice in a training of {plural(steps, 'step')}; leave it out",
        )
    elif asked.early_stop and asked.early_stop + 2 > len(measured):
        yield (
            ("early_stop", "keep_checkpoints", "steps"),
            f"early_stop {asked.early_stop} can never stop a training of {plural(steps, 'step')}, of which"
            f" {len(measured)} checkpoints are measured; lower it, or leave it out",
        )


def is_wanted(layer: str, only: Sequence[str], skip: Sequence[str]) -> bool:
    """Whether ``only_layers`` and ``skip_layers`` leave a layer of the denoiser to be adapted."""
    return (not only or any(text in layer for text in only)) and not any(text in layer for text in skip)


def told(fields: Sequence[str], problem: str) -> str:
    """A problem as the message of an error, which names its field where it is about one alone."""
    return f"training{'' if fields[1:] else f'.{fields[0]}'}: {problem}."


class Asked(Protocol):
    """What the rules look at; None or nothing = not asked for, as `ports.TrainingSettings` says what each is."""

    @property
    def adapter(self) -> str: ...
    @property
    def rank(self) -> int | None: ...
    @property
    def rank_stabilized(self) -> bool: ...
    @property
    def conv_rank(self) -> int: ...
    @property
    def lokr_factor(self) -> int: ...
    @property
    def network_dropout(self) -> float: ...
    @property
    def rank_dropout(self) -> float: ...
    @property
    def module_dropout(self) -> float: ...
    @property
    def loraplus_lr_ratio(self) -> float: ...
    @property
    def scale_weight_norms(self) -> float: ...
    @property
    def start_from(self) -> str | None: ...
    @property
    def text_encoder(self) -> bool: ...
    @property
    def text_encoder_learning_rate(self) -> float | None: ...
    @property
    def text_encoder_share(self) -> float: ...
    @property
    def optimizer(self) -> str: ...
    @property
    def schedule(self) -> str | None: ...
    @property
    def ema_decay(self) -> float: ...
    @property
    def loss(self) -> str: ...
    @property
    def debiased_estimation_loss(self) -> bool: ...
    @property
    def ip_noise_gamma(self) -> float: ...
    @property
    def multires_noise_iterations(self) -> int: ...
    @property
    def min_timestep(self) -> int: ...
    @property
    def max_timestep(self) -> int: ...
    @property
    def blocks_to_swap(self) -> int | None: ...
    @property
    def gradient_checkpointing(self) -> bool | None: ...


def clashes(asked: Asked) -> Found:
    """All that does not fit; of a single field where that alone is wrong."""
    yield from _unknown("loss", asked.loss, LOSSES)
    yield from _unknown("schedule", asked.schedule, SCHEDULES)
    if asked.min_timestep >= asked.max_timestep:
        yield (
            ("min_timestep", "max_timestep"),
            f"min_timestep {asked.min_timestep} is not below max_timestep {asked.max_timestep}: no noise level is left",
        )
    yield from _about_memory(asked)
    yield from _about_optimizer(asked)
    if asked.adapter != "lora":
        yield from _beyond_lora(asked)
    yield from _about_lokr(asked) if asked.adapter == "lokr" else _beside_lokr(asked)
    yield from _about_text_encoder(asked)


def beyond_flow(asked: Asked, family: str) -> Found:
    """What is asked for that means nothing to a flow model, as those of this family are."""
    if wrong := [name for name in NOT_OF_FLOWS if getattr(asked, name)]:
        yield (
            tuple(wrong),
            f"{' and '.join(wrong)} {agree(len(wrong), 'is', 'are')} for models that predict epsilon or v (SDXL,"
            f" SD 1.5); those of {family} are flow models. Leave {agree(len(wrong), 'it', 'them')} out",
        )


def _unknown(name: str, value: str | None, known: Sequence[str]) -> Found:
    """In the words in which the configuration refuses it."""
    if value is not None and value not in known:
        *others, last = map(repr, known)
        yield (name,), f"input should be {', '.join(others)} or {last} (given: {value!r})"


def _about_memory(asked: Asked) -> Found:
    if asked.blocks_to_swap and asked.gradient_checkpointing is False:
        yield (
            ("blocks_to_swap", "gradient_checkpointing"),
            "blocks_to_swap needs gradient checkpointing: the backward pass would keep what it brings over; leave"
            " gradient_checkpointing out",
        )


def _about_optimizer(asked: Asked) -> Found:
    if asked.optimizer == "prodigy" and asked.loraplus_lr_ratio:
        yield (
            ("loraplus_lr_ratio", "optimizer"),
            "prodigy finds one rate for all that it trains; leave loraplus_lr_ratio out",
        )
    if asked.optimizer in SCHEDULE_FREE:
        yield from _beside_schedule_free(asked)


def _beside_schedule_free(asked: Asked) -> Found:
    if asked.schedule not in (None, "constant"):
        yield (
            ("schedule", "optimizer"),
            f'{asked.optimizer} runs at one rate after the warm-up; leave schedule out, or set it to "constant"',
        )
    if asked.ema_decay:
        yield ("ema_decay", "optimizer"), f"{asked.optimizer} writes an average by itself; leave ema_decay out"
    if asked.scale_weight_norms:
        yield (
            ("scale_weight_norms", "optimizer"),
            f"scale_weight_norms shortens weights that {asked.optimizer} averages; leave one of the two out",
        )


def _beyond_lora(asked: Asked) -> Found:
    """What a LoRA alone has."""
    if asked.start_from:
        yield ("adapter", "start_from"), 'start_from goes with "adapter": "lora"'
    if asked.scale_weight_norms:
        yield (
            ("scale_weight_norms", "adapter"),
            'scale_weight_norms goes with "adapter": "lora", whose pairs of matrices it shortens',
        )
    if dropouts := [name for name in DROPOUTS if getattr(asked, name)]:
        yield (
            ("adapter", *dropouts),
            f'{" and ".join(dropouts)} {agree(len(dropouts), "goes", "go")} with "adapter": "lora": there is no such'
            f" thing of a {asked.adapter}",
        )


def _about_lokr(asked: Asked) -> Found:
    if asked.rank_stabilized:
        yield (
            ("rank_stabilized", "adapter"),
            'rank_stabilized goes with "adapter": "lora" or "dora"; a LoKr is not scaled by its rank',
        )
    if asked.loraplus_lr_ratio:
        yield (
            ("loraplus_lr_ratio", "adapter"),
            'loraplus_lr_ratio goes with "adapter": "lora" or "dora": a LoKr has no such pairs of matrices',
        )
    if asked.conv_rank:
        yield (
            ("conv_rank", "adapter"),
            'conv_rank goes with "adapter": "lora" or "dora"; a LoKr leaves convolutions alone',
        )
    if asked.lokr_factor in (0, 1):
        yield (
            ("lokr_factor", "adapter"),
            "lokr_factor must be 2 or more, or -1 for automatic: 0 and 1 divide nothing",
        )
    if asked.text_encoder:
        yield (
            ("text_encoder", "adapter"),
            'text_encoder goes with "adapter": "lora" or "dora"; a LoKr adapts the denoiser alone',
        )


def _beside_lokr(asked: Asked) -> Found:
    """What a LoKr alone has."""
    if asked.lokr_factor != -1:
        yield ("lokr_factor", "adapter"), f'lokr_factor is for "adapter": "lokr", not "{asked.adapter}"'
    if (asked.rank or 0) > LARGEST_RANK:
        yield (
            ("rank", "adapter"),
            f'rank {asked.rank} is more than {LARGEST_RANK}; only "adapter": "lokr" takes more, as whole matrices',
        )


def _about_text_encoder(asked: Asked) -> Found:
    rate, share = "text_encoder_learning_rate", "text_encoder_share"
    given = [rate] * bool(asked.text_encoder_learning_rate) + [share] * (asked.text_encoder_share != 1.0)
    if not asked.text_encoder and given:
        yield ("text_encoder", *given), f"{rate} and {share} say nothing without text_encoder: true"
    if asked.optimizer == "prodigy" and rate in given:
        yield ("optimizer", rate), f"prodigy finds one rate for all that it trains; leave {rate} out"
