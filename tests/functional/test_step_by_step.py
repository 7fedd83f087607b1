"""The four scripts, run one by one, give what the automatic loop gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from tests.functional import loops
from tests.functional.console import configuration, python, twinloop
from tests.unit.pickles.safetensors_files import BAD
from twinloop.cli.lora_base import loads_as_base

PERSON = "ohwx ana"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished loop."""
    folder = tmp_path_factory.mktemp("steps")
    loops.write_photos(folder / "photos")
    config = configuration(folder)
    said = python("bootstrap_loop.py", "--config", config.name, cwd=folder)
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == "Report: out/report.html"
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def pixels(folder: Path) -> dict[str, bytes]:
    """Name without its time stamp -> pixels."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as image:
            found[path.name.rsplit("_", 2)[0]] = np.asarray(image).tobytes()
    return found


def names(folder: Path) -> set[str]:
    return {path.name.rsplit("_", 2)[0] for path in folder.glob("*.png")}


def test_option_b_equals_the_loop(home: Path) -> None:
    said = python("gap_analysis.py", "photos", "--models-dir", "fake", "--output", "gaps_1.json", cwd=home)
    assert said.code == 0, said.err
    automatic, manual = read(home / "out/gaps_iter1.json"), read(home / "gaps_1.json")
    assert automatic["recommendations"] == manual["recommendations"] != []
    assert automatic["facets"] == manual["facets"]

    said = python(
        "generate_synthetic.py", "gaps_1.json", "--base-model", "fake", "--lora", "loras/lora_v1.safetensors",
        "--person", PERSON, "--output", "synthetic_1/", "--num-per-gap", 2, cwd=home,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert (home / "synthetic_1/shots.json").read_bytes() == (home / "out/shots_iter1.json").read_bytes()
    made = pixels(home / "synthetic_1")
    assert made == pixels(home / "out/synthetic_iter1") and len(made) > 10
    images = [
        read(home / place / "generation_metadata.json")["images"] for place in ("synthetic_1", "out/synthetic_iter1")
    ]
    assert [i["sha256"] for i in images[0]] == [i["sha256"] for i in images[1]]

    said = python(
        "validate_synthetic.py",
        "synthetic_1/",
        "--models-dir",
        "fake",
        "--approved",
        "approved_1/",
        "--rejected",
        "rejected_1/",
        cwd=home,
    )
    assert said.code == 0, said.err
    by_hand, by_loop = read(home / "rejected_1/verdicts.json"), read(home / "out/verdicts_iter1.json")
    assert [(v["sha256"], v["checks"]) for v in by_hand["verdicts"]] == [
        (v["sha256"], v["checks"]) for v in by_loop["verdicts"]
    ]
    assert names(home / "approved_1") == names(home / "out/approved_iter1") != set()
    assert names(home / "rejected_1") == names(home / "out/rejected_iter1") != set()
    assert f"Approved: {by_loop['approved']} ({100 * by_loop['approval_rate']['value']:.1f}%)" in said.out


def test_settings_from_the_configuration_give_the_same(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    config = ["--config", "bootstrap_config.json"]
    assert twinloop(capsys, "analyze", *config, "--output", "c/gaps.json").code == 0
    # the same settings leave the same file, to the byte
    assert (home / "c/gaps.json").read_bytes() == (home / "out/gaps_iter1.json").read_bytes()
    assert (
        twinloop(
            capsys, "generate", "c/gaps.json", *config, "--lora", "loras/lora_v1.safetensors", "--output", "c/made"
        ).code
        == 0
    )
    assert pixels(home / "c/made") == pixels(home / "out/synthetic_iter1")
    said = twinloop(
        capsys, "validate", "c/made", *config, "--approved", "c/approved", "--rejected", "c/rejected", "--json"
    )
    loop = read(home / "out/verdicts_iter1.json")
    assert [v["checks"] for v in said.data["verdicts"]] == [v["checks"] for v in loop["verdicts"]]
    assert said.data["limits"] == loop["limits"]


def test_the_second_round_draws_other_seeds(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    best = read(home / "out/iteration_history.json")["iterations"][1]["generated_with"]
    said = twinloop(
        capsys, "generate", "out/gaps_iter2.json", "--base-model", "fake", "--lora", f"loras/lora_{best}.safetensors",
        "--person", PERSON, "--output", "synthetic_2", "--num-per-gap", 2, "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert (home / "synthetic_2/shots.json").read_bytes() == (home / "out/shots_iter2.json").read_bytes()
    assert pixels(home / "synthetic_2") == pixels(home / "out/synthetic_iter2")
    first = {shot["seed"] for shot in read(home / "out/shots_iter1.json")["shots"]}
    assert not first & {image["seed"] for image in said.data["images"]}


def test_another_trigger_than_the_loras_is_told_once(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    made = ("generate", "out/gaps_iter1.json", "--lora", "loras/lora_v1.safetensors", "--num-per-gap", 1)

    def told(*flags: str) -> str:
        said = twinloop(capsys, *made, *flags, "--output", f"trigger_{len(' '.join(flags))}")
        assert said.code == 0
        return said.err

    other = told("--person", "sks bea")
    assert other.count("lora_v1.safetensors was trained with the trigger words 'ohwx ana', and the") == 1
    assert "the prompts have 'sks bea': --person 'ohwx ana' calls what it learned" in other
    for flags in ((), ("--person", "ohwx ana"), ("--person", "a photo of ohwx ana")):
        assert "trigger words" not in told(*flags)
    assert "trigger words" not in told("--person", "sks bea", "--prompt-prefix", "ohwx ana")


def test_the_name_of_the_file_says_the_round(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand nobody counts rounds: the second command is the first with another number in its names."""
    monkeypatch.chdir(home)
    lora = ("--lora", "loras/lora_v1.safetensors", "--num-per-gap", 1)
    for number, name in ((1, "gaps_1.json"), (2, "gaps_2.json"), (3, "n/gaps_iter3.json"), (1, "gaps_20260102.json")):
        said = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--output", f"named/{name}", "--json")
        assert (said.code, said.data["iteration"], read(home / "named" / name)["iteration"]) == (0, number, number)
    given = ("--output", "named/gaps_4.json", "--iteration", 5)
    assert twinloop(capsys, "analyze", "photos", "--models-dir", "fake", *given, "--json").data["iteration"] == 5
    seeds = []
    for name, output in (("gaps_1.json", "synthetic_1_of_names"), ("gaps_2.json", "synthetic_2_of_names")):
        said = twinloop(capsys, "generate", f"named/{name}", *lora, "--output", output, "--json")
        seeds.append({image["seed"] for image in said.data["images"]})
    assert seeds[0] and seeds[1] and not seeds[0] & seeds[1]


