"""The base model in memory: loaded once, shared by generator and trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffusers
import torch
import transformers
from diffusers import AutoencoderTiny
from diffusers.loaders.single_file_utils import SingleFileComponentError
from diffusers.models.attention_processor import AttnProcessor

from twinloop.adapters.diffusion.base_files import BaseFiles, find_base, variant_of
from twinloop.adapters.diffusion.compute import Compute, choose_compute, compute_mixed, memory_errors, thread_count
from twinloop.adapters.diffusion.lora_slot import LoraSlot
from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.errors import ModelFileError
from twinloop.families.base import Family

SMALL_GRID = 32
"""Latent cells a side up to which plain attention beats the fused kernel on a CPU; beyond, its matrices grow too large."""
SMALL_ADVICE = 'Close other programs, choose a smaller base_model, or set "device": "cpu".'


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A loaded pipeline and what belongs to it.

    Attributes:
        pipeline: text to image. from_image: image to image, with the same components.
        fingerprint: of the files and of how they are computed with.
    """

    pipeline: Any
    from_image: Any
    compute: Compute
    fingerprint: str
    prompts: PromptEmbedder
    lora: LoraSlot

    @property
    def vae_scale(self) -> int:
        """Pixels per latent cell, along one side."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def bucket_step(self) -> int:
        """Sides of training images are multiples of so many pixels: every level of the denoiser halves without remainder."""
        return self.vae_scale * int(2 ** (len(self.pipeline.unet.config.block_out_channels) - 1))


_held: dict[tuple[str, str], BaseModel] = {}
"""At most one base model: two do not fit into the memory of most GPUs."""


def open_base(base: str, family: Family, device: str, allow_download: bool) -> BaseModel:
    """The base model, from memory if it is the one that was opened last.

    Raises:
        MissingModel, InputError, ModelFileError, OutOfMemory: each with what to do.
    """
    files = find_base(base, family, allow_download)
    compute = choose_compute(device)
    key = (files.fingerprint(), compute.name)
    if key not in _held:
        _held.clear()
        with memory_errors(f"The base model {base}", SMALL_ADVICE):
            _held[key] = _load(files, family, compute, "-".join((family.name, *key)))
    return _held[key]


def _load(files: BaseFiles, family: Family, compute: Compute, fingerprint: str) -> BaseModel:
    torch.set_num_threads(thread_count())
    _hush()
    pipeline = _read(files, family, compute)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False).eval()
    pipeline.to(compute.device)
    if compute.device.type == "cpu":
        _suit_cpu(pipeline)
    compute_mixed(pipeline.unet, compute)
    from_image = getattr(diffusers, family.image_pipeline)(
        **pipeline.components,
        force_zeros_for_empty_prompt=pipeline.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )
    from_image.set_progress_bar_config(disable=True)
    prompts = PromptEmbedder(pipeline, compute.device)
    return BaseModel(pipeline, from_image, compute, fingerprint, prompts, LoraSlot(pipeline, prompts))


def _suit_cpu(pipeline: Any) -> None:
    pipeline.vae.to(memory_format=torch.channels_last)  # a sixth faster
    if int(pipeline.unet.config.sample_size or SMALL_GRID + 1) <= SMALL_GRID:
        pipeline.unet.set_attn_processor(AttnProcessor())


def _hush() -> None:
    """No bars and no notes while loading: the run's own reporter is what users read, and failures arrive as exceptions."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _read(files: BaseFiles, family: Family, compute: Compute) -> Any:
    kind = getattr(diffusers, family.pipeline)
    options = {"dtype": compute.dtype, "local_files_only": True, "add_watermarker": False}
    if files.is_folder:
        variant = variant_of(files.path, half=compute.dtype != torch.float32)
        try:
            return kind.from_pretrained(files.path, variant=variant, use_safetensors=True, **options)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFileError(
                f"base_model: {files.path} cannot be loaded: {_first_line(error)}. Fetch the model again."
            ) from error
    try:
        return kind.from_single_file(str(files.path), config=str(files.config), **options)
    except (SingleFileComponentError, OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelFileError(
            f"base_model: {files.path} cannot be loaded as a {family.pipeline}: {_first_line(error)}. Take another file, or a diffusers folder."
        ) from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def is_tiny_vae(vae: Any) -> bool:
    """Whether the autoencoder is the small kind, whose tiling only knows 4 channels and 8 pixels a cell."""
    return isinstance(vae, AutoencoderTiny)
