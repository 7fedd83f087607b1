"""A `Trainer` that lets another program on this machine do the training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.part_files import check_unchanged
from twinloop.adapters.trainers.external.process import last_lines, run, stop
from twinloop.adapters.trainers.external.tool import Home, Installation, ReportedStep, Tool, network
from twinloop.adapters.trainers.records.begun import begun, inputs_hash
from twinloop.adapters.trainers.records.header import architecture_header, lora_header, quantization_header
from twinloop.domain.records import TrainingSample
from twinloop.errors import InputError, Locked, ModelFileError, ToolFailed, TrainingDiverged
from twinloop.families.base import Family
from twinloop.families.predictions import prediction_of
from twinloop.foreign.job import MASKS, Job, quantized
from twinloop.foreign.masks import mask_png
from twinloop.foreign.pictures import Folder, Picture, folders_of, write_folders
from twinloop.foreign.program import beyond
from twinloop.loras.adapter import Adapter, understood
from twinloop.loras.container import file_bytes
from twinloop.loras.lora import Dialect, read_lora
from twinloop.loras.texts import TRIGGER, rank_texts
from twinloop.loras.write import has_own_layers, written
from twinloop.ports import Progress, Trained, TrainingSettings, TrainingSize, nobody_listens
from twinloop.store.atomic import write_bytes
from twinloop.store.models.lora_file import kohya_path
from twinloop.store.models.part_hashes import hashes_of_parts, parts_header
from twinloop.store.noted_process import TRAINER, noted_process


class ExternalTrainer:
    """A `Trainer` that has another program on this machine do the work.

    Args:
        choice: the program may fetch what it lacks from the hub where that allows it; device and precision are its own
            affair.
        make_room: called before the program starts; leaves it the GPU. float16: asked then, too; whether it shall
            compute in that (`Job.float16`). notice: told when an earlier training's steps are lost, and once what the
            program does otherwise than it is asked to.

    Raises:
        InputError: the program does not know that quantization.
    """

    def __init__(
        self,
        tool: Tool,
        installed: Installation,
        choice: BaseChoice,
        family: Family,
        *,
        make_room: Callable[[], None] = lambda: None,
        float16: Callable[[], bool] = lambda: False,
        notice: Callable[[str], None] = nobody_listens,
    ) -> None:
        self._make_room, self._float16, self._notice = make_room, float16, notice
        self._noted: set[str] = set()
        self._title = tool.program.title
        self._tool, self._installed, self._choice, self._family = tool, installed, choice, family
        self._environment = network(choice.allow_download)
        self._prediction = prediction_of(choice.base, family, choice.prediction)
        wanted = quantized(self._title, tool.program.quantizations, choice.quantization)
        parts = [choice.base, installed.version, *installed.arguments, *([] if wanted is None else [wanted])]
        parts += [told] if (told := choice.prediction.name) else []
        self._parts = hashes_of_parts(choice.parts)
        parts += [f"{name} {digest}" for name, digest in self._parts.items()]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
        self.fingerprint = f"{tool.program.name}-{family.name}-{digest}"

    def check(self, settings: TrainingSettings, given: Collection[str] = ()) -> None:
        """Whether the program can be told of such a training, before any photo is looked at.

        Args:
            given: fields of ``training`` that the configuration sets itself.

        Raises:
            InputError: it does not train this family, does not know a setting, or lacks a model file.
        """
        self._known(settings)
        self._tool.check(self._imagined(settings), self._installed.arguments, given)

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> None:
        """None: other programs' trainings are not looked into."""

    def notes(self, settings: TrainingSettings, *, prior: bool) -> list[str]:
        """What the program does otherwise than such settings ask for, a sentence each.

        Args:
            prior: there are prior images.
        """
        return self._sentences(self._imagined(settings, _ANY_PRIOR if prior else ()))

    def _sentences(self, job: Job) -> list[str]:
        return [f"With {self._title}, {note}." for note in self._tool.program.notes(job)]

    def _imagined(self, settings: TrainingSettings, prior: tuple[Folder, ...] = ()) -> Job:
        """The job before there is a dataset."""
        return self._job((*_ANY_FOLDERS, *prior), settings, Home(Path()), "lora", {})

    def steps_done(self, work: Path) -> int:
        """0: no other program is asked to pause, so nobody needs to know."""
        return 0

    def _known(self, settings: TrainingSettings) -> None:
        if impossible := beyond(settings, self._tool.program.able, run_here=True):
            raise InputError(
                f"{self._title} cannot do {', '.join(impossible)}. Leave it out, or let this program train: "
                '"trainer": "builtin".'
            )

    def train(
        self, samples: Sequence[TrainingSample], settings: TrainingSettings, output: Path, work: Path,
        metadata: Mapping[str, str], progress: Progress,
    ) -> Trained:  # fmt: skip
        """Write ``output`` under diffusers names and the copy for other programs beside it.

        Raises:
            NothingToDo: no sample with a weight. InputError: the program does not train this family, or lacks a model
                file.
            MissingTool: it cannot be started. ToolFailed: it ended with an error. TrainingDiverged. UnreadableImage,
                StateError: a photo is damaged, gone or changed. StateError: a file of the base's parts was changed.
            Locked: another command trains in this work folder.
        """
        self._known(settings)
        check_unchanged(self._choice)
        home, float16 = Home(work.absolute()), self._float16()
        self._end_left_over(home)
        # the trigger names folders, which captions may be made of
        inputs = inputs_hash(samples, settings, self.fingerprint, metadata.get(TRIGGER, ""), float16)
        date = begun(home.root / "external.json", inputs, lambda: _has_trained(home), self._notice)["date"]
        folders = folders_of(samples, metadata.get(TRIGGER, "") or "person", settings.class_word)
        job = dataclasses.replace(self._job(folders, settings, home, output.stem, metadata), float16=float16)
        self._tool.prepare(job, home, self._installed.arguments)
        for note in self._sentences(job):
            if note not in self._noted:
                self._noted.add(note)
                self._notice(note)
        write_folders(home.dataset, job.folders)
        _write_masks(job, home)
        watch = _Watch(settings.steps, self._tool.start(job, home), progress, job.in_turns(1))
        done = home.root / "done"
        if self._tool.result(job, home) is None or not done.exists():
            self._run(job, home, watch)
            write_bytes(done, json.dumps(watch.loss).encode())
        adapter = self._understood(job, home, done)
        loss = float(json.loads(done.read_bytes()))
        given = {
            **self._tool.header_texts(job), **architecture_header(self._family, {}, self._choice.base), **metadata
        }  # fmt: skip
        followed = self._tool.program.followed(job)
        texts = lora_header(followed, self._family, self._prediction.kind, job.subject_pictures, date, given)
        self._collect(adapter, output, texts)
        return Trained(settings.last_step, loss)

    def _job(
        self,
        folders: tuple[Folder, ...],
        settings: TrainingSettings,
        home: Home,
        stem: str,
        metadata: Mapping[str, str],
    ) -> Job:
        trigger = metadata.get(TRIGGER, "") or "person"
        name = re.sub(r"[^\w-]+", "_", metadata.get("ss_output_name", "") or stem)
        base = self._choice.base
        if (here := Path(base).expanduser()).exists():
            base = str(here.absolute())
        return Job(
            name,
            base,
            self._family,
            settings,
            trigger,
            home.dataset,
            home.output,
            folders,
            self._prediction,
            self._choice.quantization,
            run_here=True,
            parts={name: str(Path(file).expanduser().absolute()) for name, file in self._choice.parts},
        )

    def _run(self, job: Job, home: Home, watch: _Watch) -> None:
        self._make_room()
        command = self._tool.command(job, home, self._installed)
        command = dataclasses.replace(command, environment={**self._environment, **command.environment})
        code = run(command, home.log, lambda line: watch.heed(self._tool.seen(line, watch.start)), home.root / TRAINER)
        if code != 0:
            raise ToolFailed(
                f"{self._title} ended with exit code {code}. Its last lines:\n{last_lines(home.log)}\nAll of it:"
                f" {home.log}"
            )
        if self._tool.result(job, home) is None:
            raise ToolFailed(
                f"{self._title} ended without an error, but left no LoRA in {home.output}. Its log: {home.log}"
            )
        watch.finish()

    def _collect(self, adapter: Adapter, output: Path, texts: Mapping[str, str]) -> None:
        own = {
            **texts,
            **quantization_header(self._choice.quantization),
            **parts_header(self._parts),
            **rank_texts(adapter.layers.values()),
            "ss_network_module": texts["ss_network_module"],
            "modelspec.implementation": self._tool.url,
            "twinloop.trainer": f"{self._tool.program.name} {self._installed.version}".strip(),
        }
        copy = Dialect.COMFYUI if self._family.lora_names.dots else Dialect.KOHYA
        write_bytes(kohya_path(output), file_bytes(*written(adapter, copy, own)))
        write_bytes(output, file_bytes(*written(adapter, Dialect.DIFFUSERS if has_own_layers(adapter) else copy, own)))

    def _understood(self, job: Job, home: Home, done: Path) -> Adapter:
        """The LoRA. One that cannot be used is set aside, and ``done`` taken back: else no later start would train."""
        path = self._tool.result(job, home)
        assert path is not None
        try:
            return understood(read_lora(path), self._family.name)
        except ModelFileError as error:
            kept = path.replace(home.root / f"{path.name}.unusable")
            done.unlink()
            raise ToolFailed(
                f"{self._title} wrote a LoRA that cannot be used: {error}. It is kept as {kept}. Run the same command"
                f" again: {self._title} goes on from what it saved in {home.root}; to train from the first step, delete"
                " that folder."
            ) from error

    def _end_left_over(self, home: Home) -> None:
        """End the program of an earlier start that was killed: two of them would write over each other's files."""
        found = noted_process(home.root / TRAINER)
        if found is None:
            return
        if found.owner is not None:
            raise Locked(
                f"{self._title} trains in {home.root} already, for another command (process {found.owner.pid}). Wait"
                " for it, or stop that command."
            )
        self._notice(
            f"{self._title} was still running in {home.root} (process {found.process.pid}): the command that started it"
            " had been killed. It is being stopped, and the training continues from what it saved."
        )
        stop(found.process)


