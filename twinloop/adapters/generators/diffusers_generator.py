"""Shots -> images with a diffusers pipeline: from text, or from a photo."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from twinloop.adapters.diffusion.base_model import open_base
from twinloop.adapters.diffusion.compute import memory_errors
from twinloop.adapters.diffusion.framing import cover
from twinloop.adapters.diffusion.pixels import decode, ready_vae
from twinloop.adapters.diffusion.prompts import join, placed
from twinloop.domain.faces import ImageArray
from twinloop.domain.shots import Shot
from twinloop.errors import InputError
from twinloop.families.base import Family
from twinloop.ports import GenerationSettings
from twinloop.store.images import load_image


class DiffusersGenerator:
    """A `Generator` on a local diffusers model.

    Each image depends on its own shot and the settings only: noise comes from the shot's seed, on the CPU. Within one fixed batch
    results are equal to the last bit; another batch size may round the last digit differently.

    Args:
        base: folder, single ``.safetensors`` file or hub id. device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """

    def __init__(
        self, base: str, family: Family, *, device: str = "auto", allow_download: bool = False, precision: str = "auto"
    ) -> None:
        self._family = family
        self._base = open_base(base, family, device, allow_download, precision)
        self._lora: Path | None = None

    @property
    def fingerprint(self) -> str:
        return f"diffusers-{self._base.fingerprint}"

    @property
    def encoded_prompts(self) -> int:
        """How many texts went through the text encoders so far."""
        return self._base.prompts.encoded

    def load_lora(self, path: Path | None) -> None:
        """Use this LoRA (None = the bare base) from now on; the base stays in memory.

        Raises:
            ModelFileError: no LoRA, or one for another kind of base.
        """
        self._base.lora.use(path)
        self._lora = path

    def generate(self, shots: Sequence[Shot], settings: GenerationSettings) -> Iterator[tuple[Shot, ImageArray]]:
        """One uint8 HxWx3 RGB image per shot, in order.

        Raises:
            InputError: a size the model cannot make. UnreadableImage: a source photo. OutOfMemory.
        """
        self._check(shots, settings)
        for start in range(0, len(shots), settings.batch_size):
            yield from self._batch(shots[start : start + settings.batch_size], settings)

    def _check(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        step = self._base.size_step
        wrong = [
            f"{name} {value}"
            for name, value in (("width", settings.width), ("height", settings.height))
            if value % step
        ]
        if wrong:
            raise InputError(
                f"generation: {' and '.join(wrong)}: this base model makes sizes that are multiples of {step}, such as {settings.width // step * step or step}."
            )
        if self._base.from_image is None and any(shot.source is not None for shot in shots):
            raise InputError(
                f"generation.from_photos: the family '{self._family.name}' cannot start from a photo, because diffusers has no image-to-image pipeline for it. "
                "Set generation.from_photos to 0."
            )

    def _batch(self, shots: Sequence[Shot], settings: GenerationSettings) -> Iterator[tuple[Shot, ImageArray]]:
        # the trainer, which shares the base, may have taken the LoRA off in between
        own = [] if self._lora is None else [(self._lora, settings.lora_scale)]
        self._base.lora.wear([*own, *((Path(path), scale) for path, scale in settings.extra_loras)])
        self._base.schedule(settings.scheduler)
        size = f"{settings.width}x{settings.height}, batch {settings.batch_size}"
        advice = "Lower generation.batch_size (1 needs least), then generation.width and height."
        with memory_errors(f"Generating {size}", advice):
            self._base.offload(settings.offload)
            from_text = [shot for shot in shots if shot.source is None]
            from_photo = [shot for shot in shots if shot.source is not None]
            raw = dict(zip((shot.key for shot in from_text), self._from_text(from_text, settings), strict=True))
            raw |= zip((shot.key for shot in from_photo), self._from_photo(from_photo, settings), strict=True)
            for shot in shots:
                yield shot, decode(self._base, raw[shot.key], settings.vae_tiling)

    @torch.inference_mode()
    def _from_text(self, shots: Sequence[Shot], settings: GenerationSettings) -> Sequence[Tensor]:
        """For each shot what the autoencoder decodes."""
        if not shots:
            return ()
        given = self._common(shots, settings)
        with self._base.without_encoders():
            made = self._base.pipeline(**given, **_sized(self._base.pipeline, settings))
        return self._raw(made, settings)

    @torch.inference_mode()
    def _from_photo(self, shots: Sequence[Shot], settings: GenerationSettings) -> Sequence[Tensor]:
        """As `_from_text`, from each shot's photo with noise on it."""
        if not shots or self._base.from_image is None:
            return ()
        photos = [_fitted(Path(shot.source or ""), settings) for shot in shots]
        # in its own precision: the pipelines hand it pictures in that, and those that need float32 here change to it themselves
        ready_vae(self._base.pipeline, settings.width, settings.height, settings.vae_tiling).to(self._base.compute.dtype)
        given = self._common(shots, settings) | _sized(self._base.from_image, settings)
        if not self._family.edits:
            # at least one step, because a strength under 1 / steps would leave none
            given["strength"] = max(settings.strength, 1.0 / settings.steps)
        with self._base.without_encoders():
            made = self._base.from_image(image=photos, **given)
        return self._raw(made, settings)

    def _raw(self, made: Any, settings: GenerationSettings) -> Sequence[Tensor]:
        return tuple(self._family.to_raw(self._base.pipeline, made.images, settings.height, settings.width))

    def _common(self, shots: Sequence[Shot], settings: GenerationSettings) -> dict[str, Any]:
        guidance = self._family.guidance
        guided = guidance.negative and settings.guidance > guidance.off
        texts = [shot.prompt for shot in shots] + ([shot.negative_prompt for shot in shots] if guided else [])
        embedded = self._base.prompts.embed_all(texts)
        device = self._base.compute.device
        words = placed(join(embedded[: len(shots)], self._family.joining), device)
        unwanted = placed(join(embedded[len(shots) :], self._family.joining), device)
        return {
            **words,
            **{f"negative_{name}": part for name, part in unwanted.items()},
            guidance.argument: settings.guidance,
            "num_inference_steps": settings.steps,
            "generator": [torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
            "output_type": "latent",
        }


def _sized(pipeline: Any, settings: GenerationSettings) -> dict[str, Any]:
    """The size in the arguments that a pipeline has; some image-to-image pipelines take it from the photo."""
    known = inspect.signature(pipeline.__call__).parameters
    options = {
        "height": settings.height, "width": settings.width,
        # editing pipelines would otherwise make every picture one of a megapixel
        "max_area": settings.height * settings.width, "_auto_resize": False,
    }  # fmt: skip
    return {name: value for name, value in options.items() if name in known}


def _fitted(path: Path, settings: GenerationSettings) -> Image.Image:
    """A photo, scaled and cropped in the middle to the size to be made."""
    image = load_image(path).pixels
    framing = cover(image.shape[1], image.shape[0], settings.width, settings.height)
    return Image.fromarray(framing.apply(image))
