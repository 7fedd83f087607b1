"""The first LoRA files (cloneofsimo's lora_diffusion): layers have numbers, in the order in which that program met
them.

Known for Stable Diffusion 1.5, whose sizes prove the order: within each transformer block the first attention, the
gated layer and the second attention; the blocks on the way down, those on the way up, the one in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from twinloop.errors import ModelFileError
from twinloop.loras.lora import Layer

_WORDS = 768
_DOWN = [(f"down_blocks.{block}.attentions.{layer}", 320 << block) for block in range(3) for layer in range(2)]
_UP = [(f"up_blocks.{block}.attentions.{layer}", 320 << (3 - block)) for block in (1, 2, 3) for layer in range(3)]
_MID = [("mid_block.attentions.0", 1280)]
_ENCODER_LAYERS = 12


def renamed(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """The same layers under diffusers' names.

    Raises:
        ModelFileError: the layers are not those of Stable Diffusion 1.5.
    """
    order = {"unet": list(_unet()), "text_encoder": list(_encoder())}
    found: dict[str, Layer] = {}
    counted = {component: sum(name.startswith(f"{component}:") for name in layers) for component in order}
    for name, layer in layers.items():
        match = re.fullmatch(r"(unet|text_encoder):(\d+)", name)
        places = order[match[1]] if match else []
        if match is None or counted[match[1]] != len(places) or int(match[2]) >= len(places):
            raise ModelFileError(
                "its numbered layers are not those of Stable Diffusion 1.5, so their names are not known."
            )
        path, into, out = places[int(match[2])]
        if (layer.down.shape[1], layer.up.shape[0]) != (into, out):
            raise ModelFileError(f"its layer {name} is not as wide as {path} of Stable Diffusion 1.5.")
        found[f"{match[1]}.{path}"] = layer
    return found


def _unet() -> Iterator[tuple[str, int, int]]:
    """(path, width in, width out)."""
    for stem, width in (*_DOWN, *_UP, *_MID):
        block = f"{stem}.transformer_blocks.0"
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            yield f"{block}.attn1.{name}", width, width
        yield f"{block}.ff.net.0.proj", width, 8 * width
        for name in ("to_q", "to_k", "to_v", "to_out.0"):
            yield f"{block}.attn2.{name}", _WORDS if name in ("to_k", "to_v") else width, width


def _encoder() -> Iterator[tuple[str, int, int]]:
    for layer in range(_ENCODER_LAYERS):
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield f"text_model.encoder.layers.{layer}.self_attn.{name}", _WORDS, _WORDS
