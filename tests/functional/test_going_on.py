"""The command line that is printed for going on does go on: a restart that has been done is not done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.functional.console import Said, configuration, twinloop
from twinloop.errors import StorageError

WAITING = 3


def stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: str, error: BaseException, *argv: object
) -> Said:
    """What is said when an error comes at a place of the program."""

    def stop(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(at, stop)
        return twinloop(capsys, *argv)


def printed(text: str) -> list[str]:
    """The arguments of the printed command line."""
    return text.rstrip().rpartition("twinloop ")[2].split()


@pytest.mark.parametrize("flag", ["--restart", "--rest"])
def test_after_a_restart_was_interrupted_the_printed_command_goes_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "run", "--config", config).code == 0
    call = ("run", "--config", config.name, flag)
    said = stopped(capsys, monkeypatch, "twinloop.loop.steps.generate", KeyboardInterrupt(), *call)
    assert said.code == 130
    assert said.err.endswith("without --restart the command goes on: twinloop run --config bootstrap_config.json\n")
    v1 = Path("loras/lora_v1.safetensors").stat().st_mtime_ns
    assert twinloop(capsys, *printed(said.err)).code == 0
    assert Path("loras/lora_v1.safetensors").stat().st_mtime_ns == v1, "nothing was trained anew"
    assert Path("out.old1").is_dir() and not Path("out.old2").exists()


def test_interrupted_before_the_old_run_was_put_aside_the_restart_stays_in_the_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(home)
    said = stopped(
        capsys,
        monkeypatch,
        "twinloop.wiring.build_toolbox",
        KeyboardInterrupt(),
        "run",
        "--config",
        config,
        "--restart",
    )
    assert said.err.endswith(f"the same command goes on: twinloop run --config {config} --restart\n")


@pytest.mark.parametrize("error", [StorageError("The disk is full."), OSError(28, "No space left on device")])
def test_an_error_after_a_restart_says_how_to_go_on_too(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    configuration(home)
    call = ("run", "--config", "bootstrap_config.json", "--restart")
    said = stopped(capsys, monkeypatch, "twinloop.loop.steps.generate", error, *call)
    assert said.code == 2 and "disk is full" in said.err
    assert printed(said.err) == ["run", "--config", "bootstrap_config.json"]
    plain = stopped(capsys, monkeypatch, "twinloop.loop.steps.generate", error, *call[:-1])
    assert "goes on" not in plain.err


def test_a_restarted_run_that_waits_for_a_review_goes_on_with_the_printed_command(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration(home, review="first_round", max_iterations=1)
    said = twinloop(capsys, "run", "--config", "bootstrap_config.json", "--restart")
    assert said.code == WAITING and "--restart" not in said.out
    assert said.out.rstrip().endswith("Then go on with: twinloop run --config bootstrap_config.json")
    assert twinloop(capsys, "review", "out", "--finish").code == 0
    assert twinloop(capsys, *printed(said.out)).code == 0
    assert len(json.loads(Path("out/iteration_history.json").read_text())["iterations"]) == 1
    assert not Path("out.old1").exists()
