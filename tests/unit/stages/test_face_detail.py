"""Small faces are redrawn, all else stays; the record says which, and a run that was stopped ends the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.unit.things import Recording, shot
from twinloop.adapters.fakes import FakeGenerator, FakeTruth, fake_image, fake_pack
from twinloop.checks.base import CheckLimits
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.domain.shots import Shot
from twinloop.facets import BUILTIN
from twinloop.ports import EarlyLook, GenerationSettings
from twinloop.stages.face_detail import FaceDetail, drawn_over, face_shot
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.observe import Observer
from twinloop.store.atomic import sha256_file
from twinloop.store.journal import Journal
from twinloop.store.run.workspace import GENERATION_METADATA

SETTINGS = GenerationSettings(steps=10, guidance=7.5, width=128, height=128, batch_size=3)
FRAMINGS = ("half_body", "close_up", "portrait", "half_body", "portrait")
SHOTS = [
    shot(n, "framing", framing, face_prompt=f"close-up portrait {n}", seed=n) for n, framing in enumerate(FRAMINGS, 1)
]


class Artist(FakeGenerator):
    """Draws the framing that is asked for, notes what it redraws, and may die after some redrawn pictures."""

    def __init__(self, lives: int = 1000) -> None:
        super().__init__()
        self.lives = lives
        self.redrawn: list[tuple[Shot, ImageArray, GenerationSettings]] = []
        self.expected: list[str] = []

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        self.expected += [one.prompt for one in shots]

    def generate(
        self, shots: Sequence[Shot], settings: GenerationSettings, look: EarlyLook | None = None, told: Any = None
    ) -> Iterator[tuple[Shot, ImageArray]]:
        for one in shots:
            image = fake_image(FakeTruth(framing=one.value), one.seed, settings.width)
            if look is None or look.worth_finishing(one, image):
                yield one, image

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        for one, pixels in super().redraw(pictures, settings):
            self.lives -= 1
            if self.lives < 0:
                raise KeyboardInterrupt
            self.redrawn.append((one, pixels, settings))
            yield one, pixels


def detail(below: float = 0.4, quality: float | None = None, **pack: Any) -> FaceDetail:
    return FaceDetail(
        0.4, below, Observer(replace(fake_pack(), **pack), BUILTIN), CheckLimits(min_face_quality=quality)
    )


def pictures(shots: Sequence[Shot] = SHOTS) -> list[tuple[Shot, ImageArray]]:
    return list(Artist().generate(shots, SETTINGS))


class Faces:
    """Finds so many faces of that height in every picture; the second is ``beside`` as tall."""

    fingerprint = "faces"

    def __init__(self, count: int, beside: float = 1.0) -> None:
        self.count, self.beside = count, beside

    def detect(self, image: ImageArray) -> list[Face]:
        tall = (32, 32 * self.beside)
        return [Face(Box(10 + 60 * n, 50, 10 + 60 * n + tall[n] * 0.8, 50 + tall[n]), 0.9) for n in range(self.count)]


def test_faces_below_the_limit_are_redrawn_and_the_others_stay() -> None:
    artist, before = Artist(), pictures()
    after = detail().redrawn(before, artist, SETTINGS)
    assert [one.shot for one in after] == SHOTS
    assert [one.record is not None for one in after] == [framing == "half_body" for framing in FRAMINGS]
    for (_, old), new in zip(before, after, strict=True):
        assert np.array_equal(old, new.pixels) == (new.record is None)
        assert new.pixels.shape == old.shape
    assert [one.record is not None for one in detail(1.0).redrawn(before, artist, SETTINGS)] == [
        framing != "close_up" for framing in FRAMINGS
    ], "a close-up has nothing to gain: its cut would be made smaller"


def test_only_the_cut_changes_and_the_record_says_where() -> None:
    (_, old), *_ = before = pictures(SHOTS[:1])
    (new,) = detail().redrawn(before, Artist(), SETTINGS)
    assert new.record is not None
    left, top, right, bottom = new.record["box"]
    changed = np.argwhere((old != new.pixels).any(axis=2))
    assert (changed.min(0) >= (top, left)).all() and (changed.max(0) < (bottom, right)).all()
    assert right - left == bottom - top == round(0.28 * 128 * 1.7)
    assert new.record["strength"] == 0.4 and new.record["seed"] == face_shot(SHOTS[0]).seed != SHOTS[0].seed


def test_it_is_asked_for_as_a_close_up_enlarged_to_the_size_of_the_base() -> None:
    artist = Artist()
    started = replace(SHOTS[0], source="photo.jpg", references=("other.jpg",))
    detail().redrawn(pictures([started]), artist, SETTINGS)
    ((asked, pixels, settings),) = artist.redrawn
    assert (asked.prompt, asked.negative_prompt) == ("close-up portrait 1", "blurry")
    assert asked.source is None and asked.references == ()
    assert pixels.shape == (128, 128, 3) and settings == replace(SETTINGS, strength=0.4)


@pytest.mark.parametrize(("size", "side"), [((832, 1216), 1024), ((1024, 1024), 1024), ((96, 64), 64), ((64, 64), 64)])
def test_a_cut_is_as_large_as_the_pictures_in_steps_that_all_bases_make(size: tuple[int, int], side: int) -> None:
    wanted = drawn_over(replace(SETTINGS, width=size[0], height=size[1]), 0.5)
    assert (wanted.width, wanted.height, wanted.strength) == (side, side, 0.5)


@pytest.mark.parametrize(
    ("faces", "redrawn"), [(Faces(0), False), (Faces(1), True), (Faces(2), False), (Faces(2, 0.2), True)]
)
def test_no_face_and_several_are_left_alone_but_for_pictures_on_a_wall(faces: Faces, redrawn: bool) -> None:
    ((_, old),) = before = pictures(SHOTS[:1])
    (new,) = detail(faces=faces).redrawn(before, Artist(), SETTINGS)
    assert (new.record is not None) == redrawn != np.array_equal(new.pixels, old)


def test_a_face_of_enough_quality_stays_as_it_is() -> None:
    """The fakes' faces have 13 of 15."""
    ((_, old),) = before = pictures(SHOTS[:1])
    for least, redrawn in ((0.8, False), (0.9, True)):
        (new,) = detail(quality=least).redrawn(before, Artist(), SETTINGS)
        assert (new.record is not None) == redrawn != np.array_equal(new.pixels, old)
    blind = detail(quality=0.8, measurers=())
    assert blind.redrawn(before, Artist(), SETTINGS)[0].record is not None, "nobody knows whether it is good"


