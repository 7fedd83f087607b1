"""A hub cache on the disk, as huggingface_hub leaves it."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from huggingface_hub.utils._paths import filter_repo_objects  # noqa: E402

COMMIT = "0123456789" * 4


@dataclass
class Hub:
    """A hub with one model, and the cache of its library on this machine."""

    repository: Path
    cache: Path

    def fetch(self, name: str, include: list[str] | None, exclude: list[str] | None = None) -> Path:
        """As the library: the files that match, and a list of all files, by which it knows what it did not fetch."""
        home = self.cache / f"models--{name.replace('/', '--')}"
        files = {str(path.relative_to(self.repository)): path for path in self.repository.rglob("*") if path.is_file()}
        for folder in ("refs", "trees"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        (home / "refs" / "main").write_text(COMMIT)
        listed = {"format_version": 1, "files": {file: {"size": 1, "blob_id": "0" * 40} for file in files}}
        (home / "trees" / f"{COMMIT}.json").write_text(json.dumps(listed))
        for file in filter_repo_objects(list(files), allow_patterns=include, ignore_patterns=exclude):
            (home / "snapshots" / COMMIT / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(files[file], home / "snapshots" / COMMIT / file)
        return home / "snapshots" / COMMIT

    def obey(self, command: str) -> set[str]:
        """Run an ``hf download`` line; what the cache then holds of the model."""
        program, verb, name, *options = shlex.split(command)
        assert (program, verb) == ("hf", "download")
        pairs = list(zip(options[::2], options[1::2], strict=True))
        include, exclude = ([value for key, value in pairs if key == flag] for flag in ("--include", "--exclude"))
        assert len(include) + len(exclude) == len(pairs)
        folder = self.fetch(name, include, exclude)
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
