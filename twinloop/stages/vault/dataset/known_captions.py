"""What the vault knows of each caption of a person, for who looks through them: the words, whose they are, and where
they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twinloop.domain.vault import Person
from twinloop.stages.vault.dataset.caption import EDITED, alike_for, recorded
from twinloop.stages.vault.dataset.own_captions import edits_of
from twinloop.stages.vault.opened import OpenVault


@dataclass(frozen=True, kw_only=True)
class KnownCaption:
    """The caption of a photo as it stands.

    Attributes:
        edited: the user's own words. waiting: the user took own words back, and the measured ones come with the next
            run of `caption` or `prep`.
        file, picture: the prepared picture, below the person's folder, and its sha256; "" before `prep`. written: what
            its caption file was given last.
    """

    sha256: str
    name: str
    text: str
    edited: bool
    waiting: bool
    file: str
    picture: str
    written: str

    @property
    def newer(self) -> bool:
        """Whether the prepared folder does not have it yet."""
        return bool(self.file) and (self.waiting or self.text != self.written)

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        del found["written"]
        return {**found, "newer": self.newer}


def known_captions(opened: OpenVault, person: Person, prepared: Mapping[str, Any]) -> tuple[KnownCaption, ...]:
    """The captions of a person, in the order of the last run; () before the first.

    Args:
        prepared: the person's ``person.json``; {} before `prep`.
    """
    record = recorded(opened, person)
    if record is None:
        return ()
    edits = edits_of(opened.decisions, person.id, alike_for(opened, record))
    pictures = {item["source"]["sha256"]: item for item in prepared.get("pictures", ())}
    contents = {item["file"]: item["sha256"] for item in prepared.get("files", ())}
    found = []
    for item in record["captions"]:
        sha256 = item["photo"]
        picture = pictures.get(sha256, {})
        own = edits.get(sha256)
        found.append(
            KnownCaption(
                sha256=sha256,
                name=Path(item["path"]).name,
                text=own if own is not None else item["text"],
                edited=own is not None,
                waiting=own is None and item["source"] == EDITED,
                file=picture.get("file", ""),
                picture=contents.get(picture.get("file"), ""),
                written=picture.get("text", ""),
            )
        )
    return tuple(found)
