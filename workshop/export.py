"""Write the model folder that ``StableDiffusionXLPipeline.from_pretrained`` loads; fp16, no file over 16 MB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline
from transformers import CLIPTokenizer

from workshop import captions, checkpoint
from workshop.models import TOKENS, build_vae
from workshop.schedule import SCHEDULER
from workshop.tokenizer import write_tokenizer
from workshop.unet import Parts

SHARD = "15MB"


def vae_path(work: Path) -> Path:
    """The autoencoder with the longest trained decoder."""
    return next(path for path in (work / "decoder.safetensors", work / "vae.safetensors") if path.exists())


def pipeline_of(work: Path, name: str, tokenizer_folder: Path, group: str = "ema") -> StableDiffusionXLPipeline:
    """The pipeline of a checkpoint, in fp32; ``group`` is ``ema`` (averaged weights) or ``parts`` (the last ones)."""
    write_tokenizer(tokenizer_folder, captions.vocabulary(), TOKENS)
    tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    parts = Parts(len(tokenizer))
    parts.load_state_dict(checkpoint.load(work / f"{name}.safetensors")[1][group])
    vae = build_vae()
    vae.load_state_dict(checkpoint.load(vae_path(work))[1]["vae"])
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=parts.text,
        text_encoder_2=parts.text_2,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=parts.unet,
        scheduler=cast(Any, DDIMScheduler)(**SCHEDULER, clip_sample=False, set_alpha_to_one=False),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def export(work: Path, name: str, to: Path) -> None:
    """Write the folder ``to`` as a whole: a new folder is filled first and then takes the old one's place.

    Texts that lie in the old folder (``*.md``) are kept.
    """
    fresh, old = to.with_name(f".{to.name}.new"), to.with_name(f".{to.name}.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    pipeline = pipeline_of(work, name, fresh / "tokenizer")
    pipeline.to(torch.float16)
    pipeline.save_pretrained(fresh, safe_serialization=True, max_shard_size=SHARD)
    for text in to.glob("*.md") if to.exists() else ():
        shutil.copy2(text, fresh / text.name)
    if to.exists():
        to.rename(old)
    fresh.rename(to)
    shutil.rmtree(old, ignore_errors=True)
