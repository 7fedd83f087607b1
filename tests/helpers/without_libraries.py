"""Commands in an environment that lacks libraries: a process of its own, in which they cannot be found."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tests.functional.console import ROOT, Said, interpreter

TRAIN = ("torch", "torchvision", "diffusers", "transformers", "peft", "accelerate", "huggingface_hub", "tensorboardX")
"""What the extra ``train`` brings; the core does without."""

_BLOCKED = """
import importlib.machinery, importlib.metadata, runpy, sys
lacking = set(sys.argv[1].split(","))
path_finder, version = importlib.machinery.PathFinder.find_spec, importlib.metadata.version

def find_spec(name, *others, **named):
    return None if name.partition(".")[0] in lacking else path_finder(name, *others, **named)

def version_of(name):
    if name.replace("-", "_") in lacking:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)

importlib.machinery.PathFinder.find_spec = find_spec
importlib.metadata.version = version_of
sys.argv = sys.argv[2:]
sys.path.insert(0, {root!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without(libraries: Collection[str], *argv: object, cwd: Path, script: str = "") -> Said:
    """``twinloop ARGV``, or a script of the repository, where these libraries are not installed."""
    start = ROOT / (script or "twinloop/__main__.py")
    return interpreter("-c", _BLOCKED.format(root=str(ROOT)), ",".join(libraries), start, *argv, cwd=cwd)
