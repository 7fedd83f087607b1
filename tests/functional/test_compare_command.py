"""``twinloop compare``: a grid of LoRAs and strengths, begun, stopped, continued, measured, and used in an export."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.functional import loops
from tests.functional.console import Said, configuration, twinloop
from tests.unit.loras.makers import adapter, saved
from twinloop.adapters.fakes import FakeGenerator
from twinloop.loras.lora import Dialect
from twinloop.loras.texts import TRIGGER
from twinloop.store.atomic import sha256_file
from twinloop.store.models.lora_file import header_texts, with_texts
from twinloop.store.pictures.provenance import is_marked_synthetic

FAKE = ("--base-model", "fake")
EYES = ("--models-dir", "fake", "--dataset", "photos")
LORAS = ("a.safetensors", "b.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and two LoRAs of them."""
    home = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(Path("photos"), 12)
        from twinloop.cli.app import main

        for name, steps in (("a", 4), ("b", 8)):
            train = ["train", "photos", *FAKE, "--models-dir", "fake", "--person", "ohwx ana", "--steps", str(steps)]
            assert main([*train, "--output", f"{name}.safetensors"]) == 0
    return home


@pytest.fixture(autouse=True)
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in LORAS:
        shutil.copy(trained / path, path)
    shutil.copytree(trained / "photos", "photos")
    return tmp_path


def compare(capsys: pytest.CaptureFixture[str], *argv: object) -> Said:
    return twinloop(capsys, "compare", *FAKE, "--output", "out", *argv)


def texts(path: str) -> dict[str, Any]:
    with Image.open(path) as image:
        return dict(image.text)  # type: ignore[attr-defined]


def files(folder: str = "out") -> dict[str, str]:
    kept = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in kept}


def test_every_lora_at_every_strength_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.txt").write_text("ohwx ana smiling --d 7 --n mist\nohwx ana at sea --w 128 --h 96 --s 9\n")
    said = compare(capsys, "--lora", *LORAS, "--strength", "0.5,1", "--prompts", "p.txt", "--json")
    assert said.code == 0, said.err
    assert said.data == json.loads(Path("out/compare.json").read_text())
    folders = ["bare", "a_0.5", "a_1", "b_0.5", "b_1"]
    assert [column["folder"] for column in said.data["columns"]] == folders
    images = [image for column in said.data["columns"] for image in column["images"]]
    assert [sha256_file(Path("out", image["file"])) for image in images] == [image["sha256"] for image in images]
    assert set(files()) == {*(image["file"] for image in images), "compare.json", "compare.html", "grid.jpg"}
    parameters = texts("out/a_0.5/prompt_001.png")["parameters"]
    assert parameters.startswith("ohwx ana smiling <lora:a:0.5>\nNegative prompt: mist\n") and "Seed: 7," in parameters
    wide = texts("out/b_1/prompt_002.png")["parameters"]
    assert "Steps: 9," in wide and "Size: 128x96" in wide and "<lora:b:1>" in wide
    assert "<lora:" not in texts("out/bare/prompt_001.png")["parameters"]
    assert all(is_marked_synthetic(Path("out", image["file"]).read_bytes()) for image in images)
    assert said.data["best"] == [] and said.data["measured_by"] is None and "Nothing was measured" in said.err


def test_one_that_was_stopped_goes_on_to_the_same_bytes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--lora", *LORAS, "--strength", "0.5,1", "--prompt", "ohwx ana 1", "ohwx ana 2", "ohwx ana 3", *EYES)
    asked = (*asked, "--batch-size", 2)
    whole = twinloop(capsys, "compare", *FAKE, "--output", "whole", *asked)
    assert whole.code == 0, whole.err
    real, made = FakeGenerator._image, []

    def image(self: FakeGenerator, shot: Any, settings: Any) -> Any:
        if len(made) == 6:
            raise KeyboardInterrupt
        made.append(shot.key)
        return real(self, shot, settings)

    monkeypatch.setattr(FakeGenerator, "_image", image)
    stopped = compare(capsys, *asked)
    assert stopped.code == 130 and "goes on: " in stopped.err and not Path("out/compare.json").exists()
    monkeypatch.setattr(FakeGenerator, "_image", real)
    loaded: list[Path | None] = []
    monkeypatch.setattr(FakeGenerator, "load_lora", _noting(loaded))
    assert compare(capsys, *asked).code == 0
    assert files("whole") == files("out")
    assert None not in loaded, "the first column was whole"


