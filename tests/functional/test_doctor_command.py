"""``twinloop doctor`` looks at the facets that a run would look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional.console import configuration, twinloop
from tests.helpers.external_trainers import ai_toolkit
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


def test_what_another_trainer_does_otherwise_and_the_licence_of_the_base(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the base model is not here yet."""
    pytest.importorskip("diffusers")
    ai_toolkit(home / "ai-toolkit")
    training = {"trainer": "ai-toolkit", "trainer_path": "ai-toolkit", "schedule": "cosine_restarts", "restarts": 3}
    config = configuration(home, base_model="some/FLUX.1-dev", training=training)
    said = twinloop(capsys, "doctor", "--config", config)
    assert "Licence: FLUX.1 [dev]: FLUX.1 [dev] Non-Commercial License" in said.out
    assert "With ai-toolkit, the learning rate falls once, without restarts." in said.err


@pytest.mark.parametrize(("base", "licence"), [("nano", None), ("sdxl", "Open RAIL++-M")])
def test_the_licence_of_the_base_in_json(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    base: str,
    licence: str | None,
) -> None:
    pytest.importorskip("diffusers")
    chosen = base if base == "nano" else str(request.getfixturevalue("tiny_base"))
    config = configuration(home, base_model=chosen, training={"preset": base, "steps": 3, "resolution": 64})
    said = twinloop(capsys, "doctor", "--config", config, "--json")
    assert said.code == 0, said.err
    assert said.data["licence"] is None if licence is None else licence in said.data["licence"]
