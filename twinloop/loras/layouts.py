"""What kohya's and ComfyUI's files call a transformer's layers, where diffusers calls them otherwise; which these are,
each family's own file says (`LoraNames`).

Sources: the checkpoints' own names, as diffusers' single-file loaders, ComfyUI (comfy/utils.py) and sd-scripts read
them.
"""

from __future__ import annotations

from twinloop.families.lora_names import Rename
from twinloop.families.registered import lora_names_of


def layout_of(family: str) -> tuple[Rename, ...]:
    """The renames of a family, () where the names agree or the family is not known."""
    names = lora_names_of(family)
    return (*names.renames, *names.others)


def read_layout_of(family: str) -> tuple[Rename, ...]:
    """The same, with those that are read alone."""
    return (*layout_of(family), *lora_names_of(family).also_read)
