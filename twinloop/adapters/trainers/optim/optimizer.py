"""Optimizers whose whole state is named tensors, so that a resumed training takes the same steps."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from twinloop.domain.choices import SCHEDULE_FREE
from twinloop.domain.extras import OPTIMIZER_MODULES
from twinloop.domain.optimizer_args import Arguments, Value, mistakes
from twinloop.domain.optimizers import CLASSES, WEIGHT_DECAY
from twinloop.errors import InputError, MissingDevice, MissingExtra, StateError

CLIP = 1.0
GROUP = "group"
_KINDS: Mapping[str, tuple[type, torch.dtype]] = {"int": (int, torch.int64), "float": (float, torch.float64)}


def _adamw(parameters: list[nn.Parameter], arguments: Mapping[str, Value]) -> torch.optim.Optimizer:
    make: Any = torch.optim.AdamW
    made: torch.optim.Optimizer = make(parameters, lr=0.0, fused=True, **arguments)
    return made


def _adamw8bit(parameters: list[nn.Parameter], arguments: Mapping[str, Value]) -> torch.optim.Optimizer:
    kind = _library("adamw8bit", *OPTIMIZER_MODULES["adamw8bit"]).optim.AdamW8bit
    made: torch.optim.Optimizer = kind(parameters, lr=0.0, **arguments)
    return made


def _prodigy(parameters: list[nn.Parameter], arguments: Mapping[str, Value]) -> torch.optim.Optimizer:
    kind = _library("prodigy", *OPTIMIZER_MODULES["prodigy"]).Prodigy
    usual = {"decouple": True, "use_bias_correction": True, "safeguard_warmup": True}
    with redirect_stdout(io.StringIO()):  # it prints a line of its own
        made: torch.optim.Optimizer = kind(parameters, lr=1.0, **{**usual, **arguments})
    return made


def _adafactor(parameters: list[nn.Parameter], arguments: Mapping[str, Value]) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    own: dict[str, Any] = {"scale_parameter": False, **arguments}
    made: torch.optim.Optimizer = Adafactor(parameters, lr=1.0, relative_step=False, warmup_init=False, **own)
    return made


def _of_pytorch_optimizer(name: str) -> Callable[[list[nn.Parameter], Mapping[str, Value]], torch.optim.Optimizer]:
    def make(parameters: list[nn.Parameter], arguments: Mapping[str, Value]) -> torch.optim.Optimizer:
        kind = getattr(_library(name, *OPTIMIZER_MODULES[name]), CLASSES[name].rpartition(".")[2])
        made: torch.optim.Optimizer = kind(parameters, lr=0.0, **arguments)
        return made

    return make


OPTIMIZERS: Mapping[str, Callable[[list[nn.Parameter], Mapping[str, Value]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "prodigy": _prodigy,
    "adafactor": _adafactor,
    **{name: _of_pytorch_optimizer(name) for name in ("lion", "came", "adamw_schedulefree")},
}
"""AdamW (betas 0.9 and 0.999), the same with moments of 8 bits, Prodigy (arXiv 2306.06101: finds the rate by itself, so
1.0 is the usual one), Adafactor (arXiv 1804.04235: hardly any state) at the given rate, Lion (arXiv 2302.06675: one
moment, steps of one length), CAME (arXiv 2307.02047: Adafactor's rows and columns with a first moment), Schedule-Free
AdamW (arXiv 2405.15682: an average of the weights instead of a rate that falls); each with its arguments
(`domain.optimizer_args`), the weight decay among them."""


def check_optimizer(name: str, device: torch.device, arguments: Arguments = ()) -> None:
    """Whether this optimizer can be used here with these arguments; asked before anything long starts.

    Raises:
        InputError: not known, or it takes other arguments. MissingDevice: it needs a CUDA GPU. MissingExtra: its
            library is not installed.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"training.optimizer: unknown optimizer '{name}'. Known: {', '.join(OPTIMIZERS)}.")
    if wrong := mistakes(name, dict(arguments)):
        raise InputError(f"training.optimizer_args: {'; '.join(wrong)}.")
    if name == "adamw8bit" and device.type != "cuda":
        raise MissingDevice(
            f'training.optimizer: "adamw8bit" needs a CUDA GPU, but this training computes on {device.type}. '
            'Use "adamw", or "adafactor", which needs even less memory.'
        )
    if name in OPTIMIZER_MODULES:
        _library(name, *OPTIMIZER_MODULES[name])


