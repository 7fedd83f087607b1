"""Whether the captions of a prepared folder are of the kind that a base model reads, and begin with its trigger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twinloop.domain.choices import CAPTION_STYLES
from twinloop.errors import TwinLoopError
from twinloop.families import family_of_preset, preset_for
from twinloop.stages.words import TAGGED
from twinloop.store.pictures.sidecar import PERSON, person_beside, trigger_of
from twinloop.store.vault.folder import Vault
from twinloop.system import shell


def read_by(style: str) -> str:
    """The style of captions, ``tags`` or ``prose``, that goes with a style of prompts."""
    return "tags" if style in TAGGED else "prose"


def preset_of_name(base_model: str) -> tuple[str, str]:
    """The preset that a base model's name tells, and the style of captions that goes with it."""
    try:
        preset = preset_for(base_model)
        return preset, read_by(family_of_preset(preset).preset(preset).style)
    except TwinLoopError:  # whoever opens the base says what is wrong with it
        return "", read_by("")


def style_of_preset(preset: str) -> str:
    """The style of captions that goes with a preset; "" = there is no such preset."""
    try:
        return read_by(family_of_preset(preset).preset(preset).style) if preset else ""
    except TwinLoopError:
        return ""


def remarks_on_captions(folder: Path, trigger: str, style: str, base_model: str) -> Iterator[str]:
    """What is to be said of the captions that FaceVault wrote for a folder.

    Args:
        trigger: what a training on them is to begin captions with. style, base_model: as for `mismatch`.

    Raises:
        StateError: as `person_beside`.
    """
    if other := other_trigger(folder, trigger):
        yield other
    if other := mismatch(folder, style, base_model):
        yield other


def other_trigger(folder: Path, trigger: str) -> str:
    """What to say where the captions of a folder begin with other words than the trigger of the training; "" = nothing.

    Raises:
        StateError: as `person_beside`.
    """
    written = trigger_of(folder)
    if written is None or trigger.casefold() in written.casefold():
        return ""
    return (
        f"the captions in {folder} begin with '{written}', and person_trigger is '{trigger}': both stand in them then."
        f" Set person_trigger to '{written}', or write the captions with the other words: twinloop vault label, then"
        " caption and prep (a run that has begun takes them with --restart)"
    )


def mismatch(folder: Path, style: str, base_model: str) -> str:
    """What to say where FaceVault wrote the captions of a folder in the other style than the base's; "" = nothing.

    Args:
        style: of prompts, as in `families.base.Preset`: of the preset that is in force, whatever the base's name tells.

    Raises:
        StateError: as `person_beside`.
    """
    record, wanted = person_beside(folder), read_by(style)
    written = record.get("style")
    if written not in CAPTION_STYLES or written == wanted:
        return ""
    name = str(record.get("name") or record.get("person") or "NAME")
    preset, by_name = preset_of_name(base_model)
    if written == by_name == "tags":
        way = f"By its name the base model reads tags: set training.preset to {preset}, or write them anew"
    elif written == "tags":
        way = "Name a base_model that reads tags (Pony, Illustrious, Animagine), or write them anew"
    else:
        way = "Write them anew"
    return (
        f"the captions in {folder} are {written}, and this base model reads {wanted}: what is made in rounds would be"
        f" captioned otherwise than the photos. {way}: {_command(folder, name, wanted)} (a run that has begun takes"
        " them with --restart)"
    )


def _command(folder: Path, name: str, style: str) -> str:
    words = f"prep {shell.quote(name)} --style {style}"
    place = folder if (folder / PERSON).is_file() else folder.parent
    inside = place.parent.name == "organized"
    return Vault(place.parent.parent).command(words) if inside else f"twinloop vault {words}"
