"""The run that is there makes way for a new one: it gets another name, whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from twinloop.errors import InputError, Locked, StorageError
from twinloop.store.lock import locked
from twinloop.store.noted_process import note_process
from twinloop.store.run import put_aside as old_run
from twinloop.store.run.put_aside import kept_as, put_aside
from twinloop.store.run.workspace import Workspace


def test_of_a_shared_folder_of_loras_only_those_of_the_run_are_put_aside(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run", tmp_path / "loras")
    space.root.mkdir()
    own = (
        "lora.safetensors",
        "lora_kohya.safetensors",
        "lora_v1.safetensors",
        "lora_v12_kohya.safetensors",
        "lora_v1.json",
        "final.json",
    )
    others = ("anime.safetensors", "lora_v1_portrait.safetensors", "lora_very_good.safetensors")
    for name in (*own, *others):
        (tmp_path / "loras" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "loras" / name).write_text(name)
    told = kept_as(space)
    assert told == [(space.root, tmp_path / "run.old1", True), (space.lora_dir, tmp_path / "loras.old1", False)]
    assert not (tmp_path / "run.old1").exists() and not (tmp_path / "loras.old1").exists(), "only told"
    moved = dict(put_aside(space))
    assert moved == {space.lora_dir: tmp_path / "loras.old1", space.root: tmp_path / "run.old1"}
    assert sorted(path.name for path in space.lora_dir.iterdir()) == sorted(others)
    assert sorted(path.name for path in (tmp_path / "loras.old1").iterdir()) == sorted(own)


def test_a_folder_that_holds_nothing_of_a_run_stays(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run", tmp_path / "loras")
    space.lora_dir.mkdir()
    (space.lora_dir / "anime.safetensors").write_text("x")
    assert put_aside(space) == [] and (space.lora_dir / "anime.safetensors").exists()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files of a run in it."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    for path in (Path("out/journal.jsonl"), Path("loras/lora_v1.safetensors")):
        path.parent.mkdir()
        path.write_text("x")
    return tmp_path / "home"


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file())


@pytest.mark.parametrize("root", [".", "", "..", "out/.."])
def test_the_working_directory_is_not_put_aside(home: Path, root: str) -> None:
    """Nothing is moved, not even the LoRAs."""
    before = everything(home.parent)
    with pytest.raises(InputError, match=r"the folder that this command runs in \(output_dir: "):
        put_aside(Workspace(Path(root), Path("loras")))
    assert everything(home.parent) == before


def test_loras_in_the_working_directory_are_put_aside_file_by_file(home: Path) -> None:
    Path("lora_v1.safetensors").write_text("x")
    moved = put_aside(Workspace(Path("out"), Path()))
    assert moved == [(Path("out"), Path("out.old1")), (Path(), home.parent / "home.old1")]
    assert everything(home.parent / "home.old1") == ["lora_v1.safetensors"]
    assert everything(home) == ["loras/lora_v1.safetensors", "out.old1/journal.jsonl"]


@pytest.mark.parametrize("loras", ["loras", "out", "out/loras", "none"])
def test_what_would_be_put_aside_is_told_as_it_is_done(home: Path, loras: str) -> None:
    Path("out.old1").mkdir()
    Path(loras).mkdir(exist_ok=True)
    (Path(loras) / "lora_v1.json").write_text("{}")
    space = Workspace(Path("out"), Path(loras))
    told = kept_as(space)
    assert [(old, new) for old, new, _ in told] == put_aside(space) and all(whole for _, _, whole in told)
    with pytest.raises(InputError, match="the folder that this command runs in"):
        kept_as(Workspace(Path(), Path("loras")))


def test_a_folder_of_both_is_put_aside_as_a_whole(home: Path) -> None:
    assert put_aside(Workspace(Path("out"), home / "out")) == [(Path("out"), Path("out.old1"))]
    Path("out.old2").symlink_to("nowhere")
    Path("out").mkdir()
    assert put_aside(Workspace(Path("out"), Path("none"))) == [(Path("out"), Path("out.old3"))], "names of all kinds"


def test_loras_in_the_output_folder_go_with_it(home: Path) -> None:
    Path("loras").rename("out/loras")
    assert put_aside(Workspace(Path("out"), Path("out/loras"))) == [(Path("out"), Path("out.old1"))]
    assert everything(home) == ["out.old1/journal.jsonl", "out.old1/loras/lora_v1.safetensors"]


def open_below(folder: Path) -> list[Path]:
    """Files below a folder that this process has open."""
    places = [handle.resolve() for handle in Path("/proc/self/fd").iterdir()]
    return [place for place in places if place.is_relative_to(folder.resolve()) and place.is_file()]


def test_no_folder_is_moved_while_a_file_in_it_is_open(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses that; the lock is such a file."""
    real, moved = os.replace, list[str]()

    def replace(source: Path, target: Path) -> None:
        assert not open_below(Path(source)), "the lock is held"
        moved.append(source.name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    put_aside(Workspace(Path("out"), Path("loras")))
    assert [name for name in moved if not name.endswith(".tmp")] == ["out", "loras"]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("error", [PermissionError(13, "in use"), KeyboardInterrupt()])
def test_what_was_moved_is_moved_back_where_the_rest_cannot_be(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, shared: bool
) -> None:
    """Whether the folder of LoRAs is moved as a whole or file by file."""
    Path("loras/lora_v2.safetensors").write_text("y")
    if shared:
        Path("loras/anime.safetensors").write_text("z")
    before, real = everything(home.parent), os.replace
    last = Path("loras/lora_v2.safetensors") if shared else Path("loras")

    def replace(source: Path, target: Path) -> None:
        if source == last:
            raise error
        real(source, target)

    space = Workspace(Path("out"), Path("loras"))
    with monkeypatch.context() as held:
        held.setattr(os, "replace", replace)
        told = f"write {last}\\." if isinstance(error, OSError) else None
        with pytest.raises(StorageError if told else KeyboardInterrupt, match=told):
            put_aside(space)
    assert everything(home.parent) == before
    assert not Path("out.old1").exists() and not Path("loras.old1").exists()
    assert len(put_aside(space)) == 2


def test_what_a_kill_between_the_two_leaves_is_moved_by_a_second_call(home: Path) -> None:
    Path("out").rename("out.old1")
    assert dict(put_aside(Workspace(Path("out"), Path("loras"))))[Path("loras")] == Path("loras.old1")
    assert everything(home) == ["loras.old1/lora_v1.safetensors", "out.old1/journal.jsonl"]


def test_another_run_that_took_the_old_lock_meanwhile_keeps_its_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = os.replace, ExitStack()

    def replace(source: Path, target: Path) -> None:
        if source == Path("out"):
            other.enter_context(locked(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with other, pytest.raises(Locked):
        put_aside(Workspace(Path("out"), Path("loras")))
    assert everything(home) == ["loras/lora_v1.safetensors", "out/journal.jsonl"]


def test_a_run_for_which_another_program_still_trains_is_not_put_aside(home: Path) -> None:
    note = Path("loras/.training_v2/trainer.pid")
    note_process(note, os.getpid())
    with pytest.raises(Locked, match=rf"\.training_v2 \(process {os.getpid()}\)"):
        put_aside(Workspace(Path("out"), Path("loras")))
    assert Path("out").is_dir() and Path("loras").is_dir()


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EXDEV])
@pytest.mark.parametrize("mounted", ["out", "loras"])
def test_of_a_mount_point_it_is_said_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: int, mounted: str
) -> None:
    real, before = os.replace, everything(home)

    def replace(source: Path, target: Path) -> None:
        if source == Path(mounted):
            raise OSError(error, os.strerror(error), str(source))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(StorageError, match=rf"keep {mounted} under another name: it is a mount point.* Set .* to a"):
        put_aside(Workspace(Path("out"), Path("loras")))
    assert everything(home) == before


@pytest.mark.parametrize("gone", [("out",), ("out", "loras")])
@pytest.mark.parametrize("when", ["locked", "noted", "named"])
def test_a_restart_that_another_one_outruns_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch, gone: tuple[str, ...], when: str
) -> None:
    """The other one moves the folders out of the lock, which this one then gets."""
    step = {"locked": "_check_nobody_trains", "noted": "_note_leaving", "named": "_free_name"}[when]
    real = getattr(old_run, step)

    def outrun(*given: Any) -> Any:
        done = real(*given)
        for name in gone:
            if Path(name).is_dir():
                Path(name).rename(f"{name}.other")
        return done

    monkeypatch.setattr(old_run, step, outrun)
    with pytest.raises(Locked, match="Another --restart has just put out aside"):
        put_aside(Workspace(Path("out"), Path("loras")))
    kept = sorted(path.name for path in home.iterdir())
    assert kept == sorted({"out", "loras"} - set(gone) | {f"{name}.other" for name in gone})
