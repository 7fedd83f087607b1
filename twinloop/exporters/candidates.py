"""Candidates: the photos of a dataset that a picture can be cut from, with what was measured on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from twinloop.domain.faces import Face, FloatArray, ImageArray
from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.domain.vault import NOT_RECORDED
from twinloop.errors import NothingToDo, StateError
from twinloop.exporters.head import Head, find_head, proportion_of
from twinloop.exporters.run_dataset import members_of, recorded_consent
from twinloop.ports import Reporter
from twinloop.stages.observe import Observer, Seen, observe_files
from twinloop.stages.select import select, several_people_message
from twinloop.stages.selection_rules import Photo, Rule, blurred, exact_duplicate, no_face, other_person
from twinloop.store.pictures.dataset_folders import subject_images
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog


def rules(likeness: Likeness) -> tuple[Rule, ...]:
    """As for training, but near-duplicates stay in: of two alike photos one may have its eyes closed.

    Args:
        likeness: of the embedder that measured the photos.
    """
    return (no_face, exact_duplicate, blurred, partial(other_person, likeness=likeness))


@dataclass(frozen=True, eq=False)
class Candidate:
    """One photo.

    Attributes:
        name: of the file within the dataset, for people and manifests.
        head: in pixels of the photo.
        sharpness: of the face, as a multiple of the dataset's median; None = not measured.
        likeness: mean cosine to all of the person's other real photos; None = not measured.
    """

    path: Path
    name: str
    seen: Observation
    face: Face
    head: Head
    sharpness: float | None
    likeness: float | None

    @property
    def real(self) -> bool:
        return self.seen.origin == "real"

    @property
    def yaw(self) -> float | None:
        return None if self.face.pose is None else float(self.face.pose.yaw)

    def pixels(self) -> ImageArray:
        """The photo, upright.

        Raises:
            UnreadableImage: it is gone. StateError: it is another picture than the one that was measured.
        """
        image = load_image(self.path)
        if image.sha256 != self.seen.sha256:
            raise StateError(
                f"{self.path} changed while it was exported. Nothing was written; run the same command again."
            )
        return image.pixels


@dataclass(frozen=True, eq=False)
class Candidates:
    """A dataset, looked at.

    ``left_out`` holds (name, reason); ``fingerprint`` says which models measured, ``consent`` what was recorded of it,
    ``unread`` is as in `DetectorPack`.
    """

    dataset: str
    items: tuple[Candidate, ...]
    left_out: tuple[tuple[str, str], ...]
    looked_at: int
    fingerprint: str
    consent: str = NOT_RECORDED.text
    unread: frozenset[str] = frozenset()

    def only(self, keeps: Callable[[Candidate], bool], reason: Callable[[Candidate], str]) -> Candidates:
        """The candidates that ``keeps`` admits; the others are left out with their reason."""
        dropped = tuple((c.name, reason(c)) for c in self.items if not keeps(c))
        kept = tuple(c for c in self.items if keeps(c))
        return dataclasses.replace(self, items=kept, left_out=(*self.left_out, *dropped))

    def real_only(self) -> Candidates:
        """Without the synthetic images."""
        return self.only(lambda c: c.real, lambda c: "synthetic, and only real photos were asked for")


def gather(dataset: Path, observer: Observer, catalog: Catalog, reporter: Reporter) -> Candidates:
    """Observe a folder of photos, or the images that a dataset_iterN.json of a run names, and leave out what no picture
    can be cut from.

    Raises:
        InputError: no such folder or file. NothingToDo: no photo with a face in it; says why.
    """
    files = _listed(dataset) if dataset.suffix == ".json" else _found(dataset)
    names = {path: name for path, name, _ in files}
    made = {path for path, _, origin in files if origin != "real"}
    found = [
        _with_origin(seen, made)
        for seen in observe_files([path for path, _, _ in files], observer, catalog, reporter, "Observing")
    ]
    selection = select(found, rules(observer.pack.likeness))
    if several := several_people_message(selection.photos, str(dataset), observer.pack.likeness):
        reporter.warn(several)
    left_out = tuple((names[path], reason) for path, reason in selection.left_out)
    if not selection.photos:
        told = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3]) or "it holds no image"
        raise NothingToDo(f"No photo to export in {dataset} ({told}).")
    items = _candidates(selection.photos, names)
    return Candidates(
        dataset.resolve().name, items, left_out, len(files), observer.fingerprint, recorded_consent(dataset).text,
        observer.pack.unread,
    )  # fmt: skip


def _found(folder: Path) -> list[tuple[Path, str, str]]:
    return [
        (path, path.name if path == folder else path.relative_to(folder).as_posix(), "real")
        for path in subject_images(folder)
    ]


def _listed(record: Path) -> list[tuple[Path, str, str]]:
    return [(Path(member.path), member.path, member.origin) for member in members_of(record)]


def _with_origin(seen: Seen, made: set[Path]) -> Seen:
    """A file is synthetic by its own mark, or because the run's record says so."""
    if seen.observation is None or seen.path not in made:
        return seen
    return dataclasses.replace(seen, observation=dataclasses.replace(seen.observation, origin="synthetic"))


class LikenessToOthers:
    """How alike a face is to all the person's other real photos.

    Their vectors are added up once, not again for every photo.

    Not the similarity to a person that images are judged by (`twinloop.stages.identity.nearest_mean`): near-duplicates
    stay in here, and with only the nearest photos each would be vouched for by its twin. The photo that looks like most
    others is sought.

    Args:
        own: sha256 of each real photo -> (D,) unit vector of the face on it.
    """

    def __init__(self, own: Mapping[str, FloatArray]) -> None:
        self._own = own
        self._sum = np.sum(list(own.values()), axis=0, dtype=np.float64) if own else None

    def of(self, sha256: str, vector: FloatArray | None) -> float | None:
        """Mean cosine to the photos of other content; None = not measured, or there is no other."""
        mine = self._own.get(sha256)
        others = len(self._own) - (mine is not None)
        if vector is None or self._sum is None or not others:
            return None
        return float((self._sum - (0.0 if mine is None else mine)) @ vector) / others


def _candidates(photos: Sequence[Photo], names: dict[Path, str]) -> tuple[Candidate, ...]:
    faced = [(photo, photo.seen.face) for photo in photos if photo.seen.face is not None]
    proportion = proportion_of(face for _, face in faced)
    sharp = [s for photo, _ in faced if (s := photo.seen.measure("face_sharpness")) is not None]
    median = float(np.median(sharp)) if sharp else 0.0
    likeness = LikenessToOthers(
        {p.seen.sha256: f.embedding for p, f in faced if f.embedding is not None and p.seen.origin == "real"}
    )
    items = []
    for photo, face in faced:
        sharpness = photo.seen.measure("face_sharpness")
        items.append(
            Candidate(
                photo.path, names[photo.path], photo.seen, face, find_head(face, proportion),
                None if sharpness is None or median <= 0 else sharpness / median,
                likeness.of(photo.seen.sha256, face.embedding),
            )
        )  # fmt: skip
    return tuple(items)
