"""What one server shows: the token that opens it, and the folders it may look into."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.config import Settings
from twinloop.errors import InputError
from twinloop.store.atomic import read_object
from twinloop.store.run.workspace import Workspace
from twinloop.store.vault.folder import DEFAULT, Vault
from twinloop.web.recorded import recorded

HOST = "127.0.0.1"
_OF_A_RUN = re.compile(r".+_(iter|v)\d+", re.ASCII)
"""Folders of one round or one version."""


def new_token() -> str:
    """128 random bits; whoever has it may see the photos."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Site:
    """The folders of one working directory.

    Attributes:
        home: the working directory; commands are started there, and paths are shown relative to it.
        vault: root of the vault. runs: folders of runs named by the user, beside those that are found under
            ``outputs``.
    """

    token: str
    home: Path = field(default_factory=Path.cwd)
    vault_root: Path = DEFAULT
    named_runs: tuple[Path, ...] = ()
    named_configs: tuple[Path, ...] = ()

    @property
    def vault(self) -> Vault:
        return Vault(self.home / self.vault_root)

    @property
    def _outputs(self) -> Path:
        return self.home / "outputs"

    def runs(self) -> dict[str, Workspace]:
        """Run folders by the name they have in addresses: the path relative to the working directory."""
        found = [path.parent for path in sorted(self._run_records()) if _is_file(path)]
        named = [self.home / path for path in self.named_runs]
        return {self.show(folder): Workspace(folder, folder) for folder in dict.fromkeys([*named, *found])}

    def _run_records(self) -> Iterator[Path]:
        """The run.json of all runs below ``outputs``. A vault is not searched, nor what a run makes: these are the
        folders that hold files by the thousand.
        """
        vault = self.vault.root.resolve()
        for folder, inner, files in os.walk(self._outputs):
            here = Path(folder)
            is_run = "run.json" in files
            if is_run:
                yield here / "run.json"
            inner[:] = [
                name
                for name in inner
                if not (_hides(name) or (is_run and _OF_A_RUN.fullmatch(name)) or (here / name).resolve() == vault)
            ]

    def run(self, name: str) -> Workspace:
        """One run folder.

        Raises:
            InputError: not one that this server shows.
        """
        # asked for with every thumbnail: not every folder is searched for one run
        folder = self.home / name
        if "\0" not in name and self.show(folder) == name and (self._is_named(folder) or self._is_found(folder)):
            return Workspace(folder, folder)
        raise InputError(f"No run named {name}. Known: {', '.join(self.runs()) or 'none'}.")

    def _is_named(self, folder: Path) -> bool:
        return any((self.home / path).resolve() == folder.resolve() for path in self.named_runs)

    def _is_found(self, folder: Path) -> bool:
        outputs, there = self._outputs.resolve(), folder.resolve()
        return (
            there.is_relative_to(outputs)
            and Workspace(there, there).run_record.is_file()
            and not _hidden(there, outputs)
        )

    def configs(self, runs: Mapping[str, Workspace] | None = None) -> dict[str, Path]:
        """Configurations by name: those that were named, those beside the runs' folders, those in the working
        directory, and those that runs were started with.

        Args:
            runs: as `runs` has just found them; None = they are searched for.
        """
        found = [*sorted(self.home.glob("*config*.json")), *sorted(self._outputs.glob("*/*config*.json"))]
        named = [self.home / path for path in self.named_configs]
        told = (self.told_config(space) for space in (self.runs() if runs is None else runs).values())
        started = [path for path in told if path is not None]
        return {self.show(path): path for path in dict.fromkeys([*named, *found, *started]) if _is_file(path)}

    def told_config(self, space: Workspace) -> Path | None:
        """The configuration that a run says it was started with; None = it names none, or that file is gone, may not
        be looked at, or is something else.
        """
        name = read_object(space.started_with, recorded).get("config") if _is_file(space.started_with) else None
        if not isinstance(name, str) or "\0" in name:
            return None
        path = self.home / name
        # whoever wrote the run's folder wrote the name, too: no other file of this machine is shown for it
        return path if _is_file(path) and _is_config(read_object(path, recorded)) else None

    def is_the_users(self, config: Path) -> bool:
        """Whether the user named a configuration, or has it in the working directory itself; others may have come with
        a run of somebody else's.
        """
        named = {(self.home / path).resolve() for path in self.named_configs}
        here = self.home.resolve() in (config.parent.resolve(), config.resolve().parent)
        return here or config.resolve() in named

    def show(self, path: Path) -> str:
        """Relative to the working directory where it lies below it."""
        try:
            return path.resolve().relative_to(self.home.resolve()).as_posix()
        except ValueError:
            return path.resolve().as_posix()


def _is_config(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a configuration, by the fields that each of them has."""
    return all(isinstance(data.get(name), str) for name, info in Settings.model_fields.items() if info.is_required())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that is closed to this user, or a name too long for any file
        return False


def _hidden(path: Path, below: Path) -> bool:
    return any(map(_hides, path.relative_to(below).parts))


def _hides(name: str) -> bool:
    return name.startswith(".") or ".old" in name
