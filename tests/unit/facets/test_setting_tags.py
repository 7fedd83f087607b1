"""Places by tags: the mapping, when a tag is believed, and that the embedded world's measures are judged as ever."""

from __future__ import annotations

import pytest

from tests.unit.things import observation
from twinloop.domain.observation import Reading
from twinloop.facets import setting, setting_tags
from twinloop.stages import words


def read(**tags: float) -> Reading:
    blank = dict.fromkeys((setting_tags.PREFIX + tag for tag in setting_tags.all_tags()), 0.01)
    return setting.FACET.classify(
        observation(measures={**blank, **{f"tag.{name}": value for name, value in tags.items()}})
    )


@pytest.mark.parametrize(("value", "tag"), [(value, tag) for value, tags in setting_tags.TAGS.items() for tag in tags])
def test_every_tag_speaks_for_its_value(value: str, tag: str) -> None:
    found = read(**{tag: 0.9})
    assert found.present == (value,) and set(found.absent) == set(setting.VALUES) - {value}
    assert not read(**{tag: 0.49}).measured


def test_a_value_belongs_to_the_facet_and_a_tag_to_one_value() -> None:
    assert tuple(setting_tags.TAGS) == setting.VALUES
    assert len(set(setting_tags.all_tags())) == len(setting_tags.all_tags())


def test_nothing_is_told_where_tags_contradict_one_another_or_none_is_sure() -> None:
    assert not read().measured
    assert not read(indoors=0.9, outdoors=0.36).measured
    assert read(indoors=0.9, outdoors=0.34).present == ("indoor",)
    assert not read(indoors=0.9, simple_background=0.8).measured
    assert not read(indoors=0.9, brick_wall=0.6).measured


def test_a_street_is_outdoors_and_called_by_the_narrower_name() -> None:
    assert read(outdoors=0.95, street=0.6).present == ("casual",)
    assert read(outdoors=0.95, street=0.4).present == ("outdoor",)
    assert read(street=0.6).present == ("casual",)
    assert not read(outdoors=0.45, street=0.4).measured


def test_a_caption_says_no_more_than_was_told() -> None:
    """A tag tells indoors; the embedded world has no rooms but living rooms."""
    tagged = observation(measures={"tag.indoors": 0.9})
    assert words.caption("x", (setting.FACET,), tagged, "prose") == "x, indoors"
    drawn = observation(measures={"setting.indoor": 0.9})
    assert words.caption("x", (setting.FACET,), drawn, "prose") == "x, indoors, in a living room"
    assert "living room" in words.Voice("x", "prose").prompt((setting.FACET,), {"setting": {"indoor": 3}})


def test_the_embedded_world_is_judged_as_ever() -> None:
    assert setting.FACET.classify(observation(measures={"setting.studio": 0.41, "setting.indoor": 0.4})).present == (
        "studio",
    )
    assert not setting.FACET.classify(observation(measures={"setting.studio": 0.39})).measured