def test_gaps_of_another_round_say_how_to_go_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    gaps = read(home / "out/gaps_iter1.json")
    fewer = {**gaps, "recommendations": gaps["recommendations"][:1]}
    for name, data in (("gaps_1.json", gaps), ("gaps_2.json", fewer), ("gaps.json", fewer)):
        Path(name).write_text(json.dumps(data))
    bare = {name: value for name, value in fewer.items() if name != "iteration"}
    Path("gaps_7.json").write_text(json.dumps(bare))
    lora = ("--lora", home / "loras/lora_v1.safetensors", "--num-per-gap", 1)
    assert twinloop(capsys, "generate", "gaps_1.json", *lora).code == 0
    for name in ("gaps_2.json", "gaps.json"):
        said = twinloop(capsys, "generate", name, *lora)
        assert said.code == 2 and "For another round give --iteration 2, which draws other images" in said.err
    assert "else choose another --output; nothing was changed" in said.err
    chosen = twinloop(capsys, "generate", "gaps.json", *lora, "--output", "synthetic_1").err
    assert "Choose another --output; nothing was changed" in chosen and "--iteration" not in chosen
    assert twinloop(capsys, "generate", "gaps_2.json", *lora, "--iteration", 2).code == 0
    said = twinloop(capsys, "generate", "gaps_7.json", *lora, "--json")
    assert Path(said.data["output"]) == Path("synthetic_7"), "written by hand, without a number inside"


