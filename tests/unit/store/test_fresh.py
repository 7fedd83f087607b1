"""A folder that a failed command made goes again, and nothing else does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from twinloop.errors import InputError, Locked
from twinloop.store.fresh import fresh_folder
from twinloop.store.lock import locked


def images(folder: Path) -> bool:
    return any(folder.glob("*.png"))


def work(folder: Path, error: BaseException, *names: str) -> None:
    """Make the folder, leave files in it, fail."""
    with pytest.raises(type(error)), fresh_folder(folder, images):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_bytes(b"x")
        raise error


def test_what_a_failed_command_made_goes_with_its_parents(tmp_path: Path) -> None:
    work(tmp_path / "a" / "b", InputError("no"), "shots.json", ".lock")
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    work(tmp_path / "a" / "b", InputError("no"))
    assert [p.name for p in tmp_path.rglob("*")] == ["a"]


def test_a_parent_that_somebody_else_uses_by_now_stays(tmp_path: Path) -> None:
    with pytest.raises(InputError), fresh_folder(tmp_path / "a" / "b", images):
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "theirs").mkdir()
        raise InputError("no")
    assert {p.name for p in tmp_path.rglob("*")} == {"a", "theirs"}


@pytest.mark.parametrize(
    ("error", "names"),
    [
        (InputError("no"), ("1.png", "shots.json")),
        (KeyboardInterrupt(), ("shots.json",)),
    ],
)
def test_images_and_an_interrupted_order_stay(tmp_path: Path, error: BaseException, names: tuple[str, ...]) -> None:
    work(tmp_path / "a", error, *names)
    assert {p.name for p in (tmp_path / "a").iterdir()} == set(names)


def test_a_folder_that_another_process_holds_by_now_stays(tmp_path: Path) -> None:
    with ExitStack() as theirs, pytest.raises(Locked), fresh_folder(tmp_path / "a", images):
        theirs.enter_context(locked(tmp_path / "a"))
        with locked(tmp_path / "a"):
            pass
    assert (tmp_path / "a" / ".lock").is_file()


def test_what_is_refused_because_of_another_folder_leaves_none(tmp_path: Path) -> None:
    fresh = fresh_folder(tmp_path / "a", images)
    with locked(tmp_path / "theirs"), pytest.raises(Locked), fresh, locked(tmp_path / "a"), locked(tmp_path / "theirs"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_folder_that_was_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    work(tmp_path / "a", InputError("no"), "shots.json")
    assert (tmp_path / "a" / "shots.json").exists()


def test_what_succeeds_stays(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "a", images):
        (tmp_path / "a").mkdir()
    assert (tmp_path / "a").is_dir()
