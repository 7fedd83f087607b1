"""Pixels <-> latents of a base model's autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twinloop.adapters.diffusion.base_model import BaseModel, is_tiny_vae
from twinloop.adapters.diffusion.tensor_float32 import without_tensor_float32
from twinloop.domain.faces import ImageArray
from twinloop.errors import InputError

LARGE = 1024 * 1024
"""Pixels beyond which an autoencoder decodes in tiles, and encodes in tiles where memory is short."""
SMALL_GPU = 8 << 30
TILE = 512
"""Pixels along a tile's side, at most. Autoencoders of 1024 pixels would otherwise take pictures of that size as one
tile."""


def dtype_of(vae: Any) -> torch.dtype:
    """Of its weights; the property of that name looks at every module of a model, which takes longer than a small
    picture.
    """
    return torch.as_tensor(next(vae.parameters())).dtype


def ready_vae(base: BaseModel, width: int, height: int, tiles: bool | None = None) -> Any:
    """The autoencoder, set up for pictures of this size: in float32 where half precision overflows, in tiles where
    pictures are large.

    ``tiles``: in tiles always or never; None = where the picture is large or the GPU small.
    """
    vae = base.pipeline.vae
    if dtype_of(vae) == torch.float16 and getattr(vae.config, "force_upcast", False):
        vae.to(torch.float32)
    if not is_tiny_vae(vae):
        # not by where the autoencoder lies now: it may wait in main memory, because the GPU is small
        small = base.compute.device.type == "cuda" and torch.cuda.mem_get_info()[1] <= SMALL_GPU
        wanted = width * height > LARGE or small if tiles is None else tiles
        if wanted:
            _lower_tiles(vae)
        if wanted != vae.use_tiling:
            (vae.enable_tiling if wanted else vae.disable_tiling)()
    return vae


def _lower_tiles(vae: Any) -> None:
    """Tiles of `TILE` where they would be larger; those that have a height and a width of their own are small as they
    come.
    """
    side = getattr(vae, "tile_sample_min_size", 0)
    if side > TILE:
        vae.tile_latent_min_size = vae.tile_latent_min_size * TILE // side
        vae.tile_sample_min_size = TILE


def latent_shape(base: BaseModel, width: int, height: int) -> tuple[int, int, int, int]:
    """(1, c, h, w) of the latents of a picture of this size. Nothing is computed, wherever the autoencoder lies."""
    vae, scale = base.pipeline.vae, base.vae_scale
    channels = int(getattr(vae.config, "z_dim", None) or vae.config.latent_channels)
    raw = torch.empty(
        1, channels, *((1,) if base.family.frames else ()), height // scale, width // scale, device="meta"
    )
    made = base.family.to_latents(vae, raw)
    return 1, int(made.shape[1]), int(made.shape[-2]), int(made.shape[-1])


@torch.no_grad()
def decode(base: BaseModel, raw: Tensor, tiles: bool | None = None) -> ImageArray:
    """What an autoencoder gave for one picture (c, h, w), or (c, 1, h, w) of one of videos -> uint8 HxWx3 RGB.

    One at a time, so that none depends on its neighbours and memory stays low.

    Raises:
        InputError: what came out is no picture, because numbers overflowed on the way.
    """
    scale = base.vae_scale
    vae = ready_vae(base, raw.shape[-1] * scale, raw.shape[-2] * scale, tiles)
    made = vae.decode(raw[None].to(base.compute.device, dtype_of(vae)), return_dict=False)[0][0]
    picture = made[:, 0] if made.ndim == 4 else made
    if not bool(picture.isfinite().all()):  # as bytes, they would be black
        raise InputError(_no_picture(base))
    pixels = (picture.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).mul(255).round()
    return np.ascontiguousarray(pixels.to("cpu", torch.uint8).numpy())


def _no_picture(base: BaseModel) -> str:
    """What to do where the model made no numbers."""
    dtype = str(base.compute.dtype).removeprefix("torch.")
    found = f"The model made no picture: its values are no longer numbers, computed in {dtype}."
    if base.compute.in_float16:
        return (
            f'{found} Numbers of float16 end at 65,504. Use "precision": "float32", or "bfloat16" where the GPU has it.'
        )
    return f"{found} A LoRA that broke down does this, or a damaged base model: try without the LoRA."


@torch.no_grad()
def encode_raw(base: BaseModel, image: ImageArray, tiles: bool | None = None) -> Tensor:
    """uint8 HxWx3 RGB -> what `decode` takes. The mean of the autoencoder's distribution, never a sample."""
    vae = ready_vae(base, image.shape[1], image.shape[0], tiles)
    # scaled in full precision: half of it has less than 256 steps on each side of zero
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(base.compute.device, torch.float32) / 127.5 - 1
    pixels = pixels.to(dtype_of(vae))
    made = vae.encode(pixels[:, :, None] if base.family.frames else pixels)
    return torch.as_tensor(made.latents if is_tiny_vae(vae) else made.latent_dist.mode())[0]


@torch.no_grad()
def encode(base: BaseModel, image: ImageArray, *, tiled: bool = False) -> Tensor:
    """uint8 HxWx3 RGB -> (c, h, w) float32 latents on the CPU, as the denoiser expects them.

    In full precision, whatever the autoencoder draws in: a training sees these latents in every epoch, and with them
    their rounding.

    Args:
        tiled: in tiles where the picture is large, which takes less memory and gives other latents.
    """
    vae = base.pipeline.vae
    with _in_full_precision(vae):
        raw = encode_raw(base, image, tiles=tiled and image.shape[0] * image.shape[1] > LARGE)
        made = base.family.to_latents(vae, raw[None].float())[0]
    return torch.as_tensor(made[:, 0] if made.ndim == 4 else made).cpu().contiguous()


@contextmanager
def _in_full_precision(vae: Any) -> Iterator[None]:
    """A model in float32, and computed so; afterwards its weights have the type and the values that they had."""
    before = dtype_of(vae)
    if before != torch.float32:
        vae.to(torch.float32)
    try:
        with without_tensor_float32():
            yield
    finally:
        if before != torch.float32:
            vae.to(before)
