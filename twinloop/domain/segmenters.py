"""The networks that tell a picture's subject from what is behind it, each with all that is its own.

One more is one more entry of `SEGMENTERS`. What is prepared, and how an answer is read, is as the authors' own code has
it: u2net_human_seg_test.py of xuebinqin/U-2-Net, IS-Net/Inference.py of xuebinqin/DIS, inference.py of
SkyTNT/anime-segmentation, onnx/inference_onnx.py of ZHKKKe/MODNet, the transforms in the README of
ZhengPeng7/BiRefNet, and selfie_segmentation_cpu.pbtxt of google-ai-edge/mediapipe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Triple = tuple[float, float, float]

_IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
_IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SegmenterKind:
    """One kind of network.

    Attributes:
        key: in fingerprints, so it never changes. name: as people call it.
        files: patterns of file names in lower case, the best first.
        size: (width, height) in pixels of what goes in, where the file itself leaves it open.
        source: where its files come from. licence: of the weights.
        mean, std: a colour of 0..1 goes in as (colour - mean) / std, per channel, RGB.
        brightest: the picture's brightest value counts as 1, instead of 255.
        whole: the picture is made to fit with black beside it, instead of being stretched.
        by_shorter: the shorter side becomes ``size``, both sides multiples of 32; of files that take any size.
        logits: the answer goes through a sigmoid. stretched: it is stretched to 0..1.
        drawn: made for drawings, and for nothing else.
    """

    key: str
    name: str
    files: tuple[str, ...]
    size: tuple[int, int]
    source: str
    licence: str
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    brightest: bool = False
    whole: bool = False
    by_shorter: bool = False
    logits: bool = False
    stretched: bool = False
    drawn: bool = False


BIREFNET = SegmenterKind(
    key="birefnet", name="BiRefNet", files=(r"birefnet.*portrait.*\.onnx$", r"birefnet.*\.onnx$"), size=(1024, 1024),
    source="ZhengPeng7/BiRefNet; as ONNX among the releases of danielgatis/rembg", licence="MIT",
    mean=_IMAGENET_MEAN, std=_IMAGENET_STD, logits=True,
)  # fmt: skip
ISNET_ANIME = SegmenterKind(
    key="isnet-anime", name="ISNet for anime", files=(r"isnet[-_]?(anime|is).*\.onnx$",), size=(1024, 1024),
    source="SkyTNT/anime-segmentation (isnetis.onnx); isnet-anime.onnx among the releases of danielgatis/rembg",
    licence="Apache-2.0", whole=True, drawn=True,
)  # fmt: skip
ISNET = SegmenterKind(
    key="isnet", name="ISNet", files=(r"isnet.*\.onnx$",), size=(1024, 1024),
    source="xuebinqin/DIS; isnet-general-use.onnx among the releases of danielgatis/rembg", licence="Apache-2.0",
    mean=(0.5, 0.5, 0.5), stretched=True,
)  # fmt: skip
MODNET = SegmenterKind(
    key="modnet", name="MODNet", files=(r"modnet.*photo.*\.onnx$", r"modnet.*\.onnx$"), size=(512, 512),
    source="ZHKKKe/MODNet", licence="Apache-2.0",
    mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), by_shorter=True,
)  # fmt: skip
U2NET = SegmenterKind(
    # u2net_cloth_seg tells kinds of clothes apart, and no subject
    key="u2net", name="U-2-Net",
    files=(r"u2net_human.*\.onnx$", r"u2net(?!p|.*cloth).*\.onnx$", r"silueta.*\.onnx$", r"u2netp.*\.onnx$"),
    size=(320, 320), source="xuebinqin/U-2-Net; as ONNX among the releases of danielgatis/rembg", licence="Apache-2.0",
    mean=_IMAGENET_MEAN, std=_IMAGENET_STD, brightest=True, stretched=True,
)  # fmt: skip
SELFIE_LANDSCAPE = SegmenterKind(
    key="selfie-landscape", name="MediaPipe selfie segmentation, landscape",
    files=(r"selfie_?segment.*landscape.*\.(tflite|onnx)$",), size=(256, 144),
    source="google-ai-edge/mediapipe", licence="Apache-2.0",
)  # fmt: skip
SELFIE = SegmenterKind(
    key="selfie", name="MediaPipe selfie segmentation", files=(r"selfie_?segment.*\.(tflite|onnx)$",), size=(256, 256),
    source="google-ai-edge/mediapipe, mediapipe/modules/selfie_segmentation", licence="Apache-2.0",
)  # fmt: skip

SEGMENTERS = (BIREFNET, ISNET_ANIME, ISNET, MODNET, U2NET, SELFIE_LANDSCAPE, SELFIE)
"""Of two whose patterns fit a name the first counts."""
_BEST_FIRST = (BIREFNET, ISNET, MODNET, U2NET, SELFIE, SELFIE_LANDSCAPE, ISNET_ANIME)
"""Where a folder holds several: by how finely they draw. What is made for drawings is asked of photos last."""

GET = (
    "selfie_segmentation.tflite (google-ai-edge/mediapipe; small and quick), u2net_human_seg.onnx,"
    " isnet-general-use.onnx or BiRefNet-portrait-*.onnx (releases of danielgatis/rembg; finer and slower), and for"
    " drawings isnet-anime.onnx (there, too)"
)
"""Names and homes of files that tell a subject from what is behind it."""


def segmenter_of(name: str) -> SegmenterKind | None:
    """The kind of network in a file, by its name; None = by that name it is none."""
    low = name.lower()
    return next((kind for kind in SEGMENTERS if any(re.search(files, low) for files in kind.files)), None)


def preference(name: str, drawn: bool = False) -> tuple[bool, int, int]:
    """What file names of such networks are sorted by, the best first.

    Args:
        drawn: the subject is a drawing, for which networks that are made for drawings come first.
    """
    kind = segmenter_of(name)
    if kind is None:
        return True, len(_BEST_FIRST), 0
    place = next(number for number, files in enumerate(kind.files) if re.search(files, name.lower()))
    return drawn and not kind.drawn, _BEST_FIRST.index(kind), place
