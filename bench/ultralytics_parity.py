r"""Do Ultralytics checkpoints give here what they give there? Random weights, real files of that package, raw boxes and
scores compared.

That package is AGPL-3.0 and needs torchvision's metadata, so it gets an environment of its own, outside of the
repository:

    python3.11 -m venv /tmp/ultra
    /tmp/ultra/bin/pip install 'torch>=2.8,<2.14' numpy pillow pyyaml opencv-python-headless psutil requests scipy \
        matplotlib polars ultralytics-thop
    /tmp/ultra/bin/pip install --no-deps ultralytics
    /tmp/ultra/bin/python bench/ultralytics_parity.py make /tmp/parity
    python bench/ultralytics_parity.py compare /tmp/parity

``make`` writes checkpoints and that package's own output; ``compare`` runs the checkpoints here, and its exit code is 1
beyond 1e-3.

Torchvision itself is not needed: only its version is asked for, and is answered here.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

LAYOUTS = (
    "yolov8n",
    "yolov8s",
    "yolo11n",
    "yolo11s",
    "yolo11m",
    "yolov5n",
    "yolov9t",
    "yolov9c",
    "yolov10n",
    "yolo26n",
    "yolov8n-seg",
    "yolo11n-pose",
)
SHAPE = (1, 3, 320, 448)
TOLERANCE = 1e-3


def picture() -> np.ndarray:
    """Smooth noise, so that deep layers have something to tell apart."""
    coarse = np.random.default_rng(0).random((1, 3, SHAPE[2] // 16, SHAPE[3] // 16), dtype=np.float32)
    fine = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    return np.asarray(0.7 * coarse.repeat(16, 2).repeat(16, 3) + 0.3 * fine, dtype=np.float32)


def make(folder: Path) -> None:
    """Write each layout as that package saves it, and what it computes after loading its own file."""
    os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="True", YOLO_CONFIG_DIR=str(folder))
    answer = metadata.version
    asked: Any = metadata
    asked.version = lambda name: "0.0.0" if name == "torchvision" else answer(name)
    import torch
    from ultralytics import YOLO, __version__

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "version.txt").write_text(f"ultralytics {__version__}, torch {torch.__version__}")
    for name in LAYOUTS:
        torch.manual_seed(0)
        made = YOLO(f"{name}.yaml")
        enliven(made.model, torch)
        path = folder / f"{name}.pt"
        made.save(path)
        net = YOLO(path).model.float().eval()
        if hasattr(net.model[-1], "one2one_cv2"):
            net.model[-1].end2end = False
        with torch.no_grad():
            found = net(torch.from_numpy(picture()))
        while not isinstance(found, torch.Tensor):
            found = found[0]
        np.save(path.with_suffix(".npy"), found[0].numpy())
        print(f"made {path.name}")


def enliven(net: Any, torch: Any) -> None:
    """Norms learn the statistics of noise, so that no signal dies or explodes on its way; scores spread over 0..1."""
    norms = [part for part in net.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    for kind in net.model[-1].cv3:
        kind[-1].weight.data.normal_(0, 1.0)
        kind[-1].bias.data.normal_(0, 1.0)
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 128, 128))
    for norm in norms:
        norm.momentum = 0.03
        norm.running_var.clamp_(min=0.2)  # a channel that hardly moves must not become a magnifying glass of rounding


def compare(folder: Path) -> int:
    """One line per layout; 1 when any differs by more than `TOLERANCE`."""
    from twinloop.adapters.detectors.yolov8 import YoloV8Parts

    os.environ["TWINLOOP_CACHE"] = "off"
    print(f"{(folder / 'version.txt').read_text()}; random weights, fp16 files, input {SHAPE[3]}x{SHAPE[2]}")
    print(f"{'file':<18} {'boxes, px':>10} {'of range':>9} {'scores':>9} {'of range':>9} {'cells':>6} {'load, s':>8}")
    worst = 0.0
    for path in sorted(folder.glob("*.pt")):
        began = time.perf_counter()
        detector = YoloV8Parts(path)
        loaded = time.perf_counter() - began
        ours, theirs = every_cell(detector), np.load(path.with_suffix(".npy"), allow_pickle=False)
        theirs = theirs[: len(ours)]  # masks and key points come behind the classes
        apart = np.abs(ours - theirs)
        worst = max(worst, float(apart.max()))
        print(
            f"{path.name:<18} {apart[:4].max():>10.1e} {np.ptp(theirs[:4]):>9.0f} {apart[4:].max():>9.1e}"
            f" {np.ptp(theirs[4:]):>9.2f} {theirs.shape[1]:>6} {loaded:>8.2f}"
        )
    print(f"largest difference {worst:.1e}, allowed {TOLERANCE:g}")
    return int(worst > TOLERANCE)


def every_cell(detector: Any) -> np.ndarray:
    """(4 + classes, cells): centre, size, each class' score, without any threshold."""
    net = detector._net
    outputs = net.model.run(picture())
    scores = []
    for index in range(len(net.names)):
        net._classes = (index,)
        boxes, score = net.candidates(outputs, -1.0)
        scores.append(score)
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([center.T, size.T, scores])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", target]:
            make(Path(target))
        case ["compare", target]:
            sys.exit(compare(Path(target)))
        case _:
            sys.exit(__doc__)
