"""Datasets and configurations for other trainers: kohya, ai-toolkit, OneTrainer, SimpleTuner."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from twinloop import __version__
from twinloop.domain.captions import with_trigger
from twinloop.domain.records import Dataset, Member, TrainingSample
from twinloop.domain.vault import NOT_RECORDED
from twinloop.domain.wording import agree, plural
from twinloop.errors import NothingToDo, StateError, UnreadableImage
from twinloop.exporters.manifest import use_of_faces
from twinloop.exporters.package import File, Package
from twinloop.exporters.run_dataset import members_of, recorded_consent
from twinloop.exporters.strip import as_webp, shareable
from twinloop.foreign import aitoolkit, kohya, onetrainer, simpletuner
from twinloop.foreign.job import MASKS, Job, beyond
from twinloop.foreign.masks import mask_png
from twinloop.foreign.pictures import Folder, Picture, converted
from twinloop.ports import Reporter
from twinloop.stages.masks import masks_of
from twinloop.stages.merge import MergeLimits, within_caps
from twinloop.stages.samples import prior_samples
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.dataset_folders import read_folders
from twinloop.store.pictures.images import load_image
from twinloop.store.pictures.provenance import is_marked_synthetic, made_here
from twinloop.store.pictures.sidecar import caption_beside
from twinloop.system import shell

MASKED = "masks"
"""Among what a program is able to do."""
PRIOR_FOLDERS = "Those whose names begin with prior_ hold the prior images: others of the class, for regularisation."


@dataclass(frozen=True)
class Gathered:
    """A dataset as found.

    ``root``: folder of its photos. ``made``: paths of synthetic images. ``uncaptioned``, ``left_out``: (file, reason).
    ``bare``: the caption of those without one. ``consent``: what was recorded of it. ``remarks``: how its folders and
    captions were understood.
    """

    name: str
    root: Path
    samples: tuple[TrainingSample, ...]
    made: frozenset[Path]
    uncaptioned: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    bare: str = ""
    consent: str = NOT_RECORDED.text
    remarks: tuple[str, ...] = ()

    @property
    def of_subject(self) -> int:
        """Pictures without the prior images."""
        return sum(not sample.prior for sample in self.samples)


def gather_samples(
    dataset: Path,
    trigger: str,
    limits: MergeLimits,
    tags: bool = False,
    character: bool = False,
    prior: str | None = None,
) -> Gathered:
    """Photos of a folder with the captions beside them, or the members of a dataset_iterN.json with caption and weight.

    Captions and weights are those of a training by this program: the trigger is in every caption, and made images that
    were copied into the folder stay within ``limits``.

    Args:
        tags: captions are lists of tags. character: the subject is a drawn one (`select.originals`). prior: folder of
            the prior images (`with_prior`), None = none.

    Raises:
        InputError: no such folder, or no dataset of a run. NothingToDo: no picture. StateError: a member is gone.
    """
    if dataset.suffix == ".json":
        gathered = _of_run(dataset)
    else:
        gathered = _of_folder(dataset, trigger, limits, tags, character, prior)
    if not gathered.samples:
        told = "; ".join(f"{name}: {reason}" for name, reason in gathered.left_out[:3]) or "it holds no image"
        raise NothingToDo(f"No picture to export in {dataset} ({told}).")
    return replace(gathered, consent=recorded_consent(dataset).text)


def with_masks(gathered: Gathered, folder: str | None) -> Gathered:
    """The same pictures, each with its mask where there is one in ``folder``; None = none is wanted.

    Raises:
        InputError: a mask cannot be used.
    """
    if folder is None:
        return gathered
    masks = masks_of(Path(folder), gathered.root, [sample.path for sample in gathered.samples])
    return replace(gathered, samples=tuple(replace(one, mask=masks.get(one.path)) for one in gathered.samples))


def with_prior(gathered: Gathered, folder: str | None, class_word: str, style: str, reporter: Reporter) -> Gathered:
    """The same pictures, and those of others of the class in ``folder``; None = none are wanted.

    Raises:
        InputError: nothing in the folder can be used.
    """
    if folder is None:
        return gathered
    found = prior_samples(Path(folder), class_word, style, reporter)
    made = {sample.path for sample in found if is_marked_synthetic(sample.path.read_bytes())}
    return replace(gathered, samples=(*gathered.samples, *found), made=gathered.made | made)


def _of_run(record: Path) -> Gathered:
    members = members_of(record)
    left_out = tuple((Path(m.path).name, "weight 0") for m in members if m.weight <= 0)
    root = _root(members) if members else record.parent
    return Gathered(record.stem, root, _samples(members), _made(members), (), left_out)


def _root(members: Sequence[Member]) -> Path:
    """The folder in which all photos of a run lie, as far as their paths tell it."""
    folders = [str(Path(member.path).absolute().parent) for member in _originals(members) if member.origin == "real"]
    return Path(os.path.commonpath(folders))


def _samples(members: Sequence[Member]) -> tuple[TrainingSample, ...]:
    return tuple(TrainingSample(Path(m.path), m.sha256, m.caption, m.weight) for m in members if m.weight > 0)


def _made(members: Sequence[Member]) -> frozenset[Path]:
    return frozenset(Path(m.path) for m in members if m.origin != "real")


def _originals(members: Sequence[Member], character: bool = False) -> tuple[Member, ...]:
    """The members; those that `select.originals` takes for what a character looks like count as originals."""
    alone = not any(member.origin == "real" for member in members)
    return tuple(
        replace(member, origin="real")
        if alone or (character and member.origin != "real" and not made_here(Path(member.path)))
        else member
        for member in members
    )


def _of_folder(
    folder: Path, trigger: str, limits: MergeLimits, tags: bool, character: bool, prior: str | None
) -> Gathered:
    members, uncaptioned, left_out = [], [], []
    bare = trigger if tags else f"photo of {trigger}"
    folders = read_folders(folder)
    for path in folders.images:
        try:
            image = load_image(path)
        except UnreadableImage as error:
            left_out.append((path.name, str(error)))
            continue
        caption = caption_beside(path) or folders.words_of(path)
        if caption is None:
            uncaptioned.append(path.name)
        told = bare if caption is None else with_trigger(caption, trigger)
        members.append(Member(str(path), image.sha256, told, image.origin, 0, folders.weight_of(path)))
    whole = Dataset(_originals(members, character))
    kept = within_caps(whole, limits).members
    paths = {member.path for member in kept}
    too_many = [
        (Path(m.path).name, "more made images than merge.max_synthetic_share allows")
        for m in whole.members
        if m.path not in paths
    ]
    return Gathered(
        folder.resolve().name,
        folder,
        _samples(kept),
        _made(members),
        tuple(uncaptioned),
        (*left_out, *too_many),
        bare,
        remarks=folders.remarks(prior),
    )


@dataclass(frozen=True)
class Target:
    """One program.

    ``files``: job -> name of a file -> its text. ``start``: how a training begins, lines for people; paths as a shell
    takes them.
    """

    name: str
    program: str
    files: Callable[[Job], Mapping[str, str]]
    start: Callable[[Job], tuple[str, ...]]
    notes: Callable[[Job], tuple[str, ...]] = lambda job: ()
    able: frozenset[str] = frozenset()
    quantizations: Collection[str] = ()


def _kohya(job: Job) -> Mapping[str, str]:
    kohya.script(job)
    return {
        "dataset.toml": kohya.dataset_toml(job),
        "training.toml": kohya.training_toml(job, str(job.root.parent / "dataset.toml")),
    }


def _kohya_start(job: Job) -> tuple[str, ...]:
    parts = kohya.PARTS.get(job.family.name, ())
    command = (
        "accelerate launch --num_cpu_threads_per_process 1",
        kohya.script(job),
        "--config_file",
        _place(job, "training.toml"),
        *(f"--{part} FILE" for part in parts),
    )
    singly = (f"Put the path of each FILE: sd-scripts takes {job.family.name} from single files.",) if parts else ()
    return ("In the folder of sd-scripts:", f"  {' '.join(command)}", *singly)


def _simpletuner_start(job: Job) -> tuple[str, ...]:
    return (
        "Put both files into a folder of SimpleTuner's config/, as config/NAME, and:",
        "  simpletuner train --env NAME",
    )


def _place(job: Job, name: str) -> str:
    """A file of the package, as a shell takes it."""
    return shell.quote(str(job.root.parent / name))


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target("kohya", kohya.PROGRAM, _kohya, _kohya_start, kohya.notes, kohya.ABLE, kohya.QUANTIZATIONS),
        Target(
            "ai-toolkit",
            aitoolkit.PROGRAM,
            lambda job: {"job.yaml": aitoolkit.job_yaml(job)},
            lambda job: ("In the folder of ai-toolkit:", f"  python run.py {_place(job, 'job.yaml')}"),
            aitoolkit.notes,
            aitoolkit.ABLE,
            aitoolkit.QUANTIZATIONS,
        ),
        Target(
            "onetrainer",
            onetrainer.PROGRAM,
            lambda job: {
                "config.json": onetrainer.config_json(job, str(job.root.parent / "concepts.json")),
                "concepts.json": onetrainer.concepts_json(job),
            },
            lambda job: (
                "Load config.json in the interface, or in the folder of OneTrainer:",
                f"  python scripts/train.py --config-path {_place(job, 'config.json')}",
            ),
            able=onetrainer.ABLE,
            quantizations=onetrainer.QUANTIZATIONS,
        ),
        Target(
            "simpletuner",
            simpletuner.PROGRAM,
            lambda job: {
                "config.json": simpletuner.config_json(job, str(job.root.parent / "multidatabackend.json")),
                "multidatabackend.json": simpletuner.backends_json(job),
            },
            _simpletuner_start,
            simpletuner.notes,
            quantizations=simpletuner.QUANTIZATIONS,
        ),
    )
}


def export_training_set(target: Target, job: Job, gathered: Gathered) -> Package:
    """The dataset, the program's configuration, a README.

    A quantization that the program does not know is left out, and said.

    Raises:
        InputError: the program does not train the family. UnreadableImage: a photo is damaged.
    """
    asked, job = job, _without_unknown(job, target.quantizations)
    files = [File(name, text.encode()) for name, text in target.files(job).items()]
    items = []
    for folder in job.folders:
        for picture in folder.pictures:
            place = f"{job.root.name}/{folder.name}"
            files.append(File(f"{place}/{picture.file}", partial(_picture, picture)))
            files.append(File(f"{place}/{picture.stem}.txt", (picture.caption + "\n").encode()))
            if job.masked and MASKED in target.able and not folder.prior:
                name = f"{job.root.name}/{MASKS}/{folder.name}/{picture.stem}.png"
                files.append(File(name, partial(mask_png, picture, job.settings.mask_floor)))
            items.append(_item(picture, folder, f"{place}/{picture.file}", gathered))
    warnings = _warnings(target, asked, gathered)
    files.append(File("README.txt", _readme(target, job, gathered, items, warnings)))
    return Package(
        tuple(files), "manifest.json", _manifest(target, job, gathered, items), (*gathered.remarks, *warnings)
    )


def _without_unknown(job: Job, quantizations: Collection[str]) -> Job:
    return job if job.quantization in quantizations else replace(job, quantization=None)


def _picture(picture: Picture) -> bytes:
    data = shareable(picture.source)
    if picture.as_it_is and picture.suffix not in (".jpg", ".jpeg") and data[:2] == b"\xff\xd8":
        raise StateError(f"{picture.source} is a JPEG under another name. Rename it and run the same command again.")
    if picture.suffix == ".png" and not data.startswith(b"\x89PNG"):
        return converted(picture.source)  # a .jfif keeps its JPEG otherwise
    return as_webp(data) if picture.suffix == ".webp" and data.startswith(b"\x89PNG") else data


def _item(picture: Picture, folder: Folder, file: str, gathered: Gathered) -> dict[str, Any]:
    return {
        "file": file, "origin": "synthetic" if picture.source in gathered.made else "real", "repeats": folder.repeats,
        "source": {"file": picture.source.name, "sha256": sha256_file(picture.source)}, "caption": picture.caption,
    }  # fmt: skip


def _manifest(target: Target, job: Job, gathered: Gathered, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "export": target.name,
        "format": 1,
        "program": f"twinloop {__version__}",
        "about": f"Dataset and configuration for {target.program}.",
        "dataset": gathered.name,
        "family": job.family.name,
        "base_model": job.base,
        "trigger": job.trigger,
        "items": list(items),
        "missing": [],
        "left_out": [{"file": name, "reason": reason} for name, reason in gathered.left_out],
    }


def _warnings(target: Target, job: Job, gathered: Gathered) -> tuple[str, ...]:
    bare = len(gathered.uncaptioned)
    told = (
        (f"{bare} of {gathered.of_subject} pictures have no caption beside them; they got '{gathered.bare}'",)
        if bare
        else ()
    )
    left = list(beyond(job.settings, target.able))
    if job.masked and MASKED not in target.able:
        left.append(f"training.{MASKED}")
    if job.quantization is not None and job.quantization not in target.quantizations:
        left.append(f"quantization {job.quantization}")
    cannot = (
        (f"{', '.join(left)} cannot be said to {target.program}, and {'are' if len(left) > 1 else 'is'} left out",)
        if left
        else ()
    )
    return (*told, *cannot, *target.notes(job))


def _readme(
    target: Target, job: Job, gathered: Gathered, items: Sequence[Mapping[str, Any]], warnings: Sequence[str]
) -> bytes:
    made = sum(item["origin"] != "real" for item in items)
    settings = job.settings
    lines = [
        f"Dataset and configuration for {target.program}",
        "",
        f"{plural(len(items), 'picture')}, {made} of them synthetic (marked so in the file and in manifest.json).",
        f"Trigger: {job.trigger}. Base model: {job.base} ({job.family.name}).",
        (
            f"Rank {settings.rank}, alpha {settings.alpha:g}, {settings.steps} steps of {settings.batch_size}, learning"
            f" rate {settings.learning_rate:g}, {settings.resolution} px."
        ),
        "",
        "How to start",
        *target.start(job),
        "",
        (
            "Folders are named <repeats>_<trigger>: a picture of weight 2 is drawn twice as often as one of weight 1,"
            " to the nearest 5 %."
        ),
        *((PRIOR_FOLDERS,) if any(folder.prior for folder in job.folders) else ()),
        "The configuration holds the path of this folder; after moving it, change the paths.",
        (
            "What cameras wrote into the photos (place, time, camera) was left out; pixels were not changed, except"
            " that photos in other formats, or"
        ),
        "turned only by EXIF, became upright PNGs.",
        (
            "What differs between trainers (memory, precision, quantisation) is set to that program's usual values:"
            " look them over."
        ),
        f"Nothing was sent anywhere. {use_of_faces(gathered.consent)}",
    ]
    if left := len(gathered.left_out):
        lines.append(
            f"{plural(left, 'photo')} of the dataset {agree(left, 'is', 'are')} not here: manifest.json says which, and"
            " why."
        )
    lines += ["", *(f"Note: {note}." for note in warnings)]
    return ("\n".join(lines) + "\n").encode()
