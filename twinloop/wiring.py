"""Settings -> toolbox: the only importer of adapters. A missing extra becomes one error that names the pip line."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from twinloop import __version__
from twinloop import facets as builtin_facets
from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.domain.forecast import Forecast
from twinloop.domain.model_roles import pack_and_folder
from twinloop.errors import InputError, MissingExtra, MissingModel
from twinloop.families import Family, Preset, family_of, preset_for, preset_name
from twinloop.ports import (
    Captioner,
    DetectorPack,
    GenerationSettings,
    Generator,
    NeighbourSearch,
    Reporter,
    ScanJob,
    Scanner,
    Trainer,
    TrainingSettings,
)
from twinloop.registry import facets as facet_registry
from twinloop.registry import load_plugin
from twinloop.stages import pixels
from twinloop.stages.observe import Observer
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.vault.measure import VERSION as SCAN_VERSION
from twinloop.stages.vault.measure import PhotoMeasurer
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.scan import ScanPlan
from twinloop.store.clock import SystemClock
from twinloop.store.models_folder import ModelsReport, resolve_models_dir
from twinloop.store.vault import Vault

if TYPE_CHECKING:
    from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
    from twinloop.adapters.trainers.shared import SharedTrainer

NANO = "nano"
FAKE = "fake"
_MODELS = "models"
_MIN_FACE = 40
_MOST_WORKERS = 16
_NANO_HOME = Path(__file__).parent / "nano"
T = TypeVar("T")


def with_extra(what: str, extra: str, load: Callable[[], T]) -> T:
    """Run a lazy import; a missing library becomes the one line that installs it.

    Raises:
        MissingExtra: naming the extra.
    """
    try:
        return load()
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "twinloop":
            raise
        raise MissingExtra(what, extra, f"no module '{error.name}'") from error


def base_model_path(name: str) -> str:
    """The folder of the embedded base for the word ``nano``; everything else (hub id, folder, file) stays as it is."""
    return str(_NANO_HOME / "base") if name == NANO else name


def build_pack(models_dir: str) -> DetectorPack:
    """The detectors of a folder (``yolo:folder`` forces a pack), or the embedded pack for the word ``nano``, or the fakes for ``fake``.

    Raises:
        MissingModel: no such folder, or no face detector in it. UnsafeModelFile: a file there would run code.
    """
    if models_dir == FAKE:
        from twinloop.adapters.fakes import fake_pack

        return fake_pack()
    if models_dir == NANO:
        from twinloop.adapters.detectors.nano import load_nano_pack

        return load_nano_pack(nano_detectors_path())
    from twinloop.adapters.detectors.real_pack import open_real_pack

    try:
        name, folder = pack_and_folder(models_dir)
        return open_real_pack(Path(folder), name)
    except InputError as error:  # no such folder
        raise MissingModel(str(error)) from error


def nano_detectors_path() -> Path:
    """The folder of the embedded detectors."""
    return _NANO_HOME / "detectors"


def models_report(models_dir: str) -> ModelsReport | None:
    """What lies in a models folder; None for the embedded and fake packs and for a folder that does not exist. Opens no model."""
    folder = Path(pack_and_folder(models_dir)[1])
    return None if models_dir in (NANO, FAKE) or not folder.is_dir() else resolve_models_dir(folder)


def build_neighbour_search() -> NeighbourSearch:
    """The approximate index for very many faces.

    Raises:
        MissingExtra: its library is not installed.
    """

    def load() -> NeighbourSearch:
        from twinloop.adapters.neighbours.inverted_lists import InvertedLists

        return InvertedLists()

    return with_extra("Telling people apart among more than 100,000 faces", "large", load)


def build_scanner(models_dir: str, min_face: int, workers: int, timeout: float, memory: int) -> Scanner:
    """What looks at the files of a vault. Its models are opened when it is entered, in the processes that use them.

    Args:
        min_face: pixels. workers: processes; 0 = in this one, without protection. timeout: seconds a file. memory: megabytes a worker.

    Raises (on entering): as `build_pack`.
    """
    from twinloop.adapters.scanning.scanners import HereScanner, WorkerScanner
    from twinloop.adapters.scanning.supervisor import Limits

    if workers == 0:
        return HereScanner(lambda: PhotoMeasurer(build_pack(models_dir), min_face))
    arguments = {"models_dir": models_dir, "min_face": min_face}
    return WorkerScanner("twinloop.wiring:scan_worker", arguments, workers, Limits(timeout, memory))


def scan_plan(
    vault: Vault, add: Sequence[Path] = (), *, remove: Sequence[Path] = (), models_dir: str | None = None, min_face: int | None = None,
    workers: int | None = None, timeout: float = 30, memory: int = 2048,
) -> ScanPlan:  # fmt: skip
    """What to scan into a vault, and with what. None = as in its last scan, else the default.

    Args:
        add, remove: folders or files. min_face: pixels (40). workers: processes (one per core, 16 at most: each holds its own models).
        timeout: seconds a file. memory: megabytes that one file may take.
    """
    record = ScanRecord.read(vault) if vault.scan_record.exists() else None
    models = record.models_dir if record is not None and not models_dir else _from_anywhere(models_dir or _MODELS)
    least = min_face or (record.min_face if record is not None and record.min_face else _MIN_FACE)
    count = min(_MOST_WORKERS, usable_cores()) if workers is None else workers
    return ScanPlan(
        tuple(add), tuple(remove), models, least, scan_stamp(models, least), f"{timeout:g} s, {memory} MB",
        lambda: build_scanner(models, least, count, timeout, memory),
    )  # fmt: skip


def _from_anywhere(models_dir: str) -> str:
    """The same models folder for a later command, wherever that is started."""
    if models_dir in (NANO, FAKE):
        return models_dir
    _, folder = pack_and_folder(models_dir)
    return models_dir.removesuffix(folder) + os.path.abspath(folder)


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scan_worker(models_dir: str, min_face: int) -> tuple[bytes, ScanJob]:
    """What a worker of `build_scanner` calls to become ready."""
    from twinloop.adapters.scanning.scanners import scan_job

    return scan_job(PhotoMeasurer(build_pack(models_dir), min_face))


def scan_stamp(models_dir: str, min_face: int) -> str:
    """Changes whenever the fingerprint of a scan could; made without opening a model, from names, sizes and times of the model files."""
    report = models_report(models_dir)
    files = sorted(nano_detectors_path().glob("*.onnx")) if report is None else [model.path for model in report.found]
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    text = repr((SCAN_VERSION, pixels.VERSION, __version__, min_face, models_dir, seen))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def device_name() -> str:
    """Where models would run: the GPU's name, ``mps``, or ``cpu``; says so when PyTorch is missing."""
    try:
        import torch
    except ModuleNotFoundError:
        return "cpu (PyTorch is not installed; needed for generating and training)"
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"cuda ({torch.cuda.get_device_name(0)}, {memory:.0f} GiB)"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def chosen_facets(plugins: Sequence[str], names: Sequence[str] | None) -> tuple[tuple[Facet, ...], str]:
    """The facets in force and the fingerprint of the plug-ins they came from.

    Raises:
        InputError: a plug-in fails, or a name is unknown (the known ones are listed).
    """
    builtin_facets.register_builtin()
    fingerprint = "+".join(load_plugin(Path(path)) for path in plugins)
    wanted = facet_registry.names() if names is None else names
    return tuple(facet_registry.get(name) for name in wanted), fingerprint


