"""An open vault with a few people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages.vault.people.makers import album, clustered, made_photo, strangers, vault_of
from twinloop.stages.vault.opened import OpenVault


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[OpenVault]:
    """p001 with 6 photos, p002 with 4, and a group photo of both with a stranger in the middle."""
    ann, bea, who = album(1, 7, "ann"), album(2, 5, "bea"), strangers(1)[0]
    both = made_photo("both.jpg", [ann[6].faces[0].face.embedding, who, bea[4].faces[0].face.embedding])
    with vault_of(tmp_path, [*ann[:6], *bea[:4], both]) as opened:
        clustered(opened)
        yield opened
