"""Shots -> images with a diffusers pipeline: from text, or from a photo."""

from __future__ import annotations

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

    def __init__(self, base: str, family: Family, *, device: str = "auto", allow_download: bool = False) -> None:
        self._family = family
        self._base = open_base(base, family, device, allow_download)
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
        self._check_size(settings)
        for start in range(0, len(shots), settings.batch_size):
            yield from self._batch(shots[start : start + settings.batch_size], settings)

    def _check_size(self, settings: GenerationSettings) -> None:
        step = max(self._family.size_multiple, self._base.vae_scale)
        wrong = [
            f"{name} {value}"
            for name, value in (("width", settings.width), ("height", settings.height))
            if value % step
        ]
        if wrong:
            raise InputError(
                f"generation: {' and '.join(wrong)}: this base model makes sizes that are multiples of {step}, such as {settings.width // step * step or step}."
            )

    def _batch(self, shots: Sequence[Shot], settings: GenerationSettings) -> Iterator[tuple[Shot, ImageArray]]:
        # the trainer, which shares the base, may have taken the LoRA off in between
        self._base.lora.use(self._lora, settings.lora_scale)
        size = f"{settings.width}x{settings.height}, batch {settings.batch_size}"
        advice = "Lower generation.batch_size (1 needs least), then generation.width and height."
        with memory_errors(f"Generating {size}", advice):
            from_text = [shot for shot in shots if shot.source is None]
            from_photo = [shot for shot in shots if shot.source is not None]
            latents = dict(zip((shot.key for shot in from_text), self._from_text(from_text, settings), strict=True))
            latents |= zip((shot.key for shot in from_photo), self._from_photo(from_photo, settings), strict=True)
            for shot in shots:
                yield shot, decode(self._base.pipeline, latents[shot.key])

    @torch.inference_mode()
    def _from_text(self, shots: Sequence[Shot], settings: GenerationSettings) -> Sequence[Tensor]:
        """One (c, h, w) latent per shot."""
        if not shots:
            return ()
        made = self._base.pipeline(height=settings.height, width=settings.width, **self._common(shots, settings))
        return tuple(made.images)

    @torch.inference_mode()
    def _from_photo(self, shots: Sequence[Shot], settings: GenerationSettings) -> Sequence[Tensor]:
        """As `_from_text`, from each shot's photo with noise on it."""
        if not shots:
            return ()
        photos = [_fitted(Path(shot.source or ""), settings) for shot in shots]
        ready_vae(self._base.pipeline, settings.width, settings.height)
        # at least one step, because a strength under 1 / steps would leave none
        strength = max(settings.strength, 1.0 / settings.steps)
        made = self._base.from_image(image=photos, strength=strength, **self._common(shots, settings))
        return tuple(made.images)

    def _common(self, shots: Sequence[Shot], settings: GenerationSettings) -> dict[str, Any]:
        wanted = [self._base.prompts.embed(shot.prompt) for shot in shots]
        unwanted = [self._base.prompts.embed(shot.negative_prompt) for shot in shots]
        device = self._base.compute.device
        return {
            "prompt_embeds": torch.cat([text.words for text in wanted]).to(device),
            "pooled_prompt_embeds": torch.cat([text.pooled for text in wanted]).to(device),
            "negative_prompt_embeds": torch.cat([text.words for text in unwanted]).to(device),
            "negative_pooled_prompt_embeds": torch.cat([text.pooled for text in unwanted]).to(device),
            "num_inference_steps": settings.steps,
            "guidance_scale": settings.guidance,
            "generator": [torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
            "output_type": "latent",
        }


def _fitted(path: Path, settings: GenerationSettings) -> Image.Image:
    """A photo, scaled and cropped in the middle to the size to be made."""
    image = load_image(path).pixels
    framing = cover(image.shape[1], image.shape[0], settings.width, settings.height)
    return Image.fromarray(framing.apply(image))
