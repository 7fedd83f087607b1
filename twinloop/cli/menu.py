"""``twinloop menu`` and ``beaver.py``: the menu."""

from __future__ import annotations

import argparse
from typing import Any

from twinloop.cli.command import Command, Finished
from twinloop.cli.terminal import Terminal


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.menu.app import main

    code = main()
    return Finished(None, code)


COMMAND = Command("menu", "Choose what to do from a menu.", configure, run)
