"""Datasets are what they hold, not where it lies; records survive JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.things import dataset, member, score
from twinloop.domain.records import Dataset, LoRA, PanelScore

members = st.lists(
    st.builds(
        member,
        st.text(min_size=1),
        st.sampled_from(["real", "synthetic"]),
        st.integers(0, 5),
        st.floats(0, 1),
        st.text(),
    ),
    max_size=6,
)


@given(members, st.randoms(use_true_random=False))
def test_the_id_does_not_depend_on_order_or_place(listed: list[Any], rng: Any) -> None:
    moved = [replace(m, path="elsewhere/" + m.path) for m in listed]
    rng.shuffle(moved)
    assert Dataset(tuple(moved)).id == Dataset(tuple(listed)).id


@pytest.mark.parametrize(
    "change", [{"caption": "other"}, {"weight": 0.5}, {"origin": "synthetic"}, {"round": 1}, {"sha256": "0"}]
)
def test_the_id_depends_on_everything_else(change: dict[str, Any]) -> None:
    before = dataset(3)
    after = Dataset((*before.members[:2], replace(before.members[2], **change)))
    assert before.id != after.id


@given(members)
def test_a_dataset_keeps_its_id_through_json(listed: list[Any]) -> None:
    before = Dataset(tuple(listed))
    assert Dataset.from_json(json.loads(json.dumps(before.to_json()))).id == before.id


def test_real_and_synthetic_are_told_apart() -> None:
    mixed = dataset(3, made=[1, 2])
    assert (len(mixed.real), len(mixed.synthetic)) == (3, 2)


def test_a_lora_record_survives_json() -> None:
    lora = LoRA("l.safetensors", 2, "ab", "nano", "id", "nano", 220, 7, 0.125, "lokr", 16, 8.0)
    assert LoRA.from_json(json.loads(json.dumps({**lora.to_json(), "a_field_of_later": 1}))) == lora


def test_a_lora_record_without_one_of_its_fields_is_none() -> None:
    lora = LoRA("l.safetensors", 2, "ab", "nano", "id", "nano", 220, 7, 0.125)
    for field in ("steps", "rank"):
        with pytest.raises(ValueError, match=f'"{field}" is missing'):
            LoRA.from_json({name: value for name, value in lora.to_json().items() if name != field})


def test_a_panel_score_survives_json() -> None:
    before = score(2, overall=[0.5, 0.25, 0.75], quality=[1.0, 0.5, 0.0])
    after = PanelScore.from_json(json.loads(json.dumps(before.to_json())))
    assert after.samples == before.samples
    assert after.version == 2
    assert after.metrics["overall"].value == pytest.approx(0.5)
