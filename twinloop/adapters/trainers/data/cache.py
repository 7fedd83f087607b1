"""Cached latents of the photos and cached embeddings of the captions, on disk beside the checkpoints of a training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from twinloop.adapters.diffusion.base_model import BaseModel
from twinloop.adapters.diffusion.framing import Framing, frame
from twinloop.adapters.diffusion.pixels import LARGE, encode
from twinloop.adapters.diffusion.prompts import Embedding
from twinloop.adapters.trainers.data.loss_masks import mask_cells
from twinloop.domain.faces import Box, ImageArray
from twinloop.domain.records import Mask, TrainingSample
from twinloop.errors import START_ANEW, StateError, UnreadableImage
from twinloop.store.atomic import write_bytes
from twinloop.store.pictures.images import load_image, upright_size


@dataclass(frozen=True)
class CacheSettings:
    """What latents depend on beside the photo: size in pixels, the multiple of sides, buckets or squares, whether
    mirrored ones are wanted; and whether large ones are encoded in tiles.
    """

    resolution: int
    step: int
    buckets: bool
    flip: bool
    tiled: bool = field(default=False, repr=False)

    @property
    def name(self) -> str:
        """Of the latents, by which they are kept: large ones that are whole are not those of tiles."""
        whole = self.resolution**2 > LARGE and not self.tiled
        return f"{self} whole" if whole else str(self)


class PreparedSample:
    """A sample in the form that training steps use: how it is framed, its caption, where in the photo its face is, and
    its latents.

    Args:
        load: gives the latents by the names in the cache's file (`TrainingCache`); called when they are first asked
            for.
    """

    def __init__(
        self,
        framing: Framing,
        caption: str,
        face: Box | None,
        load: Callable[[], Mapping[str, Tensor]],
        mask: Mask | None = None,
    ) -> None:
        self.framing, self.caption, self.face, self.mask = framing, caption, face, mask
        self._load = load

    @cached_property
    def _loaded(self) -> Mapping[str, Tensor]:
        return self._load()

    @property
    def latents(self) -> Tensor:
        """(c, h, w), upright.

        Raises:
            UnreadableImage, StateError: as `TrainingCache.prepare`.
        """
        return self._loaded["latents"]

    @cached_property
    def learned(self) -> Tensor | None:
        """(1, h, w) how much of each latent cell the mask says is learned, 0..1; None = there is no mask.

        Raises:
            StateError: the mask was changed since the run began.
        """
        if self.mask is None:
            return None
        return mask_cells(self.mask, self.framing, (self.latents.shape[-2], self.latents.shape[-1]))

    @property
    def mirror(self) -> Tensor | None:
        """(c, h, w), of the mirrored photo, where that is wanted."""
        return self._loaded.get("mirror")


class TrainingCache:
    """Latents by the photo's content, embeddings by the caption; computed where the cache lacks them.

    Attributes:
        encoded: how many pictures went through the autoencoder in this process.
    """

    def __init__(self, folder: Path, base: BaseModel, settings: CacheSettings) -> None:
        self._folder = folder
        self._base = base
        self._settings = settings
        self.encoded = 0

    def has_photos(self, samples: Sequence[TrainingSample]) -> bool:
        """Whether all of them were encoded."""
        return all(self._photo_path(sample).exists() for sample in samples)

    def has_texts(self, texts: Sequence[str]) -> bool:
        """Whether all of them were embedded."""
        return all(self._text_path(text).exists() for text in texts)

    def prepare(self, samples: Sequence[TrainingSample], *, lazily: bool = False) -> list[PreparedSample]:
        """All samples, in order.

        Args:
            lazily: encode a photo when its latents are first asked for, so that the first step need not wait for all of
                them. Every file is looked at here all the same, so that one that is gone or was changed is said at
                once.

        Raises:
            UnreadableImage: a photo cannot be decoded. StateError: a photo's file changed since the dataset was made.
        """
        return [self._sample(sample, lazily) for sample in samples]

    def _sample(self, sample: TrainingSample, lazily: bool) -> PreparedSample:
        path = self._photo_path(sample)
        cached = _read(path)
        if cached is None and lazily:
            return PreparedSample(
                self._frame(*self._size(sample), sample.face),
                sample.caption,
                sample.face,
                lambda: self._encoded(sample, path),
                sample.mask,
            )
        found = self._encoded(sample, path) if cached is None else cached
        width, height = (int(value) for value in found["size"])
        framing = self._frame(width, height, sample.face)
        return PreparedSample(framing, sample.caption, sample.face, lambda: found, sample.mask)

    def _encoded(self, sample: TrainingSample, path: Path) -> dict[str, Tensor]:
        made = self._encode(sample)
        write_bytes(path, save(made))
        return made

    def _size(self, sample: TrainingSample) -> tuple[int, int]:
        """Width and height of a photo whose file is what it was."""
        try:
            data = sample.path.read_bytes()
            size = upright_size(data)
        except OSError as error:
            raise _unreadable(sample, f"cannot be read: {error.strerror or error}") from error
        except UnreadableImage as error:
            raise _unreadable(sample, str(error)) from error
        _check_unchanged(sample, hashlib.sha256(data).hexdigest())
        return size

    def _encode(self, sample: TrainingSample) -> dict[str, Tensor]:
        try:
            image = load_image(sample.path)
        except UnreadableImage as error:
            raise _unreadable(sample, str(error)) from error
        _check_unchanged(sample, image.sha256)
        height, width = image.pixels.shape[:2]
        framed = self._frame(width, height, sample.face).apply(image.pixels)
        made = {"size": torch.tensor([width, height]), "latents": self._latents(framed)}
        if self._settings.flip:
            made["mirror"] = self._latents(framed[:, ::-1])
        return made

    def _latents(self, framed: ImageArray) -> Tensor:
        self.encoded += 1
        return encode(self._base, framed, tiled=self._settings.tiled)

    def _frame(self, width: int, height: int, face: Box | None) -> Framing:
        settings = self._settings
        return frame(width, height, settings.resolution, settings.step, buckets=settings.buckets, face=face)

    def embeddings(self, texts: Sequence[str]) -> dict[str, Embedding]:
        """Each distinct text, embedded."""
        paths = {text: self._text_path(text) for text in texts}
        cached = {text: _read(path) for text, path in paths.items()}
        new = [text for text, found in cached.items() if found is None]
        for text, made in zip(new, self._base.prompts.embed_all(new), strict=True):
            cached[text] = {name: part.clone() for name, part in made.items()}
            write_bytes(paths[text], save(cached[text] or {}))
        return {text: found for text, found in cached.items() if found is not None}

    def _photo_path(self, sample: TrainingSample) -> Path:
        # a photo is cropped around its face
        face = [] if sample.face is None else [str(sample.face.to_list())]
        return self._path("latents", sample.sha256, self._settings.name, *face)

    def _text_path(self, text: str) -> Path:
        """By the chunks that are read of it too, so that no text is taken for itself cut off."""
        chunks = self._base.prompts.chunks(text)
        return self._path("texts", text, *([f"{chunks} chunks"] if chunks > 1 else []))

    def _path(self, kind: str, *parts: str) -> Path:
        name = hashlib.sha256("\0".join((self._base.fingerprint, kind, *parts)).encode()).hexdigest()[:32]
        return self._folder / kind / f"{name}.safetensors"


def at_every_size(
    sizes: Sequence[Sequence[PreparedSample]], weights: Sequence[float]
) -> tuple[list[PreparedSample], list[float]]:
    """The samples at all of their sizes, each with its part of the sample's weight; a photo too small for one size is
    there once at its own.

    Args:
        sizes: the same samples, prepared at each resolution.
    """
    prepared, shares = list[PreparedSample](), list[float]()
    for ways, weight in zip(zip(*sizes, strict=True), weights, strict=True):
        distinct = list({way.framing: way for way in ways}.values())
        prepared += distinct
        shares += [weight / len(distinct)] * len(distinct)
    return prepared, shares


def _unreadable(sample: TrainingSample, reason: str) -> UnreadableImage:
    return UnreadableImage(f"{sample.path} {reason}. Restore the photo, or {START_ANEW}.")


def _check_unchanged(sample: TrainingSample, sha256: str) -> None:
    if sha256 != sample.sha256:
        raise StateError(f"{sample.path} was changed since this run began. Put it back, or {START_ANEW}.")


def _read(path: Path) -> dict[str, Tensor] | None:
    """What a file of the cache holds, or None; a damaged file counts as none, because it can be made again."""
    try:
        return dict(load(path.read_bytes()))
    except (FileNotFoundError, SafetensorError):
        return None