def build_observer(models_dir: str, plugins: Sequence[str] = (), names: Sequence[str] | None = None) -> Observer:
    """The ruler for a models folder and a choice of facets.

    Raises:
        MissingModel: no face detector, and with it what stays unmeasured. InputError: unknown facet, failing plug-in.
    """
    facets, fingerprint = chosen_facets(plugins, names)
    try:
        return Observer(build_pack(models_dir), facets, fingerprint)
    except MissingModel as error:
        blind = [f"{facet.name} (needs {', '.join(facet.needs)})" for facet in facets if facet.needs]
        raise MissingModel(f"{error}\nNot measured: {'; '.join(blind)}.") from error


def generation_settings(settings: Settings, default: GenerationSettings) -> GenerationSettings:
    """The user's numbers over the preset's."""
    asked = settings.generation
    return replace(
        default,
        steps=asked.num_inference_steps or default.steps,
        guidance=default.guidance if asked.guidance_scale is None else asked.guidance_scale,
        width=asked.width or default.width,
        height=asked.height or default.height,
        batch_size=asked.batch_size or default.batch_size,
        lora_scale=asked.lora_scale,
        strength=asked.strength,
        extra_loras=tuple((lora.path, lora.scale) for lora in asked.extra_loras),
        scheduler=asked.scheduler or "",
        offload=asked.offload,
        vae_tiling=asked.vae_tiling,
    )


PRODIGY_RATE = 1.0
"""Prodigy multiplies its own estimate by the rate."""


