"""Captions of a person's pictures: measured once, the trigger first, the user's own words for good."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.stages.vault.makers import FAKE, fake_vault, fill, person_in, photo_of, work_on
from tests.unit.things import Recording, face
from twinloop.domain.captions import Description
from twinloop.domain.faces import Box, Face, ImageArray, Part
from twinloop.domain.vault import FaceKey, Label, Person, VaultPhoto
from twinloop.errors import CaptionFailed, MissingTool, StateError, ToolFailed, UnreadableImage
from twinloop.facets import BUILTIN
from twinloop.ports import DetectorPack
from twinloop.stages.observe import Observer
from twinloop.stages.vault.dataset.caption import (
    Captioned,
    CaptionOptions,
    Captions,
    Writer,
    caption,
    captions_of,
    last_options,
    recorded,
    shown,
)
from twinloop.stages.vault.dataset.own_captions import edit
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.opening import open_vault
from twinloop.store.atomic import read_json, write_json

LABEL = Label("p001", "ohwx alice", "woman")


class Counting:
    """A captioner that counts its calls."""

    fingerprint = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def caption(self, image: ImageArray) -> Description:
        self.calls += 1
        return Description(tags=("glasses", "blonde hair", "from side"))


def captions(
    opened: OpenVault,
    person: Person,
    options: CaptionOptions | None = None,
    writer: Writer | None = None,
    size: int = 256,
) -> Captions:
    return caption(opened, work_on(opened, person, LABEL, size, options=options, writer=writer), Recording())


def test_what_cannot_be_kept_is_left_out(tmp_path: Path) -> None:
    def keep(item: Captioned) -> None:
        assert item.picture is not None, "its pixels can be had"
        kept.append(item.cut.photo.sha256)
        if len(kept) == 2:
            raise UnreadableImage("is on a disk that is away")

    kept: list[str] = []
    with fake_vault(tmp_path, 3) as (opened, person):
        found = captions_of(opened, work_on(opened, person, LABEL), Recording(), keep)
        assert recorded(opened, person) is None, "who keeps the pictures writes the record"
    assert [item.cut.photo.sha256 for item in found.captions] == [kept[0], kept[2]]
    assert [(item.photo.sha256, item.reason) for item in found.left_out] == [(kept[1], "is on a disk that is away")]


def test_the_trigger_comes_first_and_the_angle_is_in(tmp_path: Path) -> None:
    with fake_vault(tmp_path) as (opened, person):
        prose = captions(opened, person)
        tags = captions(opened, person, CaptionOptions(style="tags"))
    assert all(item.text.startswith("ohwx alice woman, ") and " view" in item.text for item in prose.captions)
    assert "side profile view, facing left" in prose.captions[5].text
    assert all(item.text.startswith("ohwx alice, 1girl, solo, ") for item in tags.captions)
    assert ", profile" in tags.captions[5].text


def test_the_record_is_private_and_the_same_every_time(tmp_path: Path) -> None:
    with fake_vault(tmp_path) as (opened, person):
        captions(opened, person)
        path = opened.vault.captions(person.id)
        first = path.read_bytes()
        captions(opened, person)
        assert path.read_bytes() == first and stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b'"consent": "not recorded"' in first


def test_pictures_are_measured_and_described_once(tmp_path: Path) -> None:
    captioner = Counting()
    with fake_vault(tmp_path, 3) as (opened, person):
        first = captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, captioner))
        for path in (tmp_path / "photos").iterdir():
            path.write_bytes(b"gone")  # not read again: everything is known
        again = captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, captioner))
    assert captioner.calls == 3
    assert [item.text for item in again.captions] == [item.text for item in first.captions]
    assert all(
        item.text.endswith(", glasses") and "blonde" not in item.text and "from side" not in item.text
        for item in first.captions
    )


def test_what_was_said_of_pixels_that_are_read_otherwise_now_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner = Counting()
    with fake_vault(tmp_path, 2) as (opened, person):
        for version in ("pixels-a", "pixels-b", "pixels-b"):
            monkeypatch.setattr("twinloop.stages.pixels.VERSION", version)
            captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, captioner))
    assert captioner.calls == 4


class Failing(Counting):
    """A captioner that fails with some of its calls, by number from 1."""

    def __init__(self, *failures: int, error: Exception | None = None) -> None:
        super().__init__()
        self._failures = failures
        self._error = error or CaptionFailed("no words for it")

    def caption(self, image: ImageArray) -> Description:
        said = super().caption(image)
        if self.calls in self._failures:
            raise self._error
        return said


def test_a_picture_on_which_the_captioner_fails_keeps_the_measured_words(tmp_path: Path) -> None:
    options = CaptionOptions(captioner="x")
    with fake_vault(tmp_path, 4) as (opened, person):
        plain = captions(opened, person)
        found = captions(opened, person, options, Writer(FAKE, Failing(1, 2, 4)))
        assert [item.source for item in found.captions] == ["template", "template", "x", "template"]
        assert [item.text for item in found.not_described] == [plain.captions[n].text for n in (0, 1, 3)]
        data = recorded(opened, person)
        assert data is not None and [item["reason"] for item in data["not_described"]] == ["no words for it"] * 3
        again = Failing()
        assert not captions(opened, person, options, Writer(FAKE, again)).not_described
    assert again.calls == 3, "only those that failed are asked again"


def test_a_captioner_that_never_succeeds_is_given_up(tmp_path: Path) -> None:
    failing = Failing(1, 2, 3, 4, 5)
    with fake_vault(tmp_path, 5) as (opened, person):
        with pytest.raises(ToolFailed, match="first 3 pictures: no words for it"):
            captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, failing))
        assert failing.calls == 3 and recorded(opened, person) is None


def test_a_server_that_goes_away_stops_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 3) as (opened, person):
        gone = Failing(3, error=MissingTool("Nobody answers."))
        with pytest.raises(MissingTool, match="the same command goes on"):
            captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, gone))
        again = Counting()
        captions(opened, person, CaptionOptions(captioner="x"), Writer(FAKE, again))
    assert again.calls == 1


class Wordy(Counting):
    """A captioner with very much to say."""

    def caption(self, image: ImageArray) -> Description:
        self.calls += 1
        return Description(", ".join(f"a thing number {number}" for number in range(80)))


def test_how_many_words_there_may_be_is_an_option_that_asks_nobody_again(tmp_path: Path) -> None:
    wordy = Wordy()
    with fake_vault(tmp_path, 1) as (opened, person):
        counts = []
        for most in (50, 150):
            options = CaptionOptions(captioner="x", max_words=most)
            (made,) = captions(opened, person, options, Writer(FAKE, wordy)).captions
            counts.append(len(made.text.split()))
            assert last_options(opened, person)[1] == options
    assert 46 < counts[0] <= 50 and 146 < counts[1] <= 150 and wordy.calls == 1


@pytest.mark.parametrize("foreign", ["{}", "[]", "7", '{"cutting": {"wings": 2}, "captions": []}'])
def test_options_of_a_foreign_record_are_refused_with_the_next_step(tmp_path: Path, foreign: str) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        path = opened.vault.captions(person.id)
        path.parent.mkdir(exist_ok=True)
        path.write_text(foreign)
        with pytest.raises(StateError, match=rf"{path.name} does not hold .* run: twinloop vault caption {person.id}"):
            last_options(opened, person)
        with pytest.raises(StateError, match=rf"{path.name} does not hold .* run: twinloop vault caption {person.id}"):
            recorded(opened, person)


@pytest.mark.parametrize("damage", [{"captions": [1]}, {"captions": [{"photo": "a"}]}, {"captions": None}])
def test_a_record_with_damaged_captions_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        captions(opened, person)
        path = opened.vault.captions(person.id)
        before = recorded(opened, person)
        assert before == read_json(path)
        write_json(path, {**before, **damage})
        with pytest.raises(StateError, match="Move it away and run"):
            recorded(opened, person)


def test_a_record_without_the_newer_options_has_their_defaults() -> None:
    old = {"style": "tags", "captioner": "wd14", "model": "m"}
    assert CaptionOptions.from_json(old) == CaptionOptions("tags", "wd14", "m")


def test_another_cut_is_measured_anew(tmp_path: Path) -> None:
    captioner = Counting()
    with fake_vault(tmp_path, 2) as (opened, person):
        for size in (256, 192):
            captions(opened, person, writer=Writer(FAKE, captioner), size=size)
    assert captioner.calls == 4


def test_a_photo_that_went_bad_is_left_out_by_name(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        (tmp_path / "photos" / "IMG_0001.png").write_bytes(b"torn")
        (tmp_path / "photos" / "IMG_0002.png").unlink()
        found = captions(opened, person)
    reasons = {Path(item.photo.paths[0]).name: item.reason for item in found.left_out}
    assert len(found.captions) == 2 and set(reasons) == {"IMG_0001.png", "IMG_0002.png"}
    assert "no longer there" in reasons["IMG_0002.png"]


def test_the_users_words_win_until_they_are_taken_back(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        measured = captions(opened, person).captions[0]
        photo = measured.cut.photo.sha256
        assert edit(opened, LABEL, photo, "at the sea") == "ohwx alice, at the sea"
        edit(opened, LABEL, photo, "at the sea")
        assert len(opened.decisions.active("caption")) == 1
        mine = captions(opened, person, CaptionOptions(style="tags")).captions[0]
        assert (mine.text, mine.source) == ("ohwx alice, at the sea", "edited")
        data = recorded(opened, person)
        assert data is not None and data["captions"][0]["source"] == "edited"
        edit(opened, LABEL, photo, "")
        assert captions(opened, person).captions[0].text == measured.text


def test_a_list_shows_edits_that_are_newer_than_the_record(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        found = captions(opened, person)
        edit(opened, LABEL, found.captions[1].cut.photo.sha256, "ohwx alice asleep")
        data = recorded(opened, person)
        assert data is not None
        assert [item["text"] for item in shown(opened, LABEL, data)["captions"]] == [
            found.captions[0].text,
            "ohwx alice asleep",
        ]


class TwoFaces:
    """A detector that sees a large and a small face in a 256-pixel-high picture, and each one's smile by its place."""

    fingerprint = "two"
    covers = frozenset({"expression"})

    def detect(self, image: ImageArray) -> list[Face]:
        return [face(box=Box(0, 60, 100, 190)), face(box=Box(120, 60, 190, 150))]

    def measure(self, image: ImageArray, subject: Face | None) -> dict[str, float]:
        assert subject is not None
        return {"expression.smile": 0.9} if subject.box.x0 < 50 else {"expression.angry": 0.9}


