"""The small tools that facets are made of."""

from __future__ import annotations

from tests.unit.things import observation
from twinloop.domain.facet import DefinedFacet, Facet, MeasuringFacet, Phrase, most_probable, one_of
from twinloop.domain.observation import Reading

VALUES = ("a", "b", "c")


def test_one_value_holds_and_the_others_are_known_not_to() -> None:
    assert one_of(VALUES, "b") == Reading(("b",), ("a", "c"))


def test_the_most_probable_value_is_named() -> None:
    seen = observation(measures={"kind.a": 0.2, "kind.b": 0.7, "kind.c": 0.1})
    assert most_probable(seen, "kind", VALUES, 0.4).present == ("b",)


def test_below_the_limit_or_unmeasured_nothing_is_named() -> None:
    assert not most_probable(observation(measures={"kind.a": 0.39}), "kind", VALUES, 0.4).measured
    assert not most_probable(observation(), "kind", VALUES, 0.4).measured
    assert most_probable(observation(measures={"kind.a": 0.4}), "kind", VALUES, 0.4).present == ("a",)


def test_values_of_other_facets_do_not_count() -> None:
    seen = observation(measures={"kind.a": 0.5, "kind.zebra": 0.9, "other.b": 0.9})
    assert most_probable(seen, "kind", VALUES, 0.4).present == ("a",)


def test_a_defined_facet_fits_both_protocols_and_measures_nothing_by_itself() -> None:
    facet = DefinedFacet(
        "kind", ("a",), {"a": 0.5}, {"a": Phrase(("x",), ("x",))}, (), lambda seen: one_of(("a",), "a")
    )
    assert isinstance(facet, Facet) and isinstance(facet, MeasuringFacet)
    assert facet.classify(observation()).present == ("a",)
    assert facet.variant(observation(), "a") == 0
