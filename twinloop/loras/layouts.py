"""What kohya's and ComfyUI's files call a transformer's layers, where diffusers calls them otherwise.

Families without an entry agree.

What a LoRA of this program adapts is named in the family's own file (`LoraNames.renames`); here are the layers that
others adapt too. Sources: the checkpoints' own names, as diffusers' single-file loaders, ComfyUI (comfy/utils.py) and
sd-scripts read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from twinloop.families import FAMILIES

_BLOCK = re.compile(r"^(\w+)\.(\d+)\.")
_SHARES: Mapping[str, tuple[int, ...]] = {"single_blocks.{}.linear1": (1, 1, 1, 4)}
"""Relative heights of the parts of a fused layer, where they are not equal."""


@dataclass(frozen=True)
class Rename:
    """One layer of the original, and the layers of diffusers that it holds one above the other.

    Attributes:
        original, parts: paths with ``{}`` for the number of the block. shares: relative heights of the parts.
        swapped: where the layer makes a scale and a shift only (twice as high as wide), its two halves are the other
            way round.
    """

    original: str
    parts: tuple[str, ...]
    shares: tuple[int, ...]
    swapped: bool = False


def _one(original: str, part: str, swapped: bool = False) -> Rename:
    return Rename(original, (part,), (1,), swapped)


def _fused(original: str, parts: tuple[str, ...]) -> Rename:
    shares = _SHARES.get(original, ()) if len(parts) > 1 else ()
    return Rename(original, parts, shares or (1,) * len(parts))


def _of_family(name: str) -> tuple[Rename, ...]:
    return tuple(_fused(rename.theirs, rename.ours) for rename in FAMILIES[name].lora_names.renames)


_FINAL = (
    _one("final_layer.linear", "proj_out"),
    _one("final_layer.adaLN_modulation.1", "norm_out.linear", swapped=True),
)
_FLUX = (
    _one("img_in", "x_embedder"),
    _one("txt_in", "context_embedder"),
    _one("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
    _one("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
    _one("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
    _one("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
    _one("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
    _one("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
    *_FINAL,
)
_FLUX2 = (
    _one("img_in", "x_embedder"),
    _one("txt_in", "context_embedder"),
    _one("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
    _one("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
    _one("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
    _one("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
    _one("single_stream_modulation.lin", "single_stream_modulation.linear"),
    _one("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
    _one("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
    _one("final_layer.linear", "proj_out"),
)
_SD3 = (
    _one("joint_blocks.{}.x_block.adaLN_modulation.1", "transformer_blocks.{}.norm1.linear"),
    _one(
        "joint_blocks.{}.context_block.adaLN_modulation.1", "transformer_blocks.{}.norm1_context.linear", swapped=True
    ),
    _one("context_embedder", "context_embedder"),
    _one("t_embedder.mlp.0", "time_text_embed.timestep_embedder.linear_1"),
    _one("t_embedder.mlp.2", "time_text_embed.timestep_embedder.linear_2"),
    _one("y_embedder.mlp.0", "time_text_embed.text_embedder.linear_1"),
    _one("y_embedder.mlp.2", "time_text_embed.text_embedder.linear_2"),
    *_FINAL,
)
_OTHERS: Mapping[str, tuple[Rename, ...]] = {
    "flux": _FLUX,
    "flux-kontext": _FLUX,
    "flux2": _FLUX2,
    "flux2-klein": _FLUX2,
    "sd35": _SD3,
}


def layout_of(family: str) -> tuple[Rename, ...]:
    """The renames of a family, () where the names agree or the family is not known."""
    if family not in FAMILIES or not FAMILIES[family].lora_names.renames:
        return ()
    return (*_of_family(family), *_OTHERS.get(family, ()))


FUSED_Z_IMAGE = (
    Rename("{}.attention.qkv", tuple(f"{{}}.attention.to_{name}" for name in "qkv"), (1, 1, 1)),
    _one("{}.attention.out", "{}.attention.to_out.0"),
)
"""Z-Image files come with diffusers' names nearly always; those over the original's fused layers are read too."""


def template(path: str) -> tuple[str, str]:
    """``transformer_blocks.7.attn.to_q`` -> (``transformer_blocks.{}.attn.to_q``, ``7``); ("", for layers outside of
    blocks).
    """
    found = _BLOCK.match(path)
    return (path, "") if found is None else (f"{found[1]}.{{}}.{path[found.end() :]}", found[2])
