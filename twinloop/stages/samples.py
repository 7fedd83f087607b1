"""What a training sees: the dataset's images, each with its face where that counts, and pictures of others of the
subject's class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twinloop.config import TrainingConfig
from twinloop.domain.faces import Box
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, Mask, TrainingSample
from twinloop.domain.wording import NO_PHOTO_TO_TRAIN_ON, by_reason
from twinloop.errors import InputError, NothingToDo, UnreadableImage
from twinloop.ports import Reporter, TrainingSettings
from twinloop.stages import words
from twinloop.stages.masks import masks_of, say_how_many
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import find_images, load_image
from twinloop.store.pictures.sidecar import caption_beside


@dataclass(frozen=True)
class Beside:
    """What a training may use beside the dataset.

    Attributes:
        faces: content hash -> face box in pixels, of the images whose face is known.
        prior: folder of pictures of others of the subject's class.
        masks: path of an image -> its mask, of the images that have one.
    """

    faces: Mapping[str, Box] = field(default_factory=dict)
    prior: Path | None = None
    masks: Mapping[Path, Mask] = field(default_factory=dict)


NOTHING_BESIDE = Beside()


def beside_dataset(
    dataset: Dataset,
    folder: Path,
    asked: TrainingConfig,
    observations: Callable[[], Iterable[Observation]],
    reporter: Reporter,
) -> Beside:
    """What a training uses beside the dataset, as far as it is asked for.

    Args:
        folder: of the photos. observations: of the dataset's images; called only where faces count.

    Raises:
        InputError: masks that cannot be used. As ``observations``.
    """
    faces = faces_of(observations()) if asked.face_weight != 1.0 else {}
    if asked.face_weight != 1.0 and not faces:
        reporter.warn("training.face_weight does nothing here: no face is known on any of the pictures.")
    masks: Mapping[Path, Mask] = {}
    if asked.masks:
        masks = masks_of(Path(asked.masks), folder, [Path(member.path) for member in dataset.members])
        say_how_many(len(masks), len(dataset.members), reporter)
    return Beside(faces, Path(asked.prior_images) if asked.prior_images else None, masks)


def faces_of(seen: Iterable[Observation]) -> dict[str, Box]:
    """The subject's face in each image that shows one."""
    return {one.sha256: one.face.box for one in seen if one.face is not None}


def training_samples(
    dataset: Dataset, settings: TrainingSettings, beside: Beside, style: str, reporter: Reporter
) -> list[TrainingSample]:
    """All samples with a weight, the dataset's first; with the photos that are held out, of weight 0, where the
    validation loss is measured on them.

    Raises:
        NothingToDo: the dataset has no photo to train on. InputError: nothing in the folder of prior images can be
            used.
    """
    samples = [
        TrainingSample(
            Path(m.path),
            m.sha256,
            m.caption,
            m.weight,
            face=beside.faces.get(m.sha256),
            mask=beside.masks.get(Path(m.path)),
        )
        for m in dataset.members
        if m.weight > 0 or (settings.validate_every != 0 and m.origin == "real")
    ]
    if not any(sample.weight > 0 for sample in samples):
        raise NothingToDo(NO_PHOTO_TO_TRAIN_ON)
    return (
        samples if beside.prior is None else samples + prior_samples(beside.prior, settings.class_word, style, reporter)
    )


def prior_pictures(folder: Path | None) -> list[tuple[str, str]]:
    """What lies in the folder of prior images: content hash and own caption ("" = none) of each."""
    found = find_images(folder) if folder is not None and folder.is_dir() else []
    return [(sha256_file(path), caption_beside(path) or "") for path in found]


def without_prior(folder: Path) -> str:
    """What to say of a folder of prior images in which no picture can be used; "" = there is one.

    Raises:
        InputError: as `find_images`.
    """
    return "" if any(map(_opens, find_images(folder))) else NO_PRIOR.format(folder=folder)


def _opens(path: Path) -> bool:
    try:
        load_image(path)
    except UnreadableImage:
        return False
    return True


NO_PRIOR = "no usable image in {folder}. Put pictures of other people of the class there, or set it to null."


def prior_samples(folder: Path, class_word: str, style: str, reporter: Reporter) -> list[TrainingSample]:
    """Pictures of others, under the caption that lies beside each, else under the class word.

    Raises:
        InputError: nothing in the folder can be used.
    """
    usual = f"photo of {class_word}"
    if style in words.TAGGED:
        counts = words.head("", style, class_word)
        usual = f"{class_word}, {counts}" if counts == "solo" else counts
    found, skipped = [], []
    for path in find_images(folder):
        try:
            found.append(TrainingSample(path, load_image(path).sha256, caption_beside(path) or usual, 1.0, prior=True))
        except UnreadableImage as error:
            skipped.append((path.name, str(error)))
    for names, reason in by_reason(skipped):
        reporter.warn(f"skipped {names} of training.prior_images: {reason}")
    if not found:
        raise InputError(f"training.prior_images: {NO_PRIOR.format(folder=folder)}")
    return found
