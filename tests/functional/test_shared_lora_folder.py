"""Two runs that name one folder for their LoRAs: the second is refused before it does anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.console import configuration, twinloop
from twinloop.store.atomic import write_json
from twinloop.store.run import put_aside as old_run
from twinloop.store.run.workspace import Workspace


def contents(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_another_runs_loras_are_neither_taken_nor_written_over(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert json.loads(Path("loras/.run.json").read_text()) == {"output_dir": "out"}
    before, other = contents("loras"), json.loads(config.read_text()) | {"output_dir": "second", "max_iterations": 2}
    config.write_text(json.dumps(other))
    for flags, code in ((["--dry-run"], 0), ([], 2), (["--restart"], 2)):
        said = twinloop(capsys, "run", "--config", config, *flags)
        assert said.code == code and "loras holds the LoRAs of the run in out" in said.err, flags
        assert contents("loras") == before and not Path("loras.old1").exists()
    assert not (Path("second") / "run.json").exists()


def test_a_run_that_was_moved_or_deleted_owns_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    Path("out").rename("moved")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"output_dir": "moved"}))
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert json.loads(Path("loras/.run.json").read_text()) == {"output_dir": "moved"}


def test_a_restart_takes_the_mark_along(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 0
    assert Path("loras.old1/.run.json").is_file() and Path("loras/.run.json").is_file()


@pytest.mark.parametrize("moved", range(1, 6))
def test_a_restart_that_was_killed_half_way_is_finished_by_the_next(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """With others' files beside them LoRAs are moved one by one, after the output folder."""
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    Path("loras/anime.safetensors").write_bytes(b"x")
    real, calls = old_run.rename_over, list[Path]()

    def killed(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) > moved:
            raise KeyboardInterrupt
        real(source, target)

    before = contents("loras")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(old_run, "rename_over", killed)
        for name in ("_try", "_put_back"):  # a killed process moves nothing back
            patched.setattr(old_run, name, lambda *_: None)
        old_run.put_aside(Workspace(Path("out"), Path("loras")))
    planned = twinloop(capsys, "run", "--config", config, "--dry-run")
    assert planned.code == 0 and "A --restart was stopped" in planned.err
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and "A --restart was stopped before it had put aside all LoRAs" in said.err
    assert "Run again with --restart" in said.err and not Path("out").exists()
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 0
    kept = {name: data for folder in Path().glob("loras.old*") for name, data in contents(str(folder)).items()}
    assert set(before.values()) <= {*kept.values(), b"x", b""}
    assert not [path for path in Path().glob("loras*/.run.json") if "restarting" in path.read_text()]


def test_a_folder_of_loras_alone_that_was_not_moved_is_no_new_runs_own(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without others' files in it, it is moved as a whole, after the output folder."""
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    before, real = contents("loras"), old_run.rename_over

    def killed(source: Path, target: Path) -> None:
        if source == Path("loras"):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(old_run, "rename_over", killed)
        for name in ("_try", "_put_back"):
            patched.setattr(old_run, name, lambda *_: None)
        old_run.put_aside(Workspace(Path("out"), Path("loras")))
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and "Run again with --restart" in said.err
    Path("out.old1").rename("out")  # the old run is wanted after all
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert contents("loras") == before


def test_a_restart_that_cannot_be_done_leaves_the_mark_as_it_was(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    before, real = contents("loras"), old_run.rename_over

    def held(source: Path, target: Path) -> None:
        if source == Path("loras"):
            raise PermissionError(13, "open in another program", str(source))
        real(source, target)

    monkeypatch.setattr(old_run, "rename_over", held)
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 2
    assert contents("loras") == before and Path("out/run.json").is_file()


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (("export", "a1111", "--output", "drop"), "name the LoRA with --lora FILE"),
        (("compare", "--prompt", "ohwx ana"), "name the LoRAs with --lora FILE"),
        (("report",), "name the folder of that run instead of --config: twinloop report out."),
    ],
)
def test_another_runs_loras_are_neither_exported_compared_nor_reported(
    command: tuple[str, ...], instead: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    config.write_text(json.dumps(json.loads(config.read_text()) | {"output_dir": "second"}))
    write_json(Path("second/run.json"), {"settings": {}})
    said = twinloop(capsys, *command, "--config", config)
    assert said.code == 2 and "loras holds the LoRAs of the run in out" in said.err
    assert "the run of this configuration is in second" in said.err and instead in said.err
    assert "write over" not in said.err, "who only looks writes over nothing"
