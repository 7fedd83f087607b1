"""Two runs that name one folder for their LoRAs: the second is refused before it does anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.console import configuration, twinloop
from twinloop.store.atomic import write_json
from twinloop.store.run import workspace


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
    real, calls = workspace.rename_over, list[Path]()

    def killed(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) > moved:
            raise KeyboardInterrupt
        real(source, target)

    before = contents("loras")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(workspace, "rename_over", killed)
        patched.setattr(workspace, "_try", lambda *_: None)  # a killed process moves nothing back
        workspace.Workspace(Path("out"), Path("loras")).put_aside()
    said = twinloop(capsys, "run", "--config", config)
    if moved <= 2:  # all versions are whole yet, and this run's own
        assert said.code == 0
        return
    assert said.code == 2 and "of an earlier run in out, which is not there any more" in said.err
    assert "Run again with --restart" in said.err and not Path("out").exists()
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 0
    kept = {name: data for folder in Path().glob("loras.old*") for name, data in contents(str(folder)).items()}
    assert set(before.values()) <= {*kept.values(), b"x", b""}


@pytest.mark.parametrize(
    "command",
    [("export", "a1111", "--output", "drop"), ("compare", "--prompt", "ohwx ana"), ("report",)],
)
def test_another_runs_loras_are_neither_exported_compared_nor_reported(
    command: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    config.write_text(json.dumps(json.loads(config.read_text()) | {"output_dir": "second"}))
    write_json(Path("second/run.json"), {"settings": {}})
    said = twinloop(capsys, *command, "--config", config)
    assert said.code == 2 and "loras holds the LoRAs of the run in out" in said.err
