"""Gaps and the shots that close them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from twinloop.domain.faces import Box
from twinloop.domain.json_fields import entry, entry_or, list_of, number, optional, table_of, text, whole


@dataclass(frozen=True)
class Gap:
    """A facet value under its target share. As JSON it is one `recommendation` of gaps.json.

    Attributes:
        facet, value: ``type`` and ``target`` in JSON.
        count: images of this kind that close the gap.
        have: images of this kind now. total: images where the facet was measured.
        share: wanted share, 0..1.
        advice: the better remedy ("take 5 real photos from the side").
    """

    facet: str
    value: str
    count: int
    have: int
    total: int
    share: float
    reason: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.facet, "target": self.value, "count": self.count, "reason": self.reason,
            "have": self.have, "measured": self.total, "target_share": self.share, "advice": self.advice,
        }  # fmt: skip


def images_needed(have: int, total: int, share: float) -> int:
    """How many images of one kind lift ``have`` of ``total`` to ``share``: the smallest m with (have + m) / (total + m)
    >= share.

    m = ceil((share * total - have) / (1 - share)). 8 of 98 at 20 % gives 15.

    Raises:
        ValueError: share outside 0..1 (1 itself cannot be reached by adding), or negative counts.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"share must be in [0, 1), got {share}")
    if have < 0 or total < have:
        raise ValueError(f"need 0 <= have <= total, got {have} of {total}")
    missing = (share * total - have) / (1.0 - share)
    # a hair of tolerance, so that an exact share such as 20 of 100 at 0.2 is no gap through rounding
    return max(0, math.ceil(missing - 1e-9))


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from names and numbers only: never from order or time, so any subset of the work can be redone
    alone.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Shot:
    """One image to be made.

    Attributes:
        key: unique and stable in its round: ``<type>_<target>_<nnn>``.
        facet, value, index: the gap it serves and its number there, from 1.
        traits: the other facet values that the prompt asks for (variety), e.g. ``{"setting": "outdoor"}``.
        source: a real photo to start from (image-to-image), or None.
        references: other real photos of the person, which a model that looks at several is shown after ``source``.
        face_prompt: what is asked of the face alone where it is redrawn (`stages.face_detail`), "" = it is not.
        source_faces: the person's face in ``source``, then in each of ``references``, in pixels of the upright photo;
            None = not known. Empty = in none of them.
    """

    key: str
    facet: str
    value: str
    index: int
    prompt: str
    negative_prompt: str
    seed: int
    traits: tuple[tuple[str, str], ...] = ()
    source: str | None = None
    references: tuple[str, ...] = ()
    face_prompt: str = ""
    source_faces: tuple[Box | None, ...] = ()

    def face_in(self, number: int) -> Box | None:
        """The face in a photo that the shot names, 0 = its source."""
        return self.source_faces[number] if number < len(self.source_faces) else None

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "type": self.facet,
            "target": self.value,
            "index": self.index,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "seed": self.seed,
            "traits": dict(self.traits),
            "source": self.source,
            **({"references": list(self.references)} if self.references else {}),
            **({"face_prompt": self.face_prompt} if self.face_prompt else {}),
            **({"source_faces": [face and face.to_list() for face in self.source_faces]} if self.source_faces else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Shot:
        """Raises ValueError where it is no shot; names the field."""
        return cls(
            key=entry(data, "key", text),
            facet=entry(data, "type", text),
            value=entry(data, "target", text),
            index=entry(data, "index", whole),
            prompt=entry(data, "prompt", text),
            negative_prompt=entry(data, "negative_prompt", text),
            seed=entry(data, "seed", whole),
            traits=tuple(sorted(entry(data, "traits", table_of(text)).items())),
            source=entry(data, "source", optional(text)),
            references=entry_or(data, "references", list_of(text), ()),
            face_prompt=entry_or(data, "face_prompt", text, ""),
            source_faces=entry_or(data, "source_faces", list_of(optional(box)), ()),
        )


def box(data: Any) -> Box:
    """What `Box.to_list` made. Raises ValueError."""
    sides = list_of(number)(data)
    if len(sides) != 4:
        raise ValueError(f"{len(sides)} numbers in the place of 4")
    return Box(*sides)
