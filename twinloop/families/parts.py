"""What several families share: how flow models are trained; scaling and packing of latents, position numbers, in calls
that any tensor library's arrays understand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twinloop.ports import TrainingSettings

Tensor = Any
JOINT_ATTENTION = (
    "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out",
)  # fmt: skip
"""Layers of an attention that picture and text share."""

_FLOW_TRAINING = TrainingSettings(
    preset="", steps=1500, rank=16, alpha=16.0, learning_rate=1e-4, batch_size=1, resolution=1024, seed=0,
    warmup_steps=50, min_snr_gamma=0.0, checkpoint_every=250,
)  # fmt: skip


def flow_training(preset: str, **other: Any) -> TrainingSettings:
    """How a flow model is trained by that preset; ``other``: what its family has otherwise."""
    return replace(_FLOW_TRAINING, preset=preset, **other)


def scaled(vae: Any, raw: Tensor) -> Tensor:
    """What an autoencoder encoded to -> latents: its means, shift and scale as its configuration has them."""
    mean, std = _moments(vae, raw)
    centred = raw if mean is None else (raw - mean) / std
    shift = getattr(vae.config, "shift_factor", None)
    if shift:
        centred = centred - float(shift)
    return centred * float(vae.config.scaling_factor)


def unscaled(vae: Any, latents: Tensor) -> Tensor:
    """The way back."""
    mean, std = _moments(vae, latents)
    raw = latents / float(vae.config.scaling_factor)
    shift = getattr(vae.config, "shift_factor", None)
    if shift:
        raw = raw + float(shift)
    return raw if mean is None else raw * std + mean


def whitened(vae: Any, raw: Tensor) -> Tensor:
    """What Qwen-Image's autoencoder encoded to -> latents: each channel centred and scaled as its configuration has
    it; the shape stays.
    """
    return (raw - per_channel(raw, vae.config.latents_mean)) / per_channel(raw, vae.config.latents_std)


def frame_of(pipeline: Any, made: Tensor, height: int, width: int) -> Tensor:
    """`Family.to_raw` of pipelines with Qwen-Image's autoencoder: (n, h/2 x w/2, 64) tokens -> (n, 16, 1, h, w), one
    frame for an autoencoder of videos.
    """
    config = pipeline.vae.config
    latents = unpacked(made, cells(pipeline, height), cells(pipeline, width)).unsqueeze(2)
    # divided by the reciprocal, as the pipelines do it, so that not even the last bit differs
    return latents / (1.0 / per_channel(latents, config.latents_std)) + per_channel(latents, config.latents_mean)


def _moments(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is None or std is None:
        return None, None
    return per_channel(like, mean), per_channel(like, std)


def per_channel(like: Tensor, values: Any) -> Tensor:
    """One number per channel, in the shape and precision of latents."""
    return like.new_tensor(list(values)).view(1, -1, *([1] * (like.ndim - 2)))


def raw_of(pipeline: Any, made: Tensor, height: int, width: int) -> Tensor:
    """`Family.to_raw` of pipelines that return latents as they are."""
    return unscaled(pipeline.vae, made)


def packed(latents: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, h/2 x w/2, 4c): two by two cells become one token, channel by channel."""
    n, c, h, w = latents.shape
    return latents.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(n, h // 2 * (w // 2), 4 * c)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The way back, to ``height`` x ``width`` cells."""
    n, _, c = tokens.shape
    cells = tokens.view(n, height // 2, width // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return cells.reshape(n, c // 4, height, width)


def positions(like: Tensor, height: int, width: int, axes: int) -> Tensor:
    """(height x width, axes) numbers of a grid of tokens: row in the second axis, column in the
    third, zero elsewhere.
    """
    numbers = like.new_zeros(height, width, axes)
    line = like.new_ones(height, width).long()  # whole numbers: a GPU adds up others in no fixed order
    numbers[..., 1] = line.cumsum(0) - 1
    numbers[..., 2] = line.cumsum(1) - 1
    return numbers.reshape(height * width, axes)


def cells(pipeline: Any, pixels: int) -> int:
    """Latent cells along a side of so many pixels, of a model that packs two by two."""
    return int(2 * (pixels // (pipeline.vae_scale_factor * 2)))


def token_ids(tokenizer: Any, texts: Sequence[str], length: int) -> Tensor:
    """(n, length) numbers of the tokens, filled up or cut off, as the pipelines hand them to CLIP."""
    return tokenizer(
        list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
