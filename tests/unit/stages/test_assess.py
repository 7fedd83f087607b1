"""Figures of a LoRA on the fixed panel."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording, face, observation, reference_of, score, shot
from twinloop.adapters.fakes import FakeDetectors, fake_image, fake_pack, read_truth
from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.records import PanelScore
from twinloop.domain.shots import Shot
from twinloop.domain.statistics import wilson
from twinloop.errors import StateError
from twinloop.facets import BUILTIN, expression
from twinloop.ports import DetectorPack
from twinloop.stages.assess import _hits, assess, compare, overall
from twinloop.stages.generation_record import MadeImage
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog

OBSERVER = Observer(fake_pack(), BUILTIN)


def panel_image(folder: Path, number: int, asked: dict[str, str] | None = None, **truth: Any) -> MadeImage:
    path = folder / f"panel_{number:03d}.png"
    fake_photo(path, seed=number, **truth)
    wanted: Shot = shot(number, traits=tuple((asked or {"face_angle": "front"}).items()))
    return MadeImage(path, sha256_file(path), wanted)


def reference(folder: Path, person: int = 0) -> IdentityReference:
    seen = []
    for number in range(8):
        path = folder / f"photo_{number}.png"
        fake_photo(path, seed=100 + number, person=person)
        seen.append(OBSERVER.observe(load_image(path)))
    learned = reference_of(seen, OBSERVER.fingerprint)
    assert learned is not None
    return learned


def measured(made: list[MadeImage], known: IdentityReference | None = None) -> dict[str, list[float]]:
    with Catalog(None) as catalog:
        return assess(made, 1, OBSERVER, catalog, known, Recording()).samples


def test_on_target_is_the_share_of_what_was_asked_and_can_be_told(tmp_path: Path) -> None:
    asked = {"face_angle": "front", "expression": "smile", "setting": "outdoor"}
    hit = panel_image(tmp_path, 1, asked, yaw=0, expression="smile", setting="outdoor")
    half = panel_image(tmp_path, 2, asked, yaw=0, expression="angry", setting="indoor")
    assert measured([hit, half])["on_target"] == pytest.approx([1.0, 1 / 3])


def test_a_share_that_is_the_same_in_every_image_is_not_sure(tmp_path: Path) -> None:
    """Two hits of two: Wilson's interval, and likewise of the change to another LoRA."""
    images = [panel_image(tmp_path, number, {"face_angle": "front"}, yaw=0) for number in (1, 2)]
    with Catalog(None) as catalog:
        first, second = (assess(images, version, OBSERVER, catalog, None, Recording()) for version in (1, 2))
    known, change = wilson(2, 2), compare(first, second, "on_target")
    found = first.metrics["on_target"]
    assert (found.value, found.low, found.high) == (1.0, pytest.approx(known.low), pytest.approx(1.0))
    assert change is not None and (change.low, change.high) == (
        pytest.approx(known.low - 1),
        pytest.approx(1 - known.low),
    )
    alike = compare(first, second)
    assert alike is not None and alike.low == alike.high == 0.0, "the overall score is no share"


def test_an_image_without_a_face_has_missed_what_is_read_off_a_face(tmp_path: Path) -> None:
    """Else a LoRA that ruins faces would be on target for its light alone."""
    asked = {"face_angle": "profile", "expression": "angry", "framing": "portrait"}
    ruined = panel_image(tmp_path, 1, asked)
    Image.fromarray(np.full((64, 64, 3), 20, np.uint8)).save(ruined.path)
    with Catalog(None) as catalog:
        score = assess([ruined], 1, OBSERVER, catalog, None, Recording())
    assert score.hits == {"face_angle": [False], "expression": [False], "framing": [False]}
    assert score.samples["on_target"] == [0.0]
    assert score.no_face == [True] and score.faceless
    blind = Observer(dataclasses.replace(fake_pack(), pose=None), BUILTIN)
    with Catalog(None) as catalog:
        assert "face_angle" not in assess([ruined], 1, blind, catalog, None, Recording()).hits, "nobody looked for it"


def test_which_images_show_no_face_is_kept_where_some_do(tmp_path: Path) -> None:
    """Their likeness counts as 0, which no reader could tell from a stranger's."""
    whole, ruined = panel_image(tmp_path, 1, person=0), panel_image(tmp_path, 2, person=0)
    with Catalog(None) as catalog:
        sound = assess([whole, ruined], 1, OBSERVER, catalog, reference(tmp_path), Recording())
        assert "no_face" not in sound.to_json() and sound.no_face_text == ""
        Image.fromarray(np.full((64, 64, 3), 20, np.uint8)).save(ruined.path)
        score = assess([whole, ruined], 1, OBSERVER, catalog, reference(tmp_path), Recording())
    assert score.samples["identity"][1] == 0.0 and score.no_face == [False, True] and not score.faceless
    assert score.no_face_text == "no face in 1 of 2 images"
    assert PanelScore.from_json(json.loads(json.dumps(score.to_json()))).no_face == [False, True]