def test_base_model_and_trigger_come_from_the_lora(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second iteration of the seed's option B names neither."""
    monkeypatch.chdir(home)
    said = twinloop(
        capsys,
        "generate",
        "out/gaps_iter1.json",
        "--lora",
        "loras/lora_v1.safetensors",
        "--output",
        "bare",
        "--num-per-gap",
        2,
    )
    assert said.code == 0, said.err
    assert pixels(home / "bare") == pixels(home / "out/synthetic_iter1")


def test_images_merged_by_hand_are_counted_as_synthetic(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "photos", "photos")
    before = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--json").data
    approved = sorted((home / "out/approved_iter1").glob("*.png"))
    for path in approved:
        shutil.copy(path, "photos")
    after = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", "--json")
    assert before["synthetic_images"] == 0
    assert 0 < after.data["synthetic_images"] <= len(approved)
    assert after.data["images"] == before["images"] + after.data["synthetic_images"]
    assert f"{after.data['synthetic_images']} of them synthetic" in after.err
    # the person is learned from the real photos alone, whatever was copied in
    said = twinloop(
        capsys, "validate", home / "out/synthetic_iter1", "--models-dir", "fake", "--reference", "photos", "--json"
    )
    learned = said.data["limits"]["real_sharpness"]
    assert learned == read(home / "out/verdicts_iter1.json")["limits"]["real_sharpness"]


def test_a_second_call_makes_nothing_twice(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    call = [
        "generate",
        "out/gaps_iter1.json",
        "--base-model",
        "fake",
        "--lora",
        "loras/lora_v1.safetensors",
        "--person",
        PERSON,
        "--output",
        "twice",
    ]
    assert twinloop(capsys, *call).code == 0
    kept = {path: path.stat().st_mtime_ns for path in (home / "twice").glob("*.png")}
    first = next(iter(kept))
    first.unlink()
    assert twinloop(capsys, *call).code == 0
    again = {path: path.stat().st_mtime_ns for path in (home / "twice").glob("*.png")}
    assert again.keys() == kept.keys()
    assert [path for path in kept if again[path] != kept[path]] == [first]
    other = twinloop(capsys, *call, "--seed", 1)
    assert other.code == 2 and "shots differ" in other.err and "Choose another --output" in other.err


def test_images_from_photos(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    call = [
        "generate",
        "out/gaps_iter1.json",
        "--base-model",
        "fake",
        "--person",
        PERSON,
        "--num-per-gap",
        3,
        "--json",
        "--from-photos",
        "photos",
    ]
    every = twinloop(capsys, *call, "--output", "i1").data["images"]
    some = twinloop(capsys, *call, "--output", "i2", "--photo-share", 0.5).data["images"]
    assert all(image["source"].startswith("photos/") for image in every)
    assert 0 < sum(image["source"] is not None for image in some) < len(some)


def test_a_lora_of_another_tool_names_no_base_of_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other trainers write a file name of their own machine; then the gap analysis, else the
    default, says which base.
    """
    monkeypatch.chdir(tmp_path)
    gap = {"type": "face_angle", "target": "profile", "count": 3}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap], "base_model": "fake"}))
    texts = {"ss_sd_model_name": "sd_xl_base_1.0.safetensors", "fake.skill": "0.5", "fake.person": "1"}
    Path("other.safetensors").write_bytes(save({"a": np.zeros(2, np.float32)}, metadata=texts))
    said = twinloop(
        capsys, "generate", "gaps.json", "--lora", "other.safetensors", "--person", PERSON, "--output", "made"
    )
    assert said.code == 0, said.err
    assert read(Path("made/generation_metadata.json"))["base_model"] == "fake"
    found = [loads_as_base(name) for name in ("nano", "org/model", "other.safetensors", "sd_xl.safetensors", "", None)]
    assert found == [True, True, True, False, False, False]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found = [loads_as_base(name) for name in ("~/other.safetensors", "~/else.safetensors", "~nobody/other.safetensors")]
    assert found == [True, False, False]


@pytest.mark.parametrize("command", ["generate", "compare"])
def test_the_base_of_a_lora_is_where_its_record_says_else_it_is_asked_for(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header has the name of the base alone, not its path."""
    monkeypatch.chdir(tmp_path)
    gap = {"type": "face_angle", "target": "profile", "count": 3}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap]}))
    texts = {"ss_sd_model_name": "mine.safetensors", "modelspec.trigger_phrase": PERSON, "twinloop.version": "1"}
    Path("ana.safetensors").write_bytes(save({"a": np.zeros(2, np.float32)}, metadata=texts))
    asked = {"generate": ("gaps.json",), "compare": ("--prompt", "ohwx ana", "--dry-run")}[command]
    call = (command, *asked, "--lora", "ana.safetensors", "--output", "made")
    said = twinloop(capsys, *call)
    assert said.code == 2 and "was trained on mine.safetensors" in said.err and "--base-model" in said.err
    base = tmp_path / "models" / "mine.safetensors"
    base.parent.mkdir()
    base.write_bytes(b"no base model")
    Path("ana.json").write_text(json.dumps({"base_model": str(base)}))
    said = twinloop(capsys, *call)
    assert "was trained on" not in said.err and str(base) in said.out + said.err


def test_a_damaged_lora_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gap = {"type": "face_angle", "target": "profile", "count": 3}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap], "base_model": "fake"}))
    for name in ("nested deeply", "a hole", "negative offsets"):
        Path("deep.safetensors").write_bytes(BAD[name])
        said = twinloop(capsys, "generate", "gaps.json", "--lora", "deep.safetensors", "--person", PERSON)
        assert said.code == 2 and said.err.count("\n") == 1, said.err
        assert (
            "deep.safetensors is not a readable safetensors file" in said.err
            and "Download or train it again" in said.err
        )


@pytest.mark.parametrize("flag", ["--output", "--observations"])
def test_an_answer_never_takes_a_photos_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(tmp_path / "photos")
    photo = next(path for path in sorted((tmp_path / "photos").iterdir()) if path.suffix == ".png")
    before = photo.read_bytes()
    said = twinloop(capsys, "analyze", "photos", "--models-dir", "fake", flag, photo)
    assert said.code == 2 and "is not overwritten" in said.err and photo.read_bytes() == before


def test_verdicts_never_take_an_images_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loops.write_photos(tmp_path / "made")
    image = next(path for path in sorted((tmp_path / "made").iterdir()) if path.suffix == ".png")
    before = image.read_bytes()
    said = twinloop(capsys, "validate", "made", "--models-dir", "fake", "--verdicts", image)
    assert said.code == 2 and "is not overwritten" in said.err and image.read_bytes() == before
