"""A configuration is checked in one pass: fields, preset, folders and files together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.fake_photos import fake_photo
from twinloop.config import Settings, parse_settings, salvaged_settings
from twinloop.errors import ConfigError
from twinloop.wiring import check_config

GOOD: dict[str, Any] = {
    "person_name": "ana",
    "person_trigger": "ohwx ana",
    "base_model": "fake",
    "models_dir": "fake",
    "dataset_dir": "photos",
}


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()


def fields(wholly: bool = False, **changes: Any) -> list[str]:
    """The fields that are complained of."""
    with pytest.raises(ConfigError) as caught:
        check_config({**GOOD, **changes}, "c.json", wholly)
    return [problem.partition(":")[0] for problem in caught.value.problems]


def test_a_right_one_is_taken() -> None:
    assert check_config(GOOD, "c.json", wholly=True) == parse_settings(GOOD, "c.json")


@pytest.mark.parametrize("missing", ["dataset_dir", "person_name", "person_trigger"])
@pytest.mark.parametrize("data", [GOOD, {**GOOD, "seed": -1}])
def test_a_required_field_that_is_left_out_is_one_mistake(missing: str, data: dict[str, Any]) -> None:
    for asked in ({name: value for name, value in data.items() if name != missing}, {**data, missing: None}):
        with pytest.raises(ConfigError) as caught:
            check_config(asked, "c.json")
        about = [problem for problem in caught.value.problems if problem.startswith(missing)]
        assert about == [f"{missing}: is required"] and missing in salvaged_settings(asked)[1]


def test_wrong_fields_do_not_hide_a_wrong_preset_and_missing_folders() -> None:
    found = fields(
        base_model="nano",
        dataset_dir="alcie",
        models_dir="modles",
        seed=-1,
        person_trigger="",
        training={
            "preset": "sdxxl",
            "epochs": 0,
            "rank": 2000,
            "prior_images": "others",
            "masks": "black",
            "initial_lora": "v0.safetensors",
        },
        generation={"num_per_gap": 0, "extra_loras": [{"path": "style.safetensors"}]},
        analysis={"plugins": ["mine.py"]},
    )
    assert sorted(found) == sorted(
        [
            "person_trigger",
            "seed",
            "generation.num_per_gap",
            "training.epochs",
            "training",
            "dataset_dir",
            "models_dir",
            "training.prior_images",
            "training.masks",
            "training.initial_lora",
            "generation.extra_loras",
            "analysis.plugins",
        ]
    ), "a plug-in that is not there may bring the preset"
    assert fields(base_model="nano", dataset_dir="alcie", training={"preset": "sdxxl"}, max_iterations=0) == [
        "max_iterations", "dataset_dir", "training.preset"
    ]  # fmt: skip


def test_masks_are_read_when_the_whole_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "masks").mkdir()
    asked = {**GOOD, "training": {"masks": str(tmp_path / "masks")}}
    check_config(asked, "c.json")
    with pytest.raises(ConfigError, match=r"training\.masks: no picture in .* has the name of a photo"):
        check_config(asked, "c.json", wholly=True)


def test_prior_images_without_a_picture_that_can_be_read(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    (others / "notes.txt").write_text("of the class")
    asked = {"training": {"prior_images": str(others)}}
    for file in ("notes.txt", "torn.png"):
        (others / file).write_bytes(b"no picture")
        with pytest.raises(ConfigError, match=r"training\.prior_images: no usable image in .* Put pictures of other"):
            check_config({**GOOD, **asked}, "c.json")
    fake_photo(others / "b.png", seed=1)
    check_config({**GOOD, **asked}, "c.json")


def test_a_field_that_is_wrong_is_told_once() -> None:
    assert fields(dataset_dir="") == ["dataset_dir"]
    assert fields(dataset_dir=None, models_dir="yolo:nowhere") == ["dataset_dir", "models_dir"]


def test_a_lora_that_is_not_there_is_told_once_with_its_field() -> None:
    pytest.importorskip("diffusers")
    named = {"initial_lora": "a.safetensors", "start_from": "b.safetensors", "assistant_lora": "c.safetensors"}
    extra = [{"path": "x.safetensors"}, {"path": "y.safetensors"}]
    found = fields(True, base_model="nano", training=named, generation={"extra_loras": extra})
    assert found == [*(f"training.{name}" for name in named), "generation.extra_loras", "generation.extra_loras"]


def test_what_the_machine_cannot_do_joins_the_list() -> None:
    found = fields(True, base_model="nano", dataset_dir="alcie", seed=-1, training={"trainer": "kohya"})
    assert found == ["seed", "dataset_dir", "training.trainer"]


@given(
    st.dictionaries(
        st.sampled_from([*Settings.model_fields, "unknown"]),
        st.none()
        | st.integers(-3, 3)
        | st.text(max_size=3)
        | st.lists(st.integers(), max_size=2)
        | st.dictionaries(
            st.sampled_from(["rank", "adapter", "offload", "early_stop", "x"]),
            st.integers(-1, 3000) | st.just("lokr"),
            max_size=3,
        ),
    )
)
def test_whatever_is_wrong_something_is_left(data: dict[str, Any]) -> None:
    settings, wrong = salvaged_settings(data)
    for name in data.keys() & Settings.model_fields.keys():
        # a null is the same as nothing said
        if data[name] is not None and not any(field.split(".")[0] == name for field in wrong):
            assert name in settings.model_fields_set


def told(source: str = "c.json", **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check_config({**GOOD, **changes}, source)
    (problem,) = caught.value.problems
    return problem


def test_folders_that_cannot_be_written_are_told_before_anything_starts() -> None:
    Path("file").touch()
    assert told(output_dir="file") == "output_dir: file is no folder. Name a folder."
    assert told(lora_output_dir="file/loras").startswith("lora_output_dir: file/loras cannot be written: ")


@pytest.mark.parametrize(
    ("around", "changes"),
    [
        ("dataset_dir", {}),
        ("training.prior_images", {"training": {"prior_images": "others"}}),
        ("training.masks", {"training": {"masks": "others"}}),
    ],
)
@pytest.mark.parametrize("field", ["output_dir", "lora_output_dir"])
@pytest.mark.parametrize("below", ["", "/a/b", "/../{}/out"])
def test_no_run_lies_among_the_pictures_that_it_reads(
    around: str, changes: dict[str, Any], field: str, below: str
) -> None:
    folder = "others" if changes else "photos"
    Path("others").mkdir()
    fake_photo(Path("others/of_another.png"), seed=1)
    said = told(**{field: folder + below.format(folder)}, **changes)
    assert said.startswith(f"{field}: ") and f"lies in the folder of {around} ({folder})" in said
    assert "Name a folder outside of it." in said


def test_folders_around_and_beside_the_photos_are_taken(tmp_path: Path) -> None:
    for place in (".", "photos2", "photos.out", str(tmp_path / "out")):
        assert check_config({**GOOD, "output_dir": place}, "c.json").output_dir == place


def test_a_relative_path_that_was_meant_from_the_configurations_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are relative to the working directory; what lies beside the configuration is shown."""
    (tmp_path / "work").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "style.safetensors").touch()
    monkeypatch.chdir(tmp_path / "work")
    said = told("../c.json")
    assert f"(in {tmp_path / 'work'}: paths are relative to the working directory)" in said
    assert "It lies beside the configuration: write " in said and "or go there first (cd " in said
    (tmp_path / "work" / "photos").mkdir()
    assert "beside the configuration" in told("../c.json", training={"masks": "masks"})
    style = told("../c.json", generation={"extra_loras": [{"path": "style.safetensors"}]})
    assert "beside the configuration" in style and "style.safetensors" in style
    (tmp_path / "models").mkdir()
    assert f"write yolo:{(tmp_path / 'work' / '..' / 'models').as_posix()}, or go" in told(
        "../c.json", models_dir="yolo:models"
    )
    assert f"write {(tmp_path / 'work' / '..' / 'models').as_posix()}, or go" in told("../c.json", models_dir="models")
    assert told("../c.json", training={"masks": "other"}) == "training.masks: no such folder: other."
