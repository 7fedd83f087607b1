"""What a folder of many photos costs where photos are compared: in a report, and in the choice of a dataset.

    python bench/large_folders.py [--photos 500 2000 5000] [--rounds 10] [--approved 50]

Nothing is decoded: observations are made up (an embedding of 512 numbers, 30 measures). ``report``: the sheets of a run
of so many rounds with so many approved images each, beside every one that is shown its nearest photo. The others are
the rules of the same name over photos of one person, of which no two look alike. Seconds of processor time, with
``OMP_NUM_THREADS=1``; the last column is the most memory that the process has had.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.domain.likeness import USUAL
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, Member
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.report.model import RunRecord
from twinloop.report.sheets import round_sheets
from twinloop.report.thumbnails import Pictures
from twinloop.stages.selection_rules import Photo, near_duplicate, other_person, several_people
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace

DETECTORS = "bench"
SIZE = 512
SPREAD = 0.03
"""Of each number of an embedding: faces of one person have a cosine near 0.7."""


def observations(count: int) -> list[Observation]:
    """Of one person."""
    rng = np.random.default_rng(0)
    middle = rng.normal(size=SIZE)
    middle /= np.linalg.norm(middle)
    made = []
    for number in range(count):
        vector = middle + rng.normal(size=SIZE) * SPREAD
        embedding = np.asarray(vector / np.linalg.norm(vector), np.float32)
        landmarks = np.asarray(rng.random((5, 2)), np.float32)
        face = Face(Box(10, 10, 90, 90), 0.9, landmarks, HeadPose(1.0, 2.0, 3.0), embedding)
        measures = {f"measure.{index}": float(rng.random()) for index in range(28)}
        measures |= {"sharpness": float(100 + 100 * rng.random()), "face_sharpness": 200.0}
        phash = f"{int(rng.integers(2**63)):016x}"
        measured = frozenset({"faces", "identity"})
        made.append(Observation(f"{number:064x}", 100, 100, (face,), (), measures, measured, phash, DETECTORS, "real"))
    return made


def run_of(photos: list[Observation], made: list[Observation], rounds: int) -> RunRecord:
    """A run whose files are not there, but for the catalogue."""
    members = tuple(Member(f"photos/{seen.sha256}.jpg", seen.sha256, "", "real", 0, 1.0) for seen in photos)
    passed = (CheckResult("face", Outcome.APPROVED, 1.0, "", ""),)
    verdicts = [Verdict(f"{seen.sha256}.png", seen.sha256, "framing", "portrait", passed) for seen in made]
    each = len(verdicts) // rounds
    return RunRecord(
        person="ana", trigger="ohwx", base_model="", settings={}, detectors=DETECTORS, consent="",
        photos=Dataset(members), left_out=(), identity=None, surveys=(),
        verdicts=tuple(tuple(verdicts[start : start + each]) for start in range(0, len(verdicts), each)), datasets=(),
        panel=(), scores=(), loras=(), rounds=(), best=None, gaps_left=None, against_v1={}, stop=None,
    )  # fmt: skip


def told(count: int, name: str, work: Callable[[], object]) -> None:
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{count:>6} {name:<16} {seconds:8.2f} s {most:6} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[500, 2000, 5000])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--approved", type=int, default=50)
    args = parser.parse_args()
    for count in args.photos:
        every = observations(count + args.rounds * args.approved)
        seen, made = every[:count], every[count:]
        with tempfile.TemporaryDirectory() as folder:
            space = Workspace(Path(folder), Path(folder))
            with Catalog(space.catalog) as catalog, catalog.batch("write"):
                for one in every:
                    catalog.put(one)
            run, pictures = run_of(seen, made, args.rounds), Pictures(space.root)
            told(count, "report", partial(round_sheets, run, space, pictures))
        photos = [Photo(Path(f"{one.sha256}.jpg"), one) for one in seen]
        told(count, "near_duplicate", partial(near_duplicate, photos, character=False))
        told(count, "other_person", partial(other_person, photos, likeness=USUAL))
        told(count, "several_people", partial(several_people, photos, USUAL))


if __name__ == "__main__":
    main()
