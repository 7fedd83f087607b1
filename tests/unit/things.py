"""Short ways to the nouns that the tests need; every default can be overridden."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain.faces import Box, Face, FloatArray, HeadPose, Part
from twinloop.domain.observation import Observation
from twinloop.domain.records import Dataset, Member, PanelScore
from twinloop.domain.shots import Gap, Shot
from twinloop.domain.statistics import bootstrap_mean
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.facets import BUILTIN
from twinloop.stages.first_dataset import first_dataset
from twinloop.stages.identity import IdentityReference, freeze_reference
from twinloop.stages.merge import MergeLimits
from twinloop.stages.observe import Seen
from twinloop.stages.select import Photos, Selection
from twinloop.stages.selection_rules import Photo
from twinloop.stages.validate import Asked, Judged
from twinloop.stages.words import caption
from twinloop.store.pictures.dataset_folders import PHOTOS_ONLY, DatasetFolders

ALL_MEASURED = frozenset({"faces", "pose", "hands", "eyes", "identity", "expression", "setting", "lighting"})


def unit_vector(*values: float, size: int = 8) -> FloatArray:
    """(size,) float32 of unit norm that starts with ``values``."""
    vector = np.zeros(size, np.float32)
    vector[: len(values)] = values
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def face(
    yaw: float | None = 0.0, confidence: float = 0.9, box: Box | None = None, embedding: FloatArray | None = None
) -> Face:
    pose = None if yaw is None else HeadPose(yaw, 0.0, 0.0)
    return Face(box or Box(20, 20, 70, 80), confidence, pose=pose, embedding=embedding)


def digest(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def observation(
    name: object = "photo",
    faces: Iterable[Face] | None = None,
    measures: Mapping[str, float] | None = None,
    measured: Iterable[str] = ALL_MEASURED,
    parts: Iterable[Part] = (),
    phash: str = "0" * 16,
    origin: str = "real",
) -> Observation:
    """A good frontal photo unless told otherwise; ``name`` gives its hash."""
    numbers = {
        "sharpness": 300.0,
        "brightness": 120.0,
        "contrast": 50.0,
        "dark_share": 0.2,
        "bright_share": 0.1,
        "face_sharpness": 200.0,
    }
    return Observation(
        sha256=digest(name),
        width=100,
        height=100,
        faces=tuple([face()] if faces is None else faces),
        parts=tuple(parts),
        measures={**numbers, **(measures or {})},
        measured=frozenset(measured),
        phash=phash,
        fingerprint="test",
        origin=origin,
    )


def hand(confidence: float = 0.9) -> Part:
    return Part("hand", Box(0, 80, 20, 100), confidence)


def photo(name: str, seen: Observation | None = None, **kwargs: Any) -> Photo:
    return Photo(Path(name), seen or observation(name, **kwargs))


def found(photos: Sequence[Photo]) -> list[Seen]:
    return [Seen(p.path, p.seen) for p in photos]


def described(seen: Observation) -> str:
    """Its caption, as a run of ``ohwx ana`` would write it."""
    return caption("ohwx ana", BUILTIN, seen, "prose")


def dataset_of(
    photos: Sequence[Photo],
    held_out: Iterable[str] = (),
    made_in: int = 0,
    folders: DatasetFolders = PHOTOS_ONLY,
    limits: MergeLimits | None = None,
) -> Dataset:
    """The dataset of a folder with these photos."""
    seen = Photos(Path(), (), Selection(tuple(photos), ()), folders)
    caps = limits or MergeLimits()
    return first_dataset(seen, "ohwx ana", described, caps, held_out=frozenset(held_out), made_in=made_in).dataset


def reference_of(
    photos: Sequence[Observation], fingerprint: str = "r", strangers: tuple[float, float] | None = None
) -> IdentityReference | None:
    """What photos teach of a person, by an embedder of which no more is known unless told otherwise."""
    return freeze_reference(photos, fingerprint, strangers=strangers)


def gap(facet: str = "face_angle", value: str = "profile", count: int = 5, **kwargs: Any) -> Gap:
    return Gap(
        **{
            "facet": facet,
            "value": value,
            "count": count,
            "have": 0,
            "total": 10,
            "share": 0.2,
            "reason": "r",
            **kwargs,
        }
    )


def shot(number: int = 1, facet: str = "face_angle", value: str = "profile", **kwargs: Any) -> Shot:
    return Shot(
        **{
            "key": f"{facet}_{value}_{number:03d}",
            "facet": facet,
            "value": value,
            "index": number,
            "prompt": f"a photo {number}",
            "negative_prompt": "blurry",
            "seed": number,
            **kwargs,
        }
    )


def result(
    outcome: Outcome = Outcome.APPROVED, name: str = "check", score: float | None = None, reason: str = ""
) -> CheckResult:
    return CheckResult(name, outcome, 1.0, ">= 1", reason, score)


def judged(name: str, quality: float = 0.8, facet: str = "face_angle", value: str = "profile", **kwargs: Any) -> Judged:
    seen = kwargs.pop("seen", None) or observation(name, origin="synthetic", **kwargs)
    verdict = Verdict(Path(name).name, seen.sha256, facet, value, (result(score=quality),))
    return Judged(Asked(Path(name), facet, value), seen, verdict)


def member(name: str, origin: str = "real", round: int = 0, weight: float = 1.0, caption: str = "c") -> Member:
    return Member(f"{name}.png", digest(name), caption, origin, round, weight)


def dataset(real: int = 10, made: Sequence[int] = ()) -> Dataset:
    """``real`` photos, and one synthetic image per round number in ``made``."""
    photos = [member(f"real{n}") for n in range(real)]
    return Dataset((*photos, *(member(f"made{n}", "synthetic", number) for n, number in enumerate(made))))


def score(version: int, **samples: Sequence[float]) -> PanelScore:
    listed = {name: list(values) for name, values in samples.items()}
    return PanelScore(version, {name: bootstrap_mean(values, seed=version) for name, values in listed.items()}, listed)


class Recording:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.steps: list[tuple[str, int, int]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, label: str, done: int, total: int) -> None:
        self.steps.append((label, done, total))