def _library(optimizer: str, module: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:  # one that the library itself needs: of another extra
            raise
        raise MissingExtra(f"training.optimizer '{optimizer}'", extra, f"no module '{error.name}'") from error


class Optimizer:
    """An optimizer with the gradient's norm clipped.

    Args:
        parameters: by name; the names key the state in checkpoints. clip: longest gradient, 0 = any.
        rates: what the learning rate of a parameter is of the common one, by name; 1 where there is none. arguments:
            what it takes beside rate and weight decay.

    Raises:
        InputError, MissingExtra: as `check_optimizer`.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], name: str, weight_decay: float = WEIGHT_DECAY, clip: float = CLIP,
        rates: Mapping[str, float] | None = None, arguments: Arguments = (),
    ) -> None:  # fmt: skip
        self._parameters = dict(parameters)
        first = next(iter(self._parameters.values()))
        check_optimizer(name, first.device, arguments)
        self._clip, self._averages = clip, name in SCHEDULE_FREE
        groups: dict[float, list[nn.Parameter]] = {}
        for key, one in self._parameters.items():
            groups.setdefault((rates or {}).get(key, 1.0), []).append(one)
        self._rates = tuple(groups)
        own, *others = groups.values()
        self._inner = OPTIMIZERS[name](own, {"weight_decay": weight_decay, **dict(arguments)})
        for group in others:
            self._inner.add_param_group({"params": group})

    def taken_rate(self, rate: float) -> float:
        """The learning rate that the next step takes at a given one: times the estimate of an optimizer that finds it
        by itself, Prodigy's ``d``.
        """
        return rate * float(self._inner.param_groups[0].get("d", 1.0))

    def step(self, rate: float, loss_scale: float = 1.0) -> float:
        """Undo the scale of the loss, clip, update with this learning rate, clear the gradients; the gradient's norm
        before clipping.

        Gradients that overflowed (a norm that is not finite) change nothing.
        """
        grads = [parameter.grad for parameter in self._parameters.values() if parameter.grad is not None]
        if loss_scale != 1.0:
            for grad in grads:
                grad.div_(loss_scale)
        norm = torch.nn.utils.get_total_norm(grads)
        if not math.isfinite(float(norm)):
            self.clear()
            return float(norm)
        if self._clip > 0:
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self._clip, norm)
        for group, own in zip(self._inner.param_groups, self._rates, strict=True):
            group["lr"] = rate * own
        self._inner.step()
        self.clear()
        return float(norm)

    @contextmanager
    @torch.no_grad()
    def averaged(self) -> Iterator[None]:
        """The parameters hold the weights that this optimizer is about: with a schedule-free one its average (x of the
        paper) instead of those at which it takes gradients (y), which are the same bits again afterwards. With any
        other they are the parameters as they are.
        """
        if not self._averages:
            yield
            return
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        inner: Any = self._inner
        inner.eval()
        try:
            yield
        finally:
            # its own way back rounds: a training that was looked at would take other steps
            inner.train()
            for name, value in own.items():
                self._parameters[name].copy_(value)

    def clear(self) -> None:
        """Forget the gradients."""
        self._inner.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Parameters and all that the optimizer remembers.

        ``<parameter>``, ``<parameter>/<moment>``, and numbers as ``<parameter>/<name>#int`` or ``group/<name>#float``,
        ``group1/<name>#float`` of parameters with another rate.
        """
        named: dict[str, Tensor] = {}
        for name, parameter in self._parameters.items():
            named[name] = parameter.detach()
            named |= dict(_named(name, self._inner.state[parameter].items()))
        for number, group in enumerate(self._inner.param_groups):
            named |= dict(_named(_owner(number), ((key, value) for key, value in group.items() if _kind(value))))
        return named

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave.

        Raises:
            StateError: it is of another LoRA.
        """
        parts = _by_owner(named)
        # all gradients so far overflowed: nothing is remembered yet
        fresh = GROUP in parts and not self._parameters.keys() & parts.keys()
        for name, parameter in self._parameters.items():
            if name not in named or named[name].shape != parameter.shape or (name not in parts and not fresh):
                raise StateError(
                    f"The checkpoint does not fit this training ({name}). Delete its folder to train anew."
                )
            parameter.copy_(named[name])
            self._inner.state[parameter] = {
                key: value.to(parameter.device) if isinstance(value, Tensor) else value
                for key, value in parts.get(name, {}).items()
            }
        for number, group in enumerate(self._inner.param_groups):
            group.update(parts.get(_owner(number), parts.get(GROUP, {})))


def _owner(group: int) -> str:
    return f"{GROUP}{group or ''}"


def _kind(value: object) -> str:
    """``int`` or ``float`` for plain numbers, "" for anything else."""
    return type(value).__name__ if type(value) in (int, float) else ""


def _named(owner: str, items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Tensor]]:
    for key, value in items:
        kind = _kind(value)
        if kind:
            yield f"{owner}/{key}#{kind}", torch.tensor(value, dtype=_KINDS[kind][1])
        elif isinstance(value, Tensor):
            yield f"{owner}/{key}", value


def _by_owner(named: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Owner -> what it remembers, numbers as numbers again."""
    parts: dict[str, dict[str, Any]] = {}
    for full, value in named.items():
        owner, slash, rest = full.rpartition("/")
        if slash:
            key, _, kind = rest.partition("#")
            parts.setdefault(owner, {})[key] = _KINDS[kind][0](value.item()) if kind else value.clone()
    return parts
