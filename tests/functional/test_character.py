"""Subjects that are no person on photos: drawn characters, and such as have no face."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from tests.functional import loops
from tests.functional.console import twinloop
from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording
from twinloop.adapters import fakes
from twinloop.adapters.fakes import FakeDetectors, fake_pack
from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.records import Dataset
from twinloop.errors import InputError, NothingToDo
from twinloop.stages.faceless import FINDING

FAKES = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "3")

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def faceless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture shows a face."""

    def nothing(self: FakeDetectors, image: ImageArray) -> Sequence[Face]:
        return []

    monkeypatch.setattr(FakeDetectors, "detect", nothing)


def made_by_a1111(*paths: Path) -> None:
    for path in paths:
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", f"1girl\nSteps: 20, Sampler: Euler a, Seed: {path.stem}")
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.save(buffer, "PNG", pnginfo=info)
        path.write_bytes(buffer.getvalue())


def read(name: str) -> Any:
    return json.loads(Path("out", name).read_text())


def test_a_robot_goes_through_the_loop_without_a_face(faceless: None) -> None:
    loops.write_photos(Path("photos"))
    robot = loops.settings(validation={"faces": False}, analysis={}, max_iterations=1)
    reporter = Recording()
    outcome = loops.run(robot, reporter=reporter)
    assert outcome.stop is not None and outcome.stop.rule == "budget"
    assert set(read("gaps_iter1.json")["facets"]) == {"setting", "lighting"}
    assert {gap.facet for gap in outcome.rounds[0].gaps} <= {"setting", "lighting"}
    checked = {check["check"] for verdict in read("verdicts_iter1.json")["verdicts"] for check in verdict["checks"]}
    assert checked == {"on_target", "sharpness", "brightness", "novelty"}
    for shot in [*read("shots_iter1.json")["shots"], *read("panel.json")["shots"]]:
        assert set(shot["traits"]) <= {"setting", "lighting"} and "expression" not in shot["prompt"]
    assert outcome.rounds[0].merged > 0, "what was approved joined"
    assert read("verdicts_iter1.json")["limits"]["blur_threshold"] > 1000, "learned: the fakes' noise is very sharp"
    lacking = [sum(gap["count"] for gap in read(f"gaps_iter{n}.json")["recommendations"]) for n in (1, 2)]
    assert lacking[1] < lacking[0]
    for score in outcome.scores:
        assert set(score.metrics) == {"on_target", "diversity", "overall"}, "nothing is 0 that was not measured"
    assert any("identity is not measured" in line for line in reporter.lines)
    (said,) = (line for line in reporter.lines if "Measured: LoRA v1" in line)
    assert said.endswith("identity not measured")
    assert "Identity was not measured: validation.faces is false" in Path("out/report.html").read_text()


def test_without_that_the_error_names_the_way(faceless: None, capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("robots"))
    with pytest.raises(NothingToDo, match="no face found, and 13 more like it") as caught:
        loops.run(loops.settings(dataset_dir="robots"))
    assert '"validation": {"faces": false}' in str(caught.value) and "--keep-all" in str(caught.value)
    said = twinloop(capsys, "train", "robots", *FAKES)
    assert said.code != 0 and "--keep-all" in said.err
    assert twinloop(capsys, "train", "robots", *FAKES, "--keep-all").code == 0
    said = twinloop(capsys, "analyze", "robots", "--models-dir", "fake", "--keep-all", "--json")
    assert said.code == 0 and said.data["images"] == 14


