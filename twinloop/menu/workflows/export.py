"""Packages for other programs."""

from __future__ import annotations

from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow

TARGETS = {
    "did": ("D-ID", "presenter pictures and request bodies", "did_package"),
    "facesheet": ("Face sheet", "one labelled sheet; reference for MetaHuman", "facesheet.jpg"),
    "expressions": ("Expressions", "aligned pictures and exp3.json drafts for Live2D", "expressions"),
}


def run(session: Session) -> None:
    target = session.choose("export.target", "For which program?", [Option(key, *words[:2]) for key, words in TARGETS.items()], "did")
    dataset = questions.expanded(session.path("dataset", "Folder with the person's photos:", "", questions.existing_folder))
    models = questions.models(session)
    output = session.text(f"export.{target}.output", "Write to:", TARGETS[target][2], questions.not_empty)
    session.run("Export", ["export", target, "--dataset", dataset, "--models-dir", models, "--output", output])


WORKFLOW = Workflow("export", "Export", "for D-ID, MetaHuman reference, Live2D", "twinloop export TARGET --dataset DIR --output PATH", run)
