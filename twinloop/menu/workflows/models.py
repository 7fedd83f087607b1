"""Model files: what is there, what is missing, and whether it is safe."""

from __future__ import annotations

from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow

UNSAFE = (1, 2, 3)
"""Exit codes of ``twinloop inspect`` that say what a file is: dangerous, unreadable, unknown."""


def run(session: Session) -> None:
    kind = session.choose(
        "models.what", "What about the model files?",
        [
            Option("list", "what is there, what is missing?", "twinloop models list"),
            Option("inspect", "is a file safe to load?", "reads pickles without running them"),
            Option("add", "take files in from another folder", "checked, then copied"),
        ],
        "list",
    )  # fmt: skip
    if kind == "list":
        folder = session.path("models.folder", "Folder with the detector files:", "models", questions.not_empty)
        session.run("Model files", ["models", "list", "--models-dir", folder])
        return
    if kind == "add":
        source = session.path("models.source", "File or folder to take in:", "", questions.existing)
        folder = session.path("models.folder", "Into which folder:", "models", questions.not_empty)
        session.run("Take in", ["models", "add", source, "--models-dir", folder])
        return
    path = session.path("models.file", "File or folder:", "models", questions.existing)
    convert = ["--convert"] if session.confirm("models.convert", "Write safe ones as .safetensors, too?", False) else []
    session.run("Inspect", ["inspect", path, *convert], findings=UNSAFE)


WORKFLOW = Workflow(
    "models",
    "Models and safety",
    "what is there, what is missing, is it safe",
    "twinloop models list; twinloop inspect FILE",
    run,
)
