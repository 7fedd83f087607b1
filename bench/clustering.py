"""How well, and how fast, people are told apart.

    python bench/clustering.py FIXTURES [--faces 50000]

Quality: LFW, Caltech and ORL go through the real scan and cluster of a vault in a temporary folder (ORL's PGM files as
PNG), and pairs of photos are compared with the names. A photo stands for its person by the face in its middle (LFW) or
its largest one; a photo without a face counts as missed. Other people in the pictures have no names: they take part,
and the second row of each set counts every one of them as somebody else. Beside it: scikit-learn's DBSCAN and HDBSCAN
on the same embeddings, where it is installed. It is no dependency of this project:

    pip install --target /tmp/sklearn --no-deps scikit-learn scipy joblib threadpoolctl narwhals cloudpickle
    PYTHONPATH=/tmp/sklearn python bench/clustering.py FIXTURES

Speed: made-up faces of 512 dimensions; scikit-learn on fewer of them, because it takes its time. Set OMP_NUM_THREADS
for the cores to use.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fixture_folder import with_fixtures
from PIL import Image

from twinloop import wiring
from twinloop.domain.faces import FloatArray
from twinloop.ports import SilentReporter
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.cluster import ClusterOptions, cluster
from twinloop.stages.vault.people.grouping import FaceSet, group
from twinloop.stages.vault.scan import ScanPlan, scan
from twinloop.store.vault.faces import FaceEntry, face_entries, face_table
from twinloop.store.vault.folder import Vault

Labels = npt.NDArray[np.int64]
STRANGER = -1
LEAST = 3
TRIED = (0.40, 0.45, 0.50, 0.55)
"""Cosines for DBSCAN; it has to be told."""


@dataclass(frozen=True)
class Photos:
    """A set of photos.

    ``names``: file -> person. ``middle``: the named face is the one in the middle, not the largest.
    """

    name: str
    folder: Path
    names: dict[str, str]
    middle: bool


@dataclass(frozen=True)
class Seen:
    """What the scan saw. truth: (n,) person of each face, `STRANGER` for unnamed ones. missed: photos without a face,
    by person.
    """

    embeddings: FloatArray
    photos: npt.NDArray[np.int32]
    truth: Labels
    found: Labels
    missed: tuple[int, ...]


def photo_sets(fixtures: Path, home: Path) -> Iterator[Photos]:
    photos = fixtures / "photos"
    yield Photos(
        "LFW", photos / "lfw", {str(path): path.parent.name for path in (photos / "lfw").glob("*/*.jpg")}, True
    )
    caltech = photos / "caltech_faces_easy"
    identities: dict[str, list[str]] = json.loads((caltech / "derived_identities.json").read_text())["identities"]
    yield Photos(
        "Caltech", caltech, {str(caltech / file): name for name, files in identities.items() for file in files}, False
    )
    for path in (photos / "orl_att").glob("*/*.pgm"):
        copy = home / "orl" / path.parent.name / f"{path.stem}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(copy)
    yield Photos("ORL", home / "orl", {str(path): path.parent.name for path in (home / "orl").glob("*/*.png")}, False)


def look(photos: Photos, fixtures: Path, home: Path) -> Seen:
    """Scan and cluster a set, through the stages that the commands call."""
    vault = Vault(home / f"vault-{photos.name}")
    models = str(fixtures / "weights")
    workers = len(os.sched_getaffinity(0))
    scan(
        vault,
        ScanPlan((photos.folder,), (), models, 40, "", "", lambda: wiring.build_scanner(models, 40, workers, 30, 2048)),
        SilentReporter(),
    )
    with open_vault(vault.root) as opened:
        people = cluster(
            opened, ClusterOptions(min_faces=LEAST), wiring.build_neighbour_search, SilentReporter()
        ).people
        return seen(
            photos, opened, {key: number for number, person in enumerate(people.persons) for key in person.faces}
        )


def seen(photos: Photos, opened: OpenVault, person: dict[Any, int]) -> Seen:
    table = face_table(opened.catalog, opened.fingerprint)
    known = {entry.key: entry for entry in face_entries(opened.catalog, opened.fingerprint)}
    by_photo: dict[str, list[FaceEntry]] = {}
    for key in table.keys:
        by_photo.setdefault(known[key].path, []).append(known[key])
    chosen = {path: min(faces, key=lambda face: _off(face, photos.middle)).key for path, faces in by_photo.items()}
    number = {name: place for place, name in enumerate(sorted(set(photos.names.values())))}
    truth = [
        (
            number[photos.names[known[key].path]]
            if known[key].path in photos.names and chosen[known[key].path] == key
            else STRANGER
        )
        for key in table.keys
    ]
    _, photo = np.unique([key.sha256 for key in table.keys], return_inverse=True)
    missed = tuple(number[name] for path, name in photos.names.items() if path not in chosen)
    found = np.array([person.get(key, STRANGER) for key in table.keys])
    return Seen(table.embeddings, photo.astype(np.int32), np.array(truth), found, missed)


def _off(face: FaceEntry, middle: bool) -> float:
    x, y = face.box.center
    return float(np.hypot(x - face.width / 2, y - face.height / 2)) if middle else -face.box.area


def scores(truth: Labels, found: Labels, missed: tuple[int, ...], unnamed: bool) -> tuple[float, float, float]:
    """Precision, recall and F1 over pairs. unnamed: faces without a name count too, each as somebody else."""
    use = np.ones(len(truth), bool) if unnamed else truth != STRANGER
    real, told = truth[use], found[use]
    both = _pairs(real[(real >= 0) & (told >= 0)] * (told.max(initial=0) + 1) + told[(real >= 0) & (told >= 0)])
    claimed = _pairs(told[told >= 0])
    wanted = _pairs(np.concatenate([real[real >= 0], np.array(missed, np.int64)]))
    precision, recall = both / max(claimed, 1), both / max(wanted, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def _pairs(labels: Labels) -> int:
    _, counts = np.unique(labels, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def others(embeddings: FloatArray) -> Iterator[tuple[str, Labels]]:
    """What scikit-learn makes of the same embeddings."""
    try:
        from sklearn.cluster import DBSCAN, HDBSCAN  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ModuleNotFoundError:
        print("   (scikit-learn is not installed: no figures beside; see the head of this file)")
        return
    distance = np.clip(1.0 - embeddings.astype(np.float64) @ embeddings.T.astype(np.float64), 0.0, 2.0)
    for cosine in TRIED:
        yield (
            f"DBSCAN, cosine {cosine:.2f}",
            DBSCAN(eps=1 - cosine, min_samples=LEAST, metric="precomputed").fit_predict(distance),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield "HDBSCAN", HDBSCAN(min_cluster_size=LEAST, metric="precomputed").fit_predict(distance.copy())


def quality(fixtures: Path, home: Path) -> None:
    print(f"{'pairs of photos':44} precision  recall      F1  people")
    for photos in photo_sets(fixtures, home):
        data = look(photos, fixtures, home)
        row(f"{photos.name}: twinloop", data, data.found)
        row(f"{photos.name}: twinloop, unnamed people counted", data, data.found, unnamed=True)
        for name, labels in others(data.embeddings):
            row(f"{photos.name}: {name}", data, labels)
        if photos.name == "Caltech":
            number = {name: place for place, name in enumerate(sorted(set(photos.names.values())))}
            apart = [
                set(data.found[data.truth == number[name]].tolist()) - {STRANGER} for name in ("person_04", "person_12")
            ]
            print(
                f"   person_04 is {sorted(apart[0])}, person_12 is {sorted(apart[1])}:"
                f" {'MIXED UP' if apart[0] & apart[1] else 'apart'}"
            )
        print(
            f"   {len(data.truth)} faces, {(data.truth == STRANGER).sum()} of them unnamed; photos without a face:"
            f" {len(data.missed)}"
        )


def row(name: str, data: Seen, labels: Labels, unnamed: bool = False) -> None:
    precision, recall, f1 = scores(data.truth, labels, data.missed, unnamed)
    print(f"{name:44} {precision:9.4f} {recall:7.4f} {f1:7.4f} {len(set(labels[labels >= 0].tolist())):7}")


def made_up(sizes: list[int], strangers: int, dimensions: int = 512) -> tuple[FloatArray, Labels]:
    """Faces of people whose average cosine is about 0.55, some of them much less alike, and strangers; in any order."""
    random = np.random.default_rng(0)
    truth = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(strangers, STRANGER)])
    centres = unit(random.standard_normal((len(sizes), dimensions), np.float32))
    rows = unit(random.standard_normal((len(truth), dimensions), np.float32))
    spread = np.sqrt(1 / np.clip(random.normal(0.55, 0.1, len(truth)), 0.2, 0.95) - 1).astype(np.float32)
    named = truth >= 0
    rows[named] = centres[truth[named]] + rows[named] * spread[named, None]
    order = random.permutation(len(truth))
    return unit(rows)[order], truth[order]


def unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, seconds on the clock, seconds of processor time."""
    start, busy = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - start, time.process_time() - busy