def training_settings(settings: Settings, default: TrainingSettings, repeats: int, images: int) -> TrainingSettings:
    """The user's numbers over the preset's; ``epochs`` become steps by the number of images."""
    asked = settings.training
    given = {
        name: value
        for name in (field.name for field in fields(TrainingSettings) if field.name != "preset")
        if (value := getattr(asked, name, None)) is not None
    }
    given["memory"] = 0 if asked.memory == "auto" else asked.memory
    if asked.optimizer == "prodigy":
        given = {"learning_rate": PRODIGY_RATE, **given}
    chosen = replace(default, **given, seed=settings.seed, trigger=settings.person_trigger)
    if asked.steps is None and asked.epochs is not None:
        chosen = replace(chosen, steps=math.ceil(asked.epochs * repeats * images / chosen.effective_batch))
    return chosen


CAPTIONERS = ("template", "wd14", "blip", "florence2")
"""By name; ``template`` needs no model."""


def build_captioner(name: str, model: str, allow_download: bool = False, device: str = "auto") -> Captioner | None:
    """The captioner of that name, or None for the template alone.

    Args:
        model: its folder, or (not for ``wd14``) a hub id.

    Raises:
        InputError: unknown name, or no model named. MissingExtra, MissingModel, ModelFileError: it cannot be used; says why.
    """
    if name == "template":
        return None
    if name not in CAPTIONERS:
        raise InputError(f"Unknown captioner '{name}'. Known: {', '.join(CAPTIONERS)}.")
    if not model:
        raise InputError(f"Which {name} model? Name its folder: --captioner-model PATH")
    if name == "wd14":
        from twinloop.adapters.captioners.wd14 import WdTagger

        return WdTagger(Path(model))

    def load() -> Captioner:
        from twinloop.adapters.captioners import sentences

        return sentences.SentenceCaptioner(
            sentences.BLIP if name == "blip" else sentences.FLORENCE2, model, allow_download, device
        )

    return with_extra(f"Captioning with {name}", "train", load)


@dataclass(frozen=True)
class Makers:
    """What makes images and LoRAs on one base model. The base is loaded when the first image or training asks for it.

    Attributes:
        generation, training: the settings in force; ``training`` takes the number of images.
        style: of prompts, ``prose`` or ``tags``. base_model: as the user named it.
        notice: what the user should know about the preset, "" when nothing.
        forecast: what a training on so many images will need here, None where it cannot be told; loads the base.
        check: looks at base model, machine and LoRAs (those of the settings, and others that are named) before anything long starts.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    notice: str
    check: Callable[[Sequence[Path]], None]
    forecast: Callable[[int], Forecast | None]


def _unheard(text: str) -> None:
    """Nobody listens."""


def build_makers(settings: Settings, notice: Callable[[str], None] = _unheard) -> Makers:
    """Generator and trainer for the settings' base model.

    Args:
        notice: told what the user should know while a training goes on.

    Raises:
        InputError: unknown preset (the known ones are listed). Calling the makers: MissingExtra, MissingModel.
    """
    kit = _fake_kit() if settings.base_model == FAKE else _diffusers_kit(settings, notice)
    generation = generation_settings(settings, kit.preset.generation)

    def training(images: int) -> TrainingSettings:
        return training_settings(settings, kit.preset.training, kit.preset.repeats, images)

    return Makers(
        generator=kit.generator,
        trainer=kit.trainer,
        generation=generation,
        check=functools.partial(_check_makers, settings, generation),
        training=training,
        style=settings.generation.prompt_style or kit.preset.style,
        base_model=settings.base_model,
        notice=" ".join(text for text in (preset_name(settings.training.preset or "")[1], kit.preset.notice) if text),
        forecast=lambda images: kit.forecast(training(images), images),
    )


def _check_makers(settings: Settings, generation: GenerationSettings, loras: Sequence[Path] = ()) -> None:
    """Everything about the base model that can be known to fail without loading it.

    Raises:
        InputError, MissingModel, ModelFileError, MissingExtra: the first that cannot work, with the next step.
    """
    if settings.base_model == FAKE:
        return
    from twinloop.adapters.diffusion.preflight import Wanted, check

    given = [settings.training.initial_lora, *(path for path, _ in generation.extra_loras)]
    files = (*loras, *(Path(path) for path in given if path))
    _, family = _chosen(settings)
    wanted = Wanted(
        base_model_path(settings.base_model),
        family,
        settings.device,
        settings.precision,
        settings.allow_download,
        generation,
        files,
    )
    with_extra("Generating images and training", "train", lambda: check(wanted))


def _check_training(settings: Settings, training: TrainingSettings) -> None:
    """As `_check_makers`, about the training itself; other programs' trainers look after theirs."""
    if settings.base_model == FAKE or settings.training.trainer != "builtin":
        return
    from twinloop.adapters.trainers.preflight import check_training

    options = settings.device, settings.precision, settings.training.processes
    with_extra("Training a LoRA", "train", lambda: check_training(training, *options))


