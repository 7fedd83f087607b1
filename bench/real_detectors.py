"""How well the detectors for real photos do on photos that nobody here took.

    python bench/real_detectors.py FIXTURES [--embedder FILE]

Prints one line per figure: name, value, what it was counted on. Reads the fixtures in place; writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from fixture_folder import with_fixtures
from PIL import Image

from twinloop.adapters.detectors.fsanet import FsaNet
from twinloop.adapters.detectors.landmark_pose import LandmarkPose
from twinloop.adapters.detectors.mediapipe_face import MediaPipeFace
from twinloop.adapters.detectors.mediapipe_hands import MediaPipeHands
from twinloop.adapters.detectors.yolov5_face import YoloV5Face
from twinloop.adapters.detectors.yunet import YuNet
from twinloop.adapters.embedders.aligned_face import AlignedFaceEmbedder
from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.statistics import wilson
from twinloop.facets import face_angle
from twinloop.facets.face_angle import angle_of
from twinloop.ports import Embedder, FaceDetector, PartDetector, PoseEstimator

BORDER = 20.0
"""|yaw| in degrees from which the face_angle facet no longer says front."""


def read(path: Path) -> ImageArray:
    """uint8 HxWx3 RGB."""
    return np.asarray(Image.open(path).convert("RGB"), dtype=np.uint8)


def line(name: str, value: str, counted: str) -> None:
    print(f"{name:<58} {value:<26} {counted}")


def share(name: str, hits: int, n: int, counted: str) -> None:
    """A share with its 95 % Wilson interval."""
    if n:
        e = wilson(hits, n)
        line(name, f"{100 * e.value:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]", f"{hits} of {n} {counted}")


def largest(faces: list[Face]) -> Face | None:
    return max(faces, key=lambda face: face.box.area, default=None)


@dataclass(frozen=True)
class Portrait:
    """One CMU portrait: where the head points, what it shows, whether the eyes are covered."""

    side: str
    mood: str
    eyes: str
    image: ImageArray
    face: Face | None


def cmu(folder: Path, detector: FaceDetector) -> list[Portrait]:
    found = []
    for path in sorted((folder / "cmu_faces" / "png").glob("*.png")):
        _, side, mood, eyes = path.stem.split("_")
        image = read(path)
        found.append(Portrait(side, mood, eyes, image, largest(detector.detect(image))))
    return found


def poses(name: str, portraits: list[Portrait], estimator: PoseEstimator) -> None:
    """How the face_angle facet reads heads that were asked to look forward, left, right."""
    yaws: dict[str, list[float]] = {side: [] for side in ("forward", "left", "right", "up")}
    pitches: dict[str, list[float]] = {side: [] for side in yaws}
    for portrait in portraits:
        pose = None if portrait.face is None else estimator.pose(portrait.image, portrait.face)
        if pose is not None:
            yaws[portrait.side].append(pose.yaw)
            pitches[portrait.side].append(pose.pitch)
    asked = {side: sum(p.side == side for p in portraits) for side in yaws}
    forward = yaws["forward"]
    share(
        f"{name}: forward read as front",
        sum(angle_of(v) == "front" for v in forward),
        asked["forward"],
        "forward portraits",
    )
    turned = sum(angle_of(v) != "front" for v in yaws["left"] + yaws["right"])
    share(
        f"{name}: left and right told from forward",
        turned,
        asked["left"] + asked["right"],
        "turned portraits (no face = miss)",
    )
    measured = len(yaws["left"]) + len(yaws["right"])
    share(f"{name}: the same, of those with a face", turned, measured, "measured")
    signed = sum(v < -BORDER for v in yaws["left"]) + sum(v > BORDER for v in yaws["right"])
    share(f"{name}: turned to the right side, of those with a face", signed, measured, "measured")
    for side, values in yaws.items():
        line(
            f"{name}: {side}", f"yaw {np.mean(values):+.1f} +- {np.std(values):.1f}",
            f"pitch {np.mean(pitches[side]):+.1f}, {len(values)} measured",
        )  # fmt: skip


def confidences(name: str, portraits: list[Portrait], estimator: PoseEstimator) -> None:
    """How sure the face detector is of heads that are turned but level; this stood for face quality where nothing
    measures that.
    """
    found: dict[str, list[float]] = {angle: [] for angle in face_angle.VALUES}
    for portrait in (p for p in portraits if p.side != "up"):
        pose = None if portrait.face is None else estimator.pose(portrait.image, portrait.face)
        if portrait.face is not None and pose is not None:
            found[angle_of(pose.yaw)].append(portrait.face.confidence)
    for angle, values in found.items():
        if values:
            sure = f"{np.mean(values):.3f} +- {np.std(values):.3f}"
            line(f"{name}: confidence, {angle}", sure, f"{len(values)} level portraits")


def eyes_and_moods(portraits: list[Portrait], measurer: MediaPipeFace) -> None:
    readings = []
    for portrait in portraits:
        if portrait.side == "forward" and portrait.face is not None:
            measures = measurer.measure(portrait.image, portrait.face)
            if measures:
                readings.append((portrait, measures))
    for eyes, wanted in (("eyes", True), ("sunglasses", False)):
        values = [m["eyes_open"] >= 0.5 for p, m in readings if p.eyes == eyes]
        share(f"eyes_visible read right, {eyes}", sum(v is wanted for v in values), len(values), "forward portraits")
    smiles = {
        mood: [m["smile"] > 0.5 for p, m in readings if p.mood == mood] for mood in ("happy", "neutral", "sad", "angry")
    }
    share("smile > 0.5 among happy", sum(smiles["happy"]), len(smiles["happy"]), "forward portraits, 60x64 px")
    others = smiles["neutral"] + smiles["sad"] + smiles["angry"]
    share("smile > 0.5 among neutral, sad, angry", sum(others), len(others), "forward portraits, 60x64 px")


def hands(folder: Path, faces: FaceDetector, detector: PartDetector) -> None:
    """Hands where there are some, and none where there are none."""

    def count(paths: list[Path]) -> int:
        found = 0
        for path in paths:
            image = read(path)
            found += bool(detector.parts(image, faces.detect(image)))
        return found

    gestures = sorted((folder / "mediapipe_gesture").glob("*/*.jpg"))
    share("hands found on gesture photos", count(gestures), len(gestures), "photos with a hand")
    stock = sorted((folder / "human_samples").glob("stock-emotions-*.jpg"))
    share("human_samples: the one with hands", count(stock[:1]), 1, "photo with two hands")
    share("human_samples: false hands on the other seven", count(stock[1:]), len(stock) - 1, "photos without a hand")
    portraits = sorted((folder / "caltech_faces_easy").glob("*.jpg"))[::3]
    share("false hands on Caltech faces", count(portraits), len(portraits), "portraits without a hand")


def identity(folder: Path, faces: FaceDetector, embedder: Embedder, per_person: int = 8) -> None:
    """Same-person against different-person cosine on the LFW people with at least five photos."""
    vectors, names = [], []
    paths = sorted((folder / "lfw").glob("*/*.jpg"))
    for name, group in groupby(paths, key=lambda path: path.parent.name):
        chosen = list(group)[:per_person]
        for path in chosen if len(chosen) >= 5 else []:
            image = read(path)
            middle = (image.shape[1] / 2, image.shape[0] / 2)
            near = sorted(
                faces.detect(image), key=lambda f: np.hypot(f.box.center[0] - middle[0], f.box.center[1] - middle[1])
            )
            vector = embedder.embed(image, near[0]) if near else None
            if vector is not None:
                vectors.append(vector)
                names.append(name)
    cosine = np.array(vectors) @ np.array(vectors).T
    upper = np.triu_indices(len(names), 1)
    same = (np.array(names)[:, None] == np.array(names))[upper]
    alike, different = cosine[upper][same], cosine[upper][~same]
    limits = np.linspace(-0.2, 0.8, 501)
    misses = np.array([(alike < limit).mean() for limit in limits])
    mixes = np.array([(different >= limit).mean() for limit in limits])
    best = int(np.abs(misses - mixes).argmin())
    line(
        "identity: same person",
        f"{alike.mean():.3f} +- {alike.std():.3f}",
        f"{len(alike)} pairs, {len(set(names))} people",
    )
    line("identity: different people", f"{different.mean():.3f} +- {different.std():.3f}", f"{len(different)} pairs")
    line("identity: equal error rate", f"{50 * (misses[best] + mixes[best]):.2f} %", f"at cosine {limits[best]:.3f}")


def speed(name: str, call: Callable[[], object], repeats: int = 20) -> None:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    line(f"speed: {name}", f"{np.median(times):.1f} ms", f"median of {repeats}, one thread")


def parity(photos: Path, checkpoint: YoloV5Face, export: YoloV5Face) -> None:
    """Largest difference between the checkpoint and its export, at the export's size."""
    worst, faces, differing = 0.0, 0, 0
    checkpoint._fixed = 640
    for path in pictures(photos):
        image = read(path)
        first, second = checkpoint.detect(image), export.detect(image)
        differing += len(first) != len(second)
        for a, b in zip(first, second, strict=False):
            worst = max(worst, float(np.abs(np.array(a.box.to_list()) - b.box.to_list()).max()))
            faces += 1
    checkpoint._fixed = None
    line(
        "yolov5 checkpoint against its export: largest box difference",
        f"{worst:.4f} px",
        f"{faces} faces, {differing} counts differ",
    )