def test_only_what_was_asked_can_be_missed_and_nothing_by_a_face_that_is_there() -> None:
    smile = shot(traits=(("expression", "smile"),))
    assert _hits(smile, observation(faces=[]), BUILTIN) == {"expression": False}
    unsure = observation(measures={f"expression.{value}": 0.1 for value in expression.VALUES})
    assert _hits(smile, unsure, BUILTIN) == {}
    outdoors = shot(traits=(("setting", "outdoor"),))
    untold = observation(faces=[], measures={"setting.outdoor": 0.3, "setting.indoor": 0.3})
    assert _hits(outdoors, untold, BUILTIN) == {}, "no face tells where a picture was taken"


def test_each_facets_hits_are_kept_image_by_image(tmp_path: Path) -> None:
    first = panel_image(tmp_path, 1, {"face_angle": "front", "composition": "hands_visible"}, yaw=0, hands=1)
    second = panel_image(tmp_path, 2, {"face_angle": "profile", "expression": "smile"}, yaw=0, expression="smile")
    with Catalog(None) as catalog:
        score = assess([first, second], 1, OBSERVER, catalog, None, Recording())
    assert score.hits == {"face_angle": [True, False], "composition": [True, None], "expression": [None, True]}
    assert PanelScore.from_json(json.loads(json.dumps(score.to_json()))).hits == score.hits


def test_the_right_person_scores_above_a_stranger(tmp_path: Path) -> None:
    known = reference(tmp_path)
    same, other = panel_image(tmp_path, 1, person=0), panel_image(tmp_path, 2, person=3)
    alike, stranger = measured([same, other], known)["identity"]
    assert alike > 0.5 > stranger >= 0
    assert "identity" not in measured([same, other], None)


def test_identity_is_the_likeness_to_the_held_out_photos_alone(tmp_path: Path) -> None:
    known = reference(tmp_path)
    known = dataclasses.replace(known, held_out=frozenset(known.sha256[:1]))
    made = panel_image(tmp_path, 1, person=0)
    seen = OBSERVER.observe(load_image(made.path))
    apart, among_all = known.similarity(seen, held_out_only=True), known.similarity(seen)
    assert measured([made], known)["identity"] == [apart] and apart != among_all


def test_less_alike_than_a_stranger_is_no_likeness(tmp_path: Path) -> None:
    known = reference(tmp_path)
    opposite = dataclasses.replace(known, embeddings=-known.embeddings)
    made = panel_image(tmp_path, 1, person=0)
    similarity = opposite.similarity(OBSERVER.observe(load_image(made.path)))
    assert similarity is not None and similarity < 0
    assert measured([made], opposite)["identity"] == [0.0]


def test_an_image_without_a_face_scores_nothing_and_still_counts(tmp_path: Path) -> None:
    from PIL import Image

    blank = panel_image(tmp_path, 1)
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(blank.path)
    samples = measured([blank, panel_image(tmp_path, 2)], reference(tmp_path))
    assert (samples["identity"][0], samples["quality"][0], samples["on_target"][0]) == (0, 0, 0)
    assert len(samples["identity"]) == 2


def test_quality_is_the_packs_own_measure(tmp_path: Path) -> None:
    assert measured([panel_image(tmp_path, 1, quality=15), panel_image(tmp_path, 2, quality=3)])[
        "quality"
    ] == pytest.approx([1.0, 0.2])


class Blurs(FakeDetectors):
    """The fakes with a quality like that of networks for photos: lower for turned heads by nature."""

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        found, truth = dict(super().measure(image, face)), read_truth(image)
        if truth is not None:
            found["face_quality"] *= 1.0 if abs(truth.yaw) < 20 else 0.5
        return found


class Unknowing(FakeDetectors):
    """The fakes without a measure of quality; as everybody's, their confidence is lower for profiles."""

    covers = FakeDetectors.covers - {"face_quality"}

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        return {name: value for name, value in super().measure(image, face).items() if name != "face_quality"}


def observed_by(one: FakeDetectors) -> Observer:
    return Observer(DetectorPack("fake", faces=one, pose=one, parts=(one,), measurers=(one,), embedder=one), BUILTIN)


def panel_of(observer: Observer, made: list[MadeImage], known: IdentityReference | None = None) -> PanelScore:
    with Catalog(None) as catalog:
        return assess(made, 1, observer, catalog, known, Recording())


