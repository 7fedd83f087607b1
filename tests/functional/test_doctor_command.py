"""``twinloop doctor`` looks at the facets that a run would look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional.console import configuration, twinloop
from twinloop import registry
from twinloop.ports import FilledPort

FACET = """
from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.observation import Reading
from twinloop.registry import register_facet
words = {{"v": Phrase(("v",), ("v",))}}
register_facet(DefinedFacet("{0}", ("v",), {{"v": 0.1}}, words, (), lambda seen: Reading.unknown()))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry.facets, "_items", dict(registry.facets._items))
    Path("photos").mkdir()
    for name in ("weather", "tint"):
        Path(f"{name}.py").write_text(FACET.format(name))
    return tmp_path


def test_those_of_the_configuration_and_of_the_flag(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analysis = {"facets": ["face_angle", "weather", "tint"], "plugins": ["weather.py"]}
    config = configuration(home, analysis=analysis)
    said = twinloop(capsys, "doctor", "--config", config, "--facet", "tint.py", "--json")
    assert said.code == 0, said.err
    assert list(said.data["facets"]) == ["face_angle", "weather", "tint"]


def test_a_facet_file_that_is_not_there_is_told_with_the_configuration(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, "doctor", "--config", configuration(home), "--facet", "gone.py")
    assert said.code == 2 and "analysis.plugins: no such file: gone.py" in said.err


def test_without_a_configuration_those_of_the_flag_join_the_built_in_ones(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "doctor", "--models-dir", "fake", "--facet", "tint.py", "--json")
    assert {"face_angle", "tint"} <= set(said.data["facets"])


def test_the_licence_of_the_embedder_in_use_is_told_with_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it lies under the name of one that anybody may use."""
    from twinloop.adapters import fakes

    pack = replace(fakes.fake_pack(), choices=(FilledPort("identity", "ArcFace", (Path("MobileFaceNet.onnx"),)),))
    monkeypatch.setattr(fakes, "fake_pack", lambda: pack)
    (line,) = (
        one for one in twinloop(capsys, "doctor", "--models-dir", "fake").out.splitlines() if "identity of" in one
    )
    assert " by ArcFace; its limits are " in line and line.endswith("non-commercial research only")


def test_a_facet_of_one_value_is_measured_or_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a pose no head angle is known at all; of a composition the hands are."""
    from twinloop.adapters import fakes

    pack = replace(fakes.fake_pack(), pose=None, measurers=())
    monkeypatch.setattr(fakes, "fake_pack", lambda: pack)
    facets = twinloop(capsys, "doctor", "--models-dir", "fake", "--json").data["facets"]
    assert facets["face_angle"].startswith("not measured (") and facets["composition"].startswith("partly measured (")