def _noting(loaded: list[Path | None]) -> Any:
    real = FakeGenerator.load_lora

    def load_lora(self: FakeGenerator, path: Path | None) -> None:
        loaded.append(path)
        real(self, path)

    return load_lora


def test_a_strength_joins_later_and_other_prompts_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("--lora", "a.safetensors", "--prompt", "ohwx ana")
    assert compare(capsys, *one, "--strength", "1").code == 0
    before = files()
    assert compare(capsys, *one, "--strength", "1,1.5").code == 0
    assert files().keys() - before.keys() == {"a_1.5/prompt_001.png"}
    assert all(files()[name] == digest for name, digest in before.items() if name.endswith(".png"))
    other = compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana at sea")
    assert other.code == 2 and "prompts, seeds or sizes differ" in other.err and "--output" in other.err
    shutil.copy("b.safetensors", "a.safetensors")
    again = compare(capsys, *one, "--strength", "1")
    assert again.code == 2 and "another LoRA was drawn as a_1" in again.err


def test_new_columns_stand_beside_those_of_before(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--prompt", *(f"ohwx ana {number}" for number in range(6)), *EYES, "--json")
    assert compare(capsys, "--lora", "a.safetensors", "--strength", "1", *asked).code == 0
    planned = compare(capsys, "--lora", "a.safetensors", "--strength", "0.5", *asked, "--dry-run")
    assert [column["folder"] for column in planned.data["columns"]] == ["bare", "a_0.5", "a_1"]
    said = compare(capsys, "--lora", "a.safetensors", "--strength", "0.5", "--no-bare", *asked)
    assert [column["folder"] for column in said.data["columns"]] == ["bare", "a_0.5", "a_1"]
    assert said.data["best"][0]["as_good"] and "no other strength was drawn" not in said.err
    assert "a_1/prompt_001.png" in Path("out/compare.html").read_text()
    digest = sha256_file(Path("a.safetensors"))
    Path("a.safetensors").unlink()
    other = compare(capsys, "--lora", "b.safetensors", "--strength", "1", *asked)
    assert other.code == 0, other.err
    assert [column["folder"] for column in other.data["columns"]] == ["bare", "a_0.5", "a_1", "b_1"]
    assert other.data["columns"][1]["lora"] == {"name": "a", "file": "a.safetensors", "sha256": digest}
    Path("out/a_1/prompt_003.png").unlink()
    less = compare(capsys, "--lora", "b.safetensors", "--strength", "1", *asked)
    assert "a at 1 is left off" in less.err
    assert [column["folder"] for column in less.data["columns"]] == ["bare", "a_0.5", "b_1"]


def test_a_record_of_digests_alone_keeps_its_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana", "--strength", "1").code == 0
    record = json.loads(Path("out/.record.json").read_text())
    record["columns"] = {folder: one["sha256"] for folder, one in record["columns"].items()}
    Path("out/.record.json").write_text(json.dumps(record))
    said = compare(capsys, "--lora", "b.safetensors", "--prompt", "ohwx ana", "--strength", "1", "--json")
    assert said.code == 0, said.err
    assert [column["folder"] for column in said.data["columns"]] == ["bare", "a_1", "b_1"]


def test_another_lora_of_the_same_name_does_not_join(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana", "--strength", "1").code == 0
    shutil.copy("b.safetensors", "a.safetensors")
    other = compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana", "--strength", "0.5")
    assert other.code == 2 and "another LoRA was drawn as a_0.5" in other.err


def test_another_file_for_an_extra_lora_does_not_join(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("b.safetensors", "style.safetensors")
    config = configuration(home, generation={"extra_loras": [{"path": "style.safetensors", "scale": 0.5}]})
    call = ("compare", "--config", config, "--lora", "a.safetensors", "--prompt", "ohwx ana", "--strength")
    assert twinloop(capsys, *call, "1").code == 0
    shutil.copy("a.safetensors", "style.safetensors")
    other = twinloop(capsys, *call, "0.5")
    assert other.code == 2 and "style.safetensors, an extra LoRA" in other.err
    shutil.copy("b.safetensors", "style.safetensors")
    assert twinloop(capsys, *call, "0.5").code == 0


def test_images_without_a_face_have_no_best_strength(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinloop.stages.assess._identity", lambda *given: 0.0)
    said = compare(capsys, "--lora", "a.safetensors", "--strength", "0.5,1", "--prompt", "ohwx ana", *EYES)
    assert said.code == 0 and "a: no face that could be compared" in said.out and "most like" not in said.out
    assert "a: no face that could be compared." in Path("out/compare.html").read_text()
    call = ("export", "a1111", "--lora", "a.safetensors", "--output", "drop")
    export = twinloop(capsys, *call, "--strength-from", "out/compare.json")
    assert export.code == 2 and "no face that could be compared" in export.err


def test_a_lora_with_trigger_words_of_its_own_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    other = Path("b.safetensors")
    other.write_bytes(with_texts(other.read_bytes(), {**header_texts(other), TRIGGER: "sks bea"}))
    prompts = ("--prompt", "ohwx ana", "sks bea beside ohwx ana")
    said = compare(capsys, "--lora", "a.safetensors", "b.safetensors", "--dry-run", *prompts)
    assert said.err.count("was trained with") == 1
    assert "b.safetensors was trained with the trigger words 'sks bea', which are not in prompt 1\n" in said.err


def test_a_trigger_is_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    prompts = ("--prompt", "ohwx anastasia", "ohwx  ana")
    said = compare(capsys, "--lora", "a.safetensors", "--dry-run", *prompts)
    assert "are not in prompt 1" in said.err and "prompt 1, 2" not in said.err


@pytest.mark.parametrize(("told", "warned"), [((), 1), (("--base-prediction", "epsilon"), 0)])
def test_a_lora_of_v_prediction_on_a_base_of_epsilon_is_told(
    told: tuple[str, ...], warned: int, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in (("v", "v"), ("eps", "epsilon")):
        texts = {"modelspec.prediction_type": kind, "modelspec.trigger_phrase": "ohwx ana"}
        saved(Path(f"{name}.safetensors"), adapter("sdxl"), Dialect.DIFFUSERS, texts)
    gap = {"type": "face_angle", "target": "profile", "count": 1, "reason": "r"}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap]}))
    shutil.copytree(tiny_base, "base")
    scheduler = Path("base/scheduler/scheduler_config.json")
    of_v = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps({**of_v, "prediction_type": "epsilon", "rescale_betas_zero_snr": False}))
    base = ("--base-model", "base", "--device", "cpu", *told)
    words = "this LoRA was trained with v prediction; add --base-prediction v_prediction"
    asked = ("--prompt", "ohwx ana", "--dry-run", *base)
    both = twinloop(capsys, "compare", "--lora", "v.safetensors", "eps.safetensors", *asked)
    assert both.err.count(words) == warned
    assert words not in twinloop(capsys, "compare", "--lora", "eps.safetensors", *asked).err
    assert words not in twinloop(capsys, "compare", "--lora", "v.safetensors", *asked, "--base-model", tiny_base).err
    drawn = twinloop(capsys, "generate", "gaps.json", "--lora", "v.safetensors", "--steps", 1, *base)
    assert drawn.err.count(words) == warned


