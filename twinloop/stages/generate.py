"""Generate: shots -> images on disk. Each is marked, journaled, and made once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.domain.verdicts import CheckResult
from twinloop.errors import StateError, UnreadableImage
from twinloop.ports import Clock, EarlyLook, Generator, Reporter
from twinloop.stages.early import EarlyJudge, GivenUp, fails
from twinloop.stages.face_detail import Made, Redrawn, face_shot
from twinloop.stages.generation_record import GenerationContext, Hashes, MadeImage, recorded_png, write_metadata
from twinloop.store.atomic import sha256_file, write_bytes
from twinloop.store.journal import Journal
from twinloop.store.pictures.images import load_image

MADE_OTHERWISE = (
    "{path} is gone or damaged, and made again it comes out otherwise than it is on record: this program's version, its"
    " libraries or the machine are others. Put the file back from a copy, or make all images anew: in another folder,"
    " or with --restart."
)
CHANGED = (
    "{path} is not the picture that was made: it was changed since. Put the old one back from a copy, or"
    " delete this one and run the same command again: it is made anew."
)


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
    hashes = Hashes.of_lora(context.lora)
    size = context.settings.batch_size
    batches = [shots[i : i + size] for i in range(0, len(shots), size)]
    loaded: Generator | None = None
    done: list[MadeImage | GivenUp] = []
    for number, batch in enumerate(batches):
        named = list(zip(batch, _names(batch, context, journal, clock), strict=True))
        if not all(_is_done(context, shot, name, journal) for shot, name in named):
            told = _Progress(context.doing, len(done), len(shots), reporter)
            if loaded is None:
                told.waiting("getting the base model ready")
                loaded = generator()
                loaded.load_lora(context.lora)
                hashes = hashes.with_all(context)
                context = replace(context, own_sampler=loaded.own_sampler)
                loaded.expect(_expected(batch, batches[number + 1 :], context, journal), context.settings)
            _make(named, context, loaded, hashes, journal, told)
        done += [_done(context, shot, name, journal) for shot, name in named]
        reporter.progress(context.doing, len(done), len(shots))
    if context.recorded:
        write_metadata(done, context, hashes)
    return [one for one in done if isinstance(one, MadeImage)]


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
    named: Sequence[tuple[Shot, str]],
    context: GenerationContext,
    generator: Generator,
    hashes: Hashes,
    journal: Journal,
    told: _Progress,
) -> None:
    """Write what is missing of a batch, whose shots have file names: images first, then which shots were given up."""
    failed: dict[str, tuple[CheckResult, ...]] = {}
    batch = [shot for shot, _ in named]
    made = generator.generate(batch, context.settings, _look(context.early, failed), told.denoising)
    for one in _finished(made, context, generator):
        name = next(name for shot, name in named if shot == one.shot)
        if not _is_done(context, one.shot, name, journal):
            _keep(one, context, name, hashes, journal)
    for shot, name in named:
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
    if _early_key(context, shot) in journal:
        return True
    key = _key(context, shot)
    return key in journal and _is_whole(context.folder / name, journal.get(key))


def _is_whole(path: Path, digest: str | None) -> bool:
    """Whether an image is there as it was made; a damaged one counts as gone.

    Args:
        digest: its sha256; None = not on record, so that any image will do.

    Raises:
        StateError: it is another one, which somebody may want to keep.
    """
    if not path.exists():
        return False
    if path.is_file():
        if sha256_file(path) == digest:
            return True
        try:
            load_image(path)
        except UnreadableImage:
            return False
        if digest is None:
            return True
    raise StateError(CHANGED.format(path=path))


def _done(context: GenerationContext, shot: Shot, name: str, journal: Journal) -> MadeImage | GivenUp:
    early = journal.get(_early_key(context, shot))
    if early is not None:
        return GivenUp.from_record(shot, name, early)
    return MadeImage(
        context.folder / name, journal.get(_key(context, shot)), shot, journal.get(_detail_key(context, shot))
    )


def _keep(one: Redrawn, context: GenerationContext, name: str, hashes: Hashes, journal: Journal) -> None:
    data = recorded_png(one, context, hashes)
    path, key, digest = context.folder / name, _key(context, one.shot), hashlib.sha256(data).hexdigest()
    if journal.get(key) not in (None, digest):
        raise StateError(MADE_OTHERWISE.format(path=path))
    if one.record is not None and _detail_key(context, one.shot) not in journal:
        journal.record(_detail_key(context, one.shot), dict(one.record))
    write_bytes(path, data)
    if key not in journal:
        journal.record(key, digest)
    elif journal.get(key) is None:
        journal.replace({key: digest})
