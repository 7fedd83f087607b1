"""Pixels <-> latents of a pipeline's autoencoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from twinloop.adapters.diffusion.base_model import is_tiny_vae
from twinloop.domain.faces import ImageArray

LARGE = 1024 * 1024
"""Pixels beyond which an autoencoder works in tiles."""
SMALL_GPU = 8 << 30


def ready_vae(pipeline: Any, width: int, height: int) -> Any:
    """The autoencoder, set up for pictures of this size: in float32 where half precision overflows, in tiles where pictures are large."""
    vae = pipeline.vae
    if vae.dtype == torch.float16 and vae.config.force_upcast:
        vae.to(torch.float32)
    if not is_tiny_vae(vae):
        large = width * height > LARGE or (vae.device.type == "cuda" and torch.cuda.mem_get_info()[1] <= SMALL_GPU)
        if large != vae.use_tiling:
            (vae.enable_tiling if large else vae.disable_tiling)()
    return vae


@torch.inference_mode()
def decode(pipeline: Any, latents: Tensor) -> ImageArray:
    """(c, h, w) latents of one picture -> uint8 HxWx3 RGB. One at a time, so that none depends on its neighbours and memory stays low."""
    scale = pipeline.vae_scale_factor
    vae = ready_vae(pipeline, latents.shape[-1] * scale, latents.shape[-2] * scale)
    raw = _from_model(vae, latents[None].to(vae.device, vae.dtype))
    made = vae.decode(raw, return_dict=False)[0][0]
    pixels = (made.float() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).mul(255).round()
    return np.ascontiguousarray(pixels.to("cpu", torch.uint8).numpy())


@torch.inference_mode()
def encode(pipeline: Any, image: ImageArray) -> Tensor:
    """uint8 HxWx3 RGB -> (c, h, w) float32 latents on the CPU, as the denoiser expects them. The mean of the distribution, never a sample."""
    vae = ready_vae(pipeline, image.shape[1], image.shape[0])
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(vae.device, vae.dtype) / 127.5 - 1
    made = vae.encode(pixels)
    raw = made.latents if is_tiny_vae(vae) else made.latent_dist.mode()
    return _to_model(vae, raw)[0].float().cpu().contiguous()


def _moments(vae: Any, like: Tensor) -> tuple[Tensor, Tensor] | None:
    mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return None
    return torch.tensor(mean).view(1, -1, 1, 1).to(like), torch.tensor(std).view(1, -1, 1, 1).to(like)


def _to_model(vae: Any, raw: Tensor) -> Tensor:
    moments = _moments(vae, raw)
    centred = raw if moments is None else (raw - moments[0]) / moments[1]
    return centred * float(vae.config.scaling_factor)


def _from_model(vae: Any, latents: Tensor) -> Tensor:
    moments = _moments(vae, latents)
    raw = latents / float(vae.config.scaling_factor)
    return raw if moments is None else raw * moments[1] + moments[0]
