"""Beside an approved image the real photo that is most like it: what a person compares it with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from twinloop.domain.verdicts import Verdict
from twinloop.report.model import RunRecord
from twinloop.report.thumbnails import Pictures, Thumbnail
from twinloop.report.words import number
from twinloop.stages.nearest import MeasuredPhotos
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class NearestPhoto:
    """A real photo and how like it the image is, in words."""

    picture: Thumbnail | None
    name: str
    likeness: str


def nearest_of(
    run: RunRecord, workspace: Workspace, pictures: Pictures, verdicts: Iterable[Verdict]
) -> dict[str, NearestPhoto]:
    """sha256 of each image -> its nearest photo; images that the run's catalogue does not know are left out."""
    photos = run.photos.real if run.photos is not None else ()
    images = dict.fromkeys(verdict.sha256 for verdict in verdicts)
    if not photos or not images or not workspace.catalog.is_file():
        return {}
    found = {}
    with Catalog(workspace.catalog, reading=True) as catalog:
        measured = MeasuredPhotos(photos, catalog, run.detectors)
        for sha256 in images:
            made = catalog.get(sha256, run.detectors)
            for member, value, by in measured.nearest(made, 1) if made is not None else ():
                name = member.path.replace("\\", "/").rsplit("/", 1)[-1]
                kind = "likeness of the faces" if by == "identity" else "likeness of the pictures"
                found[sha256] = NearestPhoto(
                    pictures.named(member.path, member.sha256), name, f"{kind} {number(value)}"
                )
    return found