@pytest.fixture
def few_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 14 pictures, most show no face that is found."""
    found, looked = FakeDetectors.detect, iter(range(10**6))

    def seldom(self: FakeDetectors, image: ImageArray) -> Sequence[Face]:
        return found(self, image) if next(looked) % 7 == 0 else []

    monkeypatch.setattr(FakeDetectors, "detect", seldom)


def test_most_drawings_without_a_found_face_end_a_characters_run_before_the_training(few_faces: None) -> None:
    loops.write_photos(Path("photos"))
    with pytest.raises(InputError, match="No face was found in 12 of 14 images, which are left out") as caught:
        loops.run(loops.settings(subject="character", max_iterations=1))
    assert '"validation": {"faces": false}' in str(caught.value) and not list(Path("loras").glob("**/*.safetensors"))


def test_a_person_is_warned_of_it(few_faces: None, capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"))
    reporter = Recording()
    loops.run(loops.settings(max_iterations=1), reporter=reporter)
    assert any("no face was found in 12 of 14 images" in line for line in reporter.warnings)
    said = twinloop(capsys, "train", "photos", *FAKES)
    assert said.code == 0 and '"validation": {"faces": false}' in said.err


def test_the_dry_run_the_doctor_and_init_know_of_it(few_faces: None, capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"))
    finding = {"about": FINDING, "have": 12, "of": 14}
    record = {"consent": {"kind": "fictional"}, "readiness": {"findings": [finding]}}
    Path("photos/person.json").write_text(json.dumps(record))
    init = ("init", "--dataset-dir", "photos", "--base-model", "fake", "--models-dir", "fake")
    data = twinloop(capsys, *init, "--json").data
    assert data["subject"] == "character" and data["validation"]["faces"] is False
    assert "faces" not in twinloop(capsys, *init, "--subject", "person", "--json").data["validation"]
    Path("settled.json").write_text(json.dumps(data))
    Path("c.json").write_text(json.dumps({**data, "validation": {}}))
    for command in (("run", "--dry-run"), ("doctor",)):
        said = twinloop(capsys, *command, "--config", "c.json")
        assert said.code == 0 and "no face was found in 12 of 14 images" in said.err, said.err
        assert "no face was found" not in twinloop(capsys, *command, "--config", "settled.json").err


def test_a_facet_that_needs_a_face_does_not_go_with_having_none() -> None:
    loops.write_photos(Path("photos"))
    with pytest.raises(InputError, match="face_angle, composition cannot be told without a face"):
        loops.run(loops.settings(validation={"faces": False}))


def test_a_drawn_face_gets_no_invented_gaps() -> None:
    loops.write_photos(Path("photos"))
    reporter = Recording()
    loops.run(loops.settings(subject="character", analysis={}, max_iterations=1), reporter=reporter)
    gaps = read("gaps_iter1.json")
    wanted = {(gap["type"], gap["target"]) for gap in gaps["recommendations"]}
    assert wanted and not any(facet == "expression" or value == "eyes_visible" for facet, value in wanted)
    assert set(gaps["not_measured"]) == {"expression", "composition: eyes_visible"}
    told = [line for line in reporter.lines if line.startswith("Not measured: ")]
    assert (
        len(told) == 1 and "composition: eyes_visible, expression (these detectors are not made for drawings" in told[0]
    )
    assert not any("not measured" in line for line in reporter.warnings)
    assert any("pictures used" in line for line in reporter.lines)
    assert all(" pictures " in gap["advice"] or " picture " in gap["advice"] for gap in gaps["recommendations"])
    asked = {check["check"] for verdict in read("verdicts_iter1.json")["verdicts"] for check in verdict["checks"]}
    assert {"one_face", "identity"} <= asked, "a drawn face is still looked for"


def test_what_the_user_names_is_measured_all_the_same() -> None:
    loops.write_photos(Path("photos"))
    facets = {"facets": ["face_angle", "expression"]}
    loops.run(loops.settings(subject="character", analysis=facets, max_iterations=1))
    assert read("gaps_iter1.json")["facets"]["expression"]["measured"] > 0


def test_many_faces_that_all_read_alike_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos").mkdir()
    for number in range(13):
        fake_photo(Path("photos", f"{number:02d}.png"), seed=number, yaw=3.0 * number, expression="neutral")
    said = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--all")
    assert "all 13 faces read as neutral" in said.out and '"subject": "character"' in said.out
    said = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--all", "--subject", "character")
    assert "read as neutral" not in said.out
    reporter = Recording()
    loops.run(loops.settings(analysis={"keep_all": True}, max_iterations=1), reporter=reporter)
    assert any("all 13 faces read as neutral" in line for line in reporter.lines)


def test_pictures_by_other_generators_are_originals_of_a_character_and_made_images_of_a_person() -> None:
    loops.write_photos(Path("photos"), 16)
    made_by_a1111(*sorted(Path("photos").iterdir())[6:])
    reporter = Recording()
    loops.run(loops.settings(max_iterations=1), reporter=reporter)
    data = read("dataset_iter0.json")
    dataset = Dataset.from_json(data)
    assert (len(dataset.real), len(dataset.synthetic)) == (6, 6)
    assert sum("max_synthetic_share" in item["reason"] for item in data["left_out"]) == 2, "named, each"
    assert any("say that another generator made them" in line and "character" in line for line in reporter.lines)
    reporter = Recording()
    other = {"output_dir": "drawn", "lora_output_dir": "drawn_loras", "subject": "character"}
    loops.run(loops.settings(max_iterations=1, **other), reporter=reporter)
    drawn = json.loads(Path("drawn/dataset_iter0.json").read_text())
    assert len(Dataset.from_json(drawn).real) == 14 and drawn["made_elsewhere"] == 8
    assert any("8 of the 14 images say that another generator made them" in line for line in reporter.lines)


def test_a_folder_of_nothing_else_loses_none_of_its_pictures() -> None:
    loops.write_photos(Path("photos"))
    made_by_a1111(*Path("photos").iterdir())
    reporter = Recording()
    loops.run(loops.settings(max_iterations=1), reporter=reporter)
    assert len(Dataset.from_json(read("dataset_iter0.json")).real) == 12
    assert any("originals of a character" in line for line in reporter.lines)


def test_own_images_are_no_originals_of_a_character() -> None:
    loops.write_photos(Path("photos"))
    loops.run(loops.settings(max_iterations=1))
    own = sorted(Path("out").glob("synthetic_iter1/*.png"))[:2]
    for path in own:
        with Image.open(path) as image:
            info = PngImagePlugin.PngInfo()
            info.add_text("parameters", image.info["parameters"])
            image.save(Path("photos", path.name), pnginfo=info)
    other = {"output_dir": "drawn", "lora_output_dir": "drawn_loras", "subject": "character"}
    loops.run(loops.settings(max_iterations=1, analysis={"keep_all": True}, **other))
    drawn = Dataset.from_json(json.loads(Path("drawn/dataset_iter0.json").read_text()))
    assert {Path(member.path).name for member in drawn.synthetic} == {path.name for path in own}


def test_training_says_which_pictures_were_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"))
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora.safetensors")
    assert said.code == 0 and "Left out: 2" in said.out and "nearly the same picture as" in said.out
    record = json.loads(Path("lora.json").read_text())
    assert len(record["left_out"]) == 2 and set(record["left_out"][0]) == {"path", "reason"}
    again = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora.safetensors", "--json")
    assert again.data["left_out"] == record["left_out"]


def test_few_pictures_of_a_character_are_not_called_photos(capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"), 4)
    said = twinloop(capsys, "train", "photos", *FAKES, "--subject", "character")
    assert said.code == 0 and "only 4 pictures: a LoRA of so few learns the pictures by heart" in said.err


def test_init_proposes_a_character_for_whom_the_vault_calls_fictional(capsys: pytest.CaptureFixture[str]) -> None:
    Path("miku").mkdir()
    argv = ("init", "--person-name", "miku", "--dataset-dir", "miku")
    assert "subject" not in json.loads(twinloop(capsys, *argv).out)
    Path("miku/person.json").write_text(json.dumps({"consent": {"kind": "fictional"}}))
    assert json.loads(twinloop(capsys, *argv).out)["subject"] == "character"
    assert "subject" not in json.loads(twinloop(capsys, *argv, "--subject", "person").out)


def test_detectors_of_the_demo_say_so_on_other_pictures(faceless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "fake_pack", lambda: replace(fake_pack(), demo=True))
    loops.write_photos(Path("photos"))
    reporter = Recording()
    with pytest.raises(NothingToDo):
        loops.run(loops.settings(), reporter=reporter)
    assert any("find a face on 0 of 14 images, are" in line and "not for anime" in line for line in reporter.warnings)


def test_so_they_do_of_a_drawn_character_whatever_they_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "fake_pack", lambda: replace(fake_pack(), demo=True))
    loops.write_photos(Path("photos"))
    warned = {}
    for subject in ("person", "character"):
        reporter = Recording()
        places = {"output_dir": subject, "lora_output_dir": f"{subject}_loras"}
        loops.run(loops.settings(max_iterations=1, subject=subject, **places), reporter=reporter)
        warned[subject] = any("not for anime" in line for line in reporter.warnings)
    assert warned == {"person": False, "character": True}


def test_a_bare_caption_is_the_trigger_where_captions_are_tags(capsys: pytest.CaptureFixture[str]) -> None:
    loops.write_photos(Path("photos"), 8)
    for preset, caption in (("sdxl", "photo of 1girl, mikuoc"), ("illustrious", "1girl, mikuoc")):
        base = ("--base-model", f"{preset}.safetensors", "--preset", preset, "--person", "1girl, mikuoc")
        said = twinloop(capsys, "export", "kohya", "--dataset", "photos", *base, "--output", preset, "--json")
        assert said.code == 0, said.err
        assert {item["caption"] for item in said.data["items"]} == {caption}
        assert any(f"they got '{caption}'" in line for line in said.data["warnings"])
