"""TIFFs of every kind for the tests, byte by byte, and the picture in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

from twinloop.store.pictures.images import decode, upright_size
from twinloop.store.pictures.photo_file import decode_small

W, H = 48, 32
GREY, INVERTED, RGB, CMYK, CIELAB, ICCLAB = 1, 0, 2, 5, 8, 9
Array = np.ndarray


def scene() -> Array:
    """(32, 48, 3) uint8: a red corner, a blue one, and a slope between them."""
    x, y = np.meshgrid(np.linspace(40, 220, W), np.linspace(60, 200, H))
    pixels = np.stack([x, y, 250 - x], axis=-1).astype(np.uint8)
    pixels[:8, :8], pixels[-8:, -8:] = (230, 40, 30), (30, 60, 220)
    return pixels


def greys() -> Array:
    return np.asarray(Image.fromarray(scene()).convert("L"))


def tiff(
    values: Array, colours: int, bits: int = 8, *, numbers: int = 1, order: str = "<", planes: bool = False,
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:  # fmt: skip
    """An uncompressed TIFF with one strip, or one for each plane."""
    height, width, count = (*values.shape, 1)[:3]
    stored = values.reshape(height, width, count)
    stored = stored.transpose(2, 0, 1) if planes else stored
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    size = len(data) // (count if planes else 1)
    lists = {
        258: ("H", [bits] * count),
        339: ("H", [numbers] * count),
        273: ("I", [8 + at for at in range(0, len(data), size)]),
        279: ("I", [size] * (len(data) // size)),
        **{tag: ("I", [value]) for tag, value in ((256, width), (257, height), (278, height))},
        **{tag: ("H", [value]) for tag, value in ((259, 1), (262, colours), (277, count), (284, 1 + planes), *tags)},
    }
    body, entries = data, b""
    for tag, (kind, items) in sorted(lists.items()):
        packed = struct.pack(f"{order}{len(items)}{kind}", *items)
        head = struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, len(items))
        entries += head + (packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(f"{order}I", 8 + len(body)))
        body += packed if len(packed) > 4 else b""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(body))
    return start + body + struct.pack(f"{order}H", len(lists)) + entries + bytes(4)


def check(data: bytes, wanted: Array, tolerance: float = 2) -> None:
    """What is scanned, and what is cut from, is the picture."""
    truth = wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2)
    for seen in (decode(data), decode_small(data, 1280).small):
        assert seen.shape == truth.shape
        assert np.abs(seen.astype(int) - truth).max() <= tolerance
    assert upright_size(data) == truth.shape[1::-1]


def tiled(values: Array, colours: int, bits: int, *, numbers: int = 1, order: str = "<", side: int = 16) -> bytes:
    """The same in square tiles, those at the right and lower edges filled up."""
    height, width = values.shape[:2]
    down, across = -(-height // side), -(-width // side)
    filled = np.pad(values, ((0, down * side - height), (0, across * side - width), (0, 0)))
    rows = filled.reshape(down, side, across * side, -1)
    tiles = np.concatenate([part.reshape(side, across, side, -1).swapaxes(0, 1) for part in rows])
    strip = tiff(tiles.reshape(-1, side, values.shape[2]), colours, bits, numbers=numbers, order=order)
    at, size = struct.unpack(f"{order}I", strip[4:8])[0], side * side * values.shape[2] * bits // 8
    found = [
        strip[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(struct.unpack(f"{order}H", strip[at : at + 2])[0])
    ]
    kept = {struct.unpack(f"{order}H", entry[:2])[0]: entry for entry in found}
    lists = b""
    for tag, items in (
        (324, [8 + size * number for number in range(len(tiles))]), (325, [size] * len(tiles)), (322, [side]),
        (323, [side]), (256, [width]), (257, [height]),
    ):  # fmt: skip
        packed = struct.pack(f"{order}{len(items)}I", *items)
        place = packed if len(items) == 1 else struct.pack(f"{order}I", len(strip) + len(lists))
        kept[tag] = struct.pack(f"{order}HHI", tag, 4, len(items)) + place
        lists += packed if len(items) > 1 else b""
    entries = b"".join(kept[tag] for tag in sorted(kept.keys() - {273, 278, 279}))
    end = struct.pack(f"{order}I", len(strip) + len(lists))
    return strip[:4] + end + strip[8:] + lists + struct.pack(f"{order}H", len(entries) // 12) + entries + bytes(4)