def test_an_image_that_misses_its_target_stays_as_it_is() -> None:
    """No face would get it approved; where the target cannot be told, that is no reason."""
    _, pixels = pictures(SHOTS[:1])[0]
    for asked, facets, redrawn in (
        ("half_body", BUILTIN, True),
        ("full_body", BUILTIN, False),
        ("full_body", (), True),
    ):
        one = replace(SHOTS[0], value=asked)
        (new,) = replace(detail(), observer=Observer(fake_pack(), facets)).redrawn([(one, pixels)], Artist(), SETTINGS)
        assert (new.record is not None) == redrawn, (asked, facets)


def test_a_shot_without_words_for_its_face_is_left_alone() -> None:
    """Those of panels and samples have none."""
    before = pictures([replace(SHOTS[0], face_prompt="")])
    assert detail().redrawn(before, Artist(), SETTINGS)[0].record is None


def test_neighbours_do_not_matter() -> None:
    together = detail().redrawn(pictures(), Artist(), SETTINGS)
    alone = [detail().redrawn([one], Artist(), SETTINGS)[0] for one in pictures()]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(together, alone, strict=True))


class Fixed:
    def stamp(self) -> str:
        return "20241226_143022"


def made(home: Path, artist: Artist | None = None, boundary: Any = None, how: FaceDetail | None = None) -> None:
    context = GenerationContext(
        prefix="iter1",
        folder=home / "synthetic",
        base_model="nano",
        lora=None,
        settings=SETTINGS,
        detail=how or detail(),
    )
    journal = Journal(home / "journal.jsonl", boundary)
    generate(SHOTS, context, lambda: artist or Artist(), journal, Fixed(), Recording())


