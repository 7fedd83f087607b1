"""A home of its own for a program that leaves files in whatever home it finds."""

from __future__ import annotations

import os
from pathlib import Path


def own_home(folder: Path) -> dict[str, str]:
    """The environment with ``folder``, which is made, as its home."""
    folder.mkdir(parents=True, exist_ok=True)
    # these name places in the home where they are set
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    return {**inherited, "HOME": str(folder)}
