"""Each rule leaves out what it is for, and who fills a folder is told by the faces."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stages.persons import people, person
from tests.unit.stages.same_picture.sprites import FACE, SIDE, SPRITES, sprite
from tests.unit.things import face, observation, photo, unit_vector
from twinloop.domain.likeness import USUAL, Likeness
from twinloop.domain.observation import Observation
from twinloop.stages import selection_rules
from twinloop.stages.pixels import perceptual_hash
from twinloop.stages.selection_rules import (
    Photo,
    blurred,
    dataset_rules,
    exact_duplicate,
    near_duplicate,
    no_face,
    other_person,
    several_people,
)


def strangers_in(photos: Sequence[Photo]) -> dict[Path, str]:
    return other_person(photos, likeness=USUAL)


def people_in(photos: Sequence[Photo]) -> tuple[int, ...]:
    return several_people(photos, USUAL)


def sharp(name: str, value: float, **kwargs: object) -> Photo:
    return photo(name, observation(name, measures={"face_sharpness": value}, **kwargs))  # type: ignore[arg-type]


def test_no_face_counts_only_where_somebody_looked() -> None:
    empty, blind = photo("wall.jpg", faces=[]), photo("blind.jpg", faces=[], measured=())
    assert no_face([photo("a.jpg"), empty, blind]) == {empty.path: "no face found"}


def test_the_same_bytes_twice_keep_the_first() -> None:
    photos = [
        photo("a.jpg", observation(1)),
        photo("b.jpg", observation(2)),
        photo("copy of a.jpg", observation(1)),
        photo("c.jpg", observation(1)),
    ]
    assert exact_duplicate(photos) == {Path("copy of a.jpg"): "same file as a.jpg", Path("c.jpg"): "same file as a.jpg"}


def test_of_near_duplicates_the_sharpest_stays() -> None:
    soft, crisp, other = (
        sharp("soft.jpg", 50, phash="0" * 16),
        sharp("crisp.jpg", 90, phash="000000000000000f"),
        sharp("other.jpg", 10, phash="f" * 16),
    )
    assert near_duplicate([soft, crisp, other], character=False) == {
        Path("soft.jpg"): "nearly the same picture as crisp.jpg"
    }
    five_bits = sharp("five.jpg", 40, phash="000000000000001f")
    assert near_duplicate([sharp("a.jpg", 90, phash="0" * 16), five_bits], character=False) == {}


def test_a_synthetic_image_never_pushes_out_a_photo() -> None:
    made = sharp("made.png", 900, origin="synthetic")
    real = sharp("real.jpg", 10)
    assert near_duplicate([made, real], character=False) == {made.path: "nearly the same picture as real.jpg"}


@given(st.permutations(range(6)))
def test_which_near_duplicate_stays_does_not_depend_on_the_order(order: list[int]) -> None:
    photos = [sharp(f"{n}.jpg", [5, 9, 9, 1, 7, 3][n], phash=f"{2 ** (n % 3) - 1:016x}") for n in range(6)]
    assert set(near_duplicate([photos[n] for n in order], character=False)) == set(
        near_duplicate(photos, character=False)
    )


def test_blurred_is_measured_against_the_folder() -> None:
    photos = [sharp(f"{n}.jpg", 200 + n) for n in range(6)]
    ghost = sharp("ghost.jpg", 20)
    dropped = blurred([*photos, ghost])
    assert set(dropped) == {ghost.path}
    assert "face sharpness 20" in dropped[ghost.path]
    assert blurred([*photos[:3], ghost]) == {}, "too few to have a usual sharpness"
    bare = photo("bare.jpg", dataclasses.replace(observation("bare"), measures={"sharpness": 1.0}))
    assert blurred([*photos, bare]) == {}, "its face was not measured"
    assert blurred([sharp(f"{n}.jpg", 2.0) for n in range(9)]) == {}, "a soft camera is not a fault of single photos"


def test_others_are_left_out_when_one_person_fills_the_folder() -> None:
    photos = people(12, 2, 1)
    dropped = strangers_in(photos)
    assert set(dropped) == {p.path for p in photos[12:]}
    assert all("another person (similarity" in reason for reason in dropped.values())


def test_the_usual_similarity_is_that_to_the_four_nearest_other_photos() -> None:
    rows = np.stack(person(0, 12))
    usual = float(np.median(np.sort(rows @ rows.T, axis=1)[:, -5:-1].mean(axis=1)))
    (reason,) = strangers_in(people(12, 1)).values()
    assert f"this person's photos have about {usual:.2f})" in reason


def test_a_folder_about_several_people_is_left_alone() -> None:
    assert strangers_in(people(6, 6)) == {}
    assert strangers_in(people(5, 5, 5, 5)) == {}


def test_several_people_are_counted_the_most_first() -> None:
    assert people_in(people(6, 6)) == (6, 6) and people_in(people(4, 9, 5)) == (9, 5, 4)
    assert people_in(people(3, 3)) == (3, 3) and people_in(people(4, 2)) == ()


def test_groups_of_one_person_are_not_several_people() -> None:
    """Front and profile faces may hang together in groups of their own; they still are nearer to each other than
    strangers are.
    """
    front, side = unit_vector(1, 0, 0), unit_vector(0.3, np.sqrt(1 - 0.3**2), 0)
    faces = [photo(f"f{n}.jpg", observation(("f", n), faces=[face(embedding=front)])) for n in range(5)]
    faces += [photo(f"s{n}.jpg", observation(("s", n), faces=[face(embedding=side)])) for n in range(5)]
    assert people_in(faces) == ()


def test_links_that_chain_through_everybody_make_no_person() -> None:
    """Poor pictures: each face is like the next one, and those across the circle are strangers."""
    arc = [np.deg2rad(15.0 * step) for step in range(24)]
    chain = [
        photo(f"{n}.jpg", observation(n, faces=[face(embedding=unit_vector(np.cos(a), np.sin(a)))]))
        for n, a in enumerate(arc)
    ]
    assert people_in(chain) == ()
    outsider = photo("x.jpg", faces=[face(embedding=unit_vector(0, 0, 1))])
    assert strangers_in([*chain, outsider]) == {}
    assert set(strangers_in([*chain[:5], outsider])) == {Path("x.jpg")}, "a piece of the circle is one person"


def test_too_few_faces_say_nothing() -> None:
    assert strangers_in(people(3, 1)) == {}
    assert strangers_in([photo(f"{n}.jpg") for n in range(9)]) == {}, "nobody embedded"


def test_a_profile_of_the_person_is_not_taken_for_somebody_else() -> None:
    """Half of the usual similarity (and a little) is enough: profiles score low in every embedder."""
    own = [
        photo(f"{n}.jpg", observation(n, faces=[face(embedding=vector)]))
        for n, vector in enumerate(person(0, 12, spread=0.9))
    ]
    rows = np.stack([p.seen.faces[0].embedding for p in own if p.seen.faces[0].embedding is not None]).astype(float)
    elsewhere = np.linalg.qr(np.vstack([rows, np.random.default_rng(9).normal(size=64)]).T)[0][:, -1]

    def with_cosine_up_to(highest: float) -> Photo:
        """A face that is no nearer to any photo than ``highest``, and linked to none."""
        toward = rows.mean(axis=0)
        toward *= highest / (rows @ toward).max()
        vector = toward + np.sqrt(1 - toward @ toward) * elsewhere
        return photo("profile.jpg", faces=[face(80, embedding=np.asarray(vector, np.float32))])

    assert strangers_in([*own, with_cosine_up_to(0.449)]) == {}
    assert set(strangers_in([*own, with_cosine_up_to(0.30)])) == {Path("profile.jpg")}

    def with_similarity(wanted: float) -> Photo:
        toward = rows @ rows.mean(axis=0)
        return with_cosine_up_to(wanted * toward.max() / np.sort(toward)[-5:].mean())

    usual = float(np.median(np.sort(rows @ rows.T, axis=1)[:, -5:-1].mean(axis=1)))
    assert set(strangers_in([*own, with_similarity(usual / 2 + 0.09)])) == {Path("profile.jpg")}
    assert strangers_in([*own, with_similarity(usual / 2 + 0.11)]) == {}


def test_a_photo_that_one_other_links_to_the_person_stays() -> None:
    vectors = person(0, 12, spread=0.9)
    own = [photo(f"{n}.jpg", observation(n, faces=[face(embedding=vector)])) for n, vector in enumerate(vectors)]
    rows = np.stack(vectors).astype(float)
    toward = np.linalg.pinv(rows) @ np.array([USUAL.same_person + 0.01, *[0.0] * 11])
    elsewhere = np.linalg.qr(np.vstack([rows, np.random.default_rng(9).normal(size=64)]).T)[0][:, -1]
    linked = toward + np.sqrt(1 - toward @ toward) * elsewhere
    odd = photo("odd.jpg", faces=[face(80, embedding=np.asarray(linked, np.float32))])
    assert strangers_in([*own, odd]) == {}


def test_the_limits_are_those_of_the_embedder() -> None:
    """Photos that one embedder links as one person's are no link to one whose strangers reach as far."""
    own = [
        photo(f"{n}.jpg", observation(n, faces=[face(embedding=v)])) for n, v in enumerate(person(0, 12, spread=0.9))
    ]
    outsider = photo("x.jpg", faces=[face(embedding=person(5, 1)[0])])
    assert set(strangers_in([*own, outsider])) == {Path("x.jpg")}
    wide = Likeness.of((0.02, 0.2))
    assert other_person([*own, outsider], likeness=wide) == {}
    assert dataset_rules(wide, character=False)[-1]([*own, outsider]) == {}


