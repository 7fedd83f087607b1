"""Head pictures of one size: choosing them together, and cutting them without enlarging any beyond a limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.choose import Choice, Missing, Policy, choose
from twinloop.exporters.encode import png
from twinloop.exporters.head import Window, cut_head
from twinloop.exporters.manifest import item, manifest, readme, warnings_of
from twinloop.exporters.package import File, Package, require_pictures
from twinloop.exporters.sheet import Cell
from twinloop.exporters.slots import Slot

LARGEST_SCALE = 1.5
"""How much a photo may be enlarged at most: beyond it a picture shows pixels that nobody took."""
SMALLEST_SIDE = 256
"""Under so many pixels a head picture is no use; photos that would need it are left out."""
HEAD_WINDOW = Window(heads=2.7, eye_line=0.44)
"""The whole head with some air around it, for sheets and sets of views."""
_STEP = 16


@dataclass(frozen=True)
class About:
    """What a package of views says of itself.

    Attributes:
        name: of the export. title, honest: for the README, the latter by paragraphs. about: for the manifest.
    """

    name: str
    title: str
    about: str
    honest: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class View:
    """One head picture, RGBA, and what it shows."""

    choice: Choice
    picture: Image.Image
    window: Window

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the photo."""
        return self.picture.width / self.window.pixels(self.choice.candidate.head)

    @property
    def origin(self) -> str:
        return "real photo" if self.choice.candidate.real else "made by a model: a guess"

    def facts(self) -> dict[str, Any]:
        """How it was cut, for the manifest."""
        head = self.choice.candidate.head
        eyes = self.window.eyes(head, self.picture.width)
        return {
            "side": self.picture.width, "aligned_by": head.by, "scale": round(self.scale, 4),
            "turned_by_degrees": round(-head.tilt, 2), "eyes": [round(eyes[0], 1), round(eyes[1], 1)],
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class ViewSet:
    """The views of all slots that a photo was found for, in the order asked for, and the slots without one."""

    views: tuple[View, ...]
    missing: tuple[Missing, ...]
    side: int
    candidates: Candidates
    warnings: tuple[str, ...]

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(view.choice for view in self.views)

    @property
    def synthetic(self) -> bool:
        return any(not view.choice.candidate.real for view in self.views)


def make_views(slots: Sequence[Slot], candidates: Candidates, window: Window, side: int, prefer_real: bool) -> ViewSet:
    """Choose and cut; the common side is ``side``, or less where the smallest chosen head would have to be enlarged too
    much.

    Raises:
        NothingToDo: no slot found a photo.
    """
    least = SMALLEST_SIDE / LARGEST_SCALE
    usable = candidates.only(
        lambda c: window.pixels(c.head) >= least,
        lambda c: (
            f"head too small: {window.pixels(c.head):.0f} pixels with its surroundings, at least {least:.0f} are needed"
        ),
    )
    policy = Policy(prefer_real, side / window.heads, window)
    found = [choose(slot, usable, policy) for slot in slots]
    missing = tuple(item for item in found if isinstance(item, Missing))
    choices = [item for item in found if isinstance(item, Choice)]
    require_pictures(choices, [f"{m.slot.name}: {m.why}. {m.slot.remedy}" for m in missing])
    common = common_side([choice.candidate for choice in choices], window, side)
    views = tuple(View(c, cut_head(c.candidate.pixels(), c.candidate.head, window, common), window) for c in choices)
    return ViewSet(views, missing, common, usable, _small(choices, common, side))


def picture_files(found: ViewSet, folder: str = "") -> list[File]:
    """The pictures by themselves, named after their slots."""
    return [File(_file(view, folder), png(view.picture, not view.choice.candidate.real)) for view in found.views]


def packed(about: About, found: ViewSet, files: Sequence[File], folder: str = "", **more: Any) -> Package:
    """A package of these files, with README and manifest beside the pictures; ``more``: for the manifest."""
    listed = [(view.choice, _file(view, folder)) for view in found.views]
    text = readme(about.title, about.honest, listed, found.missing, found.candidates.consent)
    items = [item(view.choice, _file(view, folder), **view.facts()) for view in found.views]
    return Package(
        (*files, File(f"{folder}README.txt", text)),
        f"{folder}manifest.json",
        manifest(about.name, about.about, found.candidates, items, found.missing, **more),
        (*warnings_of(found.choices, found.missing), *found.warnings),
    )


def _file(view: View, folder: str) -> str:
    return f"{folder}{view.choice.slot.name}.png"


def cells(
    slots: Sequence[Slot], found: ViewSet, line: Callable[[View], str], wanted: Callable[[Slot], tuple[str, ...]]
) -> list[Cell]:
    """A cell per slot, empty ones included.

    Args:
        line: under a picture. wanted: in an empty cell, above why it is empty.
    """
    views = {view.choice.slot.name: view for view in found.views}
    why = {gap.slot.name: gap.why for gap in found.missing}
    return [
        (
            Cell(slot.label, (line(view),), view.picture, not view.choice.candidate.real)
            if (view := views.get(slot.name)) is not None
            else Cell(slot.label, (*wanted(slot), f"{why[slot.name].capitalize()}."), None)
        )
        for slot in slots
    ]


def common_side(chosen: Sequence[Candidate], window: Window, wanted: int) -> int:
    """The side that all pictures can have."""
    possible = int(min(window.pixels(c.head) for c in chosen) * LARGEST_SCALE)
    return max(SMALLEST_SIDE, min(wanted, possible) // _STEP * _STEP)


def _small(choices: Sequence[Choice], side: int, wanted: int) -> tuple[str, ...]:
    if side > wanted - _STEP:
        return ()
    smallest = min(choices, key=lambda c: c.candidate.head.size)
    return (
        (
            f"the pictures are {side} pixels instead of {wanted}: the head in {smallest.candidate.name}"
            f" ({smallest.slot.name}) is small, and nothing is enlarged more than {LARGEST_SCALE:g} times"
        ),
    )
