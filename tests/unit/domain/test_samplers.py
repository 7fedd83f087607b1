"""Names of samplers as A1111 writes and reads them."""

from __future__ import annotations

import pytest

from twinloop.domain.samplers import in_a1111_words
from twinloop.families.base import FLOW_SCHEDULERS, SCHEDULERS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("euler_a", "Sampler: Euler a"),
        ("euler_karras", "Sampler: Euler, Schedule type: Karras"),
        ("euler_exponential", "Sampler: Euler, Schedule type: Exponential"),
        ("dpmpp_2m", "Sampler: DPM++ 2M"),
        ("dpmpp_2m_sde_karras", "Sampler: DPM++ 2M SDE, Schedule type: Karras"),
        ("a_plug_ins_karras", "Sampler: a_plug_ins_karras"),
    ],
)
def test_names(name: str, words: str) -> None:
    assert in_a1111_words(name) == words


def test_every_sampler_has_a_name_there() -> None:
    assert not [name for name in {**SCHEDULERS, **FLOW_SCHEDULERS} if "_" in in_a1111_words(name)]
