"""Most pictures of a folder in which no face was found, and what to do about it: drawings, robots, animals."""

from __future__ import annotations

import contextlib
from pathlib import Path

from twinloop.domain.wording import agree, plural
from twinloop.store.pictures.sidecar import person_beside

NO_FACES = '"validation": {"faces": false}'
LOOK_FOR_NONE = (
    f"If they are drawings, or show a character without a face (a robot, an animal), look for none: {NO_FACES} in the"
    ' configuration; or take every readable image: --keep-all (train and analyze), "analysis": {"keep_all": true}.'
)
FINDING = "no face"
"""What `Finding.about` says of a prepared set, where it is mostly of pictures without a face."""


def mostly_faceless(bare: int, images: int) -> bool:
    """Whether pictures without a face are most of a folder's."""
    return 2 * bare > images


def few_faces_message(bare: int, images: int) -> str:
    """What to say where most pictures are left out, because no face was found in them; "" = nothing.

    Args:
        bare: those that are left out for it. images: of the folder.
    """
    if not mostly_faceless(bare, images):
        return ""
    out = agree(bare, "is", "are")
    return f"no face was found in {bare} of {plural(images, 'image')}, which {out} left out. {LOOK_FOR_NONE}"


def foreseen(folder: Path) -> str:
    """The same of a folder that FaceVault prepared, by what it counted; "" = nothing, or it cannot be told.

    Raises:
        StateError: as `person_beside`.
    """
    record = person_beside(folder)
    with contextlib.suppress(AttributeError, KeyError, TypeError):  # a record that somebody else wrote
        counted = [one for one in record["readiness"]["findings"] if one["about"] == FINDING]
        return few_faces_message(int(counted[0]["have"]), int(counted[0]["of"])) if counted else ""
    return ""
