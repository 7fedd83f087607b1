"""Which photos that are no longer known are gone, and were still the person's: the others were decided against."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from twinloop.domain.vault import Person
from twinloop.stages.vault.dataset.folder.carried import pictures_of
from twinloop.stages.vault.dataset.folder.prepared import PreparedFolder
from twinloop.stages.vault.dataset.folder.whose import GIVING, SaidOfFaces
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.passed_over import Exclusions
from twinloop.stages.vault.people.membership import ids_merged_into


def still_theirs(opened: OpenVault, person: Person, folder: PreparedFolder, gone: Collection[str]) -> frozenset[str]:
    """Those of these photos (sha256) that nobody took from the person, and that are not left out of the scan, or
    replaced, where they lay.
    """
    ids = ids_merged_into(opened.decisions.active("merge"), person.id)
    said = SaidOfFaces(opened.decisions.active(*GIVING))
    exclusions = Exclusions(opened.record.exclude)
    listed = pictures_of(folder)
    found = set()
    for photo in gone:
        picture = listed(photo)
        owner = said.last(photo, picture, ids)
        path = str(picture["source"]["path"])
        if (owner is None or owner in ids) and not (path and _is_passed_over(opened, exclusions, path)):
            found.add(photo)
    return frozenset(found)


def _is_passed_over(opened: OpenVault, exclusions: Exclusions, path: str) -> bool:
    """Whether the place of a photo is out of the scan, or holds another photo; a file that could only not be read is
    neither.
    """
    if is_excluded(exclusions, path, opened.record.folders):
        return True
    entry = opened.catalog.files.at(Path(path))
    return os.path.exists(path) and (entry is None or not entry.problem)


def is_excluded(exclusions: Exclusions, path: str, folders: Iterable[str]) -> bool:
    """Whether a pattern leaves a file, or a folder that it is in, out of the scan of one of these folders."""
    if exclusions.around(path):
        return True
    for top in folders:
        inside = [place for place in Path(path).parents if place != Path(top) and place.is_relative_to(top)]
        if Path(path).is_relative_to(top) and (
            exclusions.matches(path, top, folder=False)
            or any(exclusions.matches(os.fspath(place), top, folder=True) for place in inside)
        ):
            return True
    return False
