"""Kill the loop at every journal boundary and around every file that appears; the resumed tree equals the undisturbed
one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional import loops
from twinloop.config import Settings
from twinloop.store import atomic
from twinloop.store.progress import NAME as PROGRESS


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing catches kill -9."""


Tree = dict[str, str]


@dataclass(frozen=True)
class Undisturbed:
    """A finished run.

    Attributes:
        tree: what it left. boundaries: the journal's keys in order, each with the tree at its moment.
    """

    home: Path
    tree: Tree
    boundaries: list[tuple[str, Tree]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    home = tmp_path_factory.mktemp("undisturbed")
    boundaries: list[tuple[str, Tree]] = []
    with working_in(home):
        loops.write_photos(Path("photos"), 10)
        loops.run(small(), boundary=lambda key: boundaries.append((key, kept())))
        return Undisturbed(home, loops.tree("out", "loras"), boundaries)


def small() -> Settings:
    """Two rounds with as few images as a loop can have: the run is repeated for each of its boundaries."""
    return loops.settings(panel={"images": 2}, analysis={"facets": ["face_angle", "composition"]})


class working_in:
    """chdir with a fixed clock."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> None:
        self.before = Path.cwd()
        os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
        os.chdir(self.home)

    def __exit__(self, *_: object) -> None:
        os.chdir(self.before)
        del os.environ["SOURCE_DATE_EPOCH"]


def kept() -> Tree:
    """What a run that is under way has on the disk, without how far it says it is."""
    return {path: digest for path, digest in loops.tree("out", "loras").items() if Path(path).name != PROGRESS}


def stop_at(wanted: int) -> Callable[[str], None]:
    seen = 0

    def boundary(key: str) -> None:
        nonlocal seen
        seen += 1
        if seen == wanted:
            raise KeyboardInterrupt(f"stopped after {key}")

    return boundary


def test_the_run_has_two_rounds_and_enough_boundaries(undisturbed: Undisturbed) -> None:
    keys = [key for key, _ in undisturbed.boundaries]
    assert {"iter1.verdicts", "iter2.verdicts", "lora_v1", "lora_v3", "panel_v3.score"} <= set(keys)
    assert len(keys) > 30
    assert {"out/report.html", "out/iteration_history.json", "loras/lora.safetensors"} <= set(undisturbed.tree)


def test_stopped_at_every_journal_boundary(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """One run that is stopped at each of them. What it has left there is what the undisturbed run had at the same
    moment, so one that was stopped there only would go on from the same.
    """
    shutil.copytree(undisturbed.home / "photos", tmp_path / "photos")
    with working_in(tmp_path):
        for key, tree in undisturbed.boundaries:
            with pytest.raises(KeyboardInterrupt, match=f"^stopped after {re.escape(key)}$"):
                loops.run(small(), stop_at(1))
            assert kept() == tree, f"differs after record {key}"
        loops.run(small())
        assert loops.tree("out", "loras") == undisturbed.tree


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_every_rename(
    moment: str, undisturbed: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run that dies at its first rename, is started again, dies at its second new one, and so on to the end."""
    shutil.copytree(undisturbed.home / "photos", tmp_path / "photos")
    real_replace = os.replace
    survived: set[str] = set()

    def replace(source: os.PathLike[str] | str, target: os.PathLike[str] | str) -> None:
        name = os.fspath(target)
        fresh = name not in survived
        survived.add(name)
        if fresh and moment == "before":
            raise Killed(name)
        real_replace(source, target)
        if fresh:
            raise Killed(name)

    monkeypatch.setattr(atomic.os, "replace", replace)
    deaths = 0
    with working_in(tmp_path):
        while True:
            try:
                loops.run(small())
                break
            except Killed:
                deaths += 1
        assert deaths > 20
        assert loops.tree("out", "loras") == undisturbed.tree


def test_interrupted_by_the_user_goes_on(undisturbed: Undisturbed, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.home / "photos", tmp_path / "photos")
    with working_in(tmp_path):
        with pytest.raises(KeyboardInterrupt):
            loops.run(small(), stop_at(12))
        loops.run(small())
        assert loops.tree("out", "loras") == undisturbed.tree
