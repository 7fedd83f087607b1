"""What an outside trainer is to this program."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from twinloop.adapters.trainers.external.process import Command
from twinloop.errors import MissingTool
from twinloop.foreign.job import Job
from twinloop.foreign.program import Program
from twinloop.store.atomic import write_bytes

_ENVIRONMENTS = ("venv/bin/python", ".venv/bin/python", "venv/Scripts/python.exe", ".venv/Scripts/python.exe")


@dataclass(frozen=True)
class ReportedStep:
    """One sign of progress: steps done in all, and the loss, if it was told."""

    step: int
    loss: float | None


@dataclass(frozen=True)
class Home:
    """The work folder of one training."""

    root: Path

    @property
    def dataset(self) -> Path:
        """Pictures, captions and masks, as the program reads them."""
        return self.root / "dataset"

    @property
    def output(self) -> Path:
        """What the program saves: its states or LoRAs on the way, and the last LoRA."""
        return self.root / "output"

    @property
    def log(self) -> Path:
        """All that the program said, over all its starts."""
        return self.root / "trainer.log"


@dataclass(frozen=True)
class Installation:
    """Where a program lies: its folder, the Python it runs with, further arguments of the user's."""

    folder: Path
    python: Path
    arguments: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The commit of a git checkout, shortened; "" where it is none."""
        head = self.folder / ".git" / "HEAD"
        if not head.is_file():
            return ""
        text = head.read_text().strip()
        name = text.removeprefix("ref: ")
        reference = self.folder / ".git" / name
        return (
            reference.read_text().strip() if name != text and reference.is_file() else text if name == text else ""
        )[:12]


class Tool(Protocol):
    """One outside trainer."""

    @property
    def program(self) -> Program:
        """What is known of its configuration."""
        ...

    @property
    def url(self) -> str:
        """Where it comes from."""
        ...

    @property
    def main(self) -> str:
        """A file in its folder by which the folder is known."""
        ...

    def check(self, job: Job, arguments: tuple[str, ...], given: Collection[str] = ()) -> None:
        """Whether it can be told of a training, whose pictures need not be there yet.

        Args:
            given: fields of ``training`` that the configuration sets itself.

        Raises InputError for what it does not train.
        """
        ...

    def header_texts(self, job: Job) -> Mapping[str, str]:
        """What the LoRA's header says of the training beyond what every one does."""
        ...

    def prepare(self, job: Job, home: Home, arguments: tuple[str, ...]) -> None:
        """Write its configuration. Raises InputError as `check`."""
        ...

    def start(self, job: Job, home: Home) -> int:
        """The step from which it goes on, 0 = from the beginning."""
        ...

    def command(self, job: Job, home: Home, installed: Installation) -> Command:
        """What runs it, from the beginning or from where it was."""
        ...

    def seen(self, line: str, start: int) -> ReportedStep | None:
        """What a line of its output says of its progress."""
        ...

    def result(self, job: Job, home: Home) -> Path | None:
        """The trained LoRA, once it is there."""
        ...


def write_files(program: Program, job: Job, home: Home) -> None:
    """Its configuration, beside the dataset in the work folder. Raises InputError as `Program.files`."""
    for name, text in program.files(job).items():
        write_bytes(home.root / name, text.encode())


def locate(tool: Tool, path: str | None, python: str | None, arguments: Sequence[str]) -> Installation:
    """The installation that the configuration names.

    Raises:
        MissingTool: no folder is named, or it is not that program's, or there is no such Python.
    """
    name, title = tool.program.name, tool.program.title
    how = (
        f'Install it as its README says (git clone {tool.url}), then set "training": {{"trainer": "{name}", '
        '"trainer_path": "FOLDER"}; or train with this program: "trainer": "builtin".'
    )
    if not path:
        raise MissingTool(
            f'training.trainer is "{name}", but training.trainer_path does not say where {title} lies. {how}'
        )
    folder = Path(path).expanduser().resolve()
    if not (folder / tool.main).is_file():
        raise MissingTool(f"training.trainer_path: {path} is not {title}: there is no {tool.main} in it. {how}")
    if python is None:
        found = next((folder / place for place in _ENVIRONMENTS if (folder / place).exists()), Path(sys.executable))
        return Installation(folder, found, tuple(arguments))
    own = Path(python).expanduser()
    if not own.exists():
        raise MissingTool(
            f"training.trainer_python: there is no {python}. Name the python of {title}'s environment, or leave it out."
        )
    return Installation(folder, own.absolute(), tuple(arguments))


def network(allowed: bool) -> dict[str, str]:
    """What keeps Hugging Face libraries off the network, unless the user allowed downloads."""
    return {} if allowed else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
