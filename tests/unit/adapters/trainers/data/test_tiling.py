"""Large photos are encoded whole, and in tiles where memory is short, all of a training in one way."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from PIL import Image  # noqa: E402

from tests.contract.makers import TRAINING  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.helpers.tiny_models import build_tiny_sdxl  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.framing import frame  # noqa: E402
from twinloop.adapters.diffusion.pixels import encode  # noqa: E402
from twinloop.adapters.trainers.data import tiling  # noqa: E402
from twinloop.adapters.trainers.data.cache import CacheSettings  # noqa: E402
from twinloop.adapters.trainers.data.prepare import prepare_batches  # noqa: E402
from twinloop.adapters.trainers.data.tiling import RECORD, encodes_in_tiles, encoding_bytes  # noqa: E402
from twinloop.adapters.trainers.records.checkpoints import Checkpoints  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

SIDE = 1152
LARGE = replace(TRAINING, resolution=SIDE, caption_dropout=0.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = build_tiny_sdxl(tmp_path_factory.mktemp("large") / "base", full_vae=True, large=True)
    return open_base(BaseChoice(str(folder), "cpu", "float32"), FAMILIES["sdxl"])


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> TrainingSample:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    ramp = np.linspace(0, 255, SIDE)
    noise = np.random.default_rng(0).normal(0, 30, (SIDE, SIDE, 3))
    pixels = np.clip(ramp[:, None, None] + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return TrainingSample(path, hashlib.sha256(path.read_bytes()).hexdigest(), "photo of ohwx ana", 1.0)


def left(monkeypatch: pytest.MonkeyPatch, count: int | None) -> None:
    monkeypatch.setattr(tiling, "main_memory_left", lambda: count)


def test_a_large_photo_is_encoded_whole_where_there_is_room(
    base: BaseModel, photo: TrainingSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = frame(SIDE, SIDE, SIDE, base.bucket_step, buckets=True).apply(np.asarray(Image.open(photo.path)))
    whole, tiled = encode(base, pixels), encode(base, pixels, tiled=True)
    assert not torch.equal(whole, tiled)
    base.pipeline.vae.disable_tiling()
    with torch.no_grad():
        plain = base.pipeline.vae.encode(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)
    scale = base.pipeline.vae.config.scaling_factor
    assert torch.allclose(whole, plain.latent_dist.mode()[0] * scale, atol=1e-5)

    said = list[str]()
    for count, wanted in ((1 << 40, whole), (1 << 20, tiled), (None, whole)):
        left(monkeypatch, count)
        batches = prepare_batches(base, [photo], LARGE, tmp_path / str(count), said.append)
        assert torch.equal(batches.alone(0).latents[0], wanted), count
    assert ["in tiles" in text for text in said] == [True]


@pytest.mark.parametrize("lazily", [True, False])
def test_a_training_that_goes_on_keeps_its_kind(
    lazily: bool, base: BaseModel, photo: TrainingSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first, then in ((1 << 20, 1 << 40), (1 << 40, 1 << 20)):
        work = tmp_path / str(first)
        left(monkeypatch, first)
        before = prepare_batches(base, [photo], LARGE, work, lazily=lazily).alone(0).latents
        left(monkeypatch, then)
        assert torch.equal(prepare_batches(base, [photo], LARGE, work, lazily=lazily).alone(0).latents, before)
        for file in (work / "cache" / "latents").iterdir():
            file.unlink()
        assert torch.equal(prepare_batches(base, [photo], LARGE, work, lazily=lazily).alone(0).latents, before)


def test_a_training_without_a_record_was_begun_with_tiles(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a version that knew nothing else."""
    left(monkeypatch, 1 << 40)
    Checkpoints(tmp_path).save(1, {"x": torch.zeros(1)})
    assert encodes_in_tiles(base, LARGE, tmp_path, pytest.fail) and (tmp_path / RECORD).exists()
    assert encodes_in_tiles(base, LARGE, tmp_path, pytest.fail)
    assert not encodes_in_tiles(base, LARGE, tmp_path / "new", pytest.fail)


def test_latents_of_the_two_kinds_have_names_of_their_own() -> None:
    whole, tiled = (CacheSettings(SIDE, 64, True, False, tiled) for tiled in (False, True))
    assert whole.name != tiled.name
    small = [CacheSettings(1024, 64, True, False, tiled).name for tiled in (False, True)]
    assert small == ["CacheSettings(resolution=1024, step=64, buckets=True, flip=False)"] * 2


def test_up_to_a_megapixel_nothing_is_decided(base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1)
    assert not encodes_in_tiles(base, replace(LARGE, resolution=1024), tmp_path, pytest.fail)
    assert not (tmp_path / RECORD).exists()


def test_what_the_user_allows_counts(base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left(monkeypatch, 1 << 40)
    monkeypatch.setattr(tiling, "encoding_bytes", lambda *_, **__: 9 << 30)
    assert encodes_in_tiles(base, replace(LARGE, memory=8), tmp_path / "8", lambda text: None)
    assert not encodes_in_tiles(base, replace(LARGE, memory=12), tmp_path / "12", pytest.fail)


def test_a_damaged_record_is_an_error(base: BaseModel, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("[]")
    with pytest.raises(StateError, match="damaged"):
        encodes_in_tiles(base, LARGE, tmp_path, pytest.fail)


@pytest.fixture
def gpu(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """As on a GPU with 8 GiB free, on which encoding takes 6."""
    for name, value in {
        "mem_get_info": (8 << 30, 8 << 30),
        "memory_reserved": 0,
        "reset_peak_memory_stats": None,
        "max_memory_reserved": 6 << 30,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(tiling, "encode", lambda base, image: None)
    there: Any = SimpleNamespace(
        compute=SimpleNamespace(device=torch.device("cuda")),
        pipeline=base.pipeline,
        bucket_step=64,
        wake_autoencoder=lambda: None,
    )
    return there  # type: ignore[no-any-return]


def test_on_a_gpu_one_is_tried(gpu: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not encodes_in_tiles(gpu, LARGE, tmp_path / "fits", pytest.fail)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 9 << 30)
    assert encodes_in_tiles(gpu, LARGE, tmp_path / "lent", lambda text: None)
    assert not encodes_in_tiles(gpu, LARGE, tmp_path / "fits", pytest.fail), "as it was begun"

    def full(base: BaseModel, image: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiling, "encode", full)
    assert encodes_in_tiles(gpu, LARGE, tmp_path / "full", lambda text: None)

    def broken(base: BaseModel, image: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(tiling, "encode", broken)
    with pytest.raises(RuntimeError, match="something else"):
        encodes_in_tiles(gpu, LARGE, tmp_path / "broken", pytest.fail)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_encoding_takes_can_be_told_of_every_family(name: str, tmp_path: Path) -> None:
    folder = build_tiny_sdxl(tmp_path / name, full_vae=True) if name == "sdxl" else build_tiny(name, tmp_path / name)
    base = open_base(BaseChoice(str(folder), "cpu", "float32"), FAMILIES[name])
    small, large = (encoding_bytes(base.pipeline.vae, side, frames=base.family.frames) for side in (256, 512))
    weights = 4 * sum(part.numel() for part in base.pipeline.vae.parameters())
    assert large - weights == pytest.approx(4 * (small - weights), rel=0.01) and small > 256 * 256 * 3 * 4
