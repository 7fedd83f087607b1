"""SDXL at its real size with random weights: a diffusers folder of 6.9 GB to try the product on when no checkpoint is
at hand.

    python bench/real_size.py FOLDER
    twinloop train PHOTOS --config CONFIG --output lora.safetensors

where CONFIG holds "base_model": FOLDER and "precision": "bfloat16".

Shapes, file sizes, names of tensors, memory and speed are those of SDXL 1.0; what it draws is noise, and its vocabulary
is a dozen words.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out

# isort: split
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from memory_forecast import SDXL
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from workshop.tokenizer import write_tokenizer

WORDS = ("a", "photo", "of", "ohwx", "woman", "man", "person", "smiling", "front", "view", "profile", "portrait")
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
NOISE: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
LENGTH = 77


def filled(make: Any) -> Any:
    """What ``make`` builds, in float16 and with random numbers: matrices and kernels normal, scales 1, the rest 0."""
    with torch.device("meta"):
        model = make()
    model = model.half().to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.02)
            else:
                parameter.fill_(float(name.endswith("weight")))
        for name, buffer in model.named_buffers():
            if name.endswith("position_ids"):
                buffer.copy_(torch.arange(buffer.shape[-1])[None])
    return model.eval()


def text_config(words: int, width: int, layers: int, heads: int, activation: str) -> Any:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=LENGTH,
        hidden_act=activation,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def build(folder: Path) -> None:
    """Write the folder.

    Raises:
        FileExistsError: it is there.
    """
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    write_tokenizer(folder / "tokenizer", WORDS, LENGTH)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    unet: Any = UNet2DConditionModel
    vae: Any = AutoencoderKL
    pipeline = StableDiffusionXLPipeline(
        vae=filled(lambda: vae(**VAE)),
        text_encoder=filled(lambda: CLIPTextModel(text_config(len(tokenizer), 768, 12, 12, "quick_gelu"))),
        text_encoder_2=filled(lambda: CLIPTextModelWithProjection(text_config(len(tokenizer), 1280, 32, 20, "gelu"))),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=filled(lambda: unet(**SDXL)),
        scheduler=EulerDiscreteScheduler(**NOISE),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    build(parser.parse_args().folder)


if __name__ == "__main__":
    main()
