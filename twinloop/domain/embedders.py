"""The networks that turn a face into an identity vector, each with all that is its own.

One more is one more entry of `EMBEDDERS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from twinloop.domain.known_models import by_hash
from twinloop.domain.likeness import MEASURED, Likeness, published

Triple = tuple[float, float, float]
Points = tuple[tuple[float, float], ...]

TEMPLATE: Points = (
    (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041),
)  # fmt: skip
"""Where image-left eye, image-right eye, nose and both corners of the mouth go in a crop of 112 pixels: the alignment
that ArcFace-family nets are trained with (insightface's face_align.py; OpenCV's face_recognize.cpp has the same numbers
for SFace)."""


@dataclass(frozen=True)
class FaceEmbedder:
    """One kind of network.

    Attributes:
        key: in fingerprints, so it never changes. name: as people call it.
        files: patterns of file names in lower case, the best first.
        likeness: limits on its cosines. limits_from: where these come from, as the end of a sentence.
        source: where its files come from. licence: of the weights.
        notice: what a user must know before using it; "" = nothing.
        dimensions: of its vector; None = any. divide, mean, std: a pixel of 0..255 goes in as (pixel / divide - mean) /
            std, per channel.
    """

    key: str
    name: str
    files: tuple[str, ...]
    likeness: Likeness
    limits_from: str
    source: str
    licence: str
    notice: str = ""
    dimensions: int | None = None
    divide: float = 255.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)


MOBILEFACENET = FaceEmbedder(
    key="mobilefacenet", name="MobileFaceNet", files=(r"mobile_?face_?net.*\.onnx$",),
    likeness=Likeness.of(MEASURED), limits_from="measured on LFW with this very network",
    source="foamliu/MobileFaceNet", licence="Apache-2.0",
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
)  # fmt: skip
SFACE = FaceEmbedder(
    # raw pixels: what is subtracted and multiplied lies in the network itself
    key="sface", name="SFace",
    files=(r"(^|[-_])sface(?!.*int8).*\.onnx$", r"(^|[-_])sface.*\.onnx$"),
    likeness=published(0.363), limits_from="taken from OpenCV's published limit of 0.363, not measured here",
    source="opencv/opencv_zoo, models/face_recognition_sface", licence="Apache-2.0",
    dimensions=128, divide=1.0,
)  # fmt: skip
ARCFACE = FaceEmbedder(
    key="arcface", name="ArcFace", files=(r"w600k_r50.*\.onnx$", r"glintr100.*\.onnx$", r"w600k_mbf.*\.onnx$"),
    likeness=published(0.28),
    limits_from="taken from the 0.28 that InsightFace's own demo asks of w600k_r50, not measured here",
    source="InsightFace's model packs buffalo_l (w600k_r50), antelopev2 (glintr100) and buffalo_s (w600k_mbf)",
    licence="non-commercial research only", notice="InsightFace's weights are for non-commercial research only",
    dimensions=512, divide=127.5, mean=(1.0, 1.0, 1.0),
)  # fmt: skip
EMBEDDERS = (MOBILEFACENET, SFACE, ARCFACE)
"""In the order of preference where a folder holds several: limits that were measured before those that were taken over,
and what anybody may use before what is for research only."""


def embedder_of(name: str, sha256: str = "") -> FaceEmbedder | None:
    """The kind of network in a file: by its content where that is known, else by the file's name; None = neither tells.

    Content goes first, because InsightFace's small net is a MobileFaceNet, too, and lies around under that name.
    """
    known = by_hash(sha256) if sha256 else None
    names = (name if known is None else known.name).lower()
    return next((kind for kind in EMBEDDERS if any(re.search(files, names) for files in kind.files)), None)


def embedder_called(name: str) -> FaceEmbedder | None:
    """The kind of network of that `FaceEmbedder.name`."""
    return next((kind for kind in EMBEDDERS if kind.name == name), None)


def preference(name: str) -> int:
    """Place of a file name among all that are known as embedders, the best first."""
    patterns = [pattern for kind in EMBEDDERS for pattern in kind.files]
    return next((place for place, files in enumerate(patterns) if re.search(files, name.lower())), len(patterns))
