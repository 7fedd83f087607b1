"""What a training puts on a base model, so that the training and the forecast of its memory put the same on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from twinloop.adapters.trainers.lora.dropout import NO_DROPOUT, Dropout
from twinloop.adapters.trainers.lora.lokr import add_for_training
from twinloop.domain.training_rules import is_wanted
from twinloop.errors import InputError
from twinloop.families.base import Family
from twinloop.loras.lora import is_wide_shape
from twinloop.loras.patterns import keyed
from twinloop.ports import TrainingSettings

ADAPTER = "in_training"
"""Not "training": PEFT refuses names that modules already use."""

ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
"""Ends of the names of CLIP's layers that a LoRA adapts: those that kohya's does."""


@dataclass(frozen=True)
class AdapterPlan:
    """A LoRA, DoRA or LoKr of one size on some kinds of layers.

    Attributes:
        targets: ends of the names of the denoiser's layers that it adapts. blocks: of which parts of it, () = of all.
        only, skip: texts that the name of a denoiser's layer must hold one of, and may hold none of.
        alpha: its outputs count alpha / rank.
        dora: the lengths of the rows of weights are learned beside their directions.
        text_encoder: a LoRA or DoRA goes on the family's CLIP text encoders, too.
        lokr: the factor of a LoKr, -1 = automatic; 0 = no LoKr.
        dropout: which shares of a LoRA a step leaves out.
        conv_rank, conv_alpha: of the 3x3 convolutions around a U-Net's attentions, where these are adapted with all
            that is beside them (`around_attentions`); 0 = they are not.
    """

    targets: tuple[str, ...]
    rank: int
    alpha: float
    dora: bool = False
    text_encoder: bool = False
    lokr: int = 0
    blocks: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    dropout: Dropout = NO_DROPOUT
    conv_rank: int = 0
    conv_alpha: float = 0.0

    @classmethod
    def of(cls, settings: TrainingSettings, family: Family) -> AdapterPlan:
        """The one that these settings ask for on a model of the family."""
        return cls(
            family.targets,
            settings.rank,
            settings.network_alpha,
            settings.adapter == "dora",
            settings.text_encoder,
            settings.lokr,
            family.blocks,
            settings.only_layers,
            settings.skip_layers,
            Dropout.of(settings),
            settings.conv_rank,
            settings.convolution_alpha if settings.conv_rank else 0.0,
        )

    def put_on(self, denoiser: Any) -> None:
        """Give a diffusers model the layers to train, without numbers in them yet.

        Raises:
            InputError: as `layers`.
        """
        layers = self.layers(denoiser)
        if self.lokr:
            add_for_training(denoiser, layers, self.rank, self.alpha, self.lokr, ADAPTER)
        else:
            wide = [name for name in layers if is_wide(denoiser.get_submodule(name))] if self.conv_rank else []
            denoiser.add_adapter(self._lora(layers, wide), adapter_name=ADAPTER)

    def layers(self, denoiser: nn.Module) -> list[str]:
        """Full names of the denoiser's layers that are trained.

        Raises:
            InputError: it has none of the target layers, or none of them is wanted.
        """
        there = adapted_layers(denoiser, self.targets, self.blocks)
        around = around_attentions(denoiser) if self.conv_rank else []
        there += around
        if not there:
            raise InputError(
                f"This base model has no layers named {', '.join(self.targets)}. Choose the preset that fits"
                " base_model."
            )
        if idle := [text for text in (*self.only, *self.skip) if not any(text in name for name in there)]:
            raise InputError(
                f"training.only_layers and skip_layers: no layer that a LoRA adapts here has {idle[0]!r} in its name."
                f" They are named like {there[0]} and {there[-1]}."
                + " Text encoders are adapted whole: text_encoder alone decides on them."
                * self.text_encoder
            )
        layers = [name for name in there if self._wants(name)]
        if not layers:
            raise InputError(
                f"training.only_layers and skip_layers leave none of the {len(there)} layers that a LoRA adapts here,"
                f" such as {there[0]} and {there[-1]}."
            )
        if around and not any(self._wants(name) for name in around):
            raise InputError(
                "training.only_layers and skip_layers leave none of the convolutions that conv_rank is about, such as"
                f" {around[0]}. Leave conv_rank out, or name them."
            )
        return layers

    def alpha_of(self, down: Tensor) -> float:
        """Of a pair, which its down matrix tells: (rank, in), or (rank, in, k, k) of a convolution."""
        return self.conv_alpha if self.conv_rank and is_wide_shape(down.shape) else self.alpha

    def _wants(self, layer: str) -> bool:
        return is_wanted(layer, self.only, self.skip)

    def put_on_encoder(self, encoder: nn.Module) -> None:
        """As `put_on`, for a CLIP text encoder."""
        inject_adapter_in_model(self._lora(encoder_layers(encoder)), encoder, ADAPTER)

    def _lora(self, layers: list[str], wide: Sequence[str] = ()) -> LoraConfig:
        """``wide``: those of the layers that have the rank and alpha of convolutions."""
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, target_modules=layers, init_lora_weights=False, use_dora=self.dora,
            rank_pattern=keyed(dict.fromkeys(wide, self.conv_rank), self.rank),
            alpha_pattern=keyed(dict.fromkeys(wide, self.conv_alpha), self.alpha),
        )  # fmt: skip


def adapted_layers(model: nn.Module, targets: Sequence[str], blocks: Sequence[str] = ()) -> list[str]:
    """Full names of the layers inside of blocks whose names end like one of the targets; a layer outside of all blocks
    is none of them.

    Args:
        blocks: first parts of their names, () = any.
    """
    ends = tuple(f".{target}" for target in targets)
    return [
        name
        for name, layer in model.named_modules()
        if name.endswith(ends)
        and isinstance(layer, nn.Linear | nn.Conv2d)
        and (not blocks or name.split(".", 1)[0] in blocks)
    ]


_AROUND = re.compile(
    r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\."
    r"(resnets\.\d+\.(conv1|conv2|time_emb_proj|conv_shortcut)|(down|up)samplers\.\d+\.conv)"
)


def around_attentions(unet: nn.Module) -> list[str]:
    """Full names of the layers of a U-Net's resnets and samplers: those that sd-scripts adapts with ``conv_dim``."""
    return [name for name, _ in unet.named_modules() if _AROUND.fullmatch(name)]


def is_wide(layer: nn.Module) -> bool:
    """Whether a layer has the rank and alpha of convolutions."""
    # the kernel, because weights that are packed have another shape
    return isinstance(layer, nn.Conv2d) and is_wide_shape((layer.out_channels, layer.in_channels, *layer.kernel_size))


def encoder_layers(encoder: nn.Module) -> list[str]:
    """Full names of the layers of a CLIP text encoder that a LoRA adapts."""
    ends = tuple(f".{target}" for target in ENCODER_TARGETS)
    return [name for name, layer in encoder.named_modules() if name.endswith(ends) and isinstance(layer, nn.Linear)]
