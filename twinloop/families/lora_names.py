"""Names of LoRA layers in the copy that ComfyUI, A1111 and kohya's tools read.

Those programs kept the names of the models' original code, where attention often is one matrix for query, key and
value. Several LoRA layers then become one: their down matrices stacked, their up matrices along a diagonal, which is
the same update exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.unet_names import to_original

CLIP = "text_model."
"""Newer versions of transformers leave this out of some CLIPs' names. diffusers then leaves it out of a file's tensors,
but not of the ranks, alphas and ``target_modules`` in its header; PEFT compares the ends of names, so the short form
fits both."""
LYCORIS = "lycoris_"
"""Before diffusers' paths, dots as ``_``: what LyCORIS writes when it adapts a diffusers model."""


ENCODERS: Mapping[str, str] = {"text_encoder": "te1", "text_encoder_2": "te2", "text_encoder_3": "te3"}
"""Text encoder of the pipeline -> its name in kohya's ``lora_<name>_``: one and two are CLIPs, three is T5."""


@dataclass(frozen=True)
class Rename:
    """``theirs`` is made of the layers ``ours``, in this order of their outputs; ``{}`` stands for a block's number.

    Attributes:
        shares: relative heights of ``ours``; () = they are all equal.
        swapped: where the layer makes a scale and a shift only (twice as high as wide), its two halves are the other
            way round.
    """

    theirs: str
    ours: tuple[str, ...]
    shares: tuple[int, ...] = ()
    swapped: bool = False

    @property
    def heights(self) -> tuple[int, ...]:
        """Relative heights of ``ours``."""
        return self.shares or (1,) * len(self.ours)


@dataclass(frozen=True)
class LoraNames:
    """How LoRAs of a family are told from others, and how their layers are called in the copy.

    Attributes:
        prefix: of every name. dots: names keep their dots, as ComfyUI has them; False = each becomes ``_``.
        form: ``down_up`` (``lora_down.weight``, ``lora_up.weight``) or ``a_b`` (``lora_A.weight``, ``lora_B.weight``);
            both with ``.alpha``.
        renames: layers that are called otherwise; all others keep their diffusers name.
        others: the same, of layers that this program does not adapt and others do.
        also_read: names that are read and never written.
        words: parts of paths that hold a ``_`` and that no other family has (``loras.words``).
        places: of a U-Net whose layers bear the original code's names in the copy (`unet_names`): diffusers' places of
            its attentions. The names hold for one layout only: a LoRA for a smaller model, which has other attentions
            than exactly these, keeps diffusers' names.
        encoders: as `ENCODERS`, where the family's text encoders are others.
        pointwise_projections: ``proj_in`` and ``proj_out`` of a U-Net's attentions are convolutions of one pixel.
        kohya_remark: what to know of files under kohya's names, "" = nothing.
        architectures: beside `Family.architecture`, what ``modelspec.architecture`` of LoRAs from elsewhere may hold,
            in lower case.
        fit: whether a LoRA with such layers is for the family; None = only its header tells.
    """

    prefix: str = "lora_unet_"
    dots: bool = False
    form: Literal["down_up", "a_b"] = "down_up"
    renames: tuple[Rename, ...] = ()
    others: tuple[Rename, ...] = ()
    also_read: tuple[Rename, ...] = ()
    words: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    encoders: Mapping[str, str] = field(default_factory=lambda: ENCODERS)
    pointwise_projections: bool = False
    kohya_remark: str = ""
    architectures: tuple[str, ...] = ()
    fit: Callable[[LoraLayers], Fit] | None = None

    def encoder_of(self, usual: str) -> str:
        """The pipeline's name of a text encoder that most pipelines call ``usual``: T5 is the third, but FLUX.1's
        second.
        """
        own = {short: encoder for encoder, short in self.encoders.items()}
        return own.get(ENCODERS.get(usual, ""), usual)

    def groups(self, layers: Iterable[str], attentions: Collection[str] | None = None) -> Mapping[str, tuple[str, ...]]:
        """Name in the copy -> the layers that it is made of, for layers of a denoiser.

        A layer that is one with others there brings these along, whether they are among ``layers`` or not: the other
        programs know no name for it alone.

        Args:
            attentions: `places_of` the whole denoiser; None = the layers lie in all of them.
        """
        left = dict.fromkeys(layers)
        if self.places and (places_of(left) if attentions is None else set(attentions)) == self.places:
            return {self._named(to_original(layer, "sdxl")): (layer,) for layer in left}
        made: dict[str, tuple[str, ...]] = {}
        for layer in left:
            rename, number = self._rename_of(layer)
            if rename is None:
                made[self._named(layer)] = (layer,)
            else:
                theirs = rename.theirs.replace("{}", number)
                made[self._named(theirs)] = tuple(part.replace("{}", number) for part in rename.ours)
        return made

    def heights(self, layers: Sequence[str]) -> tuple[int, ...]:
        """Relative heights of layers that are one in the copy, as `groups` names them."""
        rename, _ = self._rename_of(layers[0])
        return (1,) if rename is None else rename.heights

    def _rename_of(self, layer: str) -> tuple[Rename | None, str]:
        """The rename that a layer is part of, and the number of its block."""
        pattern, number = template(layer)
        return next((rename for rename in self.renames if pattern in rename.ours), None), number

    def apart(self, layers: Iterable[str], attentions: Collection[str] | None = None) -> Mapping[str, str]:
        """Name in the copy -> layer, for updates that cannot be put together as `groups` does (whose arguments these
        are), such as Kronecker products.

        Where the other programs' models fuse layers all are named as LyCORIS names those of diffusers, which ComfyUI
        reads for every family.
        """
        named = list(layers)
        groups = self.groups(named, attentions)
        if any(len(rename.ours) > 1 for rename in self.renames):
            return {LYCORIS + layer.replace(".", "_"): layer for layer in named}
        return {name: parts[0] for name, parts in groups.items()}

    def _named(self, layer: str) -> str:
        return self.prefix + (layer if self.dots else layer.replace(".", "_"))


_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_PLACE = re.compile(r"(?:(?:down|up)_blocks\.\d+|mid_block)\.attentions\.\d+")


def template(path: str) -> tuple[str, str]:
    """``transformer_blocks.7.attn.to_q`` -> (``transformer_blocks.{}.attn.to_q``, ``7``); a layer outside of blocks has
    no number.
    """
    found = _NUMBER.search(path)
    return (path, "") if found is None else (f"{path[: found.start()]}{{}}{path[found.end() :]}", found[0])


def place_of(layer: str) -> str:
    """The attention of a U-Net that a layer lies in, by diffusers' path; "" = in none."""
    found = _PLACE.match(layer)
    return found[0] if found else ""


def places_of(layers: Iterable[str]) -> frozenset[str]:
    """The attentions of a U-Net that these layers lie in."""
    return frozenset(map(place_of, layers)) - {""}
