"""kohya's sd-scripts as a trainer: goes on from the last state it saved."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from twinloop.adapters.trainers.external.process import Command
from twinloop.adapters.trainers.external.tool import Home, Installation, ReportedStep, write_files
from twinloop.foreign import kohya
from twinloop.foreign.job import Job
from twinloop.foreign.kohya_scripts import script

_BAR = re.compile(r"^steps:\s+\d+%\|.*?\|\s*(\d+)/\d+\s+\[")
_LOSS = re.compile(r"avr_loss=([^\s,\]]+)[,\]]")
_STATE = re.compile(r"-step(\d{8})-state")
_FIRST, _LAST = "train_state.json", "random_states_0.pkl"
"""What is written into a state first (by sd-scripts) and last (by accelerate): with both, nothing was cut short."""


class Kohya:
    """A `Tool`."""

    program = kohya.PROGRAM
    url = "https://github.com/kohya-ss/sd-scripts"
    main = "train_network.py"

    def check(self, job: Job, arguments: tuple[str, ...], given: Collection[str] = ()) -> None:
        """Raises InputError where there is no script for the family, a part of the model is not named, or its
        configuration has no word for a setting.
        """
        kohya.check_parts(job, arguments)
        kohya.check_swapping(job)
        kohya.check_captions(job, given)
        self.program.files(job)

    def header_texts(self, job: Job) -> Mapping[str, str]:
        """How long captions may be, where one may be longer than a chunk."""
        return kohya.header_texts(job)

    def prepare(self, job: Job, home: Home, arguments: tuple[str, ...]) -> None:
        """Writes ``dataset.toml`` and ``training.toml``."""
        self.check(job, arguments)
        write_files(self.program, job, home)

    def start(self, job: Job, home: Home) -> int:
        """The step of the newest whole state."""
        states = self._states(job, home)
        return states[-1][0] if states else 0

    def command(self, job: Job, home: Home, installed: Installation) -> Command:
        """From the newest whole state, where there is one; what an earlier start that went on wrote is taken away."""
        argv = [
            str(installed.python),
            str(installed.folder / script(job).file),
            "--config_file",
            str(home.root / "training.toml"),
        ]
        states = self._states(job, home)
        shutil.rmtree(self._resumed(home), ignore_errors=True)
        if states:  # without the second flag it would train all steps once more, from that state
            argv += [
                "--resume",
                str(states[-1][1]),
                "--skip_until_initial_step",
                "--output_dir",
                str(self._resumed(home)),
            ]
        return Command([*argv, *installed.arguments], installed.folder)

    def seen(self, line: str, start: int) -> ReportedStep | None:
        """Its bar counts from where it goes on."""
        found = _BAR.match(line)
        if found is None:
            return None
        loss = _LOSS.search(line)
        return ReportedStep(start + int(found[1]), None if loss is None else float(loss[1]))

    def result(self, job: Job, home: Home) -> Path | None:
        """The LoRA of the last start, with or without the last step in its name."""
        folder = self._resumed(home) if self._resumed(home).is_dir() else home.output
        last = folder / f"{job.name}-step{job.in_turns(job.settings.steps):08d}.safetensors"
        return next((path for path in (folder / f"{job.name}.safetensors", last) if path.is_file()), None)

    @staticmethod
    def _resumed(home: Home) -> Path:
        """Where a training that goes on writes. sd-scripts counts its steps from within an epoch then, so that nothing
        goes on from its states.
        """
        return home.output / "resumed"

    @staticmethod
    def _states(job: Job, home: Home) -> list[tuple[int, Path]]:
        """Whole states that leave something to train, oldest first; none with accumulated gradients, where sd-scripts
        skips too many steps.
        """
        if job.settings.gradient_accumulation != 1:
            return []
        found = []
        for path in home.output.glob(f"{job.name}-step*-state"):
            match = _STATE.search(path.name)
            whole = all((path / name).is_file() and (path / name).stat().st_size for name in (_FIRST, _LAST))
            if match and whole and int(match[1]) < job.in_turns(job.settings.steps):
                found.append((int(match[1]), path))
        return sorted(found)