def drawn(folder: Path, *states: tuple[str, bool]) -> list[Photo]:
    """Sprites as photos with the face that was found, and the hash that they really have."""
    photos = []
    for number, state in enumerate(states):
        path = folder / f"{number}.png"
        sprite(*state).save(path)
        seen = observation(path.name, faces=[face(box=FACE)], phash=perceptual_hash(np.asarray(sprite(*state))))
        photos.append(photo(str(path), dataclasses.replace(seen, width=SIDE, height=SIDE)))
    return photos


def test_the_states_of_a_drawn_character_are_all_kept(tmp_path: Path) -> None:
    photos = drawn(tmp_path, *SPRITES)
    assert near_duplicate(photos, character=True) == {}, "ten sprites with nearly the same hash"
    assert len(near_duplicate(photos, character=False)) > 5, "of a person they are a burst"
    again = drawn(tmp_path, SPRITES[0], SPRITES[3], SPRITES[0])
    assert len(near_duplicate(again, character=True)) == 1, "the same state twice is a copy"
    bare = [dataclasses.replace(p, seen=dataclasses.replace(p.seen, faces=())) for p in photos]
    assert len(near_duplicate(bare, character=True)) > 5, "without a face there is nothing to tell them by"


def test_files_that_are_gone_are_compared_by_their_hash(tmp_path: Path) -> None:
    photos = drawn(tmp_path, SPRITES[0], SPRITES[1])
    photos[0].path.unlink()
    assert len(near_duplicate(photos, character=True)) == 1


