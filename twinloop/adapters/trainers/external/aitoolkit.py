"""ai-toolkit as a trainer: goes on by itself from what it saved in its output folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from twinloop.adapters.trainers.external.process import Command
from twinloop.adapters.trainers.external.tool import Home, Installation, ReportedStep, write_files
from twinloop.errors import ModelFileError
from twinloop.foreign import aitoolkit
from twinloop.foreign.job import Job
from twinloop.loras.container import read_tensors

_BAR = re.compile(r"^.*?:\s+\d+%\|.*?\|\s*(\d+)/\d+\s+\[[^\]]*lr: ")
_LOSS = re.compile(r"\bloss: ([^\s,\]]+)[\s,\]]")
_SAVED = re.compile(r"_(\d{9})\.safetensors")


class AiToolkit:
    """A `Tool`."""

    program = aitoolkit.PROGRAM
    url = "https://github.com/ostris/ai-toolkit"
    main = "run.py"

    def check(self, job: Job, arguments: tuple[str, ...], given: Collection[str] = ()) -> None:
        """Raises InputError for what its configuration has no word for."""
        aitoolkit.check_captions(job, given)
        self.program.files(job)

    def header_texts(self, job: Job) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def prepare(self, job: Job, home: Home, arguments: tuple[str, ...]) -> None:
        """It goes on from the newest file in its folder, whatever that is: one that was cut short is removed first."""
        for path in self._folder(job, home).glob("*.safetensors"):
            try:
                read_tensors(path)
            except ModelFileError:
                path.unlink()
        write_files(self.program, job, home)

    def start(self, job: Job, home: Home) -> int:
        """The step of the newest LoRA in its folder, as the file's name has it."""
        saved = [int(m[1]) for path in self._folder(job, home).glob("*.safetensors") if (m := _SAVED.search(path.name))]
        return max(saved, default=0)

    def command(self, job: Job, home: Home, installed: Installation) -> Command:
        """The same for every start: it finds by itself what it can go on from."""
        argv = [
            str(installed.python),
            str(installed.folder / self.main),
            str(home.root / "job.yaml"),
            *installed.arguments,
        ]
        return Command(argv, installed.folder)

    def seen(self, line: str, start: int) -> ReportedStep | None:
        """Its bar counts from the beginning, also when it goes on."""
        found = _BAR.match(line)
        if found is None:
            return None
        loss = _LOSS.search(line)
        return ReportedStep(int(found[1]), None if loss is None else float(loss[1]))

    def result(self, job: Job, home: Home) -> Path | None:
        """The LoRA without a step in its name, which is written last."""
        path = self._folder(job, home) / f"{job.name}.safetensors"
        return path if path.is_file() else None

    @staticmethod
    def _folder(job: Job, home: Home) -> Path:
        return home.output / job.name
