"""Caption: what each picture cut for training shows, in words: the trigger first, then what varies.

The user's own words always win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.domain.captions import Description, holds_trigger
from twinloop.domain.choices import CAPTION_WORDS, OWN_CAPTIONS
from twinloop.domain.facet import Facet
from twinloop.domain.model_roles import NEEDS_FACE
from twinloop.domain.observation import Observation
from twinloop.domain.vault import Label, Person, VaultPhoto
from twinloop.domain.wording import agree, some
from twinloop.errors import CaptionFailed, NothingToDo, UnreadableImage
from twinloop.ports import Captioner, Reporter
from twinloop.stages import words
from twinloop.stages.observe import Observer
from twinloop.stages.vault.copies.of_person import Alike, alike_in
from twinloop.stages.vault.dataset.audit import Constant, audit
from twinloop.stages.vault.dataset.choose import COPY, ChosenPhotos, LeftOut, nothing_left
from twinloop.stages.vault.dataset.cut import Cut, CutOptions
from twinloop.stages.vault.dataset.cut_picture import CutPicture
from twinloop.stages.vault.dataset.describe import merged, told_otherwise
from twinloop.stages.vault.dataset.described import Describer
from twinloop.stages.vault.dataset.label import head_of
from twinloop.stages.vault.dataset.own_captions import beside, beside_copies, edits_of
from twinloop.stages.vault.dataset.own_hands import own_hands
from twinloop.stages.vault.offline_folders import is_there
from twinloop.stages.vault.opened import OpenVault
from twinloop.store.atomic import read_as, write_json
from twinloop.store.pictures.sidecar import has_more_lines
from twinloop.store.run.catalog import Catalog
from twinloop.system import shell

EDITED = "edited"
BESIDE = "beside"
"""`Captioned.source` of a caption that lies in a file beside the photo."""
TEMPLATE = "template"


@dataclass(frozen=True)
class CaptionOptions:
    """How captions are written.

    Attributes:
        style: ``prose`` or ``tags``. captioner: ``template``, or the name of one that adds its words. model: its folder
            or hub id, or its name on a server.
        own_captions: ``use`` or ``ignore`` what lies in a file beside a photo.
        captioner_url: of the server that is asked. captioner_prompt: what it is asked; "" = the captioner's own words.
        max_words: of a caption to which a captioner adds.
    """

    style: str = "prose"
    captioner: str = TEMPLATE
    model: str = ""
    own_captions: str = OWN_CAPTIONS[0]
    captioner_url: str = ""
    captioner_prompt: str = ""
    max_words: int = CAPTION_WORDS

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CaptionOptions:
        usual = asdict(cls())
        return cls(**{name: type(value)(data.get(name, value)) for name, value in usual.items()})


@dataclass(frozen=True, eq=False)
class Captioned:
    """One picture with its caption.

    ``source`` = the captioner's name, ``edited`` or ``beside``; ``seen`` = what was measured on the picture;
    ``failure`` = why the captioner added nothing, "" = it did, or was not asked; ``copy`` = the copy of the photo that
    the caption lies beside; None = the photo itself, or it lies nowhere.
    """

    cut: Cut
    picture: CutPicture | None
    seen: Observation
    text: str
    source: str
    failure: str = ""
    copy: VaultPhoto | None = None

    def to_json(self) -> dict[str, Any]:
        window = self.cut.window
        return {
            "photo": self.cut.photo.sha256,
            "path": self.cut.photo.paths[0],
            "crop": list(window.box),
            "size": list(window.size),
            "text": self.text,
            "source": self.source,
        }


@dataclass(frozen=True, eq=False)
class Captions:
    """All captions of a person, the words that are in nearly all of them, and what could not be captioned.

    ``unused``: paths of copies with captions of the user's own that no picture has.
    """

    person: Person
    label: Label
    options: CaptionOptions
    cutting: CutOptions
    captions: tuple[Captioned, ...]
    audit: tuple[Constant, ...]
    left_out: tuple[LeftOut, ...]
    unused: tuple[str, ...] = ()

    @property
    def without_trigger(self) -> tuple[str, ...]:
        """Paths of the photos whose caption is the user's own and lacks the trigger: their pictures would not be
        learned as this person.
        """
        own = (item for item in self.captions if item.source == EDITED)
        return tuple(item.cut.photo.paths[0] for item in own if not holds_trigger(item.text, self.label.trigger))

    @property
    def beside(self) -> int:
        """How many captions lie in files beside the photos."""
        return sum(item.source == BESIDE for item in self.captions)

    @property
    def beside_copies(self) -> int:
        """How many of these lie beside a copy of the photo."""
        return sum(item.copy is not None for item in self.captions)

    @property
    def more_lines(self) -> int:
        """Of how many of these files the first line is the caption, and further ones are not read."""
        return sum(
            item.source == BESIDE and any(has_more_lines(Path(path)) for path in (item.copy or item.cut.photo).paths)
            for item in self.captions
        )

    @property
    def not_described(self) -> tuple[Captioned, ...]:
        """Pictures on which the captioner failed: their captions are the template's."""
        return tuple(item for item in self.captions if item.failure)

    def to_json(self) -> dict[str, Any]:
        return {
            "person": self.person.id,
            "name": self.person.name,
            "trigger": self.label.trigger,
            "class_word": self.label.class_word,
            "consent": self.label.consent.text,
            **self.options.to_json(),
            "cutting": asdict(self.cutting),
            "captions": [item.to_json() for item in self.captions],
            "audit": [item.to_json() for item in self.audit],
            "left_out": [item.to_json() for item in self.left_out],
            "without_trigger": list(self.without_trigger),
            "unused_captions": list(self.unused),
            "not_described": [
                {"photo": item.cut.photo.sha256, "path": item.cut.photo.paths[0], "reason": item.failure}
                for item in self.not_described
            ],
        }