def speed(faces: int) -> None:
    print(f"\nspeed, {os.environ.get('OMP_NUM_THREADS', 'all')} threads, load {os.getloadavg()[0]:.1f} before")
    for name, sizes in (
        ("people of 100", [100] * (faces // 125)),
        ("one person of 40 %", [faces * 2 // 5] + [100] * (faces // 250)),
    ):
        rows, truth = made_up(sizes, faces - sum(sizes))
        grouped, wall, busy = timed(partial(ours, rows))
        f1 = scores(truth, grouped, (), False)[2]
        print(
            f"{len(rows)} x 512, {name}: {wall:.1f} s ({busy:.1f} s of processor), F1 {f1:.4f}, load"
            f" {os.getloadavg()[0]:.1f} after"
        )
    try:
        from sklearn.cluster import DBSCAN
    except ModuleNotFoundError:
        return
    few = faces // 5
    rows, truth = made_up([100] * (few // 125), few - few // 125 * 100)
    dbscan = DBSCAN(eps=1 - 0.5, min_samples=LEAST, metric="cosine", algorithm="brute", n_jobs=-1)
    labels, wall, busy = timed(lambda: dbscan.fit_predict(rows))
    grouped, own_wall, own_busy = timed(lambda: ours(rows))
    print(
        f"{few} x 512: scikit-learn's DBSCAN {wall:.1f} s ({busy:.1f} s of processor), F1"
        f" {scores(truth, labels, (), False)[2]:.4f}; twinloop {own_wall:.1f} s ({own_busy:.1f} s), F1"
        f" {scores(truth, grouped, (), False)[2]:.4f}: {busy / own_busy:.1f} times less processor time"
    )


def ours(rows: FloatArray) -> Labels:
    everyone = np.arange(len(rows), dtype=np.int32)
    return group(
        FaceSet(rows, np.ones(len(rows), np.float32), everyone), (0.0, float(rows.shape[1]) ** -0.5), LEAST
    ).labels


def main() -> None:
    parser = with_fixtures(__doc__)
    parser.add_argument("--faces", type=int, default=50_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        quality(args.fixtures.resolve(), Path(home))
    speed(args.faces)


if __name__ == "__main__":
    main()
