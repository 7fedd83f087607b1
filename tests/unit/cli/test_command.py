"""What a command line that is wrong is told."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from twinloop.cli.commandline import build_parser


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit):
        build_parser().parse_args(argv)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("rum",), "twinloop: error: unknown command 'rum'; did you mean run? twinloop --help lists all.\n"),
        (("it's",), "twinloop: error: unknown command 'it's'. twinloop --help lists all.\n"),
        (("lora", "mrege"), "twinloop lora: error: unknown action 'mrege'; did you mean merge? twinloop lora --help"),
    ],
)
def test_a_command_that_comes_near_is_offered_whatever_argparse_would_say(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How its message lists the choices differs between versions of Python."""

    def check(self: argparse.ArgumentParser, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"invalid choice: {value!r} (choose from run, train)")

    monkeypatch.setattr(argparse.ArgumentParser, "_check_value", check)
    told = refused(capsys, *argv)
    assert told.startswith(said) and told.count("\n") == 1
