"""How many hands of photos pass as well formed, and how many of hands that were spoilt on purpose.

    python bench/hand_shapes.py FIXTURES

Hands of the gesture photos and human_samples, as they lie in the photo, mirrored, and in a half-size copy; then each
found hand, cut out upright and spoilt: fingers stretched, one finger stretched, blurred, melted (pixels moved about
smoothly), and landmarks that are random points. A spoilt hand that the detector does not find at all is no hand to
anybody. Photos are read in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from fixture_folder import fixtures_of
from PIL import Image, ImageOps

from twinloop.adapters.detectors.imaging import RotatedCrop
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands
from twinloop.domain.faces import FloatArray, HandShape, ImageArray, Part
from twinloop.domain.hands import hand_doubt, malformed, palm_size
from twinloop.domain.statistics import wilson

SETS = ("mediapipe_gesture/**/*.jpg", "human_samples/*.jpg")
NO_HAND = frozenset({"stock-emotions-a-3.jpg"})
"""Its mouth is taken for a hand of presence 0.50; with a face detector beside it, it is not."""
SIDE = 448
PALMS = 4.5
"""Side of a cut-out hand, in sizes of its palm."""
Spoil = Callable[[ImageArray, FloatArray, np.random.Generator], ImageArray]


def warped(image: ImageArray, dx: FloatArray, dy: FloatArray) -> ImageArray:
    """Each pixel taken from ``dx``, ``dy`` (pixels) away."""
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    moved = cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def stretched(factor: float) -> Spoil:
    def spoil(image: ImageArray, points: FloatArray, rng: np.random.Generator) -> ImageArray:
        y = np.mgrid[0:SIDE, 0:SIDE][0].astype(np.float32)
        above = np.maximum(float(points[[5, 9, 13, 17], 1].mean()) - y, 0)
        return warped(image, np.zeros_like(y), above * np.float32(1 - 1 / factor))

    return spoil


def one_finger(image: ImageArray, points: FloatArray, rng: np.random.Generator) -> ImageArray:
    """One of the four fingers 2.2 times as long."""
    knuckle = 5 + 4 * int(rng.integers(4))
    root, along = points[knuckle], points[knuckle + 3] - points[knuckle]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    up = (x - root[0]) * along[0] + (y - root[1]) * along[1]
    beside = (x - root[0]) * along[1] - (y - root[1]) * along[0]
    back = np.maximum(up, 0) * np.float32(1 - 1 / 2.2) * np.exp(-(beside**2) / (2 * 14.0**2))
    return warped(image, -back * along[0], -back * along[1])


def blurred(sigma: float) -> Spoil:
    return lambda image, points, rng: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def melted(amount: float) -> Spoil:
    def spoil(image: ImageArray, points: FloatArray, rng: np.random.Generator) -> ImageArray:
        waves = [cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 14) for _ in range(2)]
        return warped(image, *(wave / wave.std() * np.float32(amount) for wave in waves))

    return spoil


SPOILT: dict[str, Spoil] = {
    "cut out, as it is": lambda image, points, rng: image,
    "cut out, mirrored": lambda image, points, rng: np.ascontiguousarray(image[:, ::-1]),
    "fingers 1.5 times as long": stretched(1.5),
    "fingers 2 times as long": stretched(2.0),
    "fingers 2.5 times as long": stretched(2.5),
    "one finger 2.2 times as long": one_finger,
    "blurred, sigma 4 px": blurred(4),
    "blurred, sigma 8 px": blurred(8),
    "blurred, sigma 12 px": blurred(12),
    "melted, 8 px": melted(8),
    "melted, 16 px": melted(16),
    "melted, 24 px": melted(24),
}
"""On pictures of 448 px, of which the palm is about 100."""


def read(path: Path) -> ImageArray:
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def photos(fixtures: Path) -> Iterator[tuple[Path, ImageArray]]:
    for pattern in SETS:
        for path in sorted((fixtures / "photos").glob(pattern)):
            if path.name not in NO_HAND:
                yield path, read(path)


def say(name: str, tried: int, hands: list[Part]) -> None:
    doubts = [hand_doubt(hand) for hand in hands]
    good, why = doubts.count(""), Counter(doubt.split(" (")[0] for doubt in doubts if doubt)
    share = wilson(good, len(hands))
    interval = f"{100 * good / len(hands):.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]" if hands else "-"
    of = f"of {tried} " if tried else ""
    words = "; ".join(f"{text} {count}" for text, count in why.most_common())
    print(f"{name}: {of}found {len(hands)}, of these pass {good} = {interval}{'; ' if words else ''}{words}")


def cut_out(image: ImageArray, hand: Part) -> tuple[ImageArray, FloatArray]:
    """The hand upright in a picture of ``SIDE``, and its landmarks there."""
    assert hand.shape is not None
    points = hand.shape.landmarks
    dx, dy = (float(v) for v in points[9] - points[0])
    middle = points.mean(axis=0)
    crop = RotatedCrop((float(middle[0]), float(middle[1])), PALMS * palm_size(points), float(np.arctan2(dx, -dy)))
    back = np.linalg.inv(crop._axes()) @ (points - middle).T / np.float32(crop.side)
    return crop.cut(image, SIDE), np.asarray((back.T + 0.5) * SIDE, np.float32)


def main() -> None:
    fixtures = fixtures_of(__doc__)
    weights = fixtures / "weights" / "mediapipe_hands"
    detector = MediaPipeHands(next(weights.glob("palm*.onnx")), next(weights.glob("hand*.onnx")))
    found: list[tuple[Path, ImageArray, Part]] = []
    mirrored: list[Part] = []
    smaller: list[Part] = []
    for path, image in photos(fixtures):
        found += [(path, image, hand) for hand in detector.parts(image, ())]
        mirrored += detector.parts(np.ascontiguousarray(image[:, ::-1]), ())
        half = (image.shape[1] // 2, image.shape[0] // 2)
        smaller += detector.parts(np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8), ())
    say("photos", 0, [hand for _, _, hand in found])
    for path, _, hand in found:
        if doubt := hand_doubt(hand):
            print(f"    {path.name}: {doubt}")
    say("photos, mirrored", 0, mirrored)
    say("photos at half their size", 0, smaller)
    cuts = [cut_out(image, hand) for _, image, hand in found if not hand_doubt(hand)]
    rng = np.random.default_rng(0)
    for name, spoil in SPOILT.items():
        hands = [part for image, points in cuts for part in detector.parts(spoil(image, points, rng), ())[:1]]
        say(name, len(cuts), hands)
    numbers = [shape for _, _, hand in found if (shape := hand.shape) is not None]
    lengths(numbers)
    points = [rng.uniform(0, 100, (21, 2)).astype(np.float32) for _ in range(1000)]
    print(f"random points that pass the proportions: {sum(not malformed(one) for one in points)} of {len(points)}")


def lengths(shapes: list[HandShape]) -> None:
    """The largest of what the bounds are about."""
    bones, fingers = [], []
    for points in (shape.landmarks for shape in shapes):
        each = np.linalg.norm(np.diff(points[1:].reshape(5, 4, 2), axis=1), axis=2) / palm_size(points)
        bones.append(each.max())
        fingers.append(each.sum(axis=1).max())
    spreads = sorted(shape.spread for shape in shapes)
    print(
        f"longest bone {max(bones):.2f}, finger {max(fingers):.2f} of the palm; spread median {np.median(spreads):.3f},"
        f" most {spreads[-1]:.3f}"
    )


if __name__ == "__main__":
    main()
