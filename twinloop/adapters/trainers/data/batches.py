"""What one training step sees: latents, embedded captions and sizes, stacked by the size of the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twinloop.adapters.diffusion.framing import Framing
from twinloop.adapters.diffusion.prompts import Embedding, Joined, join, placed
from twinloop.adapters.trainers.data.cache import PreparedSample
from twinloop.adapters.trainers.data.loss_masks import combined, face_mask
from twinloop.adapters.trainers.data.sampler import ORDERS, Draw, SampleSchedule, Size
from twinloop.domain.captions import head_length, of_the_class, shuffled, thinned
from twinloop.ports import TrainingSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of one size and their captions; float32 on the training device.

    Attributes:
        latents: (n, c, h, w), clean. words: the embedded captions as the denoiser takes them. sizes: (n, 6), as
            `time_ids` gives them.
        samples: numbers of the samples in it. mirrored: which of them are mirrored.
        mask: (n, 1, h, w) weights of the error; None = the same everywhere.
        class_words: the captions with the class word instead of the trigger, where the training holds the base's own
            answer to them.
        texts, class_texts: the captions that were embedded to ``words`` and ``class_words``.
    """

    latents: Tensor
    words: Joined
    sizes: Tensor
    samples: tuple[int, ...] = ()
    mirrored: tuple[bool, ...] = ()
    mask: Tensor | None = None
    class_words: Joined | None = None
    texts: tuple[str, ...] = ()
    class_texts: tuple[str, ...] = ()

    def part(self, start: int, stop: int) -> Batch:
        """The rows from ``start`` up to ``stop``."""
        cut = slice(start, stop)
        return Batch(
            self.latents[cut],
            _rows(self.words, cut),
            self.sizes[cut],
            self.samples[cut],
            self.mirrored[cut],
            None if self.mask is None else self.mask[cut],
            None if self.class_words is None else _rows(self.class_words, cut),
            self.texts[cut],
            self.class_texts[cut],
        )


def _rows(words: Joined, cut: slice) -> Joined:
    return {name: part[cut] for name, part in words.items()}


class Batches:
    """The pictures of a training, a pure function of the step.

    Args:
        joining: how embedded texts become one batch (`Family.joining`).
        true_sizes: whether the sizes tell each photo's real size and crop, or always those of a whole picture.
    """

    def __init__(
        self,
        samples: Sequence[PreparedSample],
        words: Mapping[str, Embedding],
        weights: Sequence[float],
        settings: TrainingSettings,
        device: torch.device,
        *,
        joining: str = "cat",
        true_sizes: bool,
    ) -> None:
        self._samples, self._words, self._device, self._settings = samples, words, device, settings
        self._joining, self._true_sizes = joining, true_sizes
        self._weighed = settings.face_weight != 1.0 or any(sample.mask is not None for sample in samples)
        self._schedule = SampleSchedule(
            weights, [sample.framing.bucket for sample in samples], batch=settings.effective_batch, seed=settings.seed,
            flip=settings.flip, dropout=settings.caption_dropout,
        )  # fmt: skip

    def step(self, step: int) -> list[Batch]:
        """The pictures of a step, from 1: a batch for each of their sizes."""
        draw = self._schedule.draw(step)
        places: dict[Size, list[int]] = {}
        for place, number in enumerate(draw.samples):
            places.setdefault(self._samples[number].framing.bucket, []).append(place)
        return [self._batch(draw, places[size]) for size in sorted(places)]

    def alone(self, number: int) -> Batch:
        """One picture, upright, with its whole caption in the order in which it was written."""
        return self._batch(Draw((number,), (False,), (False,), (0,)), (0,))

    def _batch(self, draw: Draw, places: Sequence[int]) -> Batch:
        """Those of a step's pictures that are of one size."""
        settings = self._settings
        preserves = settings.output_preservation > 0
        numbers = tuple(draw.samples[place] for place in places)
        mirrored = tuple(draw.mirrored[place] for place in places)
        chosen = [self._samples[number] for number in numbers]
        latents = [
            sample.mirror if mirror and sample.mirror is not None else sample.latents
            for sample, mirror in zip(chosen, mirrored, strict=True)
        ]
        said = [
            in_order(sample.caption, draw.orders[place], settings) for sample, place in zip(chosen, places, strict=True)
        ]
        texts = [
            dropped_caption(settings) if draw.wordless[place] else text
            for text, place in zip(said, places, strict=True)
        ]
        whole_or_dropped = texts if drops_class_captions(settings) else said
        class_texts = [class_caption(text, settings) for text in whole_or_dropped] if preserves else []
        sizes = [time_ids(sample.framing, true_sizes=self._true_sizes) for sample in chosen]
        return Batch(
            self._on_device(torch.stack(latents)),
            self._embedded(texts),
            self._on_device(torch.tensor(sizes)),
            numbers,
            mirrored,
            self._mask(chosen, mirrored) if self._weighed else None,
            self._embedded(class_texts) if class_texts else None,
            tuple(texts),
            tuple(class_texts),
        )

    def _embedded(self, texts: Sequence[str]) -> Joined:
        return placed(join([self._words[text] for text in texts], self._joining), self._device, torch.float32)

    def _mask(self, chosen: Sequence[PreparedSample], mirrored: Sequence[bool]) -> Tensor:
        settings = self._settings
        masks = [
            combined(
                face_mask(one.face, one.framing, (one.latents.shape[-2], one.latents.shape[-1]), settings.face_weight),
                one.learned,
                settings.mask_floor,
            )
            for one in chosen
        ]
        turned = [mask.flip(-1) if mirror else mask for mask, mirror in zip(masks, mirrored, strict=True)]
        return self._on_device(torch.stack(turned))

    def _on_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, torch.float32)


