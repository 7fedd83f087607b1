"""Which program and libraries made something."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    "twinloop",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "onnxruntime",
    "numpy",
    "pillow",
    "opencv-python-headless",
)


def versions() -> dict[str, str]:
    """Name -> version of Python and of every library above that is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
