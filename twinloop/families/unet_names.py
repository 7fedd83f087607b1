"""The two names of a Stable Diffusion UNet's layers: the original code's (``input_blocks.4.1``) and diffusers'
(``down_blocks.1.attentions.0``).

Both number the same layers; every block of the original holds two layers and, where it changes size, a third entry
(three on the way up).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from twinloop.errors import ModelFileError

_OUTSIDE = {
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
}  # fmt: skip
_RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "out_layers.0": "norm2", "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj", "skip_connection": "conv_shortcut",
}  # fmt: skip
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_PLAIN_UP_BLOCKS = {"sdxl": ("2",), "sd15": ("0",), "sd2": ("0",)}
"""Blocks on the way up that have no attention, so that what enlarges follows the resnet at once."""


def is_original(path: str) -> bool:
    """Whether a path is the original code's."""
    return path.startswith(("input_blocks.", "middle_block.", "output_blocks.")) or path in _OUTSIDE


def to_diffusers(path: str) -> str:
    """The original's path -> diffusers'.

    Raises:
        ModelFileError: no such layer in any UNet of this kind.
    """
    if path in _OUTSIDE:
        return _OUTSIDE[path]
    if found := re.fullmatch(r"middle_block\.([012])\.(.+)", path):
        return f"mid_block.{_MIDDLE[found[1]]}.{_inner(found[2], found[1] != '1')}"
    if found := re.fullmatch(r"input_blocks\.(\d+)\.([01])\.(.+)", path):
        block, layer = divmod(int(found[1]) - 1, 3)
        if found[3] == "op":
            return f"down_blocks.{block}.downsamplers.0.conv"
        return f"down_blocks.{block}.{_kind(found[2])}.{layer}.{_inner(found[3], found[2] == '0')}"
    if found := re.fullmatch(r"output_blocks\.(\d+)\.([012])\.(.+)", path):
        block, layer = divmod(int(found[1]), 3)
        if found[3] == "conv":
            return f"up_blocks.{block}.upsamplers.0.conv"
        return f"up_blocks.{block}.{_kind(found[2])}.{layer}.{_inner(found[3], found[2] == '0')}"
    raise ModelFileError(f"there is no layer {path[:80]!r} in a Stable Diffusion UNet.")


def to_original(path: str, family: str) -> str:
    """diffusers' path -> the original's.

    Raises:
        ModelFileError: no such layer in a UNet of this family.
    """
    for original, ours in _OUTSIDE.items():
        if path == ours:
            return original
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.([01])\.(.+)", path):
        place = {value: key for key, value in _MIDDLE.items()}.get(f"{found[1]}.{found[2]}")
        if place:
            return f"middle_block.{place}.{_outer(found[3], found[1])}"
    if found := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv", path):
        return f"input_blocks.{3 * int(found[1]) + 3}.0.op"
    if found := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv", path):
        place = "1" if found[1] in _PLAIN_UP_BLOCKS.get(family, ()) else "2"
        return f"output_blocks.{3 * int(found[1]) + 2}.{place}.conv"
    if found := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.([012])\.(.+)", path):
        number = 3 * int(found[2]) + int(found[4])
        side = f"input_blocks.{number + 1}" if found[1] == "down" else f"output_blocks.{number}"
        return f"{side}.{'0' if found[3] == 'resnets' else '1'}.{_outer(found[5], found[3])}"
    raise ModelFileError(f"there is no layer {path[:80]!r} in a UNet of the family {family}.")


def _kind(place: str) -> str:
    return "resnets" if place == "0" else "attentions"


def _inner(rest: str, resnet: bool) -> str:
    return _looked_up(rest, _RESNET) if resnet else rest


def _outer(rest: str, kind: str) -> str:
    return _looked_up(rest, {value: key for key, value in _RESNET.items()}) if kind == "resnets" else rest


def _looked_up(rest: str, names: Mapping[str, str]) -> str:
    if rest not in names:
        raise ModelFileError(f"there is no part {rest[:60]!r} in a UNet's resnet.")
    return names[rest]
