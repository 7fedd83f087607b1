"""Expression set: aligned PNGs of one size, drafts of exp3.json files, an overview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twinloop.exporters.candidates import Candidates
from twinloop.exporters.encode import jpeg
from twinloop.exporters.live2d import exp3_bytes
from twinloop.exporters.package import File, Package
from twinloop.exporters.sheet import draw_sheet
from twinloop.exporters.slots import Slot
from twinloop.exporters.views import HEAD_WINDOW, About, cells, make_views, packed, picture_files

OVERVIEW_SIDE = 384
HONEST = (
    "Live2D and VTube Studio move a rig that is made from a layered PSD. Photos cannot be rigged: the PNGs here are"
    " reference to draw from, all of one size, the eyes level and in one place, so that they can be laid over each"
    " other. What lies outside of a photo is transparent; the background inside it is not removed.",
    "The *.exp3.json files are drafts. They have the form that Live2D Cubism and VTube Studio read and use the standard"
    " parameter names (ParamMouthForm, ParamBrowLY...) with Blend 'Add'. Their values are a starting point, not"
    " measured on the photos: put them beside the model's *.model3.json and adjust them to the rig; a rig with other"
    " names needs those.",
)
ABOUT = About(
    "expressions", "Expression set", "Expression set: reference for drawing and rigging a Live2D model.", HONEST
)


def export_expressions(slots: Sequence[Slot], candidates: Candidates, side: int, prefer_real: bool) -> Package:
    """One PNG per expression that a photo shows; a draft for each that is asked for.

    Raises:
        NothingToDo: no photo shows any of them.
    """
    found = make_views(slots, candidates, HEAD_WINDOW, side, prefer_real)
    drafts = [File(f"{s.name}.exp3.json", data) for s in slots if (data := exp3_bytes(s.name)) is not None]
    overview = draw_sheet(
        "Expression set",
        "Reference to draw from; stills are no rig.",
        cells(slots, found, lambda view: view.origin, lambda _: ()),
        OVERVIEW_SIDE,
    )
    files = [*picture_files(found), *drafts, File("overview.jpg", jpeg(overview, found.synthetic))]
    undrafted = [slot.name for slot in slots if exp3_bytes(slot.name) is None]
    told = (f"{name}: no draft of an exp3.json is known for this expression" for name in undrafted)
    found = replace(found, warnings=(*found.warnings, *told))
    return packed(ABOUT, found, files, drafts=[file.name for file in drafts])