class Counted:
    """An observation that counts how often its hash is asked for."""

    def __init__(self, seen: Observation) -> None:
        self.seen, self.asked = seen, 0

    def __getattr__(self, name: str) -> object:
        self.asked += name == "phash"
        return getattr(self.seen, name)


def test_each_hash_is_read_once() -> None:
    photos = [sharp(f"{n}.jpg", n, phash=f"{(n // 2) * 0x0101010101010101:016x}") for n in range(40)]
    counted = [Counted(p.seen) for p in photos]
    dropped = near_duplicate(
        [Photo(p.path, seen) for p, seen in zip(photos, counted, strict=True)],  # type: ignore[arg-type]
        character=False,
    )
    assert [seen.asked for seen in counted] == [1] * 40
    assert dropped == near_duplicate(photos, character=False) and len(dropped) >= 20


def test_a_face_is_grouped_by_looking_at_what_has_no_group_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    found, flatnonzero = [0], np.flatnonzero

    def counting(values: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        places = flatnonzero(values)
        found[0] += len(places)
        return places

    photos = people(60, 40)
    monkeypatch.setattr(np, "flatnonzero", counting)
    assert people_in(photos) == (60, 40)
    assert found[0] == 100 - 2, "each is found once, but for the first of each group"


def test_what_is_compared_takes_little_more_room_than_its_similarities() -> None:
    photos = people(1200, 20)
    tracemalloc.start()
    try:
        assert len(strangers_in(photos)) == 20
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10 * len(photos) ** 2, "4 bytes a similarity, 2 for each pair's, 1 for a link; and one block of rows"


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(1, 7))
def test_medians_and_highest_are_those_of_the_whole_table(seed: int, many: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(many, 16)).astype(np.float32)
    similarity = np.round(rows @ rows.T, 1)  # some are equal
    group = sorted(rng.choice(many, size=min(most + 1, many), replace=False).tolist())
    whole = similarity[np.ix_(group, group)][np.triu_indices(len(group), 1)]
    assert selection_rules._usual_within(similarity, group) == np.median(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection_rules, "_ROWS", 7)
        highest = selection_rules._highest(similarity, group)
    assert np.array_equal(highest, np.sort(similarity[:, group], axis=1)[:, -5:])