def photo_of_two(home: Path) -> tuple[TwoFaces, VaultPhoto]:
    """A scanned photo in the vault ``home / "v"``, and the detector that sees its two faces."""
    (home / "p").mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(
        home / "p" / "two.png"
    )
    two = TwoFaces()
    photo = photo_of(home / "p" / "two.png", two.detect(np.zeros((1, 1, 3), np.uint8)))
    fill(home / "v", [photo])
    return two, photo


class Smiling(Counting):
    """A tagger that names an expression and how many there are."""

    def caption(self, image: ImageArray) -> Description:
        return Description(tags=("1girl", "solo", "smile", "grin", "twintails"))


class Frowning(TwoFaces):
    """A detector that sees one neutral face."""

    def detect(self, image: ImageArray) -> list[Face]:
        return super().detect(image)[:1]

    def measure(self, image: ImageArray, subject: Face | None) -> dict[str, float]:
        return {"expression.neutral": 0.9}


def test_a_named_expression_takes_the_place_of_the_measured_one(tmp_path: Path) -> None:
    _, photo = photo_of_two(tmp_path)
    observer = Observer(DetectorPack("one", faces=Frowning(), measurers=(Frowning(),)), BUILTIN)
    with open_vault(tmp_path / "v") as opened:
        person = person_in([photo], {photo.sha256: 0})
        options = CaptionOptions(style="tags", captioner="x")
        (plain,) = captions(opened, person, CaptionOptions(style="tags"), Writer(observer)).captions
        (tagged,) = captions(opened, person, options, Writer(observer, Smiling())).captions
    assert "expressionless" in plain.text
    assert "smile" in tagged.text and "expressionless" not in tagged.text and "twintails" not in tagged.text
    assert tagged.text.count("1girl") == tagged.text.count("solo") == 1


