"""The identity reference: learned from the real photos, frozen, and the same after a round trip."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tests.unit.stages.persons import person
from tests.unit.things import face, observation, reference_of, unit_vector
from twinloop.adapters.fakes import FakeDetectors, fake_pack
from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.facets import BUILTIN
from twinloop.stages.identity import (
    FEWEST_PER_BAND,
    IdentityReference,
    learned,
    nearest_mean,
    reference_from_json,
    reference_to_json,
    to_each_other,
)
from twinloop.stages.observe import Observer


def photos(front: int = 0, three_quarter: int = 0, profile: int = 0, spread: float = 0.6) -> list[Observation]:
    """One person; turned heads are a little less alike, as in every embedder."""
    listed = []
    for name, yaw, count, loose in (
        ("f", 0, front, spread),
        ("t", 35, three_quarter, 1.2 * spread),
        ("p", 75, profile, 1.6 * spread),
    ):
        for number, vector in enumerate(person(0, count, loose, seed=yaw)):
            listed.append(
                observation(
                    (name, number), faces=[face(yaw, embedding=vector)], measures={"face_sharpness": 100.0 + number}
                )
            )
    return listed


def frozen(*args: int, **kwargs: float) -> IdentityReference:
    reference = reference_of(photos(*args, **kwargs), "ruler")  # type: ignore[arg-type]
    assert reference is not None
    return reference


def test_the_order_of_the_folder_does_not_matter() -> None:
    listed = photos(15, 8, 4)
    forward, backward = reference_of(listed, "r"), reference_of(listed[::-1], "r")
    assert reference_to_json(forward) == reference_to_json(backward)


def test_only_real_photos_with_an_embedding_count() -> None:
    listed = photos(5)
    made = observation("made", faces=[face(embedding=unit_vector(1, size=64))], origin="synthetic")
    reference = reference_of([*listed, made, observation("no embedding"), observation("no face", faces=[])], "r")
    assert reference is not None
    assert set(reference.sha256) == {o.sha256 for o in listed}


@pytest.mark.parametrize("count", [0, 1])
def test_one_photo_teaches_nothing_of_its_own(count: int) -> None:
    assert reference_of(photos(count), "r") is None
    assert reference_from_json(reference_to_json(None)) is None


def test_one_photo_and_what_strangers_look_like_are_a_limit() -> None:
    """Else every image would be taken for the person where there is a single photo."""
    assert reference_of([], "r", strangers=(0.02, 0.1)) is None
    (photo,) = photos(1)
    reference = reference_from_json(reference_to_json(reference_of([photo], "r", strangers=(0.02, 0.1))))
    assert reference is not None
    assert reference.lower_limit(photo, 2.5) == pytest.approx(0.02 + 2.5 * 0.1)
    assert reference.similarity(photo) == pytest.approx(1.0)
    (stranger,) = person(7, 1)
    assert (reference.similarity(observation("s", faces=[face(embedding=stranger)])) or 0) < 0.27


def test_held_out_from_twenty_photos_on_and_never_a_rare_angle() -> None:
    assert frozen(19).held_out == frozenset()
    listed = photos(16, 6, 3)
    reference = reference_of(listed, "r")
    assert reference is not None
    assert len(reference.held_out) == 4, "15 % of 25, rounded up"
    assert reference.held_out <= {o.sha256 for o in listed[:16]}, "frontal photos only"


def test_the_panel_is_measured_against_exactly_the_held_out_photos() -> None:
    reference = frozen(24)
    kept = [digest in reference.held_out for digest in reference.sha256]
    assert sum(kept) == 4
    alone = dataclasses.replace(reference, embeddings=reference.embeddings[kept])
    for seen in photos(24):
        assert reference.similarity(seen, held_out_only=True) == pytest.approx(alone.similarity(seen), abs=1e-6)
    assert frozen(10).similarity(photos(10)[0], held_out_only=True) == frozen(10).similarity(photos(10)[0])


def test_photos_alike_as_twins_do_not_ask_more_than_being_no_stranger() -> None:
    listed = photos(20, spread=0.05)
    strict, known = reference_of(listed, "r"), reference_of(listed, "r", strangers=(0.03, 0.26))
    assert strict is not None and known is not None
    assert strict.lower_limit(listed[0], 2.5) > 0.9
    assert known.lower_limit(listed[0], 2.5) == pytest.approx(0.03 + 2.5 * 0.26)
    loose = reference_of(photos(20, spread=1.2), "r", strangers=(0.03, 0.26))
    assert loose is not None
    assert loose.lower_limit(listed[0], 2.5) < 0.6, "photos that differ more keep their own limit"
    sharp = reference_of(listed, "r", strangers=(0.02, 0.1))
    assert sharp is not None
    mean = sharp.bands["front"][0]
    assert sharp.lower_limit(listed[0], 2.5) == pytest.approx((0.02 + mean) / 2), "halfway, well above any stranger"
    again = reference_from_json(reference_to_json(known))
    assert again is not None and again.strangers == (0.03, 0.26)


@pytest.mark.parametrize(("count", "wrong"), [(2, 1), (3, 1), (5, 2), (9, 1), (20, 1)])
def test_a_photo_of_somebody_else_lets_no_strangers_in(count: int, wrong: int) -> None:
    known = (0.0, 0.13)  # of random vectors of 64 numbers
    listed = photos(count, spread=0.5)
    clean = reference_of(listed, "r", strangers=known)
    others = [observation(f"wrong{n}", faces=[face(embedding=person(90 + n, 1)[0])]) for n in range(wrong)]
    mixed = reference_of([*listed[:-wrong], *others], "r", strangers=known)
    assert clean is not None and mixed is not None
    seen = listed[0]
    assert mixed.lower_limit(seen, 2.5) >= 2.5 * 0.13 - 1e-9
    assert mixed.lower_limit(seen, 2.5) <= clean.lower_limit(seen, 2.5) + 0.03
    again = reference_from_json(reference_to_json(mixed))
    assert again is not None and not clean.unlike_the_rest
    assert len(again.unlike_the_rest) == count - again.overall[2]
    if count == 20:
        assert again.unlike_the_rest == {others[0].sha256}


def test_photos_that_do_differ_so_much_keep_their_own_limit() -> None:
    """Where a quarter and more lie below, as profiles do, nobody is odd."""
    half = [
        *photos(8, spread=0.3),
        *(observation(f"far{n}", faces=[face(embedding=person(70 + n, 1)[0])]) for n in range(6)),
    ]
    reference = reference_of(half, "r", strangers=(0.0, 0.13))
    assert reference is not None and reference.overall[2] == 14
    assert reference.lower_limit(half[0], 2.5) < 0.1


def test_the_limit_lets_the_persons_own_photos_in_and_strangers_out() -> None:
    reference = frozen(20, 10, 6)
    own = [(reference.similarity(o), reference.lower_limit(o, 2.5)) for o in photos(20, 10, 6)]
    assert all(similarity >= limit for similarity, limit in own if similarity is not None)
    strangers = [observation(("s", n), faces=[face(embedding=vector)]) for n, vector in enumerate(person(7, 10))]
    assert all((reference.similarity(o) or 0) < reference.lower_limit(o, 2.5) for o in strangers)


def at(yaw: float) -> Observation:
    return observation("x", faces=[face(yaw, embedding=unit_vector(1, size=64))])


def test_each_angle_has_its_own_limit() -> None:
    reference = frozen(20, 10, FEWEST_PER_BAND)
    assert reference.lower_limit(at(75), 2.5) < reference.lower_limit(at(0), 2.5)
    for yaw, band in ((0, "front"), (-35, "three_quarter"), (75, "profile")):
        mean, spread, _ = reference.bands[band]
        assert reference.lower_limit(at(yaw), 2.5) == pytest.approx(mean - 2.5 * max(spread, 0.02))


def test_few_photos_of_an_angle_only_ever_lower_the_limit() -> None:
    reference = frozen(20, 0, 2)
    mean, spread, _ = reference.overall
    assert reference.lower_limit(at(75), 2.5) == pytest.approx(min(mean, reference.bands["profile"][0]) - 2.5 * spread)


def test_an_image_without_a_face_has_the_overall_limit() -> None:
    reference = frozen(20, 10, 6)
    mean, spread, _ = reference.overall
    assert reference.lower_limit(observation(faces=[]), 2.5) == pytest.approx(mean - 2.5 * max(spread, 0.02))


def test_an_angle_nobody_has_photographed_takes_the_lowest_known_mean() -> None:
    """Profiles are the usual gap: they must not be held to the limit of frontal photos."""
    reference = frozen(20, 10, 0)
    _, spread, _ = reference.overall
    assert reference.lower_limit(at(75), 2.5) == pytest.approx(reference.bands["three_quarter"][0] - 2.5 * spread)


def test_the_limit_is_never_negative_and_falls_with_tolerance() -> None:
    reference = frozen(6, spread=2.0)
    limits = [reference.lower_limit(at(0), tolerance) for tolerance in (0.5, 1, 2, 4, 50)]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 0


def test_photos_taken_in_one_burst_do_not_make_a_limit_without_slack() -> None:
    reference = frozen(10, spread=0.001)
    assert reference.lower_limit(at(0), 2.5) <= reference.overall[0] - 0.05


def test_without_a_face_there_is_no_similarity() -> None:
    reference = frozen(5)
    for blind in (observation(faces=[]), observation()):
        assert reference.similarity(blind) is None
        assert reference.nearest(blind) is None


def test_similarity_is_the_mean_of_the_three_nearest_photos() -> None:
    rows = [unit_vector(cosine, (1 - cosine**2) ** 0.5) for cosine in (0.9, 0.8, 0.7, 0.1)]
    reference = reference_of([observation(n, faces=[face(embedding=row)]) for n, row in enumerate(rows)], "r")
    assert reference is not None
    assert reference.similarity(observation(faces=[face(embedding=unit_vector(1))])) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(("bare", "median"), [(0, 102.0), (2, 101.0), (5, None)])
def test_the_usual_sharpness_is_the_median_of_the_photos_that_have_one(bare: int, median: float | None) -> None:
    listed = photos(5)
    blind = [dataclasses.replace(seen, measures={"sharpness": 300.0}) for seen in listed[5 - bare :]]
    reference = reference_of([*listed[: 5 - bare], *blind], "r")
    assert reference is not None and reference.sharpness == median


def test_the_nearest_photo_of_a_copy_is_beyond_any_pair() -> None:
    listed = photos(10)
    reference = frozen(10)
    nearest = reference.nearest(listed[3])
    assert nearest == pytest.approx(1, abs=1e-5)
    assert nearest is not None and nearest > reference.highest_pair
    assert reference.highest_pair < 0.95


def test_the_reference_comes_back_from_json_bit_for_bit() -> None:
    before = frozen(16, 6, 3)
    text = json.dumps(reference_to_json(before), allow_nan=False)
    after = reference_from_json(json.loads(text))
    assert after is not None
    np.testing.assert_array_equal(after.embeddings, before.embeddings)
    assert (after.sha256, after.held_out, after.fingerprint) == (before.sha256, before.held_out, "ruler")
    assert after.sharpness == pytest.approx(before.sharpness)
    assert json.dumps(reference_to_json(after)) == text, "frozen: reading and writing changes nothing"
    for yaw in (0, 35, 75):
        assert after.lower_limit(at(yaw), 2.5) == pytest.approx(before.lower_limit(at(yaw), 2.5), abs=1e-4)


def test_two_photos_are_enough_and_hold_no_nan() -> None:
    json.dumps(reference_to_json(frozen(2)), allow_nan=False)


def test_one_photo_that_is_unlike_the_others_decides_nothing() -> None:
    cosines = np.array([[0.9, -0.8, 0.6, 0.3], [0.1, 0.1, 0.1, 0.1]], np.float32)
    assert nearest_mean(cosines) == pytest.approx([0.6, 0.1])
    assert float(nearest_mean(cosines[0])) == pytest.approx(0.6)


def test_a_photo_is_not_its_own_nearest() -> None:
    vectors = np.stack([unit_vector(1.0), unit_vector(1.0, 1.0), unit_vector(0.0, 1.0)])
    half = float(np.sqrt(0.5))
    assert nearest_mean(to_each_other(vectors)) == pytest.approx([half / 2, half, half / 2])
    assert float(to_each_other(vectors).max()) == pytest.approx(half)


class Calibrated(FakeDetectors):
    """An embedder of which it is known how alike strangers look to it."""

    likeness = Likeness((0.03, 0.26))


def test_a_person_is_learned_with_what_the_observer_knows_of_strangers() -> None:
    observer = Observer(dataclasses.replace(fake_pack(), embedder=Calibrated()), BUILTIN)
    reference = learned(photos(6), observer, wanted=True)
    assert reference is not None
    assert (reference.fingerprint, reference.strangers) == (observer.fingerprint, (0.03, 0.26))
    assert learned(photos(6), observer, wanted=False) is None
