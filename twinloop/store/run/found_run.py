"""A run by its folder alone: where its LoRAs are, which lie elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twinloop.store.atomic import read_object
from twinloop.store.models.step_saves import is_step_save
from twinloop.store.run.owner import another_run
from twinloop.store.run.workspace import Workspace


def found_run(folder: Path) -> Workspace:
    """The run of a folder with its LoRAs: where its history names them, else where they are written by default.

    Artefacts hold paths relative to the folder that the run was started in, so a path is tried from the run's parents
    too, as for pictures. Where no LoRA is found the folder stands for theirs: then the page is written from what the
    history holds.
    """
    return Workspace(folder, next((place for place in _places(folder) if _holds_loras_of(folder, place)), folder))


def _places(folder: Path) -> Iterator[Path]:
    named = _named(folder)
    if named is None:
        return
    if not named.is_absolute():
        # first: a copy of a run has its own beside it
        yield from (parent / named for parent in folder.resolve().parents)
    yield named


def _named(folder: Path) -> Path | None:
    """The folder of the LoRAs as an artefact names it, or by the person's name."""
    space = Workspace(folder, folder)
    loras = read_object(space.history).get("loras")
    if isinstance(loras, list) and loras and isinstance(loras[0], dict) and isinstance(loras[0].get("path"), str):
        return Path(loras[0]["path"]).parent
    settings = read_object(space.run_record).get("settings")
    person = settings.get("person_name") if isinstance(settings, dict) else None
    return Path("outputs", "lora_models", person) if isinstance(person, str) and person else None


def _holds_loras_of(folder: Path, place: Path) -> bool:
    """Whether these are the run's: a second run of the same person may have the same place.

    The folder says whose they are, and the record of v1 names its dataset.
    """
    if all(is_step_save(path) for path in place.glob("lora_v*.safetensors")):
        return False
    space = Workspace(folder, place)
    other = another_run(space)
    # a copy of a run has its settings, too
    if other is not None and read_object(Workspace(other, place).run_record) != read_object(space.run_record):
        return False
    trained_on, photos = read_object(space.lora_record(1)).get("dataset_id"), read_object(space.dataset(0)).get("id")
    return trained_on is None or photos is None or trained_on == photos