def _chosen(settings: Settings) -> tuple[str, Family]:
    """The preset in force and its family; plug-ins may bring families of their own."""
    for path in settings.analysis.plugins:
        load_plugin(Path(path))
    name, _ = preset_name(settings.training.preset or preset_for(settings.base_model))
    return name, family_of(settings.base_model, name)


def base_family(settings: Settings) -> Family:
    """The family of the settings' base model; nothing is loaded.

    Raises:
        InputError: unknown preset.
    """
    return _chosen(settings)[1]


@dataclass(frozen=True)
class _Kit:
    """What one kind of base model brings."""

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    preset: Preset
    forecast: Callable[[TrainingSettings, int], Forecast | None]


def _no_forecast(settings: TrainingSettings, images: int) -> None:
    """Other programs' trainings, and the fakes', are not looked into."""


def _diffusers_kit(settings: Settings, notice: Callable[[str], None]) -> _Kit:
    name, family = _chosen(settings)
    base = base_model_path(settings.base_model)

    @functools.cache
    def generator() -> Generator:
        def load() -> Generator:
            from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator

            return DiffusersGenerator(
                base,
                family,
                device=settings.device,
                allow_download=settings.allow_download,
                precision=settings.precision,
            )

        return with_extra("Generating images", "train", load)

    @functools.cache
    def trainer() -> DiffusersLoraTrainer | SharedTrainer:
        def load() -> DiffusersLoraTrainer | SharedTrainer:
            from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

            if settings.training.processes > 1:
                from twinloop.adapters.trainers.job import BaseChoice
                from twinloop.adapters.trainers.shared import SharedTrainer

                choice = BaseChoice(base, name, settings.device, settings.allow_download, settings.precision, settings.analysis.plugins)
                return SharedTrainer(choice, settings.training.processes, notice)

            return DiffusersLoraTrainer(
                base,
                family,
                device=settings.device,
                allow_download=settings.allow_download,
                precision=settings.precision,
                notice=notice,
            )

        return with_extra("Training a LoRA", "train", load)

    if settings.training.trainer != "builtin":
        return _Kit(generator, functools.cache(lambda: _external_trainer(settings, family)), family.preset(name), _no_forecast)
    return _Kit(generator, trainer, family.preset(name), lambda training, images: trainer().forecast(training, images))


def _external_trainer(settings: Settings, family: Family) -> Trainer:
    """Another program on this machine, behind the same port.

    Raises:
        MissingTool: it is not where the configuration says. InputError: the embedded base, which only this program trains.
    """
    from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
    from twinloop.adapters.trainers.external.kohya import Kohya
    from twinloop.adapters.trainers.external.tool import Tool, locate
    from twinloop.adapters.trainers.external.trainer import ExternalTrainer

    asked = settings.training
    if settings.base_model == NANO:
        raise InputError(f'training.trainer: {asked.trainer} cannot train the embedded base. Use "trainer": "builtin".')
    tool: Tool = Kohya() if asked.trainer == "kohya" else AiToolkit()
    installed = locate(tool, asked.trainer_path, asked.trainer_python, asked.extra_args)
    return ExternalTrainer(tool, installed, settings.base_model, family, allow_download=settings.allow_download)


def _fake_kit() -> _Kit:
    """The same loop without any model: instant, deterministic, for dry runs and tests."""
    from twinloop.adapters.fakes import FakeGenerator, FakeTrainer

    generator, trainer = FakeGenerator(), FakeTrainer()
    preset = Preset(
        GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=4),
        TrainingSettings(
            preset=FAKE, steps=6, rank=4, alpha=4.0, learning_rate=1e-3, batch_size=4, resolution=64, seed=0
        ),
    )
    return _Kit(lambda: generator, lambda: trainer, preset, _no_forecast)


def build_toolbox(settings: Settings, reporter: Reporter) -> Toolbox:
    """Everything a run needs."""
    makers = build_makers(settings, reporter.warn)
    if makers.notice:
        reporter.warn(makers.notice)
    if settings.training.trainer != "builtin":
        makers.trainer()  # whether that program is there is known at once
    makers.check(())
    _check_training(settings, makers.training(1))
    return Toolbox(
        observer=build_observer(settings.models_dir, settings.analysis.plugins, settings.analysis.facets),
        generator=makers.generator,
        trainer=makers.trainer,
        generation=makers.generation,
        training=makers.training,
        style=makers.style,
        base_model=makers.base_model,
        clock=SystemClock(),
        reporter=reporter,
        forecast=makers.forecast,
    )
