"""A role is named in every table that is asked for it."""

from __future__ import annotations

import pytest

from twinloop.domain import model_roles
from twinloop.domain.model_roles import AUTO, PACKS, WORK, Role


@pytest.mark.parametrize("role", Role)
def test_what_every_role_is_for_is_known(role: Role) -> None:
    """``models list`` asks it of every file."""
    assert WORK[role]


@pytest.mark.parametrize("role", Role)
def test_every_role_is_in_a_pack_and_its_files_are_found(role: Role) -> None:
    named = {told for _, told in model_roles._NAMES} | {Role.EMBEDDER, Role.TAGGER, Role.SEGMENTER}
    assert role in named, "files of these three are told by other rules"
    measures = any(role in roles for pack, roles in PACKS.items() if pack != AUTO)
    assert measures is (role is not Role.SEGMENTER) and measures is (role in PACKS[AUTO])
