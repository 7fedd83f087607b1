"""Everything about a configuration that can be known to be wrong, in one pass: fields, preset, folders, files; machine
and base model on request.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinloop.config import Settings, parse_settings, salvaged_settings
from twinloop.domain.choices import BUILT_IN, FAKE
from twinloop.domain.model_roles import pack_and_folder
from twinloop.domain.names import folded, problem_of
from twinloop.errors import ConfigError, InputError, StorageError
from twinloop.stages.masks import check_masks
from twinloop.stages.samples import without_prior
from twinloop.store.atomic import check_writable_folder
from twinloop.store.run.workspace import lies_in, same_place, workspace_of
from twinloop.store.vault.renamed import new_place
from twinloop.system import shell
from twinloop.wiring.kits import chosen_family
from twinloop.wiring.makers import build_makers
from twinloop.wiring.obstacles import NOT_HERE, obstacles, without_downloads


def check_config(data: Any, source: str, wholly: bool = False, planning: bool = False) -> Settings:
    """Settings from parsed JSON, as `parse_settings`, whose preset and places are there.

    Args:
        wholly: also what keeps base model, machine and trainer from working, which imports large libraries.
        planning: what is only not here is no mistake, and nothing is fetched: a base model, a library, a trainer's
            program, a GPU, and the files and folders of `absent_files`.

    Raises:
        ConfigError: all mistakes at once, each with its field and what was expected.
    """
    problems: list[str] = []
    try:
        settings, wrong = parse_settings(data, source), frozenset[str]()
    except ConfigError as error:
        if not isinstance(data, dict):
            raise
        problems += error.problems
        settings, wrong = salvaged_settings(data)
    places = _places(settings, Path(source).parent)
    problems += [f"{field}: {problem}" for field, problem in places if field not in wrong]
    if not planning:
        gone = absent_files(settings, Path(source).parent)
        problems += [f"{field}: {problem}" for field, problem in gone if field not in wrong]
    preset = list(_preset(settings))
    problems += preset
    if wholly and not preset and "base_model" not in wrong and _plugins_are_here(settings):
        asked = with_files_that_are_here(without_downloads(settings) if planning else settings)
        found = obstacles(asked, build_makers(asked))
        problems += [str(error) for error in found if not (planning and isinstance(error, NOT_HERE))]
    masks = settings.training.masks
    if wholly and masks and Path(masks).is_dir() and not problems:
        problems += _masks(masks, settings.dataset_dir)
    if problems:
        raise ConfigError(source, problems)
    return settings


def _places(settings: Settings, beside: Path) -> Iterator[tuple[str, str]]:
    """Folders and files that are named and not there, or cannot be written: (field, what is wrong).

    Args:
        beside: the folder of the configuration.
    """
    for field, folder in (("output_dir", Path(settings.output_dir)), ("lora_output_dir", settings.lora_dir)):
        try:
            check_writable_folder(folder)
        except (InputError, StorageError) as error:
            yield field, str(error)
        if around := _read_around(folder, settings):
            yield field, around
    if absent := no_photos(settings, beside):
        yield "dataset_dir", absent
    if settings.models_dir not in BUILT_IN:
        try:
            written = pack_and_folder(settings.models_dir)[1]
        except InputError as error:
            yield "models_dir", str(error)
        else:
            folder, pack = Path(written), settings.models_dir.removesuffix(written)
            if not folder.is_dir():
                yield (
                    "models_dir",
                    f"no such folder: {folder}. {_meant(folder, beside, pack)}What belongs there: twinloop models list;"
                    " or use the word 'nano'.",
                )
    prior = settings.training.prior_images
    if prior and Path(prior).is_dir() and (empty := without_prior(Path(prior))):
        yield "training.prior_images", empty
    for path in settings.analysis.plugins:
        if not Path(path).is_file():
            yield "analysis.plugins", f"no such file: {path}. {_meant(Path(path), beside)}".rstrip()


def _read_around(folder: Path, settings: Settings) -> str:
    """What to say of a folder of outputs in one whose pictures a run reads; "" = it is in none.

    The folders that ``--restart`` keeps under other names are read like any others: images that were rejected would be
    trained on.
    """
    training = settings.training
    for field, read in (
        ("dataset_dir", settings.dataset_dir),
        ("training.prior_images", training.prior_images),
        ("training.masks", training.masks),
    ):
        if read and lies_in(folder, Path(read)):
            there = folder.is_dir() and not same_place(folder, Path(read))
            moved = f" Move {folder}, which is there already, out of it as well." if there else ""
            return (
                f"{folder} lies in the folder of {field} ({read}), whose pictures are read: sooner or later the images"
                f" of a run would be among them. Name a folder outside of it.{moved}"
            )
    return ""


def absent_files(settings: Settings, beside: Path) -> Iterator[tuple[str, str]]:
    """Files and folders of trainings and images that are named and not there, which gaps and prompts do not need:
    (field, what is wrong).

    Args:
        beside: the folder of the configuration.
    """
    for name in ("prior_images", "masks"):
        others = getattr(settings.training, name)
        if others and not Path(others).is_dir():
            yield f"training.{name}", f"no such folder: {others}. {_meant(Path(others), beside)}".rstrip()
    files = [(f"training.{name}", getattr(settings.training, name)) for name in _LORAS]
    files += [("generation.extra_loras", lora.path) for lora in settings.generation.extra_loras]
    for field, path in files:
        if path and not Path(path).is_file():
            yield field, f"no such file: {path}. {_meant(Path(path), beside)}".rstrip()


_LORAS = ("initial_lora", "start_from", "assistant_lora")
"""Fields of ``training`` that name a LoRA."""


def with_files_that_are_here(settings: Settings) -> Settings:
    """The same settings without the LoRAs whose absence `absent_files` tells with the field."""
    training, generation = settings.training, settings.generation
    gone = [name for name in _LORAS if (path := getattr(training, name)) and not Path(path).is_file()]
    here = tuple(lora for lora in generation.extra_loras if Path(lora.path).is_file())
    return settings.model_copy(
        update={
            "training": training.model_copy(update=dict.fromkeys(gone)),
            "generation": generation.model_copy(update={"extra_loras": here}),
        }
    )


def no_photos(settings: Settings, beside: Path | None = None) -> str:
    """What to say where the folder with the person's photos is not there, with a way to it; "" = it is there.

    Args:
        beside: the folder of the configuration; None = there is none.
    """
    folder = Path(settings.dataset_dir)
    if folder.is_dir():
        return ""
    if beside is not None and (meant := _meant(folder, beside)):
        return f"no such folder: {folder}{_seen_from(settings.dataset_dir)}. {meant.rstrip()}"
    if (moved := new_place(folder)) is not None:
        begun = workspace_of(settings).dataset(0).exists()
        return (
            f"no such folder: {folder}. The person got another name in the vault, and the training set is in {moved}"
            f' now: write "dataset_dir": "{moved.as_posix()}"'
            + (", and start the run, which began with the old place, anew with --restart" if begun else "")
        )
    around = folder.parent
    others = sorted(path.name for path in around.iterdir() if path.is_dir()) if around.is_dir() else []
    alike = [name for name in others if folded(name) == folded(folder.name)]
    found = " and ".join(str(around / name) for name in alike)
    meant = f" There is {found}; upper and lower case count." if found else ""
    name = "NAME" if problem_of(settings.person_name) else settings.person_name
    return (
        f"no such folder: {folder}{_seen_from(settings.dataset_dir)}.{meant} Put photos of the person there, correct"
        f" it, or let FaceVault gather them from your pictures: twinloop vault run FOLDER --person {shell.quote(name)}"
    )


def _masks(folder: str, photos: str) -> list[str]:
    """What is wrong with the masks of the photos; all of them are read."""
    try:
        check_masks(Path(folder), Path(photos))
    except InputError as error:
        return [str(error)]
    return []


def _plugins_are_here(settings: Settings) -> bool:
    """Whether the families and facets that plug-in files bring can be known; `_places` tells of those that are not."""
    return all(Path(path).is_file() for path in settings.analysis.plugins)


def _preset(settings: Settings) -> Iterator[str]:
    """Why there is no preset for this base model, or a plug-in that is there fails."""
    if settings.base_model == FAKE or not _plugins_are_here(settings):
        return
    try:
        chosen_family(settings)
    except InputError as error:
        yield str(error)


def _seen_from(place: str) -> str:
    """Where a relative path was looked for."""
    return "" if Path(place).is_absolute() else f" (in {Path.cwd()}: paths are relative to the working directory)"


def _meant(place: Path, beside: Path, before: str = "") -> str:
    """Of a relative path that leads to nothing, how to reach it where it lies beside the configuration; "" = it does
    not.

    Args:
        before: what the field holds before the path.
    """
    found = beside.absolute() / place
    if place.is_absolute() or not found.exists():
        return ""
    there = shell.quote(str(beside.absolute()))
    return f"It lies beside the configuration: write {before}{found.as_posix()}, or go there first (cd {there}). "
