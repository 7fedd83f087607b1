"""Names of LoRA layers in the copy that ComfyUI, A1111 and kohya's tools read.

Those programs kept the names of the models' original code, where attention often is one matrix for query, key and value. Several
LoRA layers then become one: their down matrices stacked, their up matrices along a diagonal, which is the same update exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal


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
        form: ``down_up`` (``lora_down.weight``, ``lora_up.weight``) or ``a_b`` (``lora_A.weight``, ``lora_B.weight``); both with ``.alpha``.
        renames: layers that are called otherwise; all others keep their diffusers name.
        own_reader: this program turns the names back itself, because diffusers does not, or only for models of full size.
    """

    prefix: str = "lora_unet_"
    dots: bool = False
    form: Literal["down_up", "a_b"] = "down_up"
    renames: tuple[Rename, ...] = ()
    own_reader: bool = False

    def groups(self, layers: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Name in the copy -> the layers that it is made of, for layers of a denoiser.

        A layer whose partners are missing is left out of no name: it keeps its own.
        """
        left = dict.fromkeys(layers)
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

    def _named(self, layer: str) -> str:
        return self.prefix + (layer if self.dots else layer.replace(".", "_"))