def test_without_a_measure_of_quality_a_lora_that_turns_heads_loses_nothing(tmp_path: Path) -> None:
    """A detector's confidence is 0.06 lower for profiles, which is as much as the loop decides by."""
    facing = panel_image(tmp_path, 1, {"face_angle": "front"}, yaw=0)
    turned = panel_image(tmp_path, 2, {"face_angle": "profile"}, yaw=80)
    now = panel_of(observed_by(Unknowing()), [facing, turned])
    assert "quality" not in now.samples and "quality" not in now.metrics and "quality" not in now.to_json()["metrics"]
    assert now.samples["overall"] == [1.0, 1.0]


def test_a_quality_that_is_lower_for_turned_heads_is_a_share_of_real_ones_of_that_angle(tmp_path: Path) -> None:
    observer = observed_by(Blurs())
    photos = []
    for number in range(18):
        path = tmp_path / f"photo_{number}.png"
        fake_photo(path, seed=100 + number, yaw=(0, 35, 75)[number % 3], quality=12)
        photos.append(observer.observe(load_image(path)))
    known = reference_of(photos, observer.fingerprint)
    made = [panel_image(tmp_path, n, yaw=yaw, quality=9) for n, yaw in enumerate((0, 80))]
    assert panel_of(observer, made, known).samples["quality"] == pytest.approx([0.75, 0.75])
    no_profiles = reference_of([one for one in photos if one.pose and one.pose.yaw < 70], observer.fingerprint)
    for unknown in (no_profiles, None):
        assert "quality" not in panel_of(observer, made, unknown).samples, "nothing to compare profiles with"


def test_diversity_of_copies_is_zero_and_of_different_pictures_is_not(tmp_path: Path) -> None:
    one = panel_image(tmp_path, 1)
    copies = [MadeImage(one.path, one.sha256, shot(n)) for n in (1, 2, 3)]
    assert measured(copies)["diversity"] == pytest.approx([0, 0, 0], abs=1e-9)
    different = measured(
        [panel_image(tmp_path, n, setting=s) for n, s in ((1, "indoor"), (2, "outdoor"), (3, "studio"))]
    )["diversity"]
    assert min(different) > 0.1
    assert measured([one])["diversity"] == [0.0]


def test_overall_is_the_mean_of_what_counts_image_by_image() -> None:
    samples = {"identity": [0.4, 0.6], "on_target": [1.0, 0.0], "quality": [0.7, 0.9], "diversity": [0.1, 0.9]}
    assert overall(samples) == pytest.approx([0.7, 0.5])
    assert overall({"on_target": [1.0], "quality": [0.5]}) == [0.75]


def test_figures_have_intervals_and_are_the_same_every_time(tmp_path: Path) -> None:
    made = [panel_image(tmp_path, n, quality=n) for n in range(1, 9)]
    with Catalog(None) as catalog:
        first, again = (assess(made, 2, OBSERVER, catalog, None, Recording()) for _ in range(2))
    assert first == again
    quality = first.metrics["quality"]
    assert quality.low < quality.value < quality.high and quality.n == 8
    assert set(first.metrics) == {"on_target", "quality", "diversity", "overall"}


def test_a_panel_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    image = panel_image(tmp_path, 1)
    image.path.write_bytes(b"")
    with pytest.raises(StateError, match=r"panel_001\.png"), Catalog(None) as catalog:
        assess([image], 1, OBSERVER, catalog, None, Recording())


def test_versions_are_compared_image_by_image() -> None:
    before, after = score(1, overall=[0.1, 0.9]), score(2, overall=[0.2, 1.0])
    change = compare(before, after)
    assert change is not None and change.value == pytest.approx(0.1) and change.low == pytest.approx(0.1)
    assert compare(score(1, overall=[0.1]), score(2, quality=[0.1]), "quality") is None


def test_diversity_is_a_mean_over_pairs() -> None:
    values = {"before": [0.5, 0.6, 0.4, 0.5, 0.7, 0.6], "after": [0.6, 0.6, 0.5, 0.7, 0.7, 0.5]}
    changes = [
        compare(score(1, **{name: values["before"]}), score(2, **{name: values["after"]}), name)
        for name in ("quality", "diversity")
    ]
    assert changes[0] is not None and changes[1] == changes[0].widened(2)


def test_fakes_carry_their_truth() -> None:
    """What this file leans on."""
    from twinloop.adapters.fakes import FakeTruth

    truth = FakeTruth(yaw=-35, expression="angry", hands=1)
    assert read_truth(fake_image(truth, 1)) == truth
    assert observation(faces=[face()]).face is not None
