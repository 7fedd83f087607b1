"""The data of a training, from its samples: photos to cached latents, captions to embeddings, both to batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.framing import remark_on_sizes
from twinloop.adapters.diffusion.long_prompts import remark_on_captions
from twinloop.adapters.trainers.data.batches import Batches, texts_to_embed
from twinloop.adapters.trainers.data.cache import CacheSettings, TrainingCache, at_every_size
from twinloop.adapters.trainers.data.tiling import are_large, encodes_in_tiles
from twinloop.domain.records import TrainingSample
from twinloop.domain.shots import derive_seed
from twinloop.ports import TrainingSettings, nobody_listens


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a training draws from: pictures of the subject, and prior images of others of its class where there are any.

    Attributes:
        validation: the held-out pictures that the validation loss is measured on; None = it is not.
    """

    subject: Batches
    prior: Batches | None = None
    validation: ValidationPhotos | None = None


@dataclass(frozen=True, eq=False)
class ValidationPhotos:
    """Pictures of the subject that no step draws. ``sha256``: of each, in the order of the batches' numbers."""

    batches: Batches
    sha256: tuple[str, ...]


def prepare_data(
    base: BaseModel,
    samples: Sequence[TrainingSample],
    settings: TrainingSettings,
    work: Path,
    notice: Callable[[str], None],
    *,
    lazily: bool,
) -> TrainingData:
    """The samples, those of the subject and prior images apart. Arguments and errors as of `prepare_batches`."""
    prior = [sample for sample in samples if sample.prior]
    subject = prepare_batches(
        base, [sample for sample in samples if not sample.prior], settings, work, notice, lazily=lazily
    )
    if not prior:
        return TrainingData(subject)
    others = replace(
        settings,
        seed=derive_seed(settings.seed, "prior"),
        caption_dropout=0.0,
        face_weight=1.0,
        output_preservation=0.0,
    )
    return TrainingData(subject, prepare_batches(base, prior, others, work, notice, lazily=lazily))


def prepare_validation(
    base: BaseModel, held_out: Sequence[TrainingSample], settings: TrainingSettings, work: Path
) -> ValidationPhotos:
    """The held-out samples as the training would see them, each whole: with all of its caption and not mirrored, at
    the largest size. All are read here, so that a photo or mask which cannot be is told before the first step.
    Arguments and errors as of `prepare_batches`.
    """
    plain = replace(
        settings,
        smaller_resolutions=(),
        flip=False,
        caption_dropout=0.0,
        shuffle_captions=False,
        caption_tag_dropout_rate=0.0,
        output_preservation=0.0,
    )
    equal = [replace(sample, weight=1.0) for sample in held_out]
    batches = prepare_batches(base, equal, plain, work)
    for number in range(len(equal)):
        batches.alone(number)
    return ValidationPhotos(batches, tuple(sample.sha256 for sample in held_out))


def measured_photos(held_out: Sequence[TrainingSample], count: int) -> list[TrainingSample]:
    """So many of the held-out photos: those with the first content hashes, which are as good as drawn by lot and are
    the same ones for every version.
    """
    chosen = sorted(sample.sha256 for sample in held_out)[:count]
    return [sample for sample in held_out if sample.sha256 in chosen]


def prepare_batches(
    base: BaseModel, samples: Sequence[TrainingSample], settings: TrainingSettings, work: Path,
    notice: Callable[[str], None] = nobody_listens, *, lazily: bool = False,
) -> Batches:  # fmt: skip
    """The samples, encoded and embedded as far as the cache of the work folder lacks them.

    Args:
        notice: told of small photos and long captions, and where photos are encoded in tiles. lazily: photos are
            encoded when they are first drawn.

    Raises:
        UnreadableImage, StateError: a photo is damaged, gone or changed.
    """
    preset = base.family.presets.get(settings.preset)
    base.lora.use(None)
    buckets = preset is None or preset.aspect_buckets
    sides = (settings.resolution, *sorted(settings.smaller_resolutions, reverse=True))
    tiled = encodes_in_tiles(base, settings, work, notice)
    # encoded whole, a large photo needs memory that a training has taken on a GPU: all of them come before it
    lazily = lazily and (tiled or base.compute.device.type == "cpu" or not are_large(base, settings))
    caches = [
        TrainingCache(work / "cache", base, CacheSettings(side, base.bucket_step, buckets, settings.flip, tiled))
        for side in sides
    ]
    texts = texts_to_embed([sample.caption for sample in samples], settings)
    # a GPU need not hold the denoiser beside text encoders that can be as large, nor beside photos in full precision
    if not caches[0].has_texts(texts):
        base.make_room()
    words = caches[0].embeddings(texts)
    if remark := remark_on_captions(base.prompts, samples):
        notice(remark)
    if not lazily and not all(cache.has_photos(samples) for cache in caches):
        base.wake_autoencoder()
        for cache in caches:
            cache.prepare(samples)
    base.offload("none")
    sizes = [cache.prepare(samples, lazily=lazily) for cache in caches]
    if remark := remark_on_sizes([sample.framing for sample in sizes[0]], settings.resolution, base.bucket_step):
        notice(remark)
    prepared, weights = at_every_size(sizes, [sample.weight for sample in samples])
    return Batches(
        prepared, words, weights, settings, base.compute.device,
        joining=base.family.joining, true_sizes=preset is None or preset.true_sizes,
    )  # fmt: skip


def caption_chunks(base: BaseModel, captions: Sequence[str], settings: TrainingSettings) -> set[int]:
    """In how many chunks (`families.clip`) the texts of a training are read."""
    return {base.prompts.chunks(text) for text in texts_to_embed(captions, settings)}
