"""Names of LoRA layers in the copy that ComfyUI, A1111 and kohya's tools read.

Those programs kept the names of the models' original code, where attention often is one matrix for query, key and
value. Several LoRA layers then become one: their down matrices stacked, their up matrices along a diagonal, which is
the same update exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from twinloop.families.unet_names import to_original

CLIP = "text_model."
"""Newer versions of transformers leave this out of some CLIPs' names. diffusers then leaves it out of a file's tensors,
but not of the ranks, alphas and ``target_modules`` in its header; PEFT compares the ends of names, so the short form
fits both."""
LYCORIS = "lycoris_"
"""Before diffusers' paths, dots as ``_``: what LyCORIS writes when it adapts a diffusers model."""


@dataclass(frozen=True)
class Rename:
    """``theirs`` is made of the layers ``ours``, in this order of their outputs; ``{}`` stands for a block's number."""

    theirs: str
    ours: tuple[str, ...]


@dataclass(frozen=True)
class LoraNames:
    """How layers are called in the copy.

    Attributes:
        prefix: of every name. dots: names keep their dots; False = each becomes ``_``.
        form: ``down_up`` (``lora_down.weight``, ``lora_up.weight``) or ``a_b`` (``lora_A.weight``, ``lora_B.weight``);
            both with ``.alpha``.
        renames: layers that are called otherwise; all others keep their diffusers name.
        places: of a U-Net whose layers bear the original code's names in the copy (`unet_names`): diffusers' places of
            its attentions. The names hold for one layout only: a LoRA that adapts other attentions than exactly these
            is one for a smaller model, and keeps diffusers' names.
        own_reader: this program turns the names back itself, because diffusers does not, or only for models of full
            size.
    """

    prefix: str = "lora_unet_"
    dots: bool = False
    form: Literal["down_up", "a_b"] = "down_up"
    renames: tuple[Rename, ...] = ()
    places: frozenset[str] = frozenset()
    own_reader: bool = False

    def groups(self, layers: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Name in the copy -> the layers that it is made of, for layers of a denoiser.

        A layer whose partners are missing is left out of no name: it keeps its own.
        """
        left = dict.fromkeys(layers)
        if self.places and {place_of(layer) for layer in left} - {""} == self.places:
            return {self._named(to_original(layer, "sdxl")): (layer,) for layer in left}
        made: dict[str, tuple[str, ...]] = {}
        for rename in self.renames:
            first = re.compile(re.escape(rename.ours[0]).replace(r"\{\}", r"(\d+)"))
            for layer in list(left):
                found = first.fullmatch(layer)
                parts = tuple(part.format(*found.groups()) for part in rename.ours) if found else ()
                if parts and all(part in left for part in parts):
                    assert found is not None
                    made[self._named(rename.theirs.format(*found.groups()))] = parts
                    for part in parts:
                        del left[part]
        return made | {self._named(layer): (layer,) for layer in left}

    def apart(self, layers: Iterable[str]) -> Mapping[str, str]:
        """Name in the copy -> layer, for updates that cannot be put together as `groups` does, such as Kronecker
        products.

        Where the other programs' models fuse layers all are named as LyCORIS names those of diffusers, which ComfyUI
        reads for every family.
        """
        named = list(layers)
        groups = self.groups(named)
        if any(len(rename.ours) > 1 for rename in self.renames):
            return {LYCORIS + layer.replace(".", "_"): layer for layer in named}
        return {name: parts[0] for name, parts in groups.items()}

    def _named(self, layer: str) -> str:
        return self.prefix + (layer if self.dots else layer.replace(".", "_"))


_PLACE = re.compile(r"(?:(?:down|up)_blocks\.\d+|mid_block)\.attentions\.\d+")


def place_of(layer: str) -> str:
    """The attention of a U-Net that a layer lies in, by diffusers' path; "" = in none."""
    found = _PLACE.match(layer)
    return found[0] if found else ""
