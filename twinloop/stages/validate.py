"""Validate: the same observation as for the dataset, judged by the checks; images are copied into approved / rejected /
unsure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.checks import CheckContext, run_checks
from twinloop.checks.base import CheckLimits
from twinloop.domain.facet import Facet
from twinloop.domain.json_fields import entry, entry_or, list_of, text
from twinloop.domain.observation import Observation
from twinloop.domain.statistics import wilson
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.errors import NothingToDo, UnreadableImage
from twinloop.ports import Reporter
from twinloop.stages.early import GivenUp
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer, Seen, observe_files
from twinloop.store.atomic import copy_whole, read_as, sha256_file
from twinloop.store.pictures.images import find_images, load_image
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import GENERATION_METADATA

_RESTORE = "Restore it, or delete it: the file names tell the targets too."
_NAME = re.compile(r"^synthetic_(?P<rest>.+)_(?P<index>\d{3,})_\d{8}_\d{6}$")


@dataclass(frozen=True)
class Asked:
    """One image and what it was made for."""

    path: Path
    facet: str
    value: str


@dataclass(frozen=True)
class Known:
    """An image that a new one may be a copy of.

    Attributes:
        own: its content hash where it is a made image that was merged already: judged again it is no copy of itself. ""
            = any file like it is a copy.
    """

    name: str
    phash: str
    own: str = ""


def known_image(name: str, seen: Observation) -> Known:
    """A photo or made image of the dataset."""
    return Known(name, seen.phash, seen.sha256 if seen.origin != "real" else "")


@dataclass(frozen=True)
class Judged:
    """One image, what was seen, and the verdict."""

    asked: Asked
    seen: Observation | None
    verdict: Verdict


def asked_images(folder: Path, facets: Sequence[Facet], beside: Sequence[Path] = ()) -> list[Asked]:
    """The images of a folder with their targets: from generation_metadata.json, else from the file names.

    Args:
        beside: folders that judged images are copied to. Where they lie in ``folder``, their images are copies and not
            asked for.

    Raises:
        NothingToDo: no images there, and none that were given up early. StateError: the metadata is not a generation
            record.
    """
    copies = [place.resolve() for place in beside if folder.resolve() in place.resolve().parents]
    images = [path for path in find_images(folder) if not any(place in path.resolve().parents for place in copies)]
    if not images and not given_up(folder):
        raise NothingToDo(
            f"No images in {folder}. Generate some first: python generate_synthetic.py gaps.json --output {folder}"
        )
    known: dict[str, tuple[str, str]] = {}
    if (folder / GENERATION_METADATA).exists():
        known = read_as(
            folder / GENERATION_METADATA,
            lambda data: dict(entry(data, "images", list_of(_target))),
            _RESTORE,
        )
    return [Asked(path, *(known.get(path.name) or _target_from_name(path, facets))) for path in images]


def _target(data: Any) -> tuple[str, tuple[str, str]]:
    """File name -> what it was made for."""
    return entry(data, "file", text), (entry(data, "type", text), entry(data, "target", text))


def given_up(folder: Path) -> list[Judged]:
    """The shots of a folder that were given up before their image was finished, each as a rejected one.

    Raises:
        StateError: the metadata is not a generation record.
    """
    if not (folder / GENERATION_METADATA).exists():
        return []
    found = read_as(
        folder / GENERATION_METADATA,
        lambda data: entry_or(data, "rejected_early", list_of(GivenUp.from_json), ()),
        _RESTORE,
    )
    return [Judged(Asked(folder / item.file, item.shot.facet, item.shot.value), None, item.verdict) for item in found]


def _target_from_name(path: Path, facets: Sequence[Facet]) -> tuple[str, str]:
    match = _NAME.match(path.stem)
    if match:
        for facet in facets:
            for value in facet.values:
                if match["rest"] == f"{facet.name}_{value}":
                    return facet.name, value
    return "", ""


def judge(
    asked: Sequence[Asked], observer: Observer, catalog: Catalog, limits: CheckLimits, *,
    reference: IdentityReference | None, known: Sequence[Known], reporter: Reporter,
) -> list[Judged]:  # fmt: skip
    """Observe and judge every image, in the order of ``asked``.

    Args:
        known: the dataset's images, for the novelty check; the approved ones of this call join as they come.
    """
    facets = {facet.name: facet for facet in observer.facets}
    others = list(known)
    judged = []
    for item, found in zip(
        asked, observe_files([a.path for a in asked], observer, catalog, reporter, "Validating"), strict=True
    ):
        verdict = _verdict(item, found, facets, limits, reference, others, observer.pack.faceless)
        if verdict.outcome is Outcome.APPROVED and found.observation is not None:
            others.append(Known(item.path.name, found.observation.phash))
        judged.append(Judged(item, found.observation, verdict))
    return judged


def _verdict(
    item: Asked,
    found: Seen,
    facets: dict[str, Facet],
    limits: CheckLimits,
    reference: IdentityReference | None,
    others: Sequence[Known],
    faceless: bool,
) -> Verdict:
    if found.observation is None:
        unreadable = CheckResult("readable", Outcome.REJECTED, None, "a readable image", found.problem)
        return Verdict(item.path.name, "", item.facet, item.value, (unreadable,))
    rest = tuple((one.name, one.phash) for one in others if one.own != found.observation.sha256)
    context = CheckContext(found.observation, item.facet, item.value, facets, limits, reference, rest, faceless)
    return Verdict(item.path.name, found.observation.sha256, item.facet, item.value, run_checks(context))


def as_recorded(judged: Sequence[Judged], recorded: Sequence[Verdict], folder: Path) -> list[Judged]:
    """The images of a round that was judged before, with the verdicts of then: later rounds build on them.

    What came into ``folder`` since is none of them. An image that was deleted since still counts, without an
    observation; one that was changed is judged by what it is now.
    """
    now = {item.verdict.image: item for item in judged}
    found = []
    for verdict in recorded:
        item = now.get(verdict.image)
        if item is None:
            item = Judged(Asked(folder / verdict.image, verdict.facet, verdict.value), None, verdict)
        found.append(replace(item, verdict=verdict) if item.verdict.sha256 == verdict.sha256 else item)
    return found


def sort_into(judged: Sequence[Judged], folders: Mapping[Outcome, Path]) -> None:
    """Copy each image into the folder of its outcome, and take copies of it out of the other folders.

    A folder is made when the first image goes into it. Where a name is taken by another picture (of this call, or one
    that lay in the folder before) the copy gets a piece of its content hash: no file is ever replaced or deleted that
    is not a copy of the image; a damaged copy is one. Those that were given up early or deleted since have nothing to
    copy.
    """
    names = Counter(item.asked.path.name for item in judged)
    for item in (item for item in judged if item.verdict.early is None and item.asked.path.exists()):
        path = item.asked.path
        sha256 = sha256_file(path)
        hashed = f"{path.stem}_{sha256[:8]}{path.suffix}"
        for outcome, folder in folders.items():
            if outcome is item.verdict.outcome:
                plain = folder / path.name
                free = names[path.name] == 1 and (not plain.exists() or _is_copy(plain, path, sha256))
                copy_whole(path, plain if free else folder / hashed)
                continue
            for copy in (folder / path.name, folder / hashed):
                if copy.is_file() and copy.resolve() != path.resolve() and _is_copy(copy, path, sha256):
                    copy.unlink(missing_ok=True)


def _is_copy(copy: Path, image: Path, sha256: str) -> bool:
    """Whether a file is a copy of an image, or was one: cut short, or as long with other bytes, and unreadable."""
    if sha256_file(copy) == sha256:
        return True
    data, whole = copy.read_bytes(), image.read_bytes()
    if not whole.startswith(data) and len(data) != len(whole):
        return False
    try:
        load_image(copy)
    except UnreadableImage:
        return True
    return False


@dataclass(frozen=True)
class Tally:
    """Counts of one validation, with the seed's figures.

    ``early``: those of the rejected that were given up before they were finished.
    """

    approved: int
    rejected: int
    unsure: int
    quality: float
    early: int = 0

    @property
    def total(self) -> int:
        return self.approved + self.rejected + self.unsure

    @property
    def approval(self) -> float:
        return self.approved / self.total if self.total else 0.0


def tally(verdicts: Sequence[Verdict]) -> Tally:
    """Counts and the mean quality of all images."""
    outcomes = [verdict.outcome for verdict in verdicts]
    quality = sum(v.quality for v in verdicts) / len(verdicts) if verdicts else 0.0
    return Tally(
        outcomes.count(Outcome.APPROVED), outcomes.count(Outcome.REJECTED), outcomes.count(Outcome.UNSURE), quality,
        sum(verdict.early is not None for verdict in verdicts),
    )  # fmt: skip


FAILURES: Mapping[str, str] = {
    "readable": "unreadable",
    "on_target": "off target",
    "one_face": "more than one face",
    "face_confidence": "uncertain face",
    "face_quality": "smeared face",
    "hands": "badly formed hands",
    "sharpness": "blurred",
    "brightness": "too dark or too bright",
    "identity": "not like the person",
    "novelty": "a copy",
}
"""What it means that a check fails, in two or three words."""


def reason_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Which checks stood in the way of how many images: a line about the rejected and one about the unsure, the most
    frequent first.

    An image may fail several checks; one that a person rejected counts where checks rejected it too.
    """
    lines = []
    for outcome in (Outcome.REJECTED, Outcome.UNSURE):
        of_them = (verdict for verdict in verdicts if verdict.outcome is outcome)
        found = Counter(
            in_words(result) for verdict in of_them for result in verdict.results if result.outcome is outcome
        )
        if found:
            ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
            lines.append(f"Why {outcome}: {', '.join(f'{text} {count}' for text, count in ranked)}")
    return lines


def in_words(result: CheckResult) -> str:
    """Why a check did not approve, in two or three words."""
    name = FAILURES.get(result.name, result.name.replace("_", " "))
    if result.outcome is Outcome.UNSURE:
        return f"{result.name.replace('_', ' ')} undecided"
    return "no face" if result.name == "one_face" and not result.value else name


def verdicts_json(verdicts: Sequence[Verdict], limits: CheckLimits, settings: str) -> dict[str, Any]:
    """verdicts_iterN.json."""
    counts = tally(verdicts)
    return {
        "approved": counts.approved,
        "rejected": counts.rejected,
        "unsure": counts.unsure,
        **({"rejected_early": counts.early} if counts.early else {}),
        "approval_rate": wilson(counts.approved, counts.total).to_json(),
        "avg_quality": round(counts.quality, 4),
        "limits": dict(limits.__dict__),
        "settings": settings,
        "verdicts": [verdict.to_json() for verdict in verdicts],
    }