def test_in_a_group_photo_the_caption_is_about_the_person(tmp_path: Path) -> None:
    two, photo = photo_of_two(tmp_path)
    observer = Observer(DetectorPack("two", faces=two, measurers=(two,)), BUILTIN)
    with open_vault(tmp_path / "v") as opened:
        person = person_in([photo], {photo.sha256: 1})
        (made,) = captions(opened, person, writer=Writer(observer)).captions
        assert made.cut.window.others == 1  # they are too near to be cut apart
        (tagged,) = captions(opened, person, CaptionOptions(style="tags"), Writer(observer)).captions
    assert "angry" in made.text and "smiling" not in made.text
    assert tagged.text.startswith("ohwx alice, 1girl, ") and "solo" not in tagged.text, "there is another one"


class AHandByTheOther:
    """A hand beside the larger face of `TwoFaces`, in a picture of 256 pixels."""

    kind, fingerprint, forms = "hand", "hand", ""

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        return [Part("hand", Box(0, 200, 40, 250), 0.9)]


@pytest.mark.parametrize(("number", "seen"), [(0, True), (1, False)])
def test_hands_of_another_are_not_in_the_caption(tmp_path: Path, number: int, seen: bool) -> None:
    two, photo = photo_of_two(tmp_path)
    observer = Observer(DetectorPack("two", faces=two, parts=(AHandByTheOther(),)), BUILTIN)
    with open_vault(tmp_path / "v") as opened:
        person = person_in([photo], {photo.sha256: number})
        for _ in range(2):  # measured, then looked up
            (made,) = captions(opened, person, writer=Writer(observer)).captions
            assert ("hands visible" in made.text) is seen and ("hands" in made.seen.measured) is seen


