"""AdamW whose whole state is named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from twinloop.errors import InputError, StateError

_STATE = ("exp_avg", "exp_avg_sq", "step")
CLIP = 1.0
WEIGHT_DECAY = 0.01


class Optimizer:
    """AdamW (betas 0.9 and 0.999, weight decay 0.01) with the gradient's norm clipped at 1.

    Args:
        parameters: by name; the names key the state in checkpoints.

    Raises:
        InputError: an optimizer that is not known.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], name: str) -> None:
        if name.lower() != "adamw":
            raise InputError(f"training.optimizer: unknown optimizer '{name}'. Known: adamw.")
        self._parameters = dict(parameters)
        self._adam = torch.optim.AdamW(self._parameters.values(), lr=0.0, weight_decay=WEIGHT_DECAY, fused=True)

    def step(self, rate: float, loss_scale: float = 1.0) -> None:
        """Undo the scale of the loss, clip, update with this learning rate, and clear the gradients."""
        if loss_scale != 1.0:
            for parameter in self._parameters.values():
                if parameter.grad is not None:
                    parameter.grad.div_(loss_scale)
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), CLIP)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Parameters and moments: ``<parameter>`` and ``<parameter>/<moment>``."""
        named: dict[str, Tensor] = {}
        for name, parameter in self._parameters.items():
            named[name] = parameter.detach()
            named |= {f"{name}/{part}": self._adam.state[parameter][part] for part in _STATE}
        return named

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave.

        Raises:
            StateError: it is of another LoRA.
        """
        for name, parameter in self._parameters.items():
            if name not in named or named[name].shape != parameter.shape:
                raise StateError(
                    f"The checkpoint does not fit this training ({name}). Delete its folder to train anew."
                )
            parameter.copy_(named[name])
            self._adam.state[parameter] = {
                part: named[f"{name}/{part}"].to(
                    "cpu" if part == "step" and parameter.device.type == "cpu" else parameter.device
                )
                for part in _STATE
            }
