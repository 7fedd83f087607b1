"""Captions: the product's phrases, sides, and a tokenizer that knows every word."""

from __future__ import annotations

import random

import numpy as np
import pytest

from twinloop.facets import composition, expression, face_angle, framing, lighting, setting
from twinloop.nano.world.params import Identity, Scene, sample_identity, sample_scene
from workshop import captions


def test_phrases_are_the_facets_own() -> None:
    for facet, words in (
        (expression, captions.EXPRESSION),
        (setting, captions.SETTING),
        (lighting, captions.LIGHTING),
        (framing, captions.FRAMING),
    ):
        # nobody is drawn at full length
        wanted = {value for value in facet.FACET.values if value in facet.FACET.shares}
        assert {value: facet.FACET.phrases[value].prose[0] for value in wanted} == words


@pytest.mark.parametrize(
    ("yaw", "value"), [(0, "front"), (40, "three_quarter"), (-40, "three_quarter"), (80, "profile"), (-80, "profile")]
)
def test_views_are_the_facets_own(yaw: float, value: str) -> None:
    """In prose, which is what its preset asks for; its words of tags are the base's own."""
    assert captions.view_words(yaw, "prose") in face_angle.FACET.phrases[value].prose


def test_right_is_the_image_right() -> None:
    assert "right" in captions.view_words(40, "prose")
    assert "left" in captions.view_words(-80, "prose")


def test_no_word_is_said_where_the_facets_border_lies() -> None:
    assert (
        captions.view_words(face_angle.PROFILE_FROM, "prose")
        == captions.view_words(-face_angle.PROFILE_FROM, "tags")
        == ""
    )
    identity = sample_identity(np.random.default_rng(0))
    told = captions.caption(identity, Scene(yaw=face_angle.PROFILE_FROM), random.Random(0))
    assert "view" not in told and ", ," not in told


def test_mirror_turns_the_sides() -> None:
    scene = Scene(yaw=40, roll=6, offset=(0.02, 0.01))
    other = captions.mirrored(scene)
    assert (other.yaw, other.roll, other.offset) == (-40, -6, (-0.02, 0.01))
    assert captions.mirrored(other) == scene


def test_hands_are_named_as_the_product_names_them() -> None:
    phrases = composition.FACET.phrases["hands_visible"].prose
    found = {
        p
        for seed in range(60)
        for p in phrases
        if p in captions.caption(Identity(), Scene(hands=2), random.Random(seed))
    }
    assert found == set(phrases)


def test_same_draw_same_words() -> None:
    rng = np.random.default_rng(1)
    identity, scene = sample_identity(rng), sample_scene(rng)
    assert captions.caption(identity, scene, random.Random(5)) == captions.caption(identity, scene, random.Random(5))


def test_every_word_is_known() -> None:
    known, rng, draw = set(captions.vocabulary()), np.random.default_rng(0), random.Random(0)
    for _ in range(300):
        words = captions.split_words([captions.caption(sample_identity(rng), sample_scene(rng), draw)])
        invented = words[0] not in known  # a rare trigger word in front may be any word
        assert set(words[1 if invented else 0 :]) <= known