def test_a_caption_beside_the_photo_is_used_with_the_trigger(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 4) as (opened, person):
        photos = tmp_path / "photos"
        (photos / "IMG_0000.txt").write_text("1girl, red scarf, standing\nanother variant")
        (photos / "IMG_0001.caption").write_text("ohwx alice in the rain")
        (photos / "IMG_0002.txt").write_text("  \n")
        found = captions(opened, person)
        texts = {item.cut.path.stem: (item.text, item.source) for item in found.captions}
        assert texts["IMG_0000"][0].startswith("ohwx alice") and texts["IMG_0000"][0].endswith("red scarf, standing")
        assert texts["IMG_0000"][1] == "beside" and texts["IMG_0001"] == ("ohwx alice in the rain", "beside")
        assert texts["IMG_0002"][1] == "template" and texts["IMG_0003"][1] == "template"
        assert found.beside == 2 and found.more_lines == 1 and not found.without_trigger
        by_hand = {item.cut.path.stem: item.cut.photo.sha256 for item in found.captions}["IMG_0000"]
        edit(opened, LABEL, by_hand, "ohwx alice as said by hand")
        again = captions(opened, person)
        assert {item.source for item in again.captions} == {"edited", "beside", "template"} and again.beside == 1
        measured = captions(opened, person, CaptionOptions(own_captions="ignore"))
        assert measured.beside == 0 and {item.source for item in measured.captions} == {"edited", "template"}


def test_a_caption_beside_the_photo_needs_no_captioner(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 2) as (opened, person):
        for path in (tmp_path / "photos").glob("*.png"):
            path.with_suffix(".txt").write_text("a caption of mine")
        counting = Counting()
        captions(opened, person, CaptionOptions(captioner="counting"), Writer(FAKE, counting))
    assert counting.calls == 0


def test_on_a_whole_picture_no_face_is_made_up(tmp_path: Path) -> None:
    with fake_vault(tmp_path, 1) as (opened, person):
        whole = Person(person.id, person.name, (FaceKey.of_whole(person.faces[0].sha256),))
        (usual,) = captions(opened, person).captions
        (found,) = captions(opened, whole).captions
    assert usual.seen.faces and not found.seen.faces and not found.seen.parts
    assert found.text.startswith("ohwx alice woman") and "view" not in found.text and "smil" not in found.text
