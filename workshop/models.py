"""The parts of the tiny SDXL: sizes, and how each starts."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

LATENT_CHANNELS, GRID, SIZE = 16, 16, 256
TEXT_WIDTH, TOKENS = 128, 77
VAE_WIDTH = 64
ENCODER_BLOCKS, DECODER_BLOCKS = (0, 1, 1, 1, 2), (2, 2, 2, 1, 0)


COLOUR = ((1.2, 1.2, 1.2), (4.0, 0.0, -4.0), (-3.0, 6.0, -3.0))
"""Brightness and two colour differences of RGB in 0..1, scaled to a spread of about one: the first three latents at the
start."""


def build_vae() -> AutoencoderTiny:
    """An autoencoder of five levels (256 -> 16 pixels) that starts as a mosaic in the right colours.

    Three channels carry RGB through all levels, averaged on the way down and repeated on the way up; the other channels
    start at random and learn the detail. Without that the colours were what it learned last.
    """
    width = (VAE_WIDTH,) * 5
    make = cast(Any, AutoencoderTiny)
    vae = make(
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        num_encoder_blocks=ENCODER_BLOCKS,
        num_decoder_blocks=DECODER_BLOCKS,
        latent_channels=LATENT_CHANNELS,
    )
    for name, layer in vae.named_modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if name.endswith("conv.4"):
                layer.weight.data.mul_(0.2)
                layer.weight.data[:3] = 0  # no block touches the colours yet
    colour = torch.tensor(COLOUR)
    encoder, decoder = list(vae.encoder.layers), list(vae.decoder.layers)
    for layer in (encoder[0], *(layer for layer in (*encoder, *decoder) if getattr(layer, "bias", 1) is None)):
        _carry(layer, torch.eye(3), 0.25 if layer.stride == (2, 2) else 1.0)
    encoder[-1].weight.data.mul_(0.5)
    _carry(encoder[-1], colour, 1.0)
    encoder[-1].bias.data[:3] = -0.5 * colour.sum(1)
    _carry(decoder[0], torch.linalg.inv(colour), 1.0)
    decoder[0].bias.data[:3] = 0.5
    decoder[-1].weight.data.mul_(0.02)
    decoder[-1].weight.data[:, :3, 1, 1] += torch.eye(3)
    return cast(AutoencoderTiny, vae)


@torch.no_grad()
def _carry(layer: nn.Conv2d, matrix: torch.Tensor, share: float) -> None:
    """Make the first three outputs a ``matrix`` of the first three inputs at the same place (``share`` 0.25: mean of 2
    x 2).
    """
    layer.weight[:3] = 0
    if share == 1.0:
        layer.weight[:3, :3, 1, 1] = matrix
    else:
        layer.weight[:3, :3, 1:, 1:] = share * matrix[:, :, None, None]


@torch.no_grad()
def level_latents(vae: AutoencoderTiny, pictures: torch.Tensor) -> None:
    """Give every latent mean 0 and spread 1 on ``pictures`` (n, 3, h, w) in -1..1, and let the decoder take it back.

    The scheduler's noise assumes that spread; a loss that had to enforce it from afar undid the start for hundreds of
    steps.
    """
    latents = vae.encoder(pictures)
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last, first = vae.encoder.layers[-1], vae.decoder.layers[0]
    last.weight.div_(spread[:, None, None, None])
    last.bias.sub_(mean).div_(spread)
    first.bias.add_((first.weight * mean[:, None, None]).sum((1, 2, 3)))
    first.weight.mul_(spread[:, None, None])


def build_unet() -> UNet2DConditionModel:
    """Two levels of 96 and 192 channels on a 16 x 16 grid, conditioned like SDXL."""
    make = cast(Any, UNet2DConditionModel)
    unet = make(
        sample_size=GRID,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=(3, 6),
        cross_attention_dim=2 * TEXT_WIDTH,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=6 * 32 + TEXT_WIDTH,
        norm_num_groups=16,
    )
    for _, layer in unet.named_modules():
        # a block starts as the identity: the last layer of each branch is small
        if hasattr(layer, "conv2") and hasattr(layer, "time_emb_proj"):
            layer.conv2.weight.data.mul_(0.2)
    unet.conv_out.weight.data.zero_()
    unet.conv_out.bias.data.zero_()
    return cast(UNet2DConditionModel, unet)


def build_text(
    vocabulary: int, end: int, start: int, *, projection: bool, layers: int
) -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder of CLIP's form; SDXL reads the last layer but one, so one of ``layers`` is idle in the first."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        hidden_act="gelu",
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    config._attn_implementation = "eager"
    model = CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "token_embedding" in name:
                p.normal_(0.0, 0.3)
            elif "position_embedding" in name:
                p.normal_(0.0, 0.05)
    return model
