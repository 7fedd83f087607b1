"""Expression set: aligned PNGs of one size, drafts of exp3.json files, an overview."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.exporters.candidates import Candidates
from twinloop.exporters.encode import jpeg, png
from twinloop.exporters.live2d import exp3_bytes
from twinloop.exporters.manifest import item, manifest, readme, warnings_of
from twinloop.exporters.package import File, Package
from twinloop.exporters.sheet import draw_sheet
from twinloop.exporters.slots import Slot
from twinloop.exporters.views import HEAD_WINDOW, cells, make_views

OVERVIEW_SIDE = 384
ABOUT = "Expression set: reference for drawing and rigging a Live2D model."
HONEST = (
    "Live2D and VTube Studio move a rig that is made from a layered PSD. Photos cannot be rigged: the PNGs here are",
    (
        "reference to draw from, all of one size, the eyes level and in one place, so that they can be laid over each"
        " other."
    ),
    "What lies outside of a photo is transparent; the background inside it is not removed.",
    "",
    (
        "The *.exp3.json files are drafts. They have the form that Live2D Cubism and VTube Studio read and use the"
        " standard"
    ),
    (
        "parameter names (ParamMouthForm, ParamBrowLY...) with Blend 'Add'. Their values are a starting point, not"
        " measured on"
    ),
    (
        "the photos: put them beside the model's *.model3.json and adjust them to the rig; a rig with other names needs"
        " those."
    ),
)


def export_expressions(slots: Sequence[Slot], candidates: Candidates, side: int, prefer_real: bool) -> Package:
    """One PNG per expression that a photo shows; a draft for each that is asked for.

    Raises:
        NothingToDo: no photo shows any of them.
    """
    found = make_views(slots, candidates, HEAD_WINDOW, side, prefer_real)
    listed = [(view, f"{view.choice.slot.name}.png") for view in found.views]
    drafts = [(slot.name, data) for slot in slots if (data := exp3_bytes(slot.name)) is not None]
    files = [File(file, png(view.picture, not view.choice.candidate.real)) for view, file in listed]
    files += [File(f"{name}.exp3.json", data) for name, data in drafts]
    overview = draw_sheet(
        "Expression set",
        "Reference to draw from; stills are no rig.",
        cells(slots, found, lambda view: view.origin, lambda _: ()),
        OVERVIEW_SIDE,
    )
    files.append(File("overview.jpg", jpeg(overview, found.synthetic)))
    files.append(
        File(
            "README.txt",
            readme(
                "Expression set", HONEST, [(v.choice, file) for v, file in listed], found.missing, candidates.consent
            ),
        )
    )
    items = [item(view.choice, file, **view.facts()) for view, file in listed]
    undrafted = [slot.name for slot in slots if exp3_bytes(slot.name) is None]
    return Package(
        tuple(files),
        "manifest.json",
        manifest(
            "expressions",
            ABOUT,
            found.candidates,
            items,
            found.missing,
            drafts=[f"{name}.exp3.json" for name, _ in drafts],
        ),
        (
            *warnings_of(found.choices, found.missing),
            *found.warnings,
            *(f"{name}: no draft of an exp3.json is known for this expression" for name in undrafted),
        ),
    )
