"""Face sheet: the views of one head at equal size and eye line on one labelled JPEG, and each view by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinloop.exporters.candidates import Candidates
from twinloop.exporters.encode import jpeg, png
from twinloop.exporters.package import File, Package
from twinloop.exporters.sheet import draw_sheet
from twinloop.exporters.slots import Slot
from twinloop.exporters.views import HEAD_WINDOW, About, View, cells, make_views, packed, picture_files

HONEST = (
    "MetaHuman makes an identity from a mesh, from footage or from DNA, never from stills. This sheet is reference art:"
    " to look at while sculpting, or to show beside the result. No program turns it into a MetaHuman. For a head that"
    " can be built on, take a short video or a 3-D scan of the person, neutral, lips closed, eyes forward.",
    "All heads have one size and one eye line; eyes are level except in profiles, which are left as photographed.",
)
ABOUT = About("facesheet", "Face sheet", "Face sheet: reference art for people who model or sculpt a head.", HONEST)


@dataclass(frozen=True)
class SheetName:
    """The name of the sheet without its ending; the single views lie in the folder ``<stem>_views`` beside it."""

    stem: str
    suffix: str

    @property
    def views(self) -> str:
        return f"{self.stem}_views/"


def export_facesheet(
    slots: Sequence[Slot], candidates: Candidates, name: SheetName, side: int, prefer_real: bool
) -> Package:
    """One sheet with a cell per slot.

    Raises:
        NothingToDo: no photo fits any slot.
    """
    found = make_views(slots, candidates, HEAD_WINDOW, side, prefer_real)
    sheet = draw_sheet(
        "Face sheet",
        "Reference art; no source for a MetaHuman identity. Left and right as the viewer sees it, nothing mirrored.",
        cells(slots, found, _line, lambda slot: (f"Wanted: {slot.wanted}.",)),
        found.side,
    )
    encode = png if name.suffix.lower() == ".png" else jpeg
    files = [File(f"{name.stem}{name.suffix}", encode(sheet, found.synthetic)), *picture_files(found, name.views)]
    return packed(ABOUT, found, files, name.views, sheet=f"{name.stem}{name.suffix}", files_are_relative_to="..")


def _line(view: View) -> str:
    yaw = view.choice.candidate.yaw
    return f"{'yaw not measured' if yaw is None else f'yaw {yaw:+.0f}°'} · {view.origin}"
