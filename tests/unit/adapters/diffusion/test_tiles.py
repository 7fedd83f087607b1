"""Pictures in tiles: also those of 1024 pixels, which the autoencoders of the large models take for one tile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage  # noqa: E402

from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.pixels import ready_vae  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

WIDTHS = {"block_out_channels": (8,) * 4, "norm_num_groups": 8, "layers_per_block": 1}
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}


def autoencoder(kind: Any, size: int) -> Any:
    with torch.device("meta"):
        return kind(**WIDTHS, **BLOCKS, sample_size=size)


@pytest.fixture
def base(full_base: Path) -> BaseModel:
    """One of our own: the pipeline is shared by the tests of this process."""
    opened = open_base(BaseChoice(str(full_base), "cpu"), FAMILIES["sdxl"])
    return replace(opened, pipeline=Pipeline())


class Pipeline:
    vae: Any = None


@pytest.mark.parametrize("kind", [AutoencoderKL, AutoencoderKLFlux2])
@pytest.mark.parametrize(("tiles", "pieces"), [(True, 9), (False, 1), (None, 1)])
def test_a_picture_of_1024_pixels(
    kind: Any, tiles: bool | None, pieces: int, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.pipeline.vae = autoencoder(kind, 1024)
    vae, seen = ready_vae(base, 1024, 1024, tiles), list[tuple[int, ...]]()
    inner = vae.decoder.forward
    monkeypatch.setattr(vae.decoder, "forward", lambda z, *rest: (seen.append(z.shape[-2:]), inner(z, *rest))[1])
    made = vae.decode(torch.empty(1, vae.config.latent_channels, 128, 128, device="meta")).sample
    assert made.shape[-2:] == (1024, 1024)
    assert len(seen) == pieces and (max(seen) <= (64, 64)) == (pieces > 1)


def test_a_small_gpu_takes_such_a_picture_apart(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    base.compute = replace(base.compute, device=torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (0, 8 << 30))
    base.pipeline.vae = autoencoder(AutoencoderKL, 1024)
    vae = ready_vae(base, 1024, 1024)
    assert vae.use_tiling and (vae.tile_sample_min_size, vae.tile_latent_min_size) == (512, 64)


def test_smaller_tiles_stay_as_they_are(base: BaseModel) -> None:
    base.pipeline.vae = autoencoder(AutoencoderKL, 256)
    vae = ready_vae(base, 1024, 1024, tiles=True)
    assert (vae.tile_sample_min_size, vae.tile_latent_min_size) == (256, 32)
    with torch.device("meta"):
        base.pipeline.vae = AutoencoderKLQwenImage(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    vae = ready_vae(base, 1024, 1024, tiles=True)
    assert vae.use_tiling and vae.tile_sample_min_height == 256
