"""Shots -> images with a diffusers pipeline: from text, or from a photo."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_model import SMALL_ADVICE, open_base
from twinloop.adapters.diffusion.early.glance import Glance, glancing
from twinloop.adapters.diffusion.long_prompts import LongPrompts
from twinloop.adapters.diffusion.memory import memory_errors
from twinloop.adapters.diffusion.offloading import less_memory
from twinloop.adapters.diffusion.pixels import decode, ready_vae
from twinloop.adapters.diffusion.preflight import (
    check_redraws,
    check_rescales,
    check_sampler,
    check_size,
    no_photos,
)
from twinloop.adapters.diffusion.prompts import Embedding, Joined, Shown, alike, join, placed, words_in
from twinloop.adapters.diffusion.regions import GENERATED, REGIONAL, pays
from twinloop.adapters.diffusion.sampler_steps import check_steps
from twinloop.adapters.diffusion.source_photos import shown_photos, start_photo
from twinloop.adapters.diffusion.weighted_prompts import WeightedPrompts
from twinloop.adapters.generators.watch import Watch
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.domain.weighted_text import read_weights
from twinloop.families.base import Family
from twinloop.families.clip import Text
from twinloop.ports import Denoising, EarlyLook, GenerationSettings, nobody_listens

ONE_STEP = 1.0 + 1e-6
"""A little more than one: in floating point 49 * (1 / 49) is less than 1, and rounds down to no step."""


class DiffusersGenerator:
    """A `Generator` on a local diffusers model.

    Each image depends on its own shot and the settings only: noise comes from the shot's seed, on the CPU. Within one
    fixed batch results are equal to the last bit; another batch size may round the last digit differently.

    Args:
        notice: told what the user should know while images are made.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """

    def __init__(self, choice: BaseChoice, family: Family, notice: Callable[[str], None] = nobody_listens) -> None:
        self._family, self._notice = family, notice
        self._base = open_base(choice, family, notice)
        self._lora: Path | None = None
        self._long_prompts, self._weighted_prompts = LongPrompts(self._base.prompts, notice), WeightedPrompts(notice)
        self._ahead: dict[Text, None] = {}
        """Texts of shots that are still to come, in order."""
        self._told_of_compiling = self._told_of_guidance = False

    @property
    def fingerprint(self) -> str:
        return f"diffusers-{self._base.fingerprint}"

    @property
    def own_sampler(self) -> str:
        return self._base.own_sampler

    def load_lora(self, path: Path | None) -> None:
        """Use this LoRA (None = the bare base) from now on; the base stays in memory.

        Raises:
            ModelFileError: no LoRA, or one for another kind of base. OutOfMemory.
        """
        with memory_errors(f"The LoRA {path}", SMALL_ADVICE):
            self._base.lora.use(path)
        self._lora = path

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        """Have the text encoders read the prompts of all these shots in one visit, when the first of them is made."""
        self._ahead = dict.fromkeys(self._texts_ahead(shots, settings))

    def generate(
        self,
        shots: Sequence[Shot],
        settings: GenerationSettings,
        look: EarlyLook | None = None,
        told: Denoising | None = None,
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """One uint8 HxWx3 RGB image per shot, in order, but for those that ``look`` says no to.

        Raises:
            InputError: a size the model cannot make. UnreadableImage: a source photo. OutOfMemory.
        """
        self.check(settings)
        self._check_sources(shots)
        self._ahead |= dict.fromkeys(self._texts_ahead(shots, settings))
        for start in range(0, len(shots), settings.batch_size):
            yield from self._batch(shots[start : start + settings.batch_size], settings, Watch(look, told, start))

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """Each picture (uint8 HxWx3 RGB of the settings' size) drawn over as its shot says, in order.

        Raises:
            InputError: the family has no image-to-image pipeline. OutOfMemory.
        """
        self.check(settings)
        check_redraws(self._family)
        for start in range(0, len(pictures), settings.batch_size):
            batch = pictures[start : start + settings.batch_size]
            shots = [shot for shot, _ in batch]
            drawn = {shot.key: Image.fromarray(pixels) for shot, pixels in batch}
            with self._enough_memory(settings):
                self._prepare(settings)
                raw = dict[str, Tensor]()
                for group in self._of_one_length(shots, settings):
                    raw |= self._over(group, [drawn[shot.key] for shot in group], settings, Watch())
                for shot in shots:
                    yield shot, decode(self._base, raw[shot.key], settings.vae_tiling)

    def check(self, settings: GenerationSettings) -> None:
        """Whether this base model makes such images.

        Raises:
            InputError: it does not, or not with this sampler or in so few or so many steps.
        """
        check_sampler(settings, self._family)
        check_size(settings, self._base.size_step)
        check_steps(settings, self._base.sampler(settings.scheduler, settings.timestep_spacing), self._family)

    def _check_sources(self, shots: Sequence[Shot]) -> None:
        if self._base.from_image is None and any(shot.source is not None for shot in shots):
            raise no_photos(self._family)

    def _batch(
        self, shots: Sequence[Shot], settings: GenerationSettings, watch: Watch
    ) -> Iterator[tuple[Shot, ImageArray]]:
        with self._enough_memory(settings):
            self._prepare(settings)
            from_text = [shot for shot in shots if shot.source is None]
            from_photo = [shot for shot in shots if shot.source is not None]
            raw = dict[str, Tensor]()
            for group in self._of_one_length(from_text, settings):
                raw |= self._from_text(group, settings, watch)
                watch = watch.after(len(group))
            for group in self._of_one_length(from_photo, settings):
                raw |= self._from_photo(group, settings, watch)
                watch = watch.after(len(group))
            for shot in (shot for shot in shots if shot.key in raw):
                yield shot, decode(self._base, raw[shot.key], settings.vae_tiling)

    def _texts_ahead(self, shots: Sequence[Shot], settings: GenerationSettings) -> Iterator[Text]:
        """What the encoders will read for these shots, but for what they read together with photos."""
        editing = self._family.editing
        with_photos = editing is not None and editing.encode is not None
        for shot in shots:
            if shot.source is None or not with_photos:
                yield from self._texts(shot, settings)

    def _texts(self, shot: Shot, settings: GenerationSettings) -> list[Text]:
        reads_negative = self._family.guidance.reads_negative(settings.guidance)
        texts = [shot.prompt, shot.negative_prompt] if reads_negative else [shot.prompt]
        return [read_weights(text) for text in texts] if self._family.clip_alone else list[Text](texts)

    def _of_one_length(self, shots: Sequence[Shot], settings: GenerationSettings) -> list[list[Shot]]:
        """The shots in groups whose words are equally long where none is said over again for another's sake, or where
        the family's pipelines would look at what fills up shorter ones (`Family.joining`).

        In bfloat16 words that are said again round differently: a picture would depend on how long its neighbours'
        prompts are.
        """
        groups = dict[tuple[int, ...], list[Shot]]()
        for shot, lengths in zip(shots, self._lengths(shots, settings), strict=True):
            groups.setdefault(lengths, []).append(shot)
        return list(groups.values())

    def _lengths(self, shots: Sequence[Shot], settings: GenerationSettings) -> list[tuple[int, ...]]:
        """Of each shot's texts: words where only texts of one length come together, else chunks of CLIP."""
        texts, prompts = [self._texts(shot, settings) for shot in shots], self._base.prompts
        if self._family.joining != "apart":
            return [(math.lcm(*map(prompts.chunks, own)),) for own in texts]
        every = list(dict.fromkeys(text for own in texts for text in own))
        known = dict(zip(every, prompts.embed_all(every, ahead=self._ahead), strict=True))
        return [tuple(words_in(known[text]) for text in own) for own in texts]

    def _enough_memory(self, settings: GenerationSettings) -> AbstractContextManager[None]:
        size = f"{settings.width}x{settings.height}, batch {settings.batch_size}"
        whole = self._base.lora.holds_products or self._base.lora.holds_magnitudes
        return memory_errors(f"Generating {size}", less_memory(settings, self._base.compute, whole))

    def _prepare(self, settings: GenerationSettings) -> None:
        """LoRAs, scheduler and the places of parts as wanted; the trainer, which shares the base, may have changed them
        in between.
        """
        self._tell_of_guidance(settings.guidance)
        own = [] if self._lora is None else [(self._lora, settings.lora_scale)]
        compiles = self._compiles(settings)
        if compiles:
            # first, so that the strengths, which become tensors, lie where the layers do
            self._base.offload(settings.offload)
        self._base.lora.hold_steady(compiles)
        self._base.lora.wear([*own, *((Path(path), scale) for path, scale in settings.extra_loras)])
        self._base.use_sampler(settings.scheduler, settings.timestep_spacing)
        self._base.offload(settings.offload)

    def _tell_of_guidance(self, guidance: float) -> None:
        """Say once that the model takes no guidance or should get none, which only its own configuration tells."""
        told, config = self._family.guidance, self._base.pipeline.config
        takes_none = (
            bool(told.off_where and config.get(told.off_where))
            if told.negative
            else self._base.denoiser.config.get("guidance_embeds") is False
        )
        spoils = bool(told.spoils_where and config.get(told.spoils_where))
        if (takes_none or spoils) and guidance > (told.off if told.negative else 0.0) and not self._told_of_guidance:
            self._told_of_guidance = True
            self._notice(
                f"generation.guidance_scale {guidance:g} does nothing here: this model takes no guidance."
                if takes_none
                else f"generation.guidance_scale {guidance:g}: this model was distilled to draw without guidance, which"
                f" is {told.off:g} here. Set it to {told.off:g}; images then take half the time, too."
            )

    @torch.no_grad()  # not inference_mode, as in `PromptEmbedder`: hooks move quantised layers
    def _from_text(self, shots: Sequence[Shot], settings: GenerationSettings, watch: Watch) -> dict[str, Tensor]:
        """What the autoencoder decodes, by the key of every shot that was finished."""
        if not shots:
            return {}
        given = self._common(shots, settings) | _sized(self._base.pipeline, settings)
        return self._finished(self._base.pipeline, given, shots, settings, watch)

    @torch.no_grad()
    def _from_photo(self, shots: Sequence[Shot], settings: GenerationSettings, watch: Watch) -> dict[str, Tensor]:
        """As `_from_text`, from each shot's photo with noise on it, or looking at its photos."""
        if not shots:
            return {}
        editing = self._family.editing
        if editing is not None:
            self._ready_to_encode(settings)
            # one by one: some of these pipelines take no batch, others show all photos to every picture of one
            made = (
                self._edited(
                    shot,
                    shown_photos(shot, editing, self._base.photos_at_once, settings),
                    settings,
                    watch.after(number),
                )
                for number, shot in enumerate(shots)
            )
            return {key: raw for finished in made for key, raw in finished.items()}
        return self._over(shots, [start_photo(shot, settings) for shot in shots], settings, watch)

    @torch.no_grad()
    def _over(
        self,
        shots: Sequence[Shot],
        pictures: Sequence[Image.Image],
        settings: GenerationSettings,
        watch: Watch,
    ) -> dict[str, Tensor]:
        """As `_from_text`, over one picture of the wanted size for each shot."""
        self._ready_to_encode(settings)
        given = self._common(shots, settings) | _sized(self._base.from_image, settings)
        given["image"] = list(pictures)
        # at least one step, because a strength under 1 / steps would leave none
        given["strength"] = max(settings.strength, min(1.0, ONE_STEP / settings.steps))
        return self._finished(self._base.from_image, given, shots, settings, watch)

    def _ready_to_encode(self, settings: GenerationSettings) -> None:
        # in its own precision: the pipelines hand it pictures in that, and those that need float32 here change to it
        # themselves
        ready_vae(self._base, settings.width, settings.height, settings.vae_tiling).to(self._base.compute.dtype)

    def _edited(
        self, shot: Shot, shown: Sequence[Shown], settings: GenerationSettings, watch: Watch
    ) -> dict[str, Tensor]:
        given = self._common([shot], settings, shown) | _sized(self._base.from_image, settings)
        photos = [one.photo for one in shown]
        given["image"] = photos if len(photos) > 1 else photos[0]
        return self._finished(self._base.from_image, given, [shot], settings, watch)

    def _finished(
        self,
        pipeline: Any,
        given: dict[str, Any],
        shots: Sequence[Shot],
        settings: GenerationSettings,
        watch: Watch,
    ) -> dict[str, Tensor]:
        """Call a pipeline; what the autoencoder decodes, by the key of every shot that an early look lets through.

        Raises:
            InputError: it cannot be told of ``guidance_rescale``.
        """
        if settings.guidance_rescale:
            check_rescales(type(pipeline), self._family)
            given = {**given, "guidance_rescale": settings.guidance_rescale}
        given = {**given, **_own_noise(pipeline)}
        glance = None if watch.look is None else self._glance(shots, settings, watch.look)
        blocks = self._base.regions.compiled(self._compiles(settings), self._notice)
        glances = glancing(pipeline, self._base.denoiser, len(shots), glance)
        following = watch.following(pipeline, len(shots), settings.steps)
        # the steps are counted inside of the look, which they put back as they leave
        with self._base.without_encoders(), blocks, glances as left, following:
            made = pipeline(**given)
        raw = self._raw(made.images, settings)
        return {shots[row].key: raw[row] for row in left.rows}

    def _compiles(self, settings: GenerationSettings) -> bool:
        """Whether the denoiser's blocks are compiled; not where each block or layer is fetched when it is its turn."""
        if settings.offload in ("blocks", "sequential"):
            if settings.compile == REGIONAL and not self._told_of_compiling:
                self._told_of_compiling = True
                self._notice(f'The blocks are not compiled with generation.offload "{settings.offload}".')
            return False
        if self._base.regions.failure:
            return False
        return pays(settings.compile, self._base.compute, settings.planned * settings.steps, GENERATED)

    def _glance(self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook) -> Glance:
        def choose(clean: Tensor) -> list[int]:
            # in full size: from halved latents the detectors saw a quarter of the right pictures wrongly (docs/log.md)
            previews = (decode(self._base, raw, settings.vae_tiling) for raw in self._raw(clean, settings))
            return [
                row
                for row, (shot, seen) in enumerate(zip(shots, previews, strict=True))
                if look.worth_finishing(shot, seen)
            ]

        return Glance(look.step, choose)

    def _raw(self, latents: Tensor, settings: GenerationSettings) -> Sequence[Tensor]:
        return tuple(self._family.to_raw(self._base.pipeline, latents, settings.height, settings.width))

    def _common(
        self, shots: Sequence[Shot], settings: GenerationSettings, shown: Sequence[Shown] = ()
    ) -> dict[str, Any]:
        guidance = self._family.guidance
        # all prompts, then all negative ones where there are any
        texts = [text for kind in zip(*(self._texts(shot, settings) for shot in shots), strict=True) for text in kind]
        self._long_prompts.look_at(texts)
        if not self._family.clip_alone:
            self._weighted_prompts.look_at(texts)
        for text in texts:
            self._ahead.pop(text, None)
        embedded = alike(self._base.prompts.embed_all(texts, shown, self._ahead), self._family.joining)
        words, unwanted = (self._given(part) for part in (embedded[: len(shots)], embedded[len(shots) :]))
        return {
            **words,
            **{f"negative_{name}": part for name, part in unwanted.items()},
            guidance.argument: settings.guidance,
            "num_inference_steps": settings.steps,
            "generator": [torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
            "output_type": "latent",
        }

    def _given(self, texts: Sequence[Embedding]) -> Joined:
        """Texts of one batch as the pipeline's arguments; {} = there are none."""
        words = placed(join(texts, self._family.joining), self._base.compute.device)
        return dict(self._family.for_pipeline(words)) if words and self._family.for_pipeline else words


def _own_noise(pipeline: Any) -> dict[str, Any]:
    """How much noise the sampler adds in each step where nobody says: pipelines would say 0, which is not TCD's."""
    eta = inspect.signature(pipeline.scheduler.step).parameters.get("eta")
    return {} if eta is None or "eta" not in inspect.signature(pipeline.__call__).parameters else {"eta": eta.default}


def _sized(pipeline: Any, settings: GenerationSettings) -> dict[str, Any]:
    """The size in the arguments that a pipeline has; some image-to-image pipelines take it from the photo."""
    known = inspect.signature(pipeline.__call__).parameters
    options = {
        "height": settings.height, "width": settings.width,
        # editing pipelines would otherwise make every picture one of a megapixel
        "max_area": settings.height * settings.width, "_auto_resize": False,
    }  # fmt: skip
    return {name: value for name, value in options.items() if name in known}
