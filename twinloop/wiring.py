"""Settings -> toolbox: the only importer of adapters. A missing extra becomes one error that names the pip line."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from twinloop import facets as builtin_facets
from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.errors import MissingExtra
from twinloop.families import Family, family_of
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
    """The detectors of a folder, or the embedded pack for the word ``nano``, or the fakes for ``fake``."""
    if models_dir == FAKE:
        from twinloop.adapters.fakes import fake_pack

        return fake_pack()
    if models_dir == NANO:
        from twinloop.adapters.detectors.nano import load_nano_pack

        return load_nano_pack(_NANO_HOME / "detectors")
    from twinloop.adapters.detectors.real_pack import open_real_pack

    return open_real_pack(Path(models_dir))


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
    """The ruler for a models folder and a choice of facets."""
    facets, fingerprint = chosen_facets(plugins, names)
    return Observer(build_pack(models_dir), facets, fingerprint)


def generation_settings(settings: Settings, family: Family) -> GenerationSettings:
    """The user's numbers over the family's defaults."""
    asked, default = settings.generation, family.generation(settings.training.preset)
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


def training_settings(settings: Settings, family: Family, images: int) -> TrainingSettings:
    """The user's numbers over the preset's; ``epochs`` become steps by the number of images.

    Raises:
        InputError: unknown preset (the known ones are listed).
    """
    asked, default = settings.training, family.training(settings.training.preset)
    batch = asked.batch_size or default.batch_size
    steps = asked.steps
    if steps is None and asked.epochs is not None:
        steps = math.ceil(asked.epochs * family.repeats(settings.training.preset) * images / batch)
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


def build_toolbox(settings: Settings, reporter: Reporter) -> Toolbox:
    """Everything a run needs. The base model is loaded when the first image or training asks for it."""
    if settings.base_model == FAKE:
        return fake_toolbox(settings, reporter)
    family = family_of(settings.base_model, settings.training.preset)
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

    return Toolbox(
        observer=build_observer(settings.models_dir, settings.analysis.plugins, settings.analysis.facets),
        generator=generator,
        trainer=trainer,
        generation=generation_settings(settings, family),
        training=lambda images: training_settings(settings, family, images),
        style=settings.generation.prompt_style or family.prompt_style(settings.training.preset),
        base_model=settings.base_model,
        clock=SystemClock(),
        reporter=reporter,
    )


def fake_toolbox(settings: Settings, reporter: Reporter) -> Toolbox:
    """The same loop without any model: instant, deterministic, for dry runs and tests."""
    from twinloop.adapters.fakes import FakeGenerator, FakeTrainer

    generator, trainer = FakeGenerator(), FakeTrainer()
    steps = settings.training.steps or 6
    training = TrainingSettings(
        preset="fake", steps=steps, rank=4, alpha=4.0, learning_rate=1e-3, batch_size=4, resolution=64, seed=settings.seed
    )
    return Toolbox(
        observer=build_observer(FAKE, settings.analysis.plugins, settings.analysis.facets),
        generator=lambda: generator,
        trainer=lambda: trainer,
        generation=GenerationSettings(steps=2, guidance=1.0, width=64, height=64, batch_size=4),
        training=lambda images: training,
        style=settings.generation.prompt_style or "prose",
        base_model=FAKE,
        clock=SystemClock(),
        reporter=reporter,
    )
