"""``validation.auto_filter``: whether judged images are sorted into folders; they are judged either way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops


@pytest.mark.parametrize("sorts", [True, False])
def test_images_are_judged_and_sorted_only_where_it_is_wanted(
    sorts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=1, validation={"auto_filter": sorts}))
    judged = json.loads(Path("out/verdicts_iter1.json").read_text())
    folders = {name: judged[name] for name in ("approved", "rejected", "unsure") if judged[name]}
    assert folders
    for name, count in folders.items():
        assert len(list(Path(f"out/{name}_iter1").glob("*.png"))) == (count if sorts else 0)