_ANY_FOLDERS = (Folder("1_person", 1, (Picture("0", Path("0.png"), "person", as_it_is=True),)),)
"""Stands for the dataset until there is one."""
_ANY_PRIOR = (Folder("1_class", 1, (Picture("1", Path("1.png"), "person", as_it_is=True),), prior=True),)


def _has_trained(home: Home) -> bool:
    return home.output.is_dir() and any(home.output.iterdir())


def _write_masks(job: Job, home: Home) -> None:
    for folder in (one for one in job.folders if job.masked and not one.prior):
        for picture in folder.pictures:
            target = home.dataset / MASKS / folder.name / f"{picture.stem}.png"
            if not target.exists():
                write_bytes(target, mask_png(picture, job.settings.mask_floor))


class _Watch:
    """Turns what the program says into one call per step.

    Args:
        start: a step of the program. each: so many of its steps are one of ours.
    """

    def __init__(self, steps: int, start: int, progress: Progress, each: int = 1) -> None:
        self.start, self.loss = start, 0.0
        self._steps, self._last, self._progress, self._each = steps, start // each, progress, each

    def heed(self, seen: ReportedStep | None) -> None:
        """Raises TrainingDiverged where the loss is no longer a number."""
        if seen is None:
            return
        if seen.loss is not None:
            self.loss = seen.loss
            if not math.isfinite(seen.loss):
                raise TrainingDiverged(
                    f"The loss is no longer a number after step {self._last}; nothing was written. "
                    "Lower training.learning_rate, then try again."
                )
        self._tell(min(seen.step // self._each, self._steps))

    def finish(self) -> None:
        """The last steps may have ended without a word."""
        self._tell(self._steps)

    def _tell(self, step: int) -> None:
        for number in range(self._last + 1, step + 1):
            self._last = number
            self._progress(number, self._steps, self.loss)