@dataclass(frozen=True, eq=False)
class Writer:
    """What captions are made with: the ruler, and a captioner unless the template is enough."""

    observer: Observer
    captioner: Captioner | None = None


@dataclass(frozen=True, eq=False)
class Captioning:
    """Whose pictures are captioned, and how.

    ``choice``: which pictures; ``writer``: what the captions are made with.
    """

    person: Person
    label: Label
    choice: ChosenPhotos
    options: CaptionOptions
    writer: Writer


def caption(opened: OpenVault, work: Captioning, reporter: Reporter) -> Captions:
    """Caption all pictures of a person and write the record.

    Raises:
        NothingToDo: none of the photos can be read any more.
    """
    found = captions_of(opened, work, reporter, lambda item: None)
    if not found.captions:
        raise none_made(opened, work)
    record(opened, found)
    return found


def captions_of(opened: OpenVault, work: Captioning, reporter: Reporter, keep: Callable[[Captioned], None]) -> Captions:
    """Caption all pictures of a person; what cannot be read is left out.

    Args:
        keep: is given each picture with its caption while its pixels can be had. Where it raises UnreadableImage, the
            picture is left out.
    """
    made: list[Captioned] = []
    left_out = list(work.choice.left_out)
    for item in _captioned(opened, work, opened.noting(reporter)):
        if isinstance(item, LeftOut):
            left_out.append(item)
            continue
        try:
            keep(item)
        except UnreadableImage as error:
            left_out.append(LeftOut(item.cut.photo, str(error)))
        else:
            made.append(replace(item, picture=None))  # its pixels are not needed any more
    for unread in left_out[len(work.choice.left_out) :]:
        opened.catalog.files.doubt(unread.photo.sha256)  # what is on the disk is not what the catalogue takes it for
    return Captions(
        person=work.person,
        label=work.label,
        options=work.options,
        cutting=work.choice.options,
        captions=tuple(made),
        audit=_audit(made, work),
        left_out=tuple(left_out),
        unused=_unused(opened, work, {item.text for item in made}),
    )


