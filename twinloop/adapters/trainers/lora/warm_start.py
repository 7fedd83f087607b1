"""Fills a LoRA that is to be trained with one that is there, so that the training begins where that one ended."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from twinloop.adapters.diffusion.loras.early_fit import check_layers
from twinloop.adapters.trainers.lora.adapted_model import AdaptedModel
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.lora.warm_start_file import Start, changing, left_alone
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.loras.components import DENOISER
from twinloop.ports import TrainingSettings


def check_start(start: Start, settings: TrainingSettings, family: Family, denoiser: nn.Module) -> None:
    """Whether the layers that a training begins from are among those that it trains, in the same size.

    Args:
        denoiser: the base's, loaded or as `empty_denoiser` makes it.

    Raises:
        ModelFileError: some are not. InputError: as `AdapterPlan.layers`.
    """
    check_layers(start.path, start.layers, denoiser)
    trained = set(AdapterPlan.of(settings, family).layers(denoiser))
    own = {place: layer for place, layer in start.layers.items() if place.component == DENOISER}
    if left := [place for place in changing(own) if place.path not in trained]:
        raise left_alone(start, left)


def begin_from(start: Start, model: AdaptedModel) -> None:
    """Fill a fresh LoRA with the layers of another, so that it begins as the same change of the base.

    Layers that the file lacks begin as no change, and its own that change nothing need no place. In a larger rank the
    rest begins as usual.

    Raises:
        ModelFileError: layers that this training does not adapt, or of another size.
    """
    left = {**start.layers}
    for place, pair in model.pairs.items():
        layer = left.pop(place, None)
        if layer is None:
            continue
        down, up, scale = pair.down, pair.up, layer.scale / pair.scale
        rank = layer.rank
        first, second = layer.down.values(), layer.up.values() * scale
        if first.size != rank * down[0].numel() or second.size != up.shape[0] * rank:
            raise ModelFileError(
                f"{start.path} does not fit this base model: {place.path} has other sizes there. Use the base model"
                " that the LoRA was trained on, or another LoRA."
            )
        with torch.no_grad():
            down[:rank].copy_(torch.from_numpy(first.astype(np.float32)).reshape(down[:rank].shape))
            up[:, :rank].copy_(torch.from_numpy(second.astype(np.float32)).reshape(up[:, :rank].shape))
    if lost := changing(left):
        raise left_alone(start, lost)
