"""Ctrl-C while the program is still being loaded: exit code 130 and one line, whichever way it was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from json import loads as read_json
from pathlib import Path

import pytest

from tests.functional.console import ROOT
from twinloop.cli.scripts import SCRIPTS

HOOK = """
import os, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["CTRL_C_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
"""
"""A sitecustomize.py: the process gets a real SIGINT at the moment when it imports one module."""


def console_script() -> list[str]:
    """What pip makes of the entry in pyproject.toml."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["twinloop"].split(":")
    return ["-c", f"import sys\nfrom {module} import {function}\nsys.exit({function}())"]


def interrupted(folder: Path, module: str, *call: str) -> tuple[int, str]:
    """Exit code and stderr of ``python CALL`` that gets Ctrl-C as it imports a module."""
    (folder / "sitecustomize.py").write_text(HOOK)
    paths = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *call],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "CTRL_C_AT": module},
        # a test session started in the background ignores Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(["-m", "twinloop"], id="python -m twinloop"),
        pytest.param(console_script(), id="twinloop"),
        *(pytest.param([str(ROOT / name)], id=name) for name in SCRIPTS),
    ],
)
def test_every_way_in_is_guarded_from_its_first_import_on(tmp_path: Path, call: list[str]) -> None:
    assert interrupted(tmp_path, "twinloop.cli.command", *call, "--help") == (130, "error: interrupted\n")


@pytest.mark.parametrize("module", ["argparse", "twinloop.cli.commandline", "twinloop.cli.vault.scan"])
def test_so_is_all_that_is_imported_before_the_arguments_are_read(tmp_path: Path, module: str) -> None:
    assert interrupted(tmp_path, module, "-m", "twinloop", "--help") == (130, "error: interrupted\n")


@pytest.mark.parametrize("module", ["twinloop.config", "pydantic", "twinloop.families"])
def test_what_a_command_imports_is_told_in_one_line_too(tmp_path: Path, module: str) -> None:
    code, said = interrupted(tmp_path, module, "-m", "twinloop", "init", "--person-name", "ana")
    assert code == 130 and said.count("\n") == 1
    assert said.endswith("the same command goes on: twinloop init --person-name ana\n")


def test_without_ctrl_c_the_hook_changes_nothing(tmp_path: Path) -> None:
    assert interrupted(tmp_path, "nothing", "-m", "twinloop", "--help") == (0, "")


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "made another error"])
@pytest.mark.parametrize("json", [True, False])
def test_one_that_a_library_swallows_or_makes_another_error_of_is_told(tmp_path: Path, lost: bool, json: bool) -> None:
    code = f"""
import signal, sys
from twinloop.cli import facets
from twinloop.cli.app import main
from twinloop.cli.command import Command

def run(args, terminal):
    try:
        signal.raise_signal(signal.SIGINT)
    except BaseException as error:
        if not {lost}:
            raise RuntimeError("SchemaError: KeyboardInterrupt: ") from None
    return [1]

object.__setattr__(facets.COMMAND, "run", run)
main_code = main(sys.argv[1:])
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
sys.exit(main_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "facets", *["--json"] * json],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    call = "twinloop facets --json" if json else "twinloop facets"
    assert (done.returncode, done.stderr) == (
        130,
        f"error: interrupted. What is finished is kept; the same command goes on: {call}\n",
    )
    assert ('"kind": "Interrupted"' in done.stdout) == json and "1\n" not in done.stdout.partition('"code"')[0]


def test_before_the_arguments_are_read_it_is_an_object_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    done = subprocess.run(
        [sys.executable, "-m", "twinloop", "facets", "--json"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "CTRL_C_AT": "argparse"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    told = {"error": {"kind": "Interrupted", "message": "interrupted", "code": 130}}
    assert done.returncode == 130 and read_json(done.stdout) == told


@pytest.mark.parametrize("progress", ["", "json"])
def test_one_that_is_ignored_stays_so_but_for_the_page(tmp_path: Path, progress: str) -> None:
    """As for what a script starts with ``&``."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    done = subprocess.run(
        [sys.executable, "-m", "twinloop", "facets"],
        capture_output=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
            "CTRL_C_AT": "twinloop.cli.command",
            "TWINLOOP_PROGRESS": progress,
        },
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == (130 if progress else 0)
