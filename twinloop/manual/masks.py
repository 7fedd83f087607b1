"""A dataset -> masks of its pictures, in a folder of the user's choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinloop.config import Settings
from twinloop.errors import InputError, NothingToDo
from twinloop.exporters.captioned import root_of
from twinloop.exporters.run_dataset import members_of
from twinloop.stages.make_masks import places_of
from twinloop.store.pictures.dataset_folders import says_repeats, subject_images
from twinloop.store.pictures.masks import masks_beside


@dataclass(frozen=True)
class MaskOrder:
    """Which masks are wanted.

    Attributes:
        folder: of the masks. places: photo -> its mask. of_run: whether a run's record names the photos by their paths.
    """

    folder: Path
    places: dict[Path, Path]
    of_run: bool = False


def plan_masks(dataset: Path, output: Path | None, settings: Settings) -> MaskOrder:
    """Which masks a dataset needs, and where they go: where they are asked to, else where the settings look for them,
    else beside the photos' folder (`_usual`), or beside the record of a run: its photos may all lie in one folder of a
    dataset, beside which masks would be taken for another one.

    Args:
        dataset: folder of photos, or dataset_iterN.json of a run.

    Raises:
        InputError: no such folder, no dataset of a run, or masks that would lie among the photos. NothingToDo: no
            picture.
    """
    asked = settings.training
    if dataset.suffix == ".json":
        members = members_of(dataset)
        photos, root = [Path(member.path) for member in members], root_of(members) if members else dataset.parent
        usual = masks_beside(dataset.with_suffix(""))
    elif dataset.is_file():
        raise InputError(f"{dataset} is a file. Name a folder of photos, or a dataset_iterN.json.")
    else:
        photos, root = subject_images(dataset, asked.prior_images, asked.masks), dataset
        usual = _usual(dataset)
    if not photos:
        raise NothingToDo(f"No photos in {dataset}. Name the folder that a training learns from.")
    configured = Path(asked.masks) if asked.masks is not None else None
    folder = output or configured or usual
    if output is not None and output != configured and root.resolve() in output.resolve().parents:
        raise InputError(
            f"--output {output} lies in the folder of the photos, {root}, and masks there would be taken for photos of"
            f" the person later. Name a place outside of it, or {root} itself: there they are called"
            " NAME-masklabel.png, as OneTrainer has them."
        )
    return MaskOrder(folder, places_of(photos, root, folder), of_run=dataset.suffix == ".json")


def _usual(photos: Path) -> Path:
    """Where the masks of a folder's photos go: ``photos_masks``; of ``set/10_ohwx woman`` to
    ``set_masks/10_ohwx woman``, since sd-scripts reads every folder of such a name in ``set``.
    """
    around = photos.parent if photos.name not in ("", "..") else photos.resolve().parent
    if says_repeats(photos) and around.resolve().name:  # nothing lies beside the root of a disk
        return masks_beside(around) / photos.resolve().name
    return masks_beside(photos)
