"""The record of a generation: what stands in each image and beside all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twinloop import __version__
from twinloop.domain.json_fields import entry, list_of
from twinloop.domain.samplers import in_a1111_words
from twinloop.domain.shots import Shot
from twinloop.ports import GenerationSettings
from twinloop.stages.early import EarlyJudge, GivenUp
from twinloop.stages.face_detail import FaceDetail, Redrawn
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.models.base_name import base_title
from twinloop.store.models.lora_file import short_hash
from twinloop.store.pictures.provenance import synthetic_png
from twinloop.store.remembered_hash import remembered_sha256
from twinloop.store.run.workspace import GENERATION_METADATA

_NO_NAME = str.maketrans("", "", ":,")
"""What A1111 leaves out of the names of LoRAs beside their hashes."""
MODEL_DIGITS = 10
"""Of the sha256 of a checkpoint, by which A1111 knows it."""


@dataclass(frozen=True)
class MadeImage:
    """One image on disk and the shot behind it. ``face_detail``: how its face was redrawn, None = it was not."""

    path: Path
    sha256: str
    shot: Shot
    face_detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationContext:
    """Names that go into every image.

    Attributes:
        prefix: of journal keys, unique in the journal ("iter2").
        stamped: whether file names carry a time stamp, as the loop's do and the panel's do not.
        dataset: the folder of the photos behind the gaps, so that a validation by hand knows whom to compare with.
        early: judges unfinished images, and those that fail are given up; None = every image is finished.
        detail: redraws small faces; None = they stay as they are, as where images measure a LoRA.
        doing: what the images are made for, as the progress names it.
        recorded: whether a `GENERATION_METADATA` is written beside them; what is made in several goes has a record of
            its own.
        own_sampler: as in `ports.Generator`; "" until the base model is loaded, or it has no name.
    """

    prefix: str
    folder: Path
    base_model: str
    lora: Path | None
    settings: GenerationSettings
    stamped: bool = True
    dataset: str | None = None
    early: EarlyJudge | None = None
    detail: FaceDetail | None = None
    doing: str = "Generating"
    recorded: bool = True
    own_sampler: str = ""


@dataclass(frozen=True)
class Hashes:
    """Hashes of the files that images are made with.

    Attributes:
        lora: sha256 of the LoRA that is made for the person, None = without.
        model, worn: what A1111 knows files by: digits of the base model, "" = no single file; and of each LoRA that is
            worn.
    """

    lora: str | None = None
    model: str = ""
    worn: Mapping[Path, str] = field(default_factory=dict)

    @classmethod
    def of_lora(cls, lora: Path | None) -> Hashes:
        """What a record says of images that are all there."""
        return cls(None if lora is None else sha256_file(lora))

    def with_all(self, context: GenerationContext) -> Hashes:
        """What new images say: the base model is read for it."""
        base = Path(context.base_model).expanduser()
        return replace(
            self,
            model=remembered_sha256(base)[:MODEL_DIGITS] if base.is_file() else "",
            worn={path: short_hash(path) for path, _ in _worn(context) if path.is_file()},
        )


def recorded_png(one: Redrawn, context: GenerationContext, hashes: Hashes) -> bytes:
    """The bytes of an image with the record of how it was made."""
    redrawn = {} if one.record is None else {"face_detail": dict(one.record)}
    extra = json.dumps({"shot": one.shot.to_json(), "lora_sha256": hashes.lora, **redrawn}, sort_keys=True)
    return synthetic_png(one.pixels, parameters_text(one.shot, context, hashes, one.record), {"twinloop": extra})


def _worn(context: GenerationContext) -> list[tuple[Path, float]]:
    own = [] if context.lora is None else [(context.lora, context.settings.lora_scale)]
    return [*own, *((Path(path), scale) for path, scale in context.settings.extra_loras)]


def _names(worn: Sequence[tuple[Path, float]], digits: Mapping[Path, str]) -> dict[Path, str]:
    """What LoRAs are called in an image: as their files; of two whose files are called alike, and are not, the second
    has its digits behind the name, because A1111 finds the hash of a LoRA by its name.
    """
    names: dict[Path, str] = {}
    taken: dict[str, str] = {}
    for path, _ in worn:
        own = digits.get(path)
        other = own is not None and taken.setdefault(path.stem.translate(_NO_NAME), own) != own
        names[path] = f"{path.stem}_{own}" if other else path.stem
    return names


def parameters_text(
    shot: Shot, context: GenerationContext, hashes: Hashes, redrawn: Mapping[str, Any] | None = None
) -> str:
    """The settings in the layout that A1111 writes and other tools read.

    Args:
        redrawn: what `FaceDetail` did.
    """
    settings = context.settings
    names = _names(_worn(context), hashes.worn)
    prompt = " ".join([shot.prompt, *(f"<lora:{names[path]}:{scale:g}>" for path, scale in _worn(context))])
    parts = [
        f"Steps: {settings.steps}",
        _guidance(settings),
        f"Seed: {shot.seed}",
        f"Size: {settings.width}x{settings.height}",
        *([f"Model hash: {hashes.model}"] if hashes.model else []),
        f"Model: {base_title(context.base_model)}",
    ]
    if settings.guidance_rescale:
        parts.append(f"CFG Rescale: {settings.guidance_rescale:g}")
    if sampler := settings.scheduler or context.own_sampler:
        parts.append(in_a1111_words(sampler))
    if shot.source and settings.strength:
        parts.append(f"Denoising strength: {settings.strength:g}")
    if settings.clip_skip != 1:
        parts.append(f"Clip skip: {settings.clip_skip}")
    if redrawn is not None:
        parts.append(f"Face detail denoising strength: {redrawn['strength']:g}, Face detail seed: {redrawn['seed']}")
    if hashes.worn:
        known = {names[path].translate(_NO_NAME): digits for path, digits in hashes.worn.items()}
        parts.append('Lora hashes: "' + ", ".join(f"{name}: {digits}" for name, digits in known.items()) + '"')
    parts.append(f"Version: twinloop {__version__}")
    negative = [f"Negative prompt: {shot.negative_prompt}"] if settings.negative else []
    return "\n".join([prompt, *negative, ", ".join(parts)])


def _guidance(settings: GenerationSettings) -> str:
    """As Forge writes it of models that were trained with their guidance: those take one pass a
    step, which is scale 1.
    """
    if not settings.distilled:
        return f"CFG scale: {settings.guidance:g}"
    return "CFG scale: 1" + (f", Distilled CFG Scale: {settings.guidance:g}" if settings.guidance else "")


def write_metadata(done: Sequence[MadeImage | GivenUp], context: GenerationContext, hashes: Hashes) -> None:
    """`GENERATION_METADATA`, beside the images."""
    settings = context.settings
    made = [one for one in done if isinstance(one, MadeImage)]
    given_up = [one for one in done if isinstance(one, GivenUp)]
    write_json(
        context.folder / GENERATION_METADATA,
        {
            "base_model": context.base_model,
            "dataset": context.dataset,
            "lora": (
                None
                if context.lora is None
                else {"file": context.lora.name, "sha256": hashes.lora, "scale": settings.lora_scale}
            ),
            "settings": {
                "num_inference_steps": settings.steps,
                "guidance_scale": settings.guidance,
                "width": settings.width,
                "height": settings.height,
                **common_settings(settings),
                **({} if context.detail is None else context.detail.to_json()),
            },
            "images": [_image_json(image) for image in made],
            **({} if context.early is None else {"rejected_early": [item.to_json() for item in given_up]}),
        },
    )


def common_settings(settings: GenerationSettings) -> dict[str, Any]:
    """What images of any size have in common, as records have it; what is seldom set only where it is."""
    return {
        "batch_size": settings.batch_size,
        "scheduler": settings.scheduler,
        "extra_loras": [{"file": Path(path).name, "scale": scale} for path, scale in settings.extra_loras],
        **{name: value for name in ("quantization", "compile") if (value := getattr(settings, name)) is not None},
        **({} if settings.precision == "auto" else {"precision": settings.precision}),
        **settings.unusual,
    }


def _image_json(image: MadeImage) -> dict[str, Any]:
    # sorted, because a record that was read back from the journal is
    redrawn = {} if image.face_detail is None else {"face_detail": dict(sorted(image.face_detail.items()))}
    return {"file": image.path.name, "sha256": image.sha256, **image.shot.to_json(), **redrawn}


def shots_json(shots: Sequence[Shot], iteration: int) -> dict[str, Any]:
    """shots_iterN.json."""
    return {"iteration": iteration, "count": len(shots), "shots": [shot.to_json() for shot in shots]}


def shots_from_json(data: Any) -> list[Shot]:
    return list(entry(data, "shots", list_of(Shot.from_json)))