def none_made(opened: OpenVault, work: Captioning) -> NothingToDo:
    """Says why there is no picture to caption, and what can be done about it."""
    cuts, person, vault = work.choice.cuts, work.person, opened.vault
    if not cuts:
        return NothingToDo(nothing_left(opened, person, work.choice.left_out))
    paths = [Path(path) for cut in cuts for path in cut.photo.paths]
    roots = [
        folder for folder in map(Path, opened.record.folders) if any(path.is_relative_to(folder) for path in paths)
    ]
    away = [folder for folder in roots if not is_there(folder, opened.catalog.files)]
    text = f"None of the photos of {person.called} can be read."
    if not away:
        return NothingToDo(f"{text} Scan again: {vault.command('scan')}")
    flags = " ".join(f"--remove {shell.quote(str(folder))}" for folder in away)
    return NothingToDo(
        f"{text} {some(list(map(str, away)))} {agree(len(away), 'is', 'are')} not there: connect the disk, or take"
        f" {agree(len(away), 'it', 'them')} out: {vault.command(f'scan {flags}')}"
    )


def _unused(opened: OpenVault, work: Captioning, texts: Set[str]) -> tuple[str, ...]:
    """Of which copies the user wrote a caption that no picture has."""
    edits = edits_of(opened.decisions, work.label.person)
    copies = [item.photo for item in work.choice.left_out if item.kind == COPY]
    own = ((photo, edits.get(photo.sha256) or _beside(photo, work)) for photo in copies)
    return tuple(photo.paths[0] for photo, text in own if text and text not in texts)


def _beside(photo: VaultPhoto, work: Captioning) -> str | None:
    return beside(photo, work.label) if work.options.own_captions == OWN_CAPTIONS[0] else None


def record(opened: OpenVault, captions: Captions) -> None:
    """Write captions/<person>.json."""
    write_json(opened.vault.captions(captions.person.id), captions.to_json(), private=True)


def _audit(made: Sequence[Captioned], work: Captioning) -> tuple[Constant, ...]:
    head = words.head(head_of(work.label, work.options.style), work.options.style)
    return audit([item.text for item in made], head, work.writer.observer.facets)


def _captioned(opened: OpenVault, work: Captioning, reporter: Reporter) -> Iterator[Captioned | LeftOut]:
    """The pictures one by one, each measured and captioned; what is known from an earlier run is looked up.

    A photo that cannot be read is left out.
    """
    edits, cuts = edits_of(opened.decisions, work.label.person, work.choice.alike), work.choice.cuts
    with Catalog(opened.vault.crops) as cache:
        captioner = work.writer.captioner
        describer = Describer(captioner, cache) if captioner is not None else None
        for number, cut in enumerate(cuts, 1):
            picture = CutPicture(cut)
            try:
                seen = _seen(picture, work.writer.observer, cache)
                own = edits.get(cut.photo.sha256)
                if own is not None:
                    yield Captioned(cut, picture, seen, own, EDITED)
                else:
                    yield _from_file(opened, picture, seen, work) or _measured(picture, seen, work, describer)
            except UnreadableImage as error:
                yield LeftOut(cut.photo, str(error))
            reporter.progress("Captioning", number, len(cuts))


def _from_file(opened: OpenVault, picture: CutPicture, seen: Observation, work: Captioning) -> Captioned | None:
    """The picture with the caption in a file beside its photo, else beside a copy that is not used itself."""
    if own := _beside(picture.cut.photo, work):
        return Captioned(picture.cut, picture, seen, own, BESIDE)
    alike = work.choice.alike.get(picture.cut.photo.sha256, ())
    if work.options.own_captions != OWN_CAPTIONS[0] or not alike:
        return None
    used = {cut.photo.sha256 for cut in work.choice.cuts}
    found = beside_copies(opened, (copy for copy in alike if copy not in used), work.label)
    return None if found is None else Captioned(picture.cut, picture, seen, found[0], BESIDE, copy=found[1])