def test_strengths_are_told_apart_by_likeness(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FakeGenerator._image

    def image(self: FakeGenerator, shot: Any, settings: Any) -> Any:
        self._skill = 1.0 - 2 * abs(settings.lora_scale - 0.8)
        return real(self, shot, settings)

    monkeypatch.setattr(FakeGenerator, "_image", image)
    prompts = [f"ohwx ana {number}" for number in range(16)]
    said = compare(capsys, "--lora", "a.safetensors", "--strength", "0.2,0.8,1.4", "--prompt", *prompts, *EYES)
    assert said.code == 0, said.err
    assert "a: most like the photos at strength 0.8 (likeness 0." in said.out
    assert "16 images); measurably better than the others" in said.out
    data = json.loads(Path("out/compare.json").read_text())
    (best,) = data["best"]
    assert (best["lora"], best["strength"], best["as_good"]) == ("a", 0.8, [])
    assert best["identity"]["low"] < best["identity"]["value"] < best["identity"]["high"]
    assert data["dataset"] == "photos" and set(data["columns"][0]["metrics"]) == {"identity", "quality", "diversity"}
    assert "<strong>0.8</strong>" in Path("out/compare.html").read_text()


def test_the_diversity_of_two_images_has_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    said = compare(capsys, "--lora", "a.safetensors", "--strength", "1", "--prompt", "ohwx ana", "ohwx ana 2", *EYES)
    assert said.code == 0, said.err
    figures = [column["metrics"]["diversity"] for column in json.loads(Path("out/compare.json").read_text())["columns"]]
    assert all(figure["low"] is None and figure["high"] is None and figure["value"] > 0 for figure in figures)
    (line,) = [line for line in said.out.splitlines() if line.startswith("a at 1 ")]
    assert line.endswith(" -") and f" {figures[-1]['value']:.3f} " in line
    assert ">-</td>" in Path("out/compare.html").read_text()


def test_equal_strengths_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """The fake generator draws the same at any strength."""
    prompts = [f"ohwx ana {number}" for number in range(6)]
    said = compare(capsys, "--lora", "a.safetensors", "--strength", "0.6,1", "--prompt", *prompts, *EYES)
    assert "no strength is measurably better (1 may be as good)" in said.out


def test_detectors_without_photos_measure_what_they_can(capsys: pytest.CaptureFixture[str]) -> None:
    said = compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana 1", "ohwx ana 2", "--models-dir", "fake")
    assert said.code == 0 and "Face quality" in said.out and "Likeness was not measured" in said.out


def test_a_configuration_names_base_photos_and_loras(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    none_yet = twinloop(capsys, "compare", "--config", config, "--prompt", "ohwx ana")
    assert none_yet.code == 2 and "has no LoRA yet" in none_yet.err and not Path("comparison").exists()
    assert twinloop(capsys, "run", "--config", config).code == 0
    said = twinloop(capsys, "compare", "--config", config, "--prompt", "ohwx ana", "--strength", "1", "--json")
    assert said.code == 0, said.err
    names = [column["lora"]["name"] for column in said.data["columns"][1:]]
    assert names == ["lora_v1", "lora_v2"] and said.data["dataset"] == "photos" and said.data["trigger"] == "ohwx ana"
    assert Path("comparison/grid.jpg").is_file()


def test_a_configuration_whose_detectors_are_missing_draws_all_the_same(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, models_dir="gone")
    asked = ("compare", "--config", config, "--lora", "a.safetensors", "--prompt", "ohwx ana")
    said = twinloop(capsys, *asked)
    assert said.code == 0 and "nothing is measured: " in said.err and "Nothing was measured" in said.out
    refused = twinloop(capsys, *asked, "--models-dir", "gone")
    assert refused.code == 2


def test_a_dry_run_tells_all_and_writes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(home.rglob("*"))
    said = compare(capsys, "--lora", "a.safetensors", "--prompt", "ohwx ana", "a man", "--dry-run", "--json")
    assert said.code == 0 and sorted(home.rglob("*")) == before
    assert said.data["images"] == 10 and len(said.data["rows"]) == 2
    assert [column["strength"] for column in said.data["columns"]] == [0.0, 0.6, 0.8, 1.0, 1.2]
    assert "the trigger words 'ohwx ana' are not in prompt 2" in said.err
    assert "without LoRA, a at 0.6" in said.err and "Nothing was written" in said.err


def test_the_column_without_lora_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("--lora", "a.safetensors", "--prompt", "ohwx ana", "--dry-run", "--json")
    assert [c["strength"] for c in compare(capsys, *one, "--strength", "1", "--no-bare").data["columns"]] == [1.0]
    asked = compare(capsys, *one, "--strength", "0,1", "--no-bare").data["columns"]
    assert [c["strength"] for c in asked] == [0.0, 1.0], "0 was asked for"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--lora", "a.safetensors"), "What shall be drawn?"),
        (("--prompt", "ana"), "Which LoRAs?"),
        (("--lora", "gone.safetensors", "--prompt", "ana"), "No LoRA at gone.safetensors"),
        (("--lora", "a.safetensors", "./a.safetensors", "--prompt", "ana"), "stands there twice"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--prompts", "p.txt"), "not allowed with argument"),
        (("--lora", "a.safetensors", "--prompts", "gone.txt"), "no such file"),
        (("--lora", "a.safetensors", "--prompt", "ana --x 5"), "--prompt 1: --x is no option"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--strength", "0.5,strong"), "'strong' is no strength"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--strength", "0.5,-1"), "'-1' is no strength"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--strength", "0.5,nan"), "'nan' is no strength"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--strength", "1,1.0"), "stands there twice"),
        (("--lora", "a.safetensors", "--prompt", "ana", "--output", "photos/x", *EYES), "lies in the folder of the"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str
) -> None:
    said = compare(capsys, *argv)
    assert said.code == 2 and words in said.err and said.err.count("error:") == 1
    assert not Path("out").exists()


def test_a_lora_of_another_family_is_refused(tiny_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(Path("flux.safetensors"), adapter("flux"), Dialect.DIFFUSERS, {})
    said = twinloop(
        capsys, "compare", "--lora", "flux.safetensors", "--prompt", "ana", "--base-model", tiny_base, "--device", "cpu"
    )  # fmt: skip
    assert said.code == 2 and "flux" in said.err and not Path("comparison").exists()


def test_a_diffusion_model_draws_each_strength_otherwise_and_the_bare_base_for_nought(
    tiny_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twinloop.adapters.generators import diffusers_generator

    opened = []
    real = diffusers_generator.open_base
    monkeypatch.setattr(
        diffusers_generator, "open_base", lambda *given: opened.append(given) or real(*given)  # type: ignore[func-returns-value]
    )  # fmt: skip
    lora = _tiny_lora(tiny_base, capsys)
    small = ("--steps", 2, "--width", 64, "--height", 64, "--device", "cpu", "--strength", "0.5,1")
    said = twinloop(
        capsys, "compare", "--base-model", tiny_base, "--lora", lora, "--prompt", "ohwx ana", *small, "--output", "out"
    )
    assert said.code == 0, said.err
    assert len(opened) == 1
    pixels = [np.asarray(Image.open(f"out/{name}/prompt_001.png")) for name in ("bare", "tiny_0.5", "tiny_1")]
    assert all((pixels[one] != pixels[other]).any() for one, other in ((0, 1), (0, 2), (1, 2)))


def _tiny_lora(base: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    trained = twinloop(
        capsys, "train", "photos", "--base-model", base, "--models-dir", "fake", "--person", "ohwx ana", "--steps", 1,
        "--rank", 2, "--resolution", 64, "--learning-rate", 0.5, "--batch-size", 1, "--device", "cpu", "--output",
        "tiny.safetensors",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    return Path("tiny.safetensors")


@pytest.mark.parametrize("target", ["a1111", "comfyui"])
def test_an_export_begins_with_the_best_strength(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved(Path("ana.safetensors"), adapter("sdxl"), Dialect.DIFFUSERS, {"modelspec.trigger_phrase": "ohwx ana"})
    digest = sha256_file(Path("ana.safetensors"))
    best = {"lora": "ana", "sha256": digest, "strength": 0.8, "identity": {}, "as_good": [1.0]}
    Path("compare.json").write_text(json.dumps({"best": [{**best, "sha256": "0" * 64, "strength": 0.1}, best]}))
    call = ("export", target, "--lora", "ana.safetensors", "--output", "drop")
    said = twinloop(capsys, *call, "--strength-from", "compare.json")
    assert said.code == 0, said.err
    assert "Strength 0.8: most like the photos; 1 may be as good." in said.out
    (card,) = Path("drop/models").glob("*/ana.json")
    assert json.loads(card.read_text())["preferred weight"] == 0.8
    both = twinloop(capsys, *call, "--strength-from", "compare.json", "--weight", "0.5")
    assert both.code == 2 and "not allowed with argument" in both.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"best": []}', "likeness was not measured there"),
        ('{"best": [{"lora": "b", "sha256": "0", "strength": 1, "as_good": []}]}', "it knows that of b"),
        ('{"gaps": []}', "is no compare.json"),
        ("[]", "is no compare.json"),
        ("{", "is no compare.json"),
    ],
)
def test_an_export_says_why_there_is_no_best_strength(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(Path("ana.safetensors"), adapter("sdxl"), Dialect.DIFFUSERS, {})
    Path("compare.json").write_text(text)
    call = ("export", "a1111", "--lora", "ana.safetensors", "--output", "drop", "--strength-from", "compare.json")
    said = twinloop(capsys, *call)
    assert said.code == 2 and words in said.err and not Path("drop").exists()