def tree(home: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in home.rglob("*") if path.is_file()}


def test_the_generator_is_told_of_the_faces_with_their_pictures(tmp_path: Path) -> None:
    artist = Artist()
    made(tmp_path, artist)
    assert artist.expected == [text for one in SHOTS for text in (one.prompt, one.face_prompt)]


def test_the_images_and_the_record_say_it(tmp_path: Path) -> None:
    made(tmp_path)
    data = json.loads((tmp_path / "synthetic" / GENERATION_METADATA).read_text())
    assert (data["settings"]["face_detail"], data["settings"]["face_detail_below"]) == (0.4, 0.4)
    for item in data["images"]:
        with Image.open(tmp_path / "synthetic" / item["file"]) as image:
            marks, text = json.loads(image.text["twinloop"]), image.text["parameters"]  # type: ignore[attr-defined]
        assert ("face_detail" in item) == (item["target"] == "half_body")
        assert marks.get("face_detail") == item.get("face_detail")
        said = f"Face detail denoising strength: 0.4, Face detail seed: {face_shot(Shot.from_json(item)).seed}"
        assert (said in text) == ("face_detail" in item)
        assert marks["shot"]["face_prompt"].startswith("close-up portrait")


@pytest.mark.parametrize("lives", range(2))
def test_stopped_while_a_face_is_redrawn_the_result_is_the_same(tmp_path: Path, lives: int) -> None:
    made(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "broken", Artist(lives))
    made(tmp_path / "broken")
    assert tree(tmp_path / "broken") == tree(tmp_path / "whole")


def test_stopped_at_any_record_the_result_is_the_same(tmp_path: Path) -> None:
    keys: list[str] = []
    made(tmp_path / "whole", boundary=keys.append)
    assert sum(".face_detail." in key for key in keys) == FRAMINGS.count("half_body")
    for wanted in keys:

        def boundary(key: str, wanted: str = wanted) -> None:
            if key == wanted:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / wanted, boundary=boundary)
        made(tmp_path / wanted)
        assert tree(tmp_path / wanted) == tree(tmp_path / "whole"), wanted


@pytest.mark.parametrize(("size", "redrawn"), [((100, 200), True), ((200, 100), False)])
def test_small_is_a_share_of_the_pictures_height(size: tuple[int, int], redrawn: bool) -> None:
    """A face of 32 pixels in a picture that is 200 or 100 of them tall."""
    picture = np.full((size[1], size[0], 3), 90, np.uint8)
    (new,) = detail(0.2, faces=Faces(1)).redrawn([(replace(SHOTS[0], value="none"), picture)], Artist(), SETTINGS)
    assert (new.record is not None) == redrawn


def test_the_copy_is_pasted_as_it_was_drawn() -> None:
    """Stripes on the left half of what was redrawn are on the left half of the face, not mirrored or upside down."""

    class Striped(Artist):
        def redraw(self, pictures: Any, settings: GenerationSettings) -> Iterator[tuple[Shot, ImageArray]]:
            for one, pixels in pictures:
                drawn = pixels.copy()
                drawn[: settings.height // 2, : settings.width // 2 : 8] = 255
                yield one, drawn

    ((_, old),) = before = pictures(SHOTS[:1])
    (new,) = detail().redrawn(before, Striped(), SETTINGS)
    assert new.record is not None
    left, top, right, bottom = new.record["box"]
    change = np.abs(new.pixels.astype(int) - old)[top:bottom, left:right].sum(2)
    half = (right - left) // 2
    first = change[:half, :half].mean()
    assert first > 2 * max(change[:half, half:].mean(), change[half:, :half].mean())
