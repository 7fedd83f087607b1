"""Whether the large photos of a training are encoded whole or in tiles, which gives other latents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twinloop.adapters.diffusion.base_model import BaseModel, is_tiny_vae
from twinloop.adapters.diffusion.memory import SHORT, main_memory_left, ran_out_of_memory, release_memory
from twinloop.adapters.diffusion.pixels import LARGE, encode
from twinloop.domain.forecast import GIB
from twinloop.errors import StateError
from twinloop.ports import TrainingSettings
from twinloop.store.atomic import read_json, write_json

RECORD = "encoding.json"
CHECKPOINTS = "step_*.checkpoint"
"""What `records.checkpoints` calls its files."""
WORKING = 6
"""Times the largest tensor of an encoder: what it holds at once on a CPU (5.1 were measured with SDXL's)."""


def are_large(base: BaseModel, settings: TrainingSettings) -> bool:
    """Whether a training's pictures can be so large that encoding one takes much memory."""
    return settings.resolution**2 > LARGE and not is_tiny_vae(base.pipeline.vae)


def encodes_in_tiles(base: BaseModel, settings: TrainingSettings, work: Path, notice: Callable[[str], None]) -> bool:
    """Whether pictures beyond a megapixel are encoded in tiles, because memory is too short for whole ones.

    Decided once, before the first photo is encoded, and kept, so that a training has latents of one kind however often
    it is interrupted.

    Args:
        notice: told where it is so.

    Raises:
        StateError: what was kept is damaged.
    """
    if not are_large(base, settings):
        return False
    path = work / RECORD
    if path.exists():
        return _kept(path)
    if any(work.glob(CHECKPOINTS)):  # of a version that kept no record, and encoded large pictures in tiles only
        write_json(path, {"tiled": True})
        return True
    tiled = not _whole_fits(base, settings)
    if tiled:
        side = settings.resolution
        notice(
            f"Memory is too short to encode pictures of {side} x {side} as a whole: those beyond a megapixel are"
            " encoded in tiles, which changes their latents a little. A training.resolution of 1024 needs none."
        )
    write_json(path, {"tiled": tiled})
    return tiled


def _kept(path: Path) -> bool:
    kept = read_json(path)
    if isinstance(kept, dict) and isinstance(tiled := kept.get("tiled"), bool):
        return tiled
    raise StateError(f"{path} is damaged. Delete its folder to train anew.")


def _whole_fits(base: BaseModel, settings: TrainingSettings) -> bool:
    """Whether the largest picture can be encoded whole, with no other model on the device: tried on a GPU, predicted
    on a CPU, where a program that takes too much is ended and cannot try again.
    """
    side = settings.resolution // base.bucket_step * base.bucket_step
    if base.compute.device.type == "cpu":
        left = main_memory_left()
        rooms = [room for room in (left, settings.memory * GIB) if room]
        return not rooms or encoding_bytes(base.pipeline.vae, side, frames=base.family.frames) <= min(rooms)
    base.wake_autoencoder()
    watched = base.compute.device.type == "cuda"
    room = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() if watched else 0
    if watched:
        torch.cuda.reset_peak_memory_stats()
    try:
        encode(base, np.zeros((side, side, 3), np.uint8))
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        return False
    finally:
        release_memory()
    if not watched:
        return True
    # some drivers lend main memory instead of failing; and the user may have set less than there is
    asked = int(settings.memory * GIB * (1 - SHORT)) or room
    return bool(torch.cuda.max_memory_reserved() <= min(room, asked))


def encoding_bytes(vae: Any, side: int, *, frames: bool) -> int:
    """About what encoding a square in full precision takes on a CPU, from the sizes of the encoder's tensors; nothing
    is computed.

    Args:
        frames: as in `Family`.
    """
    largest = 0

    def look(module: Any, given: Any, made: Any) -> None:
        nonlocal largest
        if isinstance(made, torch.Tensor):
            largest = max(largest, made.nbytes)

    with torch.device("meta"):
        like = type(vae).from_config(vae.config)
        pixels = torch.empty(1, 3, *((1,) if frames else ()), side, side)
    for module in like.modules():
        module.register_forward_hook(look)
    with torch.no_grad():
        like.encode(pixels)
    weights: int = sum(part.numel() for part in vae.parameters())
    return WORKING * largest + 4 * weights
