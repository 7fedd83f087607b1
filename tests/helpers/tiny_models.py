"""Real SDXL folders with random weights, small enough to be built and run in a second; nothing in them is special-cased
by the product.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

WIDTH, WIDTH_2 = 32, 48
"""Of the two text encoders."""
WORDS = ("a", "photo", "of", "ohwx", "ana", "woman", "smiling", "indoors", "profile", "blurry")


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tiny-models-")


def copy_of(name: str, folder: Path, build: Callable[[Path], object]) -> Path:
    """What ``build`` writes into a folder, in ``folder``; it is called once per process and name, and copied from then
    on.
    """
    made = Path(_kept().name) / name
    if not made.exists():
        build(made)
    return Path(shutil.copytree(made, folder, dirs_exist_ok=True))


def build_tiny_sdxl(folder: Path, *, full_vae: bool = False, seed: int = 0, large: bool = False) -> Path:
    """A diffusers folder: with ``full_vae`` AutoencoderKL, 4 channels, epsilon and Euler as SDXL has them; else
    AutoencoderTiny with 16 channels at 1/16, v-prediction and zero terminal SNR as the embedded base has them.

    ``large``: few channels, and attention in the middle only, so that it draws 1024 pixels in less than a second.
    """
    name = f"sdxl-{seed}{'-vae' * full_vae}{'-large' * large}"
    return copy_of(name, folder, lambda kept: _build(kept, full_vae, seed, large))


def _build(folder: Path, full_vae: bool, seed: int, large: bool) -> None:
    import torch
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTokenizer

    from workshop.tokenizer import write_tokenizer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        write_tokenizer(folder / "tokenizer", WORDS, 16)
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        vae: Any = _full_vae(attention=not large) if full_vae else _tiny_vae()
        noise: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
        scheduler: Any = (
            EulerDiscreteScheduler(**noise)
            if full_vae
            else DDIMScheduler(
                **noise,
                prediction_type="v_prediction",
                rescale_betas_zero_snr=True,
                timestep_spacing="trailing",
                clip_sample=False,
                set_alpha_to_one=False,
            )
        )
        pipeline = StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=_text(len(tokenizer), projection=False),
            text_encoder_2=_text(len(tokenizer), projection=True),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=_unet(4 if full_vae else 16, large=large),
            scheduler=scheduler,
            force_zeros_for_empty_prompt=full_vae,
            add_watermarker=False,
        )
        pipeline.save_pretrained(folder, safe_serialization=True)


def _unet(channels: int, *, large: bool) -> Any:
    from diffusers import UNet2DConditionModel

    make: Any = UNet2DConditionModel
    plain, width, groups = (4, 4, 2) if large else (1, 16, 8)
    lowest = ("DownBlock2D", "UpBlock2D") if large else ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D")
    return make(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(width,) * plain + (32,),
        down_block_types=("DownBlock2D",) * plain + lowest[:1],
        up_block_types=lowest[1:] + ("UpBlock2D",) * plain,
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=(2,) * plain + (4,),
        cross_attention_dim=WIDTH + WIDTH_2,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH_2,
        norm_num_groups=groups,
    )


def _tiny_vae() -> Any:
    from diffusers import AutoencoderTiny

    make: Any = AutoencoderTiny
    return make(
        encoder_block_out_channels=(8,) * 5,
        decoder_block_out_channels=(8,) * 5,
        num_encoder_blocks=(0, 0, 0, 0, 1),
        num_decoder_blocks=(1, 0, 0, 0, 0),
        latent_channels=16,
    )


def _full_vae(*, attention: bool = True) -> Any:
    from diffusers import AutoencoderKL

    make: Any = AutoencoderKL
    return make(
        block_out_channels=(8 if attention else 2,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4 if attention else 2,
        sample_size=64,
        scaling_factor=0.13025,
        mid_block_add_attention=attention,
    )


def _text(vocabulary: int, *, projection: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    width = WIDTH_2 if projection else WIDTH
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        hidden_act="gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
