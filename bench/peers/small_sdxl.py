"""An SDXL in its true proportions, with random weights and an eighth of the widths: each part takes about its real
share of a step.

The denoiser has SDXL's levels and its 70 transformer layers, the autoencoder SDXL's layout, so that encoding a picture
costs about three quarters of the denoiser's forward pass, as 4.88 and 6.76 TFLOP do at 1024 pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTHS = (96, 160)
"""Of the two text encoders: an eighth of 768 and 1280."""
TOKENS = 77
WORDS = ("a", "photo", "of", "ohwx", "ana", "woman", "smiling", "indoors", "profile", "blurry")


def build_small_sdxl(folder: Path) -> Path:
    """Write the diffusers folder."""
    import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out

    # isort: split
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTokenizer

    from workshop.tokenizer import write_tokenizer

    torch.manual_seed(0)
    write_tokenizer(folder / "tokenizer", WORDS, TOKENS)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_text(len(tokenizer), WIDTHS[0], 12, 4),
        text_encoder_2=_text(len(tokenizer), WIDTHS[1], 32, 5, projection=True),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _unet() -> Any:
    from diffusers import UNet2DConditionModel

    make: Any = UNet2DConditionModel
    return make(
        sample_size=128,
        block_out_channels=(40, 80, 160),
        attention_head_dim=(5, 10, 20),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=2,
        transformer_layers_per_block=(1, 2, 10),
        cross_attention_dim=sum(WIDTHS),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=6 * 32 + WIDTHS[1],
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    make: Any = AutoencoderKL
    return make(
        block_out_channels=(16, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=1024,
        scaling_factor=0.13025,
    )


def _text(vocabulary: int, width: int, layers: int, heads: int, *, projection: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=TOKENS,
        hidden_act="gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
