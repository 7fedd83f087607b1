"""Go on training a shipped model folder: its weights become checkpoints of a working folder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline

from workshop import checkpoint
from workshop.muon import MuonAdamW
from workshop.parallel import Team
from workshop.unet import Parts


def adopt(folder: Path, work: Path, name: str) -> None:
    """Write ``vae.safetensors`` and ``<name>.safetensors`` at step 0, with a fresh optimiser: warm-up and clock start
    anew.

    Raises:
        FileExistsError: there is a checkpoint already; it is not overwritten.
    """
    targets = [work / "vae.safetensors", work / f"{name}.safetensors"]
    for target in targets:
        if target.exists():
            raise FileExistsError(f"{target} is there already; use another working folder or another name")
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    parts = Parts(len(pipeline.tokenizer))
    parts.unet.load_state_dict(pipeline.unet.state_dict())
    parts.text.load_state_dict(pipeline.text_encoder.state_dict())
    parts.text_2.load_state_dict(pipeline.text_encoder_2.state_dict())
    state = parts.state_dict()
    optimizer = MuonAdamW(parts.named_parameters(), Team())
    checkpoint.save(targets[0], 0, vae=pipeline.vae.state_dict(), clock={"seconds": torch.zeros(1)})
    checkpoint.save(targets[1], 0, parts=state, ema=state, optimizer=optimizer.state, clock={"seconds": torch.zeros(1)})
