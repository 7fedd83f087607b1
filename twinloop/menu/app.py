"""The menu itself: choose, run, come back; nothing is lost when it is left."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from twinloop.domain.wording import plural
from twinloop.errors import INTERRUPTED
from twinloop.menu.director import Back, Director, Option
from twinloop.menu.memory import Memory
from twinloop.menu.runner import Runner
from twinloop.menu.session import Session, Stopped
from twinloop.menu.workflow import Workflow
from twinloop.menu.workflows import WORKFLOWS
from twinloop.system.streams import tell

CONTINUE, QUIT = "continue", "quit"
NO_TERMINAL = 2
SIGNS = "1234567890"
"""Keys of the entries: a terminal takes one character for each."""


def main() -> int:
    """The menu on this terminal; without one, the commands behind its entries."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        tell(sys.stderr, plain_commands(WORKFLOWS))
        return NO_TERMINAL
    from twinloop.menu.runner import ProcessRunner
    from twinloop.menu.terminal import TerminalDirector

    return menu(TerminalDirector(), ProcessRunner(), Memory(), WORKFLOWS)


def menu(director: Director, runner: Runner, memory: Memory, workflows: Sequence[Workflow]) -> int:
    """Until the person has enough."""
    known = {workflow.key: workflow for workflow in workflows}
    while True:
        try:
            chosen = director.choose("What shall it be?", _entries(workflows, memory))
        except Back:
            return 0
        if chosen == QUIT:
            return 0
        waiting = memory.unfinished if chosen == CONTINUE else None
        progress = waiting or memory.begin(chosen)
        _run(known[progress.workflow], Session(director, runner, memory, progress), memory)


def _entries(workflows: Sequence[Workflow], memory: Memory) -> list[Option]:
    entries = [Option(item.key, item.title, item.note, sign) for sign, item in zip(SIGNS, workflows, strict=False)]
    waiting = memory.unfinished
    titles = {item.key: item.title for item in workflows}
    if waiting is not None and waiting.workflow in titles:
        done = plural(len(waiting.done), "command")
        entries.insert(0, Option(CONTINUE, "Continue", f"{titles[waiting.workflow]}, {done} done", "c"))
    return [*entries, Option(QUIT, "Quit", key="q")]


def _run(workflow: Workflow, session: Session, memory: Memory) -> None:
    try:
        workflow.run(session)
    except Back:
        memory.left()
        kept = memory.unfinished is not None and memory.unfinished.workflow == workflow.key
        session.director.say("\nLeft. Your answers are kept: choose Continue to go on." if kept else "\nLeft.")
        return
    except Stopped as stopped:
        session.director.say(
            f"\n{_why(stopped)} Choose Continue to go on from here, or run it yourself:\n  $ {stopped}"
        )
        return
    memory.finish()


def _why(stopped: Stopped) -> str:
    if stopped.code == INTERRUPTED:
        return "Stopped."
    if stopped.waits:
        return "It waits for you: choose Validate and review, look at the images, and finish the review."
    return f"That did not work (exit code {stopped.code}). To answer otherwise, choose the entry again."


def plain_commands(workflows: Sequence[Workflow]) -> str:
    """For pipes and scripts: every entry as the command it runs, numbered by its key in the menu."""
    lines = [f"  {sign}. {item.title}: {item.commands}" for sign, item in zip(SIGNS, workflows, strict=False)]
    return "\n".join(["The menu needs a terminal. Its entries as commands:", *lines, "Every command has --help.", ""])
