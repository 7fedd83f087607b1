"""Which expressions are named on photos, and how often rightly.

    python bench/expressions.py FIXTURES

Counts what the expression facet says per set of photos, what it says of the eight acted photos, then compares it with
labels given by eye (``labels/expressions.json``; docs/log.md says how they were drawn). "choose" is the half on which
the limits were set, "test" the other half. ``speaking``, ``grimace``: no name would be right. ``unsure``: left out of
the figures. Photos are read in place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
from fixture_folder import fixtures_of
from real_detectors import largest, read

from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.domain.observation import Observation
from twinloop.facets.expression import FACET

SETS = {
    "Caltech": "caltech_faces_easy/*.jpg",
    "LFW": "lfw/*/*.jpg",
    "of these, one man (30 photos)": "lfw/Arnold_Schwarzenegger/*.jpg",
    "of these, a bearded man (30 photos)": "lfw/Kofi_Annan/*.jpg",
    "ORL": "orl_att/*/*.pgm",
    "CMU, forward, neutral, bare eyes": "cmu_faces/png/*_forward_neutral_eyes.png",
    "CMU, forward, angry, bare eyes": "cmu_faces/png/*_forward_angry_eyes.png",
}
LABELS = Path(__file__).parent / "labels" / "expressions.json"
UNNAMED, UNSURE = "not measured", "unsure"
CALM, JOY = frozenset({"neutral", "serious"}), frozenset({"smile", "laughing"})


class Reader:
    """Measures a photo's largest face once."""

    def __init__(self, weights: Path) -> None:
        self._faces = YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
        self._mesh = MediaPipeFace(weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task")
        self.measures = cache(self._measure)

    def _measure(self, path: Path) -> Mapping[str, float]:
        image = read(path)
        return self._mesh.measure(image, largest(self._faces.detect(image)))

    def found(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Mapping[str, float]]]:
        for path in paths:
            measures = self.measures(path)
            if measures:
                yield path, measures


def named(measures: Mapping[str, float]) -> str:
    """What the facet says of these measures."""
    seen = Observation("", 0, 0, (), (), measures, frozenset({"faces", "expression"}), "", "")
    present = FACET.classify(seen).present
    return present[0] if present else UNNAMED


@dataclass(frozen=True)
class Told:
    """One labelled face: what it shows and what was named."""

    label: str
    name: str

    @property
    def near(self) -> bool:
        """Right, or the neighbour that people mix up as well."""
        return self.label == self.name or any({self.label, self.name} <= kind for kind in (CALM, JOY))


def table(title: str, told: list[Told]) -> None:
    """Per name: right / named / there; then the faces without a name and how many names are wrong, neighbours counted
    apart.
    """
    print(f"{title}: {len(told)} faces")
    for value in FACET.values:
        calls = [t for t in told if t.name == value]
        there = sum(t.label == value for t in told)
        right = sum(t.label == value for t in calls)
        print(
            f"  {value:<10} right {right}, with neighbours {sum(t.near for t in calls)}, of {len(calls)} named; {there}"
            " there"
        )
    unnamed = [t for t in told if t.name == UNNAMED]
    nameless = sum(t.label not in FACET.values for t in unnamed)
    wrong = sum(t.name != UNNAMED and not t.near for t in told)
    print(f"  unnamed {len(unnamed)}, of them {nameless} rightly; wrong names {wrong}")


def labelled(photos: Path, reader: Reader) -> None:
    halves: dict[str, dict[str, dict[str, str]]] = json.loads(LABELS.read_text(encoding="utf-8"))
    for half, draws in halves.items():
        for draw, labels in draws.items():
            found = reader.found(photos / name for name, label in labels.items() if label != UNSURE)
            told = [Told(labels[path.relative_to(photos).as_posix()], named(measures)) for path, measures in found]
            table(f"{half}, {draw}", told)


def main(fixtures: Path) -> None:
    cv2.setNumThreads(1)
    photos, reader = fixtures / "photos", Reader(fixtures / "weights")
    for name, pattern in SETS.items():
        found = list(reader.found(sorted(photos.glob(pattern))))
        counts = Counter(named(measures) for _, measures in found)
        glasses = sum(measures.get("sunglasses", 0.0) >= 0.5 for _, measures in found)
        told = ", ".join(f"{value} {counts[value]}" for value in (*FACET.values, UNNAMED))
        print(f"{name}: {len(found)} faces: {told}; dark glasses {glasses}")
    for path, measures in reader.found(sorted((photos / "human_samples").glob("stock-emotions-*.jpg"))):
        print(f"{path.stem}: {named(measures)}")
    labelled(photos, reader)


if __name__ == "__main__":
    main(fixtures_of(__doc__))
