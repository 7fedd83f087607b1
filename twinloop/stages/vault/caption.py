"""Caption: what each picture cut for training shows, in words: the trigger first, then what varies. The user's own words always win."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from twinloop.domain.captions import with_trigger
from twinloop.domain.facet import Facet
from twinloop.domain.observation import Observation
from twinloop.domain.vault import Label, Person
from twinloop.errors import NothingToDo, UnreadableImage
from twinloop.ports import Captioner, Reporter
from twinloop.stages import words
from twinloop.stages.observe import Observer
from twinloop.stages.vault.audit import Constant, audit
from twinloop.stages.vault.choose import Choice, LeftOut
from twinloop.stages.vault.cut import Cut, CutOptions
from twinloop.stages.vault.describe import merged
from twinloop.stages.vault.edits import edits_of
from twinloop.stages.vault.label import head_of
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.own_hands import own_hands
from twinloop.stages.vault.picture import CutPicture
from twinloop.store.atomic import read_json, write_json
from twinloop.store.catalog import Catalog

EDITED = "edited"
TEMPLATE = "template"


@dataclass(frozen=True)
class CaptionOptions:
    """How captions are written.

    Attributes:
        style: ``prose`` or ``tags``. captioner: ``template``, or the name of one that adds its words. model: its folder or hub id.
    """

    style: str = "prose"
    captioner: str = TEMPLATE
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"style": self.style, "captioner": self.captioner, "model": self.model}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CaptionOptions:
        return cls(str(data["style"]), str(data["captioner"]), str(data["model"]))


@dataclass(frozen=True, eq=False)
class Captioned:
    """One picture with its caption. ``source`` = the captioner's name, or ``edited``; ``seen`` = what was measured on the picture."""

    cut: Cut
    picture: CutPicture | None
    seen: Observation
    text: str
    source: str

    def to_json(self) -> dict[str, Any]:
        window = self.cut.window
        return {
            "photo": self.cut.photo.sha256, "path": self.cut.photo.paths[0], "crop": list(window.box), "size": list(window.size),
            "text": self.text, "source": self.source,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Captions:
    """All captions of a person, the words that are in nearly all of them, and what could not be captioned."""

    person: Person
    label: Label
    options: CaptionOptions
    cutting: CutOptions
    captions: tuple[Captioned, ...]
    audit: tuple[Constant, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def without_trigger(self) -> tuple[str, ...]:
        """Paths of the photos whose caption is the user's own and lacks the trigger: their pictures would not be learned as this person."""
        own = (item for item in self.captions if item.source == EDITED)
        return tuple(
            item.cut.photo.paths[0] for item in own if with_trigger(item.text, self.label.trigger) != item.text
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "person": self.person.id, "name": self.person.name, "trigger": self.label.trigger, "class_word": self.label.class_word,
            "consent": self.label.consent.text, **self.options.to_json(), "cutting": asdict(self.cutting),
            "captions": [item.to_json() for item in self.captions],
            "audit": [item.to_json() for item in self.audit],
            "left_out": [item.to_json() for item in self.left_out], "without_trigger": list(self.without_trigger),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Writer:
    """What captions are made with: the ruler, and a captioner unless the template is enough."""

    observer: Observer
    captioner: Captioner | None = None


def caption(
    opened: OpenVault, person: Person, label: Label, choice: Choice, cutting: CutOptions, options: CaptionOptions, writer: Writer, reporter: Reporter
) -> Captions:  # fmt: skip
    """Caption all pictures of a person and write the record.

    Raises:
        NothingToDo: none of the photos can be read any more.
    """
    made: list[Captioned] = []
    left_out = list(choice.left_out)
    for item in captioned(opened, label, choice.cuts, options, writer, reporter):
        if isinstance(item, LeftOut):
            left_out.append(item)
        else:
            made.append(replace(item, picture=None))  # its pixels are not needed any more
    if not made:
        raise NothingToDo(
            f"None of the photos of {person.name or person.id} can be read. Scan again: {opened.vault.command('scan')}"
        )
    found = Captions(
        person,
        label,
        options,
        cutting,
        tuple(made),
        audit_of(made, label, options, writer.observer.facets),
        tuple(left_out),
    )
    record(opened, found)
    return found


def record(opened: OpenVault, captions: Captions) -> None:
    """Write captions/<person>.json."""
    write_json(opened.vault.captions(captions.person.id), captions.to_json(), private=True)


def audit_of(
    made: Sequence[Captioned], label: Label, options: CaptionOptions, facets: Sequence[Facet]
) -> tuple[Constant, ...]:
    return audit([item.text for item in made], head_of(label, options.style), facets, options.style)


def captioned(
    opened: OpenVault, label: Label, cuts: Sequence[Cut], options: CaptionOptions, writer: Writer, reporter: Reporter
) -> Iterator[Captioned | LeftOut]:
    """The pictures one by one, each measured and captioned; what is known from an earlier run is looked up. A photo that cannot be read is left out."""
    edits = edits_of(opened.decisions, label.person)
    with Catalog(opened.vault.crops) as cache:
        for number, cut in enumerate(cuts, 1):
            picture = CutPicture(cut)
            try:
                seen = _seen(picture, writer.observer, cache)
                own = edits.get(cut.photo.sha256)
                text = own if own is not None else _text(picture, seen, label, options, writer, cache)
            except UnreadableImage as error:
                yield LeftOut(cut.photo, str(error))
            else:
                yield Captioned(cut, picture, seen, text, EDITED if own is not None else options.captioner)
            reporter.progress("Captioning", number, len(cuts))


def _seen(picture: CutPicture, observer: Observer, cache: Catalog) -> Observation:
    known = cache.get(picture.cut.key, observer.fingerprint)
    if known is None:
        known = observer.observe(picture.image, picture.cut.subject)
        cache.put(known)
    return own_hands(known, picture.cut.other_faces)


def _text(
    picture: CutPicture, seen: Observation, label: Label, options: CaptionOptions, writer: Writer, cache: Catalog
) -> str:
    facets = writer.observer.facets
    template = words.caption(head_of(label, options.style), facets, seen, options.style)
    if writer.captioner is None:
        return template
    key, fingerprint = picture.cut.key, writer.captioner.fingerprint
    said = cache.described(key, fingerprint)
    if said is None:
        said = writer.captioner.caption(picture.image.pixels)
        cache.put_described(key, fingerprint, said)
    measured = any(facet.name == "face_angle" and facet.classify(seen).measured for facet in facets)
    return merged(template, said, angle_measured=measured)


def recorded(opened: OpenVault, person: Person) -> dict[str, Any] | None:
    """captions/<person>.json as it was written last, or None."""
    path = opened.vault.captions(person.id)
    if not path.exists():
        return None
    data: dict[str, Any] = read_json(path)
    return data


def last_options(opened: OpenVault, person: Person) -> tuple[CutOptions, CaptionOptions]:
    """What the last run was made with (but for how many photos it took), else the defaults."""
    data = recorded(opened, person)
    if data is None:
        return CutOptions(), CaptionOptions()
    return replace(CutOptions(**data["cutting"]), max_photos=None), CaptionOptions.from_json(data)


def shown(opened: OpenVault, label: Label, data: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the edits that were made since over it."""
    edits = edits_of(opened.decisions, label.person)
    captions = [
        {**item, "text": edits[item["photo"]], "source": EDITED} if item["photo"] in edits else item
        for item in data["captions"]
    ]
    return {**data, "captions": captions}
