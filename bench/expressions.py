"""Which expressions are named on photos of calm people, and which on a face that shows them.

    python bench/expressions.py ../shared/fixtures

Counts what the expression facet says per set of photos, then what it says of the eight acted photos. ``eyes`` says how often dark glasses are seen.
Photos are read in place. There is no gold standard for LFW and Caltech: the people there are calm, smile or speak, and next to none is angry.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
from real_detectors import largest, read

from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.domain.observation import Observation
from twinloop.facets.expression import FACET

SETS = {
    "Caltech": "caltech_faces_easy/*.jpg",
    "LFW": "lfw/*/*.jpg",
    "of these, one man (30 photos)": "lfw/Arnold_Schwarzenegger/*.jpg",
    "ORL": "orl_att/*/*.pgm",
    "CMU, forward, neutral, bare eyes": "cmu_faces/png/*_forward_neutral_eyes.png",
    "CMU, forward, angry, bare eyes": "cmu_faces/png/*_forward_angry_eyes.png",
}
UNNAMED = "not measured"


def measured(paths: list[Path], faces: YuNet, mesh: MediaPipeFace) -> Iterator[tuple[Path, Mapping[str, float]]]:
    for path in paths:
        image = read(path)
        measures = mesh.measure(image, largest(faces.detect(image)))
        if measures:
            yield path, measures


def named(measures: Mapping[str, float]) -> str:
    """What the facet says of these measures."""
    seen = Observation("", 0, 0, (), (), measures, frozenset({"faces", "expression"}), "", "")
    present = FACET.classify(seen).present
    return present[0] if present else UNNAMED


def main(fixtures: Path) -> None:
    cv2.setNumThreads(1)
    weights, photos = fixtures / "weights", fixtures / "photos"
    faces = YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
    mesh = MediaPipeFace(weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task")
    for name, pattern in SETS.items():
        found = list(measured(sorted(photos.glob(pattern)), faces, mesh))
        counts = Counter(named(measures) for _, measures in found)
        glasses = sum(measures.get("sunglasses", 0.0) >= 0.5 for _, measures in found)
        told = ", ".join(f"{value} {counts[value]}" for value in (*FACET.values, UNNAMED))
        print(f"{name}: {len(found)} faces: {told}; dark glasses {glasses}")
    for path, measures in measured(sorted((photos / "human_samples").glob("stock-emotions-*.jpg")), faces, mesh):
        print(f"{path.stem}: {named(measures)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / ".." / "shared" / "fixtures")
