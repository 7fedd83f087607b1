"""What the page is told of a command that works in a terminal: noted while it works, and gone with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.functional import loops, vaults
from tests.unit.things import Recording
from twinloop.cli.terminal import Terminal
from twinloop.store.lock import holder
from twinloop.store.progress import NAME, Progress, progress_in

VAULT = Path("outputs/facevault")


def noted(folder: Path) -> Progress | None:
    """As the page finds it."""
    held = holder(folder)
    return None if held is None else progress_in(folder, held.pid)


class Watching(Recording):
    """A reporter that looks what is noted at every sign of progress."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Progress | None] = []

    def progress(self, label: str, done: float, total: int) -> None:
        self.seen.append(noted(Path("out")))


def test_a_run_notes_its_steps_and_leaves_nothing_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it confused by what one left that was killed, even under its own number, as in a container."""
    monkeypatch.chdir(tmp_path)
    loops.write_photos(tmp_path / "photos")
    chosen, watching = loops.settings(max_iterations=1), Watching()
    loops.run(chosen, reporter=watching)
    steps = {seen.label.split(" (")[0].split(":")[0] for seen in watching.seen if seen is not None}
    assert None not in watching.seen and len(steps) > 3 and any(step.startswith("Training LoRA v1") for step in steps)
    assert not list(tmp_path.rglob(f"*{NAME}*")), "gone with the run"
    tree = loops.tree("out", "loras")

    killed = Path("out") / NAME
    killed.write_text(f'{{"pid": {os.getpid()}, "label": "Training", "done": 1, "total": 9}}')
    (Path("out") / ".lock").write_text(f" {os.getpid()}\n")
    assert noted(Path("out")) is None, "nobody holds the lock"
    again = Watching()
    loops.run(chosen, reporter=again)
    assert all(seen is None or seen.label != "Training" for seen in again.seen) and not killed.exists()
    assert loops.tree("out", "loras") == tree


def test_a_run_that_is_interrupted_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Recording):
        def progress(self, label: str, done: float, total: int) -> None:
            if label.startswith("Training"):
                assert noted(Path("out")) is not None
                raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    loops.write_photos(tmp_path / "photos")
    with pytest.raises(KeyboardInterrupt):
        loops.run(loops.settings(), reporter=Impatient())
    assert Path("out/run.json").exists() and not (Path("out") / NAME).exists()


def test_the_commands_of_a_vault_do_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def look(self: Terminal, label: str, done: float, total: int) -> None:
        found = noted(VAULT)
        seen.append(None if found is None else found.label)

    monkeypatch.setattr(Terminal, "progress", look)
    vaults.make(tmp_path)
    monkeypatch.chdir(tmp_path / "home")
    assert None not in seen and {"Scanning", "Captioning"} <= set(seen)
    assert not list(tmp_path.rglob(f"*{NAME}*"))
    (VAULT / NAME).write_text("{}")  # of a command that was killed
    vaults.command("forget", "--all", "--yes")
    assert not (VAULT / NAME).exists()
