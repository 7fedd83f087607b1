"""``twinloop doctor``: what is installed, which models are there, what is measured, where is computed."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop import __version__
from twinloop.cli import options
from twinloop.cli.command import Command, Finished
from twinloop.cli.settings_from_flags import add_facet_files
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import NANO
from twinloop.domain.extras import EXTRAS, PURPOSES
from twinloop.domain.wording import plural
from twinloop.errors import NOTHING_MEASURED, ConfigError, TwinLoopError, pip_line

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.domain.choices import Subject
    from twinloop.ports import DetectorPack, FilledPort
    from twinloop.stages.observe import Observer

CORE = ("numpy", "pillow", "pillow-heif", "opencv-python-headless", "onnxruntime", "safetensors", "pydantic")
"""Of the libraries that come without an extra, those whose versions may matter to somebody."""


def configure(parser: argparse.ArgumentParser) -> None:
    options.add_models_dir(parser)
    options.add_facets(parser)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="also say what the training of this configuration needs: memory, disk, time; loads its base model",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop import wiring

    libraries = {"core": CORE, **{extra: tuple(names) for extra, names in EXTRAS.items()}}
    installed = {extra: {name: _version(name) for name in names} for extra, names in libraries.items()}
    device = wiring.device_name()
    terminal.line(f"twinloop {__version__}, Python {platform.python_version()}, computes on: {device}")
    if unused := wiring.unused_gpu():
        terminal.warn(unused)
    settings, wrong, plannable = (None, None, False) if args.config is None else _checked(args)
    # what a configuration lacks is among its mistakes
    for extra, versions in installed.items():
        _say_libraries(extra, versions, extra == "core", terminal)
    forecast = {}
    if settings is not None and plannable:
        forecast = _training(args.config, settings, wrong is not None, terminal)
    models_dir = args.models_dir or (settings.models_dir if settings is not None else "models")
    files = tuple(args.facet or ())
    plugins, facets = (files, None) if settings is None else (settings.analysis.plugins, settings.analysis.facets)
    subject: Subject = "person" if settings is None else settings.subject
    faces = settings is None or settings.validation.faces
    detectors = _detectors(models_dir, plugins, facets, terminal, subject, faces)
    masks = _masks(models_dir, subject, terminal)
    if wrong is not None:
        raise wrong
    result = {
        **forecast,
        "twinloop": __version__,
        "python": platform.python_version(),
        "device": device,
        "installed": installed,
        **detectors,
        "masks": masks,
    }
    return result if detectors["facets"] else Finished(result, NOTHING_MEASURED)


def _checked(args: argparse.Namespace) -> tuple[Settings | None, ConfigError | None, bool]:
    """The configuration as far as it is right, with models folder and facets of the command line; all that is wrong
    with it; and whether that is only what keeps base model, machine or trainer from working."""
    from twinloop import wiring
    from twinloop.config import read_config, salvaged_settings

    data = read_config(args.config)
    if isinstance(data, dict):
        add_facet_files(data, args.facet)
        if args.models_dir is not None:
            data["models_dir"] = args.models_dir
    try:
        return wiring.check_config(data, str(args.config), wholly=True), None, True
    except ConfigError as error:
        try:
            return wiring.check_config(data, str(args.config)), error, True
        except ConfigError:
            return salvaged_settings(data)[0] if isinstance(data, dict) else None, error, False


def _training(config: Path, settings: Settings, kept: bool, terminal: Terminal) -> dict[str, Any]:
    """What the configuration's training needs here, and which memory budget suffices for it.

    ``kept``: something keeps it from starting.
    """
    from twinloop import wiring
    from twinloop.stages import faceless
    from twinloop.stages.caption_style import remarks_on_captions
    from twinloop.stages.preflight import remarks_on_training
    from twinloop.store.pictures.dataset_folders import subject_images
    from twinloop.store.pictures.images import upright_sizes

    makers = wiring.build_makers(settings, terminal.warn)
    files = subject_images(Path(settings.dataset_dir), settings.training.prior_images, settings.training.masks)
    chosen = _chosen(settings) if files else None
    photos = files if chosen is None else chosen
    images = len(photos)
    training = makers.training(max(1, images))
    sizes = upright_sizes(photos)
    forecast = None if kept else makers.forecast(max(1, images), sizes=sizes)
    if forecast is not None:  # the base is loaded: it knows its sampler, as where a run begins
        makers.generator().check(makers.generation)
    terminal.line(f"\nTraining of {config} on {_counted(chosen, len(files))}, {training.steps} steps:")
    if makers.notice:
        terminal.warn(makers.notice)
    for remark in remarks_on_training(settings, training, makers.usual_steps, images):
        terminal.warn(remark)
    folder, trigger = Path(settings.dataset_dir), settings.person_trigger
    for remark in remarks_on_captions(folder, trigger, makers.voice.style, settings.base_model):
        terminal.warn(remark)
    needs_faces = settings.validation.faces and not settings.analysis.keep_all
    if needs_faces and (bare := faceless.foreseen(Path(settings.dataset_dir))):
        terminal.warn(bare)
    if small := wiring.remark_on_photos(settings, training, sizes):
        terminal.warn(small)
    licence = makers.family.licence if makers.family is not None and settings.base_model != NANO else None
    if licence is not None:
        terminal.line(f"  - Licence: {licence}")
    with suppress(TwinLoopError):  # what keeps the trainer from working is among the mistakes
        for note in makers.trainer_notes(training):
            terminal.warn(note)
    if kept:
        terminal.line(
            f"  - rank {training.rank}, {training.resolution} px; prompts and captions as {makers.voice.style}"
        )
        terminal.line(
            "  - memory and time cannot be told before it can start: see the mistakes at the end; docs/recipes.md says"
            " what the usual models need on which cards"
        )
        return {"training": None, "licence": licence}
    if forecast is None:
        terminal.line("  - what it needs cannot be told for this base model or trainer")
        return {"training": None, "licence": licence}
    for line in (forecast.line, *forecast.details):
        terminal.line(f"  - {line}")
    return {"training": forecast.to_json(), "licence": licence}


def _chosen(settings: Settings) -> Sequence[Path] | None:
    """The photos of the dataset that a run would learn from, where all of them were measured before with the same
    detectors; None = that is not known.
    """
    from twinloop import wiring
    from twinloop.errors import StateError, StorageError
    from twinloop.steps import recall_folder
    from twinloop.store.run.catalog import Catalog
    from twinloop.store.run.workspace import workspace_of

    places = [path for path in (workspace_of(settings).catalog, options.CATALOG) if path.is_file()]
    if not places:
        return None
    try:
        observer = wiring.observer_of(settings)
    except TwinLoopError:  # is told with the detectors
        return None
    for place in places:
        with suppress(StateError, StorageError), Catalog(place, reading=True) as catalog:
            found = recall_folder(Path(settings.dataset_dir), settings, observer, catalog)
            if found is not None:
                return [photo.path for photo in found.selection.photos]
    return None


def _counted(chosen: Sequence[Path] | None, files: int) -> str:
    """What a training would be on: of photos that were measured it is known which are left out."""
    if chosen is None:
        return f"{plural(files, 'file')}, before photos are left out (a dry run of the run counts them)"
    gone = files - len(chosen)
    return plural(len(chosen), "image") + (f" ({gone} of {plural(files, 'file')} left out)" if gone else "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _say_libraries(extra: str, versions: Mapping[str, str | None], needed: bool, terminal: Terminal) -> None:
    """One line of what is there; what is not is warned of only where it is needed."""
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    absent = [name for name, version in versions.items() if version is None]
    if not absent:
        terminal.line(f"{extra}: {there}")
        return
    purpose = f" (for {PURPOSES[extra]})" if extra in PURPOSES else ""
    if not there:
        terminal.line(f"{extra}: not installed{purpose}")
    else:
        terminal.line(f"{extra}: {there}; not installed: {', '.join(absent)}{purpose}")
    if needed:
        line = pip_line() if extra == "core" else pip_line(extra)
        terminal.warn(f"not installed: {', '.join(absent)}. Install: {line}")


def _detectors(
    models_dir: str,
    plugins: tuple[str, ...],
    wanted: tuple[str, ...] | None,
    terminal: Terminal,
    subject: Subject,
    faces: bool,
) -> dict[str, Any]:
    """What the detectors of a folder measure; a folder without any is a finding here: all else is told as well."""
    from twinloop import wiring

    terminal.line(f"\nDetectors in {models_dir}:")
    try:
        observer = wiring.build_observer(models_dir, plugins, wanted, subject, faces)
    except TwinLoopError as error:
        files = _files(models_dir, None, terminal)
        terminal.warn(str(error))
        usual = _usual(models_dir, terminal)
        return {
            "models_dir": models_dir,
            "files": files,
            "facets": {},
            "missing_models": [str(error)],
            "usual_files": usual,
        }
    files = _files(models_dir, observer.pack, terminal)
    usual = _usual(models_dir, terminal, observer.pack.choices)
    missing = list(observer.pack.missing)
    for line in missing:
        terminal.warn(line)
    for line in observer.pack.optional:
        terminal.line(f"Optional: {line}")
    facets = _facets(observer)
    terminal.line("\nFacets:")
    for name, state in facets.items():
        terminal.line(f"  - {name}: {state}")
    identity = "identity" in observer.measured
    terminal.line(f"  - identity of the person: {'measured' if identity else 'not measured'}{_by_whom(observer.pack)}")
    return {
        "models_dir": models_dir,
        "pack": observer.pack.name,
        "choices": [
            {"port": c.port, "what": c.what, "files": [str(path) for path in c.files]} for c in observer.pack.choices
        ],
        "files": files,
        "facets": facets,
        "identity": identity,
        "missing_models": missing,
        "optional_models": list(observer.pack.optional),
        "usual_files": usual,
    }


def _masks(models_dir: str, subject: Subject, terminal: Terminal) -> dict[str, str | None]:
    """Which network of the folder makes masks of photos; nothing of it where a built-in pack is asked for."""
    from twinloop import wiring
    from twinloop.domain.choices import BUILT_IN

    if models_dir in BUILT_IN:
        return {"network": None, "file": None, "problem": None}
    try:
        network = wiring.chosen_network(models_dir, drawn=subject == "character")
    except TwinLoopError as error:
        terminal.line(f"\nMasks of photos (twinloop masks): none can be made. {error}")
        return {"network": None, "file": None, "problem": str(error)}
    terminal.line(f"\nMasks of photos (twinloop masks): by {network.path.name} ({network.kind.name})")
    return {"network": network.kind.name, "file": str(network.path), "problem": None}


def _usual(models_dir: str, terminal: Terminal, choices: Sequence[FilledPort] = ()) -> list[dict[str, Any]]:
    """The files that guides name; nothing of them where a built-in pack is asked for."""
    from twinloop.cli.models import usual_lines
    from twinloop.domain.choices import BUILT_IN
    from twinloop.domain.model_roles import pack_and_folder
    from twinloop.stages.model_files.usual import usual_files

    if models_dir in BUILT_IN:
        return []
    pack, folder = pack_and_folder(models_dir)
    found = list(usual_files(Path(folder), choices, pack))
    for line in usual_lines(found):
        terminal.line(line)
    return [usual.to_json() for usual in found]


def _by_whom(pack: DetectorPack) -> str:
    """Which embedder tells people apart, how sure its limits are, and what its licence asks; "" where no file was
    chosen for it.
    """
    from twinloop.domain.embedders import embedder_called

    what = next((choice.what for choice in pack.choices if choice.port == "identity"), "")
    kind = embedder_called(what)
    if kind is None:
        return ""
    return "; ".join(filter(None, (f" by {kind.name}", f"its limits are {kind.limits_from}", kind.notice)))


def _files(models_dir: str, pack: DetectorPack | None, terminal: Terminal) -> list[dict[str, str]]:
    """Every model file and what became of it; the choice of the pack in one line."""
    from twinloop import wiring
    from twinloop.domain.model_roles import pack_and_folder
    from twinloop.stages.model_files.state import State, file_states

    report = wiring.models_report(models_dir)
    if report is None:
        if pack is not None:
            terminal.line(f"  - the pack {pack.name}, which needs no files")
        return []
    opened = {path for choice in pack.choices for path in choice.files} if pack is not None else set()
    states = list(file_states(report, opened, pack_and_folder(models_dir)[0], pack))
    if not states:
        terminal.line("  none: no model file lies there")
    for found in states:
        say = terminal.warn if found.state is State.UNSAFE else terminal.line
        say(f"  - {found.path}: {found.state} ({found.detail})")
    if pack is not None:
        terminal.line(pack.spoken)
    return [{"path": str(found.path), "state": found.state, "detail": found.detail} for found in states]


def _facets(observer: Observer) -> dict[str, str]:
    from twinloop.domain.model_roles import UNREAD_ON_DRAWINGS, why_blind

    states = {}
    for facet in observer.facets:
        blind = [need for need in facet.needs if need not in observer.measured]
        some = facet.multiple and len(blind) < len(facet.needs)
        why = UNREAD_ON_DRAWINGS if blind and observer.pack.unread.issuperset(blind) else why_blind(blind)
        lacking = f"{'partly' if some else 'not'} measured ({why})"
        states[facet.name] = lacking if blind else "measured"
    return states


COMMAND = Command("doctor", "Say what is installed, which models are found and what they measure.", configure, run)
