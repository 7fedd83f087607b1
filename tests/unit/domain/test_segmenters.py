"""Files of segmentation networks by the names that people have them under."""

from __future__ import annotations

import pytest

from twinloop.domain.model_roles import Role, role_of
from twinloop.domain.segmenters import (
    BIREFNET,
    ISNET,
    ISNET_ANIME,
    MODNET,
    SEGMENTERS,
    SELFIE,
    SELFIE_LANDSCAPE,
    U2NET,
    SegmenterKind,
    preference,
    segmenter_of,
)

NAMES = {
    "u2net.onnx": U2NET, "u2net_human_seg.onnx": U2NET, "u2netp.onnx": U2NET, "silueta.onnx": U2NET,
    "isnet-general-use.onnx": ISNET, "isnet-anime.onnx": ISNET_ANIME, "isnetis.onnx": ISNET_ANIME,
    "BiRefNet-portrait-epoch_150.onnx": BIREFNET, "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx": BIREFNET,
    "birefnet-general.onnx": BIREFNET, "modnet_photographic_portrait_matting.onnx": MODNET, "modnet.onnx": MODNET,
    "selfie_segmentation.tflite": SELFIE, "selfie_segmenter.tflite": SELFIE, "selfie_segmentation.onnx": SELFIE,
    "selfiesegmentation_mlkit-256x256-2021_01_19-v1215.f16.tflite": SELFIE,
    "selfie_segmentation_landscape.tflite": SELFIE_LANDSCAPE,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_the_network(name: str) -> None:
    assert segmenter_of(name) is NAMES[name] and role_of(name) is Role.SEGMENTER


@pytest.mark.parametrize(
    "name", ["u2net_cloth_seg.onnx", "u2net.pth", "selfie_multiclass_256x256.tflite", "birefnet.safetensors", "me.png"]
)
def test_what_marks_no_subject_is_none(name: str) -> None:
    assert segmenter_of(name) is None and role_of(name) is None


def test_the_finest_comes_first_and_what_is_made_for_drawings_last_or_first() -> None:
    best = ["BiRefNet-portrait-epoch_150.onnx", "birefnet-general.onnx", "isnet-general-use.onnx", "modnet.onnx",
            "u2net_human_seg.onnx", "u2net.onnx", "silueta.onnx", "u2netp.onnx", "selfie_segmentation.tflite",
            "selfie_segmentation_landscape.tflite", "isnet-anime.onnx"]  # fmt: skip
    assert sorted(set(best), key=preference) == best
    assert min(best, key=lambda name: preference(name, drawn=True)) == "isnet-anime.onnx"


@pytest.mark.parametrize("kind", SEGMENTERS, ids=lambda kind: kind.key)
def test_every_network_has_a_place_in_the_order(kind: SegmenterKind) -> None:
    assert [one for name, one in NAMES.items() if one is kind and preference(name)[1] < len(SEGMENTERS)]
