"""report.html: artefacts -> one self-contained page. The same artefacts give the same bytes."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from twinloop.domain.wording import plural
from twinloop.report import answer, histograms, lacking, notes, panel, reproduce, shares, sheets, trends, words
from twinloop.report.model import RunRecord
from twinloop.report.reading import read_run
from twinloop.report.thumbnails import Pictures
from twinloop.store.atomic import write_bytes
from twinloop.store.workspace import Workspace


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
    templates = _templates()
    style, script = (_source(templates, name) for name in ("style.css", "print.js"))
    return templates.get_template("page.html.j2").render(
        run=run, style=Markup(style), script=Markup(script), policy=_policy(style, script), **_chapters(run, workspace),
    )  # fmt: skip


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
        "histograms": histograms.check_histograms(run),
        "made": reproduce.made_rows(run, workspace),
        "commands": reproduce.commands(run, workspace),
        "versions": reproduce.versions(workspace),
        "datasets": notes.dataset_rows(run),
        "loras": notes.lora_rows(run),
        "bands": notes.band_rows(run),
        "world_note": notes.world_note(run),
        "meanings": notes.meanings(run),
        "links": notes.links(run, workspace),
    }


@functools.cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("twinloop.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers = (words.words, words.title, words.number, words.signed, words.percent, plural, words.listed)
    templates.filters.update({helper.__name__: helper for helper in helpers})
    return templates


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0].strip()


def _policy(style: str, script: str) -> str:
    """A content security policy under which the page can load nothing from anywhere: only its own style, script and
    pictures.
    """
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri"
        " 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