def _seen(picture: CutPicture, observer: Observer, cache: Catalog) -> Observation:
    """What is measured on a picture. On one that is the character's as a whole no face and no hand is looked for: the
    scan found no face, and what a detector makes up in the cut would be described.
    """
    if picture.cut.subject is None:
        pack = replace(observer.pack, faces=None, pose=None, embedder=None, parts=())
        observer = replace(observer, pack=pack)
    known = cache.get(picture.cut.key, observer.fingerprint)
    if known is None:
        known = observer.observe(picture.image, picture.cut.subject)
        cache.put(known)
    return own_hands(known, picture.cut.other_faces)


def _measured(picture: CutPicture, seen: Observation, work: Captioning, describer: Describer | None) -> Captioned:
    """The picture with what was measured in words, and with the captioner's words where it has any."""
    if describer is None:
        return Captioned(picture.cut, picture, seen, _text(picture.cut, seen, work, None), TEMPLATE)
    try:
        said = describer.describe(picture)
    except CaptionFailed as error:
        return Captioned(picture.cut, picture, seen, _text(picture.cut, seen, work, None), TEMPLATE, str(error))
    return Captioned(picture.cut, picture, seen, _text(picture.cut, seen, work, said), work.options.captioner)


def _text(cut: Cut, seen: Observation, work: Captioning, said: Description | None) -> str:
    facets, style = _told(cut, work.writer.observer.facets), work.options.style
    head = head_of(work.label, style)
    if said is None:
        return words.caption(head, facets, seen, style)
    spoken = [facet for facet in facets if not told_otherwise(said, facet.name, facet.classify(seen).present)]
    measured = any(facet.name == "face_angle" and facet.classify(seen).measured for facet in facets)
    return merged(
        words.caption(head, spoken, seen, style),
        said,
        angle_measured=measured,
        most_words=work.options.max_words,
        trigger=head if style in words.TAGGED else None,
    )


def _told(cut: Cut, facets: Sequence[Facet]) -> Sequence[Facet]:
    """What can be said of a picture: of one without a face nothing that needs one."""
    return facets if cut.subject is not None else [f for f in facets if not NEEDS_FACE.intersection(f.needs)]


def recorded(opened: OpenVault, person: Person) -> dict[str, Any] | None:
    """captions/<person>.json as it was written last, or None."""
    path = opened.vault.captions(person.id)
    if not path.exists():
        return None
    return read_as(path, _recorded, _again(opened, person))


def _recorded(data: Any) -> dict[str, Any]:
    found: dict[str, Any] = {**data, "captions": [{**item} for item in data["captions"]]}
    _options(found)
    for item in found["captions"]:
        str(item["photo"] + item["path"] + item["text"] + item["source"])
    return found


def _again(opened: OpenVault, person: Person) -> str:
    return f"Move it away and run: {opened.vault.command(f'caption {person.id}')}"


def _options(data: Any) -> tuple[CutOptions, CaptionOptions]:
    return replace(CutOptions(**data["cutting"]), max_photos=None), CaptionOptions.from_json(data)


def last_options(opened: OpenVault, person: Person) -> tuple[CutOptions, CaptionOptions]:
    """What the last run was made with (but for how many photos it took), else the defaults."""
    path = opened.vault.captions(person.id)
    if not path.exists():
        return CutOptions(), CaptionOptions()
    return read_as(path, _options, _again(opened, person))


def alike_for(opened: OpenVault, data: Mapping[str, Any]) -> Alike:
    """Copies of one picture, for who looks at a record; none where all of them are used."""
    return {} if data["cutting"].get("keep_alike") else alike_in(opened.vault)


def shown(opened: OpenVault, label: Label, data: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the edits that were made since over it."""
    edits = edits_of(opened.decisions, label.person, alike_for(opened, data))
    captions = [
        {**item, "text": edits[item["photo"]], "source": EDITED} if item["photo"] in edits else item
        for item in data["captions"]
    ]
    return {**data, "captions": captions}
