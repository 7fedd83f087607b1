"""The package for another trainer: a dataset, the program's configuration, a README and a manifest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from twinloop import __version__
from twinloop.domain.wording import agree, plural
from twinloop.errors import StateError
from twinloop.exporters.captioned import CaptionedDataset
from twinloop.exporters.manifest import use_of_faces
from twinloop.exporters.package import File, Package
from twinloop.exporters.strip import as_webp, shareable
from twinloop.foreign.job import MASKS, Job
from twinloop.foreign.masks import mask_png
from twinloop.foreign.pictures import Folder, Picture, converted
from twinloop.foreign.program import MASKED, Program, beyond
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import MASK_LABEL
from twinloop.store.pictures.provenance import is_marked_synthetic

PRIOR_FOLDERS = "Those whose names begin with prior_ hold the prior images: others of the class, for regularisation."


def export_training_set(program: Program, job: Job, gathered: CaptionedDataset) -> Package:
    """The dataset, the program's configuration, a README.

    A quantization that the program does not know is left out, and said.

    Raises:
        InputError: the program does not train the family. UnreadableImage: a photo is damaged.
    """
    asked, job = job, _without_unknown(job, program.quantizations)
    files = [File(name, text.encode()) for name, text in program.files(job).items()]
    items = []
    for folder in job.folders:
        for picture in folder.pictures:
            place = f"{job.root.name}/{folder.name}"
            files.append(File(f"{place}/{picture.file}", partial(_picture, picture)))
            files.append(File(f"{place}/{picture.stem}.txt", (picture.caption + "\n").encode()))
            if job.masked and MASKED in program.able and not folder.prior:
                apart = f"{job.root.name}/{MASKS}/{folder.name}/{picture.stem}.png"
                name = f"{place}/{picture.stem}{MASK_LABEL}" if program.masks_beside else apart
                files.append(File(name, partial(mask_png, picture, job.settings.mask_floor)))
            items.append(_item(picture, folder, f"{place}/{picture.file}", gathered))
    warnings = _warnings(program, asked, gathered)
    files.append(File("README.txt", _readme(program, job, gathered, items, warnings)))
    return Package(
        tuple(files), "manifest.json", _manifest(program, job, gathered, items), (*gathered.remarks, *warnings)
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


def _item(picture: Picture, folder: Folder, file: str, gathered: CaptionedDataset) -> dict[str, Any]:
    return {
        "file": file, "origin": "synthetic" if _made(picture, folder, gathered) else "real", "repeats": folder.repeats,
        "source": {"file": picture.source.name, "sha256": sha256_file(picture.source)}, "caption": picture.caption,
    }  # fmt: skip


def _made(picture: Picture, folder: Folder, gathered: CaptionedDataset) -> bool:
    return is_marked_synthetic(picture.source.read_bytes()) if folder.prior else picture.source in gathered.made


def _manifest(
    program: Program, job: Job, gathered: CaptionedDataset, items: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "export": program.name,
        "format": 1,
        "program": f"twinloop {__version__}",
        "about": f"Dataset and configuration for {program.title}.",
        "dataset": gathered.name,
        "family": job.family.name,
        "base_model": job.base,
        "trigger": job.trigger,
        "items": list(items),
        "missing": [],
        "left_out": [{"file": name, "reason": reason} for name, reason in gathered.left_out],
    }


def _warnings(program: Program, job: Job, gathered: CaptionedDataset) -> tuple[str, ...]:
    bare = gathered.uncaptioned
    told = (
        (f"{bare} of {gathered.pictures} pictures have no caption beside them; they got '{gathered.bare}'",)
        if bare
        else ()
    )
    left = list(beyond(job.settings, program.able))
    if job.masked and MASKED not in program.able:
        left.append(f"training.{MASKED}")
    if job.quantization is not None and job.quantization not in program.quantizations:
        left.append(f"quantization {job.quantization}")
    cannot = (
        (f"{', '.join(left)} cannot be said to {program.title}, and {'are' if len(left) > 1 else 'is'} left out",)
        if left
        else ()
    )
    return (*told, *cannot, *program.notes(job))


def _readme(
    program: Program, job: Job, gathered: CaptionedDataset, items: Sequence[Mapping[str, Any]], warnings: Sequence[str]
) -> bytes:
    made = sum(item["origin"] != "real" for item in items)
    settings = job.settings
    lines = [
        f"Dataset and configuration for {program.title}",
        "",
        f"{plural(len(items), 'picture')}, {made} of them synthetic (marked so in the file and in manifest.json).",
        f"Trigger: {job.trigger}. Base model: {job.base} ({job.family.name}).",
        (
            f"Rank {settings.rank}, alpha {settings.network_alpha:g}, {settings.steps} steps of {settings.batch_size},"
            f" learning rate {settings.learning_rate:g}, {settings.resolution} px."
        ),
        "",
        "How to start",
        *program.start(job),
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