def pictures(photos: Path) -> Iterator[Path]:
    yield photos / "skimage" / "astronaut.png"
    yield from sorted((photos / "human_samples").glob("*.jpg"))


def main(fixtures: Path, file: Path | None) -> None:
    cv2.setNumThreads(1)
    weights, photos = fixtures / "weights", fixtures / "photos"
    yunet = YuNet(weights / "yunet/face_detection_yunet_2026may.onnx")
    yolo = YoloV5Face(weights / "yolov5_face/yolov5n-0.5-face.pt")
    export = YoloV5Face(weights / "yolov5_face/yolov5n-0.5.onnx")
    fsanet = FsaNet(tuple(sorted((weights / "headpose").glob("*.onnx"))))
    finder = MediaPipeHands(
        weights / "mediapipe_hands/palm_detection_lite_pr_v1.onnx",
        weights / "mediapipe_hands/hand_landmark_lite_pr_v1.onnx",
    )
    mesh = MediaPipeFace(weights / "mediapipe_face/face_landmarker_v2_with_blendshapes.task")
    embedder = AlignedFaceEmbedder(file or weights / "mobilefacenet/MobileFaceNet.onnx")

    parity(photos, yolo, export)
    for name, detector in (("yunet", yunet), ("yolov5n-0.5", yolo)):
        portraits = cmu(photos, detector)
        share(
            f"{name}: faces found on CMU",
            sum(p.face is not None for p in portraits),
            len(portraits),
            "portraits, 60x64 px",
        )
        poses(f"{name} + fsanet", portraits, fsanet)
        poses(f"{name} + landmarks", portraits, LandmarkPose())
        confidences(name, portraits, fsanet)
    eyes_and_moods(cmu(photos, yunet), mesh)
    hands(photos, yunet, finder)
    identity(photos, yunet, embedder)

    image = read(photos / "human_samples/stock-emotions-a-6.jpg")
    face = yunet.detect(image)[0]
    speed("yunet, 320 and 640 px", lambda: yunet.detect(image))
    speed("yolov5n-0.5-face, 640 px", lambda: yolo.detect(image))
    speed("fsanet pair", lambda: fsanet.pose(image, face))
    speed("hands (none there)", lambda: finder.parts(image, [face]))
    speed("mesh and blendshapes", lambda: mesh.measure(image, face))
    speed(embedder.kind.name, lambda: embedder.embed(image, face))


if __name__ == "__main__":
    parser = with_fixtures(__doc__)
    parser.add_argument(
        "--embedder", type=Path, metavar="FILE", help="measure identity with this file, not with MobileFaceNet"
    )
    given = parser.parse_args()
    main(given.fixtures, given.embedder)
