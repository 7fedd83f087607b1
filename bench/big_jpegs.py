"""JPEGs of 12 megapixels for the benches, made of fixture photos: enlarged, with the texture of other photos and a
little noise laid over, so that they are as large (2 to 5 MB) as those of a camera. The copies are what people's folders
are full of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

SIZE = (4032, 3024)
QUALITY = 90


def write_originals(fixtures: Path, folder: Path, count: int) -> list[Path]:
    """``count`` different photos, ``original_000.jpg`` and so on. Those that are there already are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = sorted((fixtures / "photos" / "caltech_faces_easy").glob("*.jpg"))
    things = sorted((fixtures / "images" / "imagededup" / "base_images").glob("*.jpg"))
    sources = [path for pair in zip(faces[:: len(faces) // 10], things, strict=False) for path in pair]
    textures = sorted((fixtures / "photos" / "human_samples").glob("*.jpg"))
    paths = [folder / f"original_{number:03d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            _enlarged(sources[number % len(sources)], textures[number % len(textures)], number).save(
                path, "JPEG", quality=QUALITY
            )
    return paths


def write_corpus(fixtures: Path, folder: Path, count: int) -> list[Path]:
    """Originals; of every third also a copy of the same bytes, of every third one that was saved anew, brightened."""
    paths = write_originals(fixtures, folder, count)
    for number, path in enumerate(list(paths)):
        copy = path.with_name(path.name.replace("original", "copy" if number % 3 == 0 else "edited"))
        if number % 3 == 2:
            continue
        if not copy.exists():
            if number % 3 == 0:
                shutil.copy(path, copy)
            else:
                with Image.open(path) as image:
                    ImageEnhance.Brightness(image).enhance(1.1).save(copy, "JPEG", quality=80)
        paths.append(copy)
    return sorted(paths)


def _enlarged(source: Path, texture: Path, seed: int) -> Image.Image:
    with Image.open(source) as image:
        width, height = SIZE if image.width >= image.height else SIZE[::-1]
        large = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(seed).normal(0, 1.5, (height, width)).astype(np.float32)
    return Image.fromarray(
        np.clip(large + (_tiled(_detail(texture), width, height) + noise)[..., None], 0, 255).astype(np.uint8)
    )


def _detail(path: Path) -> npt.NDArray[np.float32]:
    """What a photo has at its finest scale."""
    with Image.open(path) as image:
        grey = image.convert("L")
    coarse = grey.resize((grey.width // 6, grey.height // 6), Image.Resampling.BOX).resize(
        grey.size, Image.Resampling.BICUBIC
    )
    return np.asarray(grey, np.float32) - np.asarray(coarse, np.float32)


def _tiled(values: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """Mirrored at every edge, so that no seam shows."""
    row = np.concatenate([values, values[:, ::-1]], axis=1)
    block = np.concatenate([row, row[::-1]], axis=0)
    tiles = np.tile(block, (-(-height // block.shape[0]), -(-width // block.shape[1])))
    return tiles[:height, :width]


def megabytes(paths: list[Path]) -> str:
    """Their sizes, in words."""
    sizes = [len(path.read_bytes()) / 1e6 for path in paths]
    return f"{min(sizes):.1f} to {max(sizes):.1f} MB, {sum(sizes) / len(sizes):.1f} on average"
