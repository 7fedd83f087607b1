"""Curves of profiles, of every kind that the standard has, bring colours where the colour engine brings them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from twinloop.store.pictures.cicp import profile_by_code_points
from twinloop.store.pictures.profile_curves import to_srgb_by

CURVES = {
    "none": b"curv" + bytes(8),
    "gamma": b"curv" + struct.pack(">4xIH2x", 1, round(1.8 * 256)),
    "table": b"curv" + struct.pack(">4xI5H2x", 5, 0, 2000, 12000, 34000, 65535),
    **{
        f"formula {kind}": b"para" + struct.pack(f">4xH2x{len(numbers)}i", kind, *(round(n * 65536) for n in numbers))
        for kind, numbers in enumerate((
            (2.2,), (2.2, 1.1, -0.1), (2.0, 0.9, -0.05, 0.05), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
            (2.4, 0.94, 0.05, 0.07, 0.04, 0.005, 0.0),
        ))
    },
}  # fmt: skip


def profile(curve: bytes) -> bytes:
    """Display P3's with another curve, which stands behind all else."""
    data = profile_by_code_points(12, 13)
    assert data is not None
    made = bytearray(data.ljust(-(-len(data) // 4) * 4, b"\0"))
    for number in range(struct.unpack_from(">I", made, 128)[0]):
        if bytes(made[132 + 12 * number : 136 + 12 * number])[1:] == b"TRC":
            made[136 + 12 * number : 144 + 12 * number] = struct.pack(">II", len(data), len(curve))
    made[len(data) :] = curve
    made[:4] = struct.pack(">I", len(made))
    return bytes(made)


@pytest.mark.parametrize("name", CURVES)
def test_they_agree_with_the_colour_engine(name: str) -> None:
    x, y = np.meshgrid(np.linspace(20, 250, 24), np.linspace(40, 220, 16))
    colours = np.stack([x, y, 255 - x / 2], axis=-1).astype(np.uint8)
    data = profile(CURVES[name])
    engines = ImageCms.profileToProfile(
        Image.fromarray(colours), ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    change = to_srgb_by(data)
    assert change is not None and engines is not None
    assert np.abs(change(colours / 255) * 255 - np.asarray(engines)).max() < 2.5


@pytest.mark.parametrize(
    "data", [b"", b"x" * 200, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), profile(b"parb" * 4)]
)
def test_others_are_left_to_the_engine(data: bytes) -> None:
    assert to_srgb_by(data) is None
