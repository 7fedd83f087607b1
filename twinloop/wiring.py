"""Settings -> toolbox: the only importer of adapters. A missing extra becomes one error that names the pip line."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from twinloop import facets as builtin_facets
from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.errors import InputError, MissingExtra, MissingModel
from twinloop.families import Preset, family_of, preset_for, preset_name
from twinloop.ports import DetectorPack, GenerationSettings, Generator, Reporter, Trainer, TrainingSettings
from twinloop.registry import facets as facet_registry
from twinloop.registry import load_plugin
from twinloop.stages.observe import Observer
from twinloop.stages.toolbox import Toolbox
from twinloop.store.clock import SystemClock

NANO = "nano"
FAKE = "fake"
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
    """The detectors of a folder, or the embedded pack for the word ``nano``, or the fakes for ``fake``.

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
        return open_real_pack(Path(models_dir))
    except InputError as error:  # no such folder
        raise MissingModel(str(error)) from error


def nano_detectors_path() -> Path:
    """The folder of the embedded detectors."""
    return _NANO_HOME / "detectors"


def model_files(models_dir: str) -> list[str]:
    """One line for every model file that is recognised in a folder; broken ones with their complaint. Opens no model."""
    if models_dir in (NANO, FAKE):
        return [f"the {'embedded' if models_dir == NANO else 'fake'} pack"]
    from twinloop.adapters.detectors.resolver import resolve_models_dir

    if not Path(models_dir).is_dir():
        return []
    found = resolve_models_dir(Path(models_dir)).found
    return [f"{model.path}: {model.role}" + (f" ({model.problem})" if model.problem else "") for model in found]


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
    )


def training_settings(settings: Settings, default: TrainingSettings, repeats: int, images: int) -> TrainingSettings:
    """The user's numbers over the preset's; ``epochs`` become steps by the number of images."""
    asked = settings.training
    batch = asked.batch_size or default.batch_size
    steps = asked.steps
    if steps is None and asked.epochs is not None:
        steps = math.ceil(asked.epochs * repeats * images / batch)
    return replace(
        default,
        steps=steps or default.steps,
        rank=asked.rank or default.rank,
        alpha=asked.alpha or default.alpha,
        learning_rate=asked.learning_rate or default.learning_rate,
        batch_size=batch,
        resolution=asked.resolution or default.resolution,
        checkpoint_every=asked.checkpoint_every or default.checkpoint_every,
        seed=settings.seed,
    )


@dataclass(frozen=True)
class Makers:
    """What makes images and LoRAs on one base model. The base is loaded when the first image or training asks for it.

    Attributes:
        generation, training: the settings in force; ``training`` takes the number of images.
        style: of prompts, ``prose`` or ``tags``. base_model: as the user named it.
        notice: what the user should know about the preset, "" when nothing.
    """

    generator: Callable[[], Generator]
    trainer: Callable[[], Trainer]
    generation: GenerationSettings
    training: Callable[[int], TrainingSettings]
    style: str
    base_model: str
    notice: str


def build_makers(settings: Settings) -> Makers:
    """Generator and trainer for the settings' base model.

    Raises:
        InputError: unknown preset (the known ones are listed). Calling the makers: MissingExtra, MissingModel.
    """
    generator, trainer, preset = _fake_makers() if settings.base_model == FAKE else _diffusers_makers(settings)
    return Makers(
        generator=generator,
        trainer=trainer,
        generation=generation_settings(settings, preset.generation),
        training=lambda images: training_settings(settings, preset.training, preset.repeats, images),
        style=settings.generation.prompt_style or preset.style,
        base_model=settings.base_model,
        notice=" ".join(text for text in (preset_name(settings.training.preset or "")[1], preset.notice) if text),
    )


def _diffusers_makers(settings: Settings) -> tuple[Callable[[], Generator], Callable[[], Trainer], Preset]:
    name, _ = preset_name(settings.training.preset or preset_for(settings.base_model))
    family = family_of(settings.base_model, name)
    base = base_model_path(settings.base_model)

    @functools.cache
    def generator() -> Generator:
        def load() -> Generator:
            from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator

            return DiffusersGenerator(base, family, device=settings.device, allow_download=settings.allow_download)

        return with_extra("Generating images", "train", load)

    @functools.cache
    def trainer() -> Trainer:
        def load() -> Trainer:
            from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer

            return DiffusersLoraTrainer(base, family, device=settings.device, allow_download=settings.allow_download)

        return with_extra("Training a LoRA", "train", load)

    return generator, trainer, family.preset(name)


def _fake_makers() -> tuple[Callable[[], Generator], Callable[[], Trainer], Preset]:
    """The same loop without any model: instant, deterministic, for dry runs and tests."""
    from twinloop.adapters.fakes import FakeGenerator, FakeTrainer

    generator, trainer = FakeGenerator(), FakeTrainer()
    preset = Preset(
        GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=4),
        TrainingSettings(
            preset=FAKE, steps=6, rank=4, alpha=4.0, learning_rate=1e-3, batch_size=4, resolution=64, seed=0
        ),
    )
    return lambda: generator, lambda: trainer, preset


def build_toolbox(settings: Settings, reporter: Reporter) -> Toolbox:
    """Everything a run needs."""
    makers = build_makers(settings)
    if makers.notice:
        reporter.warn(makers.notice)
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
    )
