"""Pictures of one size under the names that other programs know: PNGtuber states, VRM 1.0 expressions, SillyTavern
sprites.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from twinloop.domain.facet import Facet
from twinloop.exporters import wishes
from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.choose import Missing
from twinloop.exporters.head import Window
from twinloop.exporters.package import File, Package
from twinloop.exporters.slots import FIRST, LARGEST_YAW, Slot, expression_slots
from twinloop.exporters.views import About, make_views, packed, picture_files

WINDOW = Window(heads=2.9, eye_line=0.43)
MOUTH_OPEN, EYES_SHUT = 0.25, 0.3
"""Jaw opening from which a mouth looks open while talking; opening below which eyes look shut."""
FIXED = (1980, 1, 1, 0, 0, 0)
"""Time stamp of the entries of a ZIP, so that the same pictures give the same bytes."""

VRM: Mapping[str, str | None] = {
    "happy": "smile", "angry": "angry", "surprised": "surprised", "neutral": "neutral", "sad": None, "relaxed": None,
}  # fmt: skip
"""VRM 1.0's emotion presets -> value of the facet ``expression``; None = nothing here measures it."""
SILLYTAVERN: Mapping[str, str | None] = {
    "neutral": "neutral", "joy": "smile", "amusement": "laughing", "surprise": "surprised", "anger": "angry",
    "sadness": None, "fear": None, "love": None, "embarrassment": None,
}  # fmt: skip
"""SillyTavern's labels (those of its classifier) that people use most -> value of the facet ``expression``."""


@dataclass(frozen=True)
class SpriteTarget(About):
    """One program.

    Attributes:
        names: as `VRM` has them; none = the states of a talking head.
        zipped: name of one flat ZIP of the pictures, "" = single files.
    """

    names: Mapping[str, str | None] = field(default_factory=dict)
    zipped: str = ""


PNGTUBER = SpriteTarget(
    "pngtuber",
    "PNGtuber states",
    "Four pictures of a talking head, for veadotube mini and programs like it.",
    (
        "A PNGtuber swaps pictures while you speak and blink: closed.png (mouth closed, eyes open), open.png (mouth"
        " open), closed_blink.png and open_blink.png (eyes shut). In veadotube mini: add a state, and drop these into"
        " its four places.",
        "All are of one size, the eyes level and in one place; the background inside of the photos is not removed."
        " Photos of different moments differ in hair and light: pictures drawn or made for it move better. Only what"
        " was measured decides: a missing state is named below, none is mirrored or painted.",
    ),
)
VRM_NAMES = SpriteTarget(
    "vrm",
    "VRM 1.0 expression references",
    "Pictures named after VRM 1.0's expression presets, as reference for modelling.",
    (
        "VRM models are 3D: their expressions are blend shapes and cannot be taken from stills. These pictures are"
        " reference art for whoever models them, named after the emotion presets of VRM 1.0 (happy, angry, sad,"
        " relaxed, surprised, neutral). sad and relaxed are not measured by this program: add such pictures by hand."
        " Lip shapes (aa, ih, ou, ee, oh) and blink are made in the model, not from photos.",
    ),
    names=VRM,
)
SPRITES = SpriteTarget(
    "sillytavern",
    "SillyTavern sprites",
    "A sprite pack: a flat ZIP of PNGs named after emotions.",
    (
        "sprites.zip is what SillyTavern's character expressions take (Upload sprite pack): a flat ZIP, the name of a"
        " file is the emotion. Emotions without a picture fall back to the default one; set it to neutral. The labels"
        " are those of SillyTavern's classifier; only those that this program can measure are filled.",
    ),
    names=SILLYTAVERN,
    zipped="sprites.zip",
)
TARGETS = {target.name: target for target in (PNGTUBER, VRM_NAMES, SPRITES)}


def slots_of(target: SpriteTarget, facet: Facet) -> tuple[Slot, ...]:
    """What that program has pictures for; ``facet``: of expressions."""
    return named_slots(target.names, facet) if target.names else talking_slots()


def named_slots(names: Mapping[str, str | None], facet: Facet) -> tuple[Slot, ...]:
    """One slot per name that a value of the facet stands for; the others get a slot that nothing can fill, so that they
    are named as missing.
    """
    slots = []
    for name, value in names.items():
        if value is not None and value in facet.values:
            slots.append(dataclasses.replace(expression_slots((value,), facet)[0], name=name))
            continue
        remedy = f"Add a picture {name}.png by hand"
        slots.append(Slot(name, f"expression {name}", remedy, admits=_untold, fit=lambda c: 0.0, wishes=()))
    return tuple(slots)


def _untold(candidate: Candidate) -> None:
    """Nothing in this program measures it."""


def _honest(gap: Missing) -> Missing:
    return Missing(gap.slot, "this program does not measure it") if gap.slot.admits is _untold else gap


def talking_slots() -> tuple[Slot, ...]:
    """The four states of a PNGtuber."""
    return tuple(
        _talking(f"{'open' if mouth else 'closed'}{'' if eyes else '_blink'}", mouth, eyes)
        for eyes in (True, False)
        for mouth in (False, True)
    )


def _talking(name: str, mouth: bool, eyes: bool) -> Slot:
    def admits(candidate: Candidate) -> bool | None:
        jaw, lids = candidate.seen.measure("jaw_open"), candidate.seen.measure("eyes_open")
        if jaw is None or lids is None:
            return None
        turned = candidate.yaw is not None and abs(candidate.yaw) > LARGEST_YAW
        return not turned and (jaw >= MOUTH_OPEN) is mouth and (lids < EYES_SHUT) is not eyes

    return Slot(
        name,
        f"mouth {'open' if mouth else 'closed'}, eyes {'open' if eyes else 'shut'}, facing the camera",
        f"{FIRST}: the same framing and light as the others, mouth {'open' if mouth else 'closed'}, eyes"
        f" {'open' if eyes else 'shut'}",
        admits=admits,
        fit=lambda c: 1.0 - abs(c.yaw or 0.0) / 45.0,
        wishes=(
            *(() if mouth else (wishes.neutral, wishes.expression_known)),
            wishes.pose_known,
            wishes.straight,
            wishes.upright,
            wishes.no_hands,
            wishes.alone,
        ),
        needs=frozenset({"eyes", "expression"}),
    )


def export_sprites(
    target: SpriteTarget, slots: Sequence[Slot], candidates: Candidates, side: int, prefer_real: bool
) -> Package:
    """One picture per slot that a photo fits.

    Raises:
        NothingToDo: none does.
    """
    found = make_views(slots, candidates, WINDOW, side, prefer_real)
    found = dataclasses.replace(found, missing=tuple(_honest(gap) for gap in found.missing))
    files = picture_files(found)
    return packed(target, found, [File(target.zipped, _zip(files))] if target.zipped else files)


def _zip(pictures: Sequence[File]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in pictures:
            archive.writestr(zipfile.ZipInfo(file.name, FIXED), file.data)
    return buffer.getvalue()
