"""Wanted shares, written into a configuration and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinloop.config import Settings
from twinloop.domain.facet import Facet
from twinloop.errors import ConfigError, InputError
from twinloop.facets import BUILTIN
from twinloop.stages.targets import save_targets, targets_json

PLAIN = {
    "_note": "mine",
    "person_name": "ana",
    "person_trigger": "ohwx",
    "dataset_dir": "photos",
    "_end": ["kept", 1.50],
}


def facets(settings: Settings) -> tuple[Facet, ...]:
    return BUILTIN


def save(tmp_path: Path, data: Any, wanted: Any) -> Any:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    save_targets(path, wanted, facets)
    return json.loads(path.read_text())


def test_all_else_stays_in_its_order(tmp_path: Path) -> None:
    found = save(tmp_path, PLAIN, {"setting": {"studio": 0.15}})
    assert list(found.items()) == [*PLAIN.items(), ("analysis", {"shares": {"setting": {"studio": 0.15}}})]


def test_a_share_that_is_taken_back_leaves_nothing_behind(tmp_path: Path) -> None:
    data = {
        **PLAIN,
        "analysis": {"shares": {"setting": {"studio": 0.15}, "framing": {"portrait": 0.5}}, "facets": None},
    }
    assert save(tmp_path, data, {"setting": {"studio": None}})["analysis"] == {
        "shares": {"framing": {"portrait": 0.5}},
        "facets": None,
    }


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**PLAIN, "analysis": {"shares": {"setting": {"studio": 0.15}}}}, indent=7))
    before = path.read_bytes()
    save_targets(path, {"setting": {"studio": 0.15}}, facets)
    assert path.read_bytes() == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(json.dumps(PLAIN))
    (tmp_path / "link.json").symlink_to("real.json")
    save_targets(tmp_path / "link.json", {"setting": {"studio": 0.15}}, facets)
    assert (tmp_path / "link.json").is_symlink() and "studio" in (tmp_path / "real.json").read_text()


@pytest.mark.parametrize(
    "wanted", [{"framing": {"close_up": 0.9}}, {"framing": {"moon": 0.1}}, {"framing": {"close_up": 1.0}}]
)
def test_what_cannot_be_is_not_written(tmp_path: Path, wanted: Any) -> None:
    with pytest.raises(InputError):
        save(tmp_path, PLAIN, wanted)
    assert json.loads((tmp_path / "config.json").read_text()) == PLAIN


def test_a_configuration_with_mistakes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_dir"):
        save(tmp_path, {"person_name": "ana"}, {"setting": {"studio": 0.1}})


def test_targets_show_the_facets_own_beside_the_users() -> None:
    found = {facet["facet"]: facet for facet in targets_json(BUILTIN, {"face_angle": {"profile": 0.3}})}
    profile = next(item for item in found["face_angle"]["values"] if item["value"] == "profile")
    assert profile == {"value": "profile", "own": 0.2, "share": 0.3}
    assert found["composition"]["multiple"] and not found["face_angle"]["multiple"]
