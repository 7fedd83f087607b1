"""Whose the face on a prepared picture is by what the user said of it, also where its photo is no longer there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from typing import Any

from twinloop.domain.vault import Decision, FaceKey
from twinloop.stages.vault.people.membership import faces_of

GIVING = ("split", "reject", "assign", "forget")
"""Kinds of decisions that say whose a face is."""


def is_cut_of(picture: Mapping[str, Any], key: FaceKey) -> bool:
    """Whether a picture, as person.json lists it, is the cut of this face.

    Where it does not say which face it shows, each face counts whose centre lies inside the cut.
    """
    source = picture["source"]
    if key.is_whole or "face" in source:
        return key.is_whole or key.same(FaceKey.from_json({"sha256": key.sha256, "box": source["face"]}))
    x0, y0, x1, y1 = source["crop"]
    x = (key.box[0] + key.box[2]) / 2 * source["width"]
    y = (key.box[1] + key.box[3]) / 2 * source["height"]
    return bool(x0 <= x <= x1 and y0 <= y <= y1)


class SaidOfFaces:
    """What standing decisions say of whose faces are, by photo: asked for many photos, each decision is read once."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._said: dict[str, list[tuple[Decision, list[FaceKey]]]] = defaultdict(list)
        for made in decisions:
            if made.kind in GIVING:
                faces: dict[str, list[FaceKey]] = defaultdict(list)
                for key in faces_of(made.data):
                    faces[key.sha256].append(key)
                for photo, keys in faces.items():
                    self._said[photo].append((made, keys))

    def last(self, photo: str, picture: Mapping[str, Any], person: Set[str]) -> str | None:
        """The id of whose the face on a picture is by the last of them about it; "" = not of this person; None =
        nothing was said.

        Args:
            photo: sha256. person: the ids of the one in whose training set the picture lies.
        """
        found: str | None = None
        for made, keys in self._said.get(photo, ()):
            if made.kind == "reject" and made.data["person"] not in person:
                continue
            if any(is_cut_of(picture, key) for key in keys):
                found = "" if made.kind == "reject" else made.data["new" if made.kind == "split" else "person"]
        return found
