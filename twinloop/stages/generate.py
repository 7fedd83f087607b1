"""Generate: shots -> images on disk. Each is marked, journaled, and made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twinloop import __version__
from twinloop.domain.faces import ImageArray
from twinloop.domain.samplers import in_a1111_words
from twinloop.domain.shots import Shot
from twinloop.domain.verdicts import CheckResult
from twinloop.errors import StateError
from twinloop.ports import Clock, EarlyLook, GenerationSettings, Generator, Reporter
from twinloop.stages.early import EarlyJudge, GivenUp, fails
from twinloop.stages.face_detail import FaceDetail, Made, Redrawn, face_shot
from twinloop.store.atomic import sha256_file, write_bytes, write_json
from twinloop.store.journal import Journal
from twinloop.store.models.base_name import base_title
from twinloop.store.models.lora_file import short_hash
from twinloop.store.pictures.provenance import synthetic_png
from twinloop.store.remembered_hash import remembered_sha256
from twinloop.store.run.workspace import GENERATION_METADATA

MADE_OTHERWISE = (
    "{path} is gone, and made again it comes out otherwise than it is on record: this program's version, its libraries"
    " or the machine are others. Put the file back from a copy, or make all images anew: in another folder, or with"
    " --restart."
)

_NO_NAME = str.maketrans("", "", ":,")
"""What A1111 leaves out of the names of LoRAs beside their hashes."""
MODEL_DIGITS = 10
"""Of the sha256 of a checkpoint, by which A1111 knows it."""


@dataclass(frozen=True)
class Hashes:
    """What A1111 knows files by. ``model``: the base model, "" = no single file. ``loras``: name -> digits."""

    model: str = ""
    loras: Mapping[str, str] = field(default_factory=dict)


NO_HASHES = Hashes()


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


def generate(
    shots: Sequence[Shot],
    context: GenerationContext,
    generator: Callable[[], Generator],
    journal: Journal,
    clock: Clock,
    reporter: Reporter,
) -> list[MadeImage]:
    """Make every image that is not there yet.

    Batches are fixed by the order of ``shots``; a batch that was interrupted is made again as a whole, and only what is
    missing is written, so the result never depends on where a run was stopped.

    Args:
        generator: asked for when the first image has to be made; a finished folder needs no base model.

    Returns:
        The images; shots that were given up early are in the metadata only.
    """
    planned = context.settings.planned or len(shots)
    context = replace(context, settings=replace(context.settings, planned=planned))
    hashes = NO_HASHES
    lora_hash = sha256_file(context.lora) if context.lora is not None else None
    size = context.settings.batch_size
    batches = [shots[i : i + size] for i in range(0, len(shots), size)]
    loaded: Generator | None = None
    done: list[MadeImage | GivenUp] = []
    for number, batch in enumerate(batches):
        names = _names(batch, context, journal, clock)
        if not all(_is_done(context, shot, name, journal) for shot, name in zip(batch, names, strict=True)):
            told = _Progress(context.doing, len(done), len(shots), reporter)
            if loaded is None:
                told.waiting("getting the base model ready")
                loaded = generator()
                loaded.load_lora(context.lora)
                hashes = _hashes(context)
                loaded.expect(_expected(batch, batches[number + 1 :], context, journal), context.settings)
            _make(batch, names, context, loaded, lora_hash, hashes, journal, told)
        done += [_done(context, shot, name, journal) for shot, name in zip(batch, names, strict=True)]
        reporter.progress(context.doing, len(done), len(shots))
    made = [one for one in done if isinstance(one, MadeImage)]
    if context.recorded:
        _write_metadata(made, [one for one in done if isinstance(one, GivenUp)], context, lora_hash)
    return made


@dataclass(frozen=True)
class _Progress:
    """What is said while a batch is made. ``done``: images before it, of ``total``."""

    doing: str
    done: int
    total: int
    reporter: Reporter

    def waiting(self, for_what: str) -> None:
        # no brackets: the time that it takes is none of the images'
        self.reporter.progress(f"{self.doing}: {for_what}", self.done, self.total)

    def denoising(self, images: float, step: int, steps: int) -> None:
        self.reporter.progress(f"{self.doing} (step {step} of {steps})", self.done + images, self.total)


def _expected(
    batch: Sequence[Shot], later: Sequence[Sequence[Shot]], context: GenerationContext, journal: Journal
) -> list[Shot]:
    """Shots that the generator will be asked for, with those of their faces; the later ones are not named yet, so that
    a file of theirs that is gone counts as there.
    """
    still = (
        one
        for one in later
        if not all(_key(context, shot) in journal or _early_key(context, shot) in journal for shot in one)
    )
    shots = [shot for one in (batch, *still) for shot in one]
    if context.detail is None:
        return shots
    return [one for shot in shots for one in ((shot, face_shot(shot)) if shot.face_prompt else (shot,))]


def _make(
    batch: Sequence[Shot],
    names: Sequence[str],
    context: GenerationContext,
    generator: Generator,
    lora_hash: str | None,
    hashes: Hashes,
    journal: Journal,
    told: _Progress,
) -> None:
    """Write what is missing of a batch: images first, then which shots were given up."""
    failed: dict[str, tuple[CheckResult, ...]] = {}
    made = generator.generate(batch, context.settings, _look(context.early, failed), told.denoising)
    for one in _finished(made, context, generator):
        name = names[batch.index(one.shot)]
        if not _is_done(context, one.shot, name, journal):
            _keep(one, context, name, lora_hash, hashes, journal)
    for shot, name in zip(batch, names, strict=True):
        if context.early is not None and shot.key in failed and not _is_done(context, shot, name, journal):
            journal.record(_early_key(context, shot), GivenUp(shot, name, context.early.at, failed[shot.key]).record())


def _finished(made: Iterable[Made], context: GenerationContext, generator: Generator) -> Iterator[Redrawn]:
    """The images of a batch as they are kept: with their small faces redrawn, all in one go, where that is wanted."""
    if context.detail is None:
        return (Redrawn(shot, pixels, None) for shot, pixels in made)
    return iter(context.detail.redrawn(list(made), generator, context.settings))


def _look(judge: EarlyJudge | None, failed: dict[str, tuple[CheckResult, ...]]) -> EarlyLook | None:
    """The judge as a generator asks for it; what fails is noted in ``failed`` by the key of the shot."""
    if judge is None:
        return None

    def worth_finishing(shot: Shot, preview: ImageArray) -> bool:
        results = judge.results(shot, preview)
        if fails(results):
            failed[shot.key] = results
        return shot.key not in failed

    return EarlyLook(judge.at, worth_finishing)


def _names(batch: Sequence[Shot], context: GenerationContext, journal: Journal, clock: Clock) -> list[str]:
    """File names of a batch, chosen once and kept: the time stamp is that of the first attempt."""
    if not context.stamped:
        return [f"{shot.key}.png" for shot in batch]
    key = f"{context.prefix}.names.{batch[0].key}"
    if key not in journal:
        stamp = clock.stamp()
        journal.record(key, [f"synthetic_{shot.key}_{stamp}.png" for shot in batch])
    return [str(name) for name in journal.get(key)]


def _key(context: GenerationContext, shot: Shot) -> str:
    return f"{context.prefix}.image.{shot.key}"


def _early_key(context: GenerationContext, shot: Shot) -> str:
    return f"{context.prefix}.given_up.{shot.key}"


def _detail_key(context: GenerationContext, shot: Shot) -> str:
    return f"{context.prefix}.face_detail.{shot.key}"


def _is_done(context: GenerationContext, shot: Shot, name: str, journal: Journal) -> bool:
    made = _key(context, shot) in journal and (context.folder / name).exists()
    return made or _early_key(context, shot) in journal


def _done(context: GenerationContext, shot: Shot, name: str, journal: Journal) -> MadeImage | GivenUp:
    early = journal.get(_early_key(context, shot))
    if early is not None:
        return GivenUp.from_record(shot, name, early)
    return MadeImage(
        context.folder / name, journal.get(_key(context, shot)), shot, journal.get(_detail_key(context, shot))
    )


def _keep(
    one: Redrawn, context: GenerationContext, name: str, lora_hash: str | None, hashes: Hashes, journal: Journal
) -> None:
    shot, redrawn = one.shot, {} if one.record is None else {"face_detail": dict(one.record)}
    extra = {"twinloop": json.dumps({"shot": shot.to_json(), "lora_sha256": lora_hash, **redrawn}, sort_keys=True)}
    data = synthetic_png(one.pixels, parameters_text(shot, context, hashes, one.record), extra)
    path, key, digest = context.folder / name, _key(context, shot), hashlib.sha256(data).hexdigest()
    if key in journal and journal.get(key) != digest:
        raise StateError(MADE_OTHERWISE.format(path=path))
    if redrawn and _detail_key(context, shot) not in journal:
        journal.record(_detail_key(context, shot), redrawn["face_detail"])
    write_bytes(path, data)
    if key not in journal:
        journal.record(key, digest)


def _worn(context: GenerationContext) -> list[tuple[Path, float]]:
    own = [] if context.lora is None else [(context.lora, context.settings.lora_scale)]
    return [*own, *((Path(path), scale) for path, scale in context.settings.extra_loras)]


def _hashes(context: GenerationContext) -> Hashes:
    base = Path(context.base_model).expanduser()
    return Hashes(
        remembered_sha256(base)[:MODEL_DIGITS] if base.is_file() else "",
        {path.stem.translate(_NO_NAME): short_hash(path) for path, _ in _worn(context) if path.is_file()},
    )


def parameters_text(
    shot: Shot, context: GenerationContext, hashes: Hashes, redrawn: Mapping[str, Any] | None = None
) -> str:
    """The settings in the layout that A1111 writes and other tools read.

    Args:
        redrawn: what `FaceDetail` did.
    """
    settings = context.settings
    worn = (f"<lora:{path.stem}:{scale:g}>" for path, scale in _worn(context))
    prompt = " ".join([shot.prompt, *worn])
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
    if settings.scheduler:
        parts.append(in_a1111_words(settings.scheduler))
    if shot.source and settings.strength:
        parts.append(f"Denoising strength: {settings.strength:g}")
    if redrawn is not None:
        parts.append(f"Face detail denoising strength: {redrawn['strength']:g}, Face detail seed: {redrawn['seed']}")
    if hashes.loras:
        parts.append('Lora hashes: "' + ", ".join(f"{name}: {digits}" for name, digits in hashes.loras.items()) + '"')
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


def _write_metadata(
    made: Sequence[MadeImage], given_up: Sequence[GivenUp], context: GenerationContext, lora_hash: str | None
) -> None:
    settings = context.settings
    write_json(
        context.folder / GENERATION_METADATA,
        {
            "base_model": context.base_model,
            "dataset": context.dataset,
            "lora": (
                None
                if context.lora is None
                else {"file": context.lora.name, "sha256": lora_hash, "scale": settings.lora_scale}
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
