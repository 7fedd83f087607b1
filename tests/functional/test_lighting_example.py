"""The example facet in one file, through analysis, generation and validation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import ROOT, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop import registry

EXAMPLE = ["--facet", str(ROOT / "examples" / "lighting_facet.py")]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers stays with it."""
    monkeypatch.setattr(registry.facets, "_items", dict(registry.facets._items))


def test_the_example_finds_asks_and_judges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(Path("photos"))
    fake_photo(Path("photos/dark.png"), seed=99, lighting="low_key", setting="outdoor", expression="serious")
    found = twinloop(
        capsys, "analyze", "photos", "--models-dir", "fake", "--observations", "seen.jsonl", "--json", *EXAMPLE
    ).data
    lighting = {item["target"]: item for item in found["recommendations"] if item["type"] == "lighting"}
    assert set(lighting) == {"low_key", "high_key"}
    assert lighting["low_key"]["have"] == 1 and lighting["low_key"]["target_share"] == 0.2
    lines = [json.loads(line) for line in Path("seen.jsonl").read_text().splitlines()]
    assert all("lighting_example.median" in line["measures"] for line in lines)
    assert [line["facets"]["lighting"] for line in lines if line["path"].endswith("dark.png")] == ["low_key"]

    said = twinloop(
        capsys,
        "generate",
        "gaps.json",
        "--base-model",
        "fake",
        "--person",
        "ohwx",
        "--output",
        "made",
        "--json",
        *EXAMPLE,
    )
    prompts = {image["prompt"] for image in said.data["images"] if image["target"] == "low_key"}
    assert prompts and all("dramatic lighting, low key, moody atmosphere" in prompt for prompt in prompts)
    assert any(path.name.startswith("synthetic_lighting_low_key_001_") for path in Path("made").iterdir())

    judged = twinloop(capsys, "validate", "made", "--models-dir", "fake", "--json", *EXAMPLE).data["verdicts"]
    on_target = [
        check for v in judged if v["type"] == "lighting" for check in v["checks"] if check["check"] == "on_target"
    ]
    assert {"low_key", "high_key"} >= {check["limit"] for check in on_target}
    assert {check["outcome"] for check in on_target} <= {"approved", "rejected"}
    assert any(check["outcome"] == "approved" for check in on_target)


def test_the_built_in_facet_is_back_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    def share() -> float:
        facets = {facet["name"]: facet for facet in twinloop(capsys, "facets", "--json").data["facets"]}
        return float(facets["lighting"]["shares"]["low_key"])

    with_example = {f["name"]: f for f in twinloop(capsys, "facets", "--json", *EXAMPLE).data["facets"]}
    assert with_example["lighting"]["shares"]["low_key"] == 0.2
    assert share() == 0.1
