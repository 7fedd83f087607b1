"""What a LoRA adapts, as a family looks at it to tell whether the LoRA is for one of its models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

_UNET = re.compile(r"(down|up|input|output)_blocks\.|(mid|middle)_block\.")


class Fit(IntEnum):
    """Whether a LoRA is for a family, by its layers alone.

    ``OPEN``: they speak neither for nor against it, so that the file's header decides. ``SHARED``: they are its layers,
    and those of another family that is seen more often, which it is taken for unless the header names this one.
    ``LIKELY``: it is, unless the header names another family.
    """

    NO = 0
    OPEN = 1
    SHARED = 2
    LIKELY = 3
    YES = 4


class Sized(Protocol):
    """The update of one layer."""

    @property
    def inputs(self) -> int: ...

    @property
    def outputs(self) -> int: ...


@dataclass(frozen=True, eq=False)
class LoraLayers:
    """What a file adapts.

    Attributes:
        denoiser: its layers, by the path that they have in diffusers or in the model's original code.
        encoders: the text encoders, by the pipeline's names of them.
    """

    denoiser: Mapping[str, Sized]
    encoders: frozenset[str] = frozenset()

    def begin(self, pattern: str) -> bool:
        """Whether some path begins as the regular expression has it."""
        return any(re.match(pattern, path) for path in self.denoiser)

    def hold(self, pattern: str) -> bool:
        """Whether the regular expression is found in some path."""
        return any(re.search(pattern, path) for path in self.denoiser)

    def first(self, *ends: str) -> Sized | None:
        """The first layer whose path ends so."""
        return next((layer for path, layer in self.denoiser.items() if path.endswith(ends)), None)

    def blocks(self, name: str) -> int:
        """How many blocks ``name.<number>`` there are at least: the highest number and one."""
        found = (re.match(rf"{re.escape(name)}\.(\d+)\.", path) for path in self.denoiser)
        return max((int(match[1]) + 1 for match in found if match), default=0)


def unet_fit(layers: LoraLayers, words: int, large: bool) -> Fit:
    """Whether a LoRA is for a Stable Diffusion UNet.

    Args:
        words: width of the words that its cross-attention sees; a LoRA that sees another width is not for it.
        large: it has several transformer blocks in one attention, and two text encoders.
    """
    if not any(map(_UNET.match, layers.denoiser)):
        return Fit.OPEN
    attention = layers.first("attn2.to_k", "attn2.to_v")
    if attention is not None:
        return Fit.YES if attention.inputs == words else Fit.NO
    if layers.hold(r"transformer_blocks\.[1-9]") or "text_encoder_2" in layers.encoders:
        return Fit.YES if large else Fit.NO
    return Fit.OPEN