def dropped_caption(settings: TrainingSettings) -> str:
    """What stands in the place of a caption that is dropped."""
    return settings.trigger if settings.keep_trigger else ""


def class_caption(caption: str, settings: TrainingSettings) -> str:
    """The caption of another one of the subject's class."""
    return of_the_class(caption, settings.trigger, settings.class_word)


def drops_class_captions(settings: TrainingSettings) -> bool:
    """Whether a dropped caption is dropped for the class, too: the class word alone stands beside the trigger alone.

    Where the trigger goes as well there is nothing for the class word to stand in the place of. The base's own answer
    to no words at all must not be held while the subject's picture is learned from just that, so that the class keeps
    the whole caption.
    """
    return bool(settings.output_preservation and settings.caption_dropout and settings.keep_trigger)


def texts_to_embed(captions: Sequence[str], settings: TrainingSettings) -> list[str]:
    """All texts that batches of these captions can ask for, each once."""
    dropped = [dropped_caption(settings)] if settings.caption_dropout > 0 else []
    orders = range(ORDERS) if settings.shuffle_captions or settings.caption_tag_dropout_rate else (0,)
    said = [in_order(caption, order, settings) for caption in captions for order in orders]
    named = [*said, *dropped] if drops_class_captions(settings) else said
    class_texts = [class_caption(text, settings) for text in named] if settings.output_preservation else []
    return list(dict.fromkeys([*said, *dropped, *class_texts]))


def in_order(caption: str, order: int, settings: TrainingSettings) -> str:
    """A caption as one draw sees it."""
    keep = settings.keep_tokens or head_length(caption, settings.trigger)
    if settings.caption_tag_dropout_rate:
        caption = thinned(caption, keep, settings.caption_tag_dropout_rate, order, settings.trigger)
    return shuffled(caption, keep, order) if settings.shuffle_captions else caption


def time_ids(framing: Framing, *, true_sizes: bool) -> tuple[float, ...]:
    """Size conditioning: original height and width, top and left of the crop, target height and width."""
    target = (framing.height, framing.width)
    if not true_sizes:
        return tuple(map(float, (*target, 0, 0, *target)))
    width, height = framing.original
    return tuple(map(float, (height, width, framing.top, framing.left, *target)))
