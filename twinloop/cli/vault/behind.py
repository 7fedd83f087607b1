"""That a training set is older than what was said just now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twinloop.cli.terminal import Terminal

if TYPE_CHECKING:
    from twinloop.stages.vault.dataset.outdated import Outdated
    from twinloop.stages.vault.opened import OpenVault


def say_behind(opened: OpenVault, before: Mapping[str, Outdated], terminal: Terminal) -> None:
    """Name the training sets that `prep` would make otherwise now than ``before``."""
    from twinloop.stages.vault.dataset.outdated import outdated

    for name, found in outdated(opened).items():
        if found != before.get(name):
            which = f"The training set {'in ' if found.output else ''}{name}"
            step = opened.vault.command(found.arguments)
            terminal.line(f"{which} is older than that ({found.text} would change). Next: {step}")
