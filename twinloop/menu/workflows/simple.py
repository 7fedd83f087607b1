"""Entries that are one command each."""

from __future__ import annotations

from twinloop.errors import NOTHING_MEASURED
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow

DEMO_COST = "about 8 minutes on two cores, 50 MB in outputs/demo"


def demo(session: Session) -> None:
    if session.confirm("demo.start", f"Run the demo now? ({DEMO_COST})"):
        session.run("Demo", ["demo"])


def doctor(session: Session) -> None:
    session.run("Doctor", ["doctor"], findings=(NOTHING_MEASURED,))


def page(session: Session) -> None:
    session.run("Page", ["ui"], "for the browser, only on this machine; Ctrl-C ends it")


PAGE = Workflow("page", "Page in the browser", "people, dataset, review and runs, with pictures", "twinloop ui", page)
DEMO = Workflow("demo", "Demo", "the whole loop on the embedded world", "twinloop demo", demo)
DOCTOR = Workflow("doctor", "Doctor", "what works here, what is missing, what to do", "twinloop doctor", doctor)
