"""report.html: artefacts -> one self-contained page. The same artefacts give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.report import answer, histograms, lacking, notes, panel, reproduce, shares, sheets, training, trends
from twinloop.report.model import RunRecord
from twinloop.report.reading import read_run
from twinloop.report.templating import rendered
from twinloop.report.thumbnails import Pictures
from twinloop.store.atomic import write_bytes
from twinloop.store.run.workspace import Workspace


def write_report(workspace: Workspace) -> Path:
    """Write ``report.html`` into the output folder of a run, finished or not, and return its path.

    Raises:
        NothingToDo: there is no run in the folder. StateError: an artefact is damaged; names the file.
        StorageError: the page cannot be written.
    """
    page = render(read_run(workspace), workspace)
    # a file name may hold bytes that are no UTF-8; they read as question marks
    write_bytes(workspace.report, page.encode("utf-8", "replace"))
    return workspace.report


def render(run: RunRecord, workspace: Workspace) -> str:
    """The page as text."""
    return rendered("page.html.j2", run=run, **_chapters(run, workspace))


def _chapters(run: RunRecord, workspace: Workspace) -> dict[str, Any]:
    pictures = Pictures(workspace.root)
    told = answer.answer(run)
    return {
        "answer": told,
        "lacking": lacking.lacking(run, told.compared),
        "lora_href": notes.lora_href(run, workspace),
        "photos": sheets.photo_tiles(run, pictures),
        "photos_open": sheets.AT_ONCE,
        "left_out": sheets.left_out_tiles(run, pictures),
        "shares": shares.shares(run),
        "rounds": sheets.round_sheets(run, workspace, pictures),
        "panel": panel.panel_grid(run, workspace, pictures),
        "panel_open": panel.AT_ONCE,
        "metric_curves": trends.metric_curves(run),
        "round_curves": trends.round_curves(run),
        "trainings": training.trainings(run, workspace),
        "histograms": histograms.check_histograms(run),
        "made": reproduce.made_rows(run, workspace),
        "made_open": reproduce.AT_ONCE,
        "commands": reproduce.commands(run, workspace),
        "versions": reproduce.versions(workspace),
        "datasets": notes.dataset_rows(run),
        "loras": notes.lora_rows(run),
        "bands": notes.band_rows(run),
        "unlike": notes.photos_unlike_the_rest(run),
        "world_note": notes.world_note(run),
        "meanings": notes.meanings(run),
        "links": notes.links(run, workspace),
    }
