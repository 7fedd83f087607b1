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


def build_vae() -> AutoencoderTiny:
    """An autoencoder of five levels (256 -> 16 pixels) that starts near the identity: blocks add little at first."""
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
            if layer.bias is None:
                layer.weight.data.mul_(0.3)
                for channel in range(VAE_WIDTH):
                    middle = layer.weight.data[channel, channel]
                    if layer.stride == (2, 2):
                        middle[1:, 1:] += 0.25
                    else:
                        middle[1, 1] += 0.7
    last = vae.decoder.layers[-1]
    last.weight.data.mul_(0.2)
    last.bias.data.fill_(0.5)
    vae.encoder.layers[-1].weight.data.mul_(0.5)
    return cast(AutoencoderTiny, vae)


def build_unet() -> UNet2DConditionModel:
    """Two levels of 128 and 224 channels on a 16 x 16 grid, conditioned like SDXL."""
    make = cast(Any, UNet2DConditionModel)
    unet = make(
        sample_size=GRID,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(128, 224),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=(4, 7),
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


def build_text(vocabulary: int, end: int, start: int, *, projection: bool, layers: int) -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder of CLIP's form; SDXL reads the layer before the last, so one of ``layers`` is idle in the first."""
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
