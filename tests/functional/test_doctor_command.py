"""``twinloop doctor`` looks at the facets that a run would look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.functional import loops
from tests.functional.console import configuration, twinloop
from tests.helpers.external_trainers import ai_toolkit
from tests.helpers.fake_photos import fake_photo
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


@pytest.mark.parametrize("words", [("doctor",), ("run", "--dry-run"), ("run",)])
def test_a_plug_in_that_is_not_there_hides_no_other_mistake(
    words: tuple[str, ...], home: Path, capsys: pytest.CaptureFixture[str], tiny_base: Path
) -> None:
    """On a base model, whose family it might bring."""
    config = configuration(home, base_model=str(tiny_base), analysis={"plugins": ["gone.py"]}, models_dir="nowhere")
    said = twinloop(capsys, *words, "--config", config)
    assert said.code == 2 and "analysis.plugins: no such file: gone.py" in said.err and "models_dir: " in said.err


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


def test_what_a_run_would_say_of_the_preset_and_of_idle_settings(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("diffusers")
    training = {"preset": "flux-schnell", "noise_offset": 0.1}
    config = configuration(home, base_model="some/FLUX.1-schnell", training=training)
    idle = "training.noise_offset does nothing here: models of the family 'flux' are flow models."
    for words in (("doctor", "--config", config), ("run", "--config", config, "--dry-run")):
        said = twinloop(capsys, *words).err
        assert said.count("is distilled to four steps") == said.count(idle) == 1


def test_images_that_the_loaded_base_cannot_make_are_told_as_at_the_beginning_of_a_run(
    home: Path, capsys: pytest.CaptureFixture[str], tiny_base: Path
) -> None:
    pytest.importorskip("diffusers")
    generation = {"width": 64, "height": 64, "num_inference_steps": 1200}
    training = {"preset": "sdxl", "steps": 3, "resolution": 64}
    config = configuration(home, base_model=str(tiny_base), training=training, generation=generation)
    fake_photo(Path("photos/one.png"), seed=1)
    for words in (("doctor",), ("run", "--dry-run"), ("run",)):
        said = twinloop(capsys, *words, "--config", config)
        assert said.code == 2 and said.err.count("generation.num_inference_steps: 1200, but this base") == 1


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


def test_photos_that_a_run_leaves_out_are_not_counted_where_they_were_measured(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the dry run counts them, and without measuring anything."""
    pytest.importorskip("diffusers")
    (home / "photos").rmdir()
    loops.write_photos(home / "photos", 12)
    (home / "photos/broken.jpg").write_bytes(b"no picture")
    config = configuration(home, base_model="nano", training={"preset": "nano", "epochs": 5})

    def training() -> str:
        said = twinloop(capsys, "doctor", "--config", config)
        assert said.code == 0, said.err
        return next(line for line in said.out.splitlines() if line.startswith("Training of "))

    files = len(list((home / "photos").glob("*.[jp][pn]g")))
    assert f" on {files} files, before photos are left out (a dry run of the run counts them), " in training()
    assert twinloop(capsys, "analyze", "--config", config).code == 0
    catalog = home / "out/catalog.sqlite"
    before = catalog.read_bytes()
    planned = twinloop(capsys, "run", "--config", config, "--dry-run", "--json").data
    counted, steps = planned["gaps"]["images"], planned["plan"]["training_steps"]
    assert 0 < counted < files
    line = training()
    assert f" on {counted} images ({files - counted} of {files} files left out), {steps} steps:" in line
    assert catalog.read_bytes() == before
    fake_photo(home / "photos/new.png", seed=99)
    assert f" on {files + 1} files, before photos" in training(), "one that nobody has measured yet"


def test_of_an_empty_folder_is_said_that_it_is_and_no_line_is_broken(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of the doctor are as long as they are; the terminal breaks them."""
    (home / "models").mkdir()
    out = twinloop(capsys, "doctor").out
    assert "\nDetectors in models:\n  none: no model file lies there\n" in out
    _, _, named = out.partition("\nYOLO files that many guides name:\n")
    lines = named.split("\n\n")[0].splitlines()
    assert [line for line in lines if line.startswith("  yolov5l-face.pt: ")] and max(map(len, lines)) > 100
