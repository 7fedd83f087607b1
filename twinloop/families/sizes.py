"""Which of a family's models a single file is: settings of its configuration, told by names and sizes of its tensors.

A file holds weights and no configuration. One that is read with that of another model of its family fails in the middle
of loading, or, worse, draws with the wrong settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PREFIX = "model.diffusion_model."
"""What whole checkpoints write before the names of the denoiser's tensors, and some files of a denoiser alone as
well."""
_COSMOS = "net."
"""The same in files of Cosmos and of models that were made of it."""
_NUMBERED = re.compile(r"([a-z0-9_]+)\.(\d+)\.")


@dataclass(frozen=True)
class Layout:
    """How the tensors of a file tell the settings of the denoiser's configuration, whose names are the keys here.

    Attributes:
        stacks: how many blocks -> names under which blocks are numbered, in the original code and in diffusers.
        inputs: how many channels come in -> tensors whose second axis tells it.
        switches: on where one of these tensors is there, else off; told only of a file whose blocks have known names.
        signs: on where one of these tensors is there; where none is, nothing is known.
    """

    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    signs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def told(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int | bool]:
        """The settings that a file with these tensors tells."""
        held = {bare(name): shape for name, shape in shapes.items()}
        channels = {name: shape[1] for name, shape in held.items() if len(shape) > 1}
        found: dict[str, int | bool] = dict(_first(self.stacks, _blocks(held)))
        if found:
            found |= {setting: not held.keys().isdisjoint(names) for setting, names in self.switches.items()}
        found |= _first(self.inputs, channels)
        return found | {setting: True for setting, names in self.signs.items() if not held.keys().isdisjoint(names)}


@dataclass(frozen=True)
class Size:
    """One of the models of a family.

    Attributes:
        name: for people. settings: of its configuration, by which it is told from the others.
        reference: hub id whose configuration fits its single files; "" = the family's own reference.
        hints: words in the names of its files, in lower case, for models of which the tensors tell nothing.
        architecture: ``modelspec.architecture``; "" = the family's own.
    """

    name: str
    settings: Mapping[str, int | bool]
    reference: str = ""
    hints: tuple[str, ...] = ()
    architecture: str = ""


def bare(name: str) -> str:
    """The name of a tensor without what some files write before all names of a denoiser's tensors."""
    return name.removeprefix(PREFIX).removeprefix(_COSMOS)


def size_of(sizes: Sequence[Size], told: Mapping[str, int | bool], name: str) -> Size | None:
    """The model that a file is; None where it is none of these.

    Of several that fit, the name of the file decides, else the first it is.
    """
    fitting = [size for size in sizes if not differing(size.settings, told)]
    hinted = (size for size in fitting if any(hint in name.lower() for hint in size.hints))
    return next(hinted, fitting[0] if fitting else None)


def differing(settings: Mapping[str, object], told: Mapping[str, int | bool]) -> list[str]:
    """Names of the settings in both that are not the same; what is on or off in a file may be any value that counts as
    such.
    """
    return [
        name for name, value in told.items()
        if name in settings and (bool(settings[name]) if isinstance(value, bool) else settings[name]) != value
    ]  # fmt: skip


def in_words(settings: Mapping[str, object]) -> str:
    """Settings for people: ``num_layers 38, guidance_embeds no``."""
    said = {True: "yes", False: "no"}
    return ", ".join(
        f"{name} {said[value] if isinstance(value, bool) else value}" for name, value in sorted(settings.items())
    )


def _first(wanted: Mapping[str, tuple[str, ...]], known: Mapping[str, int]) -> dict[str, int]:
    """What is known under one of the names of each setting; nothing where none is known."""
    found = (
        (setting, next((known[name] for name in names if name in known), None)) for setting, names in wanted.items()
    )
    return {setting: value for setting, value in found if value is not None}


def _blocks(names: Mapping[str, object]) -> dict[str, int]:
    """How many blocks are numbered under each name."""
    numbered: dict[str, set[str]] = {}
    for name in names:
        found = _NUMBERED.match(name)
        if found is not None:
            numbered.setdefault(found[1], set()).add(found[2])
    return {name: len(numbers) for name, numbers in numbered.items()}
