"""Folders that were prepared for kohya's sd-scripts are understood, and others are not taken for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinloop.store.pictures.dataset_folders import DatasetFolders, read_folders, subject_images, told_trigger


def pictures(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def weights(root: Path, folders: DatasetFolders) -> dict[str, float]:
    return {image.relative_to(root).as_posix(): folders.weight_of(image) for image in folders.images}


def test_weights_are_in_proportion_to_repeats(tmp_path: Path) -> None:
    pictures(tmp_path, "img/10_ohwx woman/a.png", "img/3_ohwx woman/b.png", "img/unused/c.png")
    folders = read_folders(tmp_path)
    assert weights(tmp_path, folders) == {
        "img/10_ohwx woman/a.png": 1.0,
        "img/3_ohwx woman/b.png": 0.3,
        "img/unused/c.png": 1.0,
    }
    assert [folders.words_of(image) for image in folders.images] == ["ohwx woman", "ohwx woman", None]
    (told,) = folders.remarks()
    assert "'10_ohwx woman' 1 picture of weight 1, '3_ohwx woman' 1 picture of weight 0.3; 2 without a caption" in told


def test_the_dataset_folder_itself_names_the_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path, "5_ohwx_man/a.png", "5_ohwx_man/b.png")
    (tmp_path / "5_ohwx_man/a.txt").write_text("in the rain")
    monkeypatch.chdir(tmp_path / "5_ohwx_man")
    for folder in (tmp_path / "5_ohwx_man", Path()):
        folders = read_folders(folder)
        assert [(folders.weight_of(image), folders.words_of(image)) for image in folders.images] == [
            (1.0, "ohwx_man"),
            (1.0, "ohwx_man"),
        ]
        assert folders.remarks()[0].endswith("; 1 without a caption gets the words of the folder")


@pytest.mark.parametrize(
    "name",
    ["2024_summer", "12_summer 2024", "10_05 wedding", "10_05_wedding", "5_12", "01_portraits", "0_ohwx", "1001_ohwx",
     "10 ohwx", "10_", "ohwx_10"],
)  # fmt: skip
def test_numbers_that_are_no_repeats(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, f"{name}/a.png", "3_ohwx/b.png")
    folders = read_folders(tmp_path)
    assert folders.words_of(tmp_path / name / "a.png") is None


@pytest.mark.parametrize("name", ["10_1girl", "40_ohwx2024 woman", "1000_x", "1_ohwx"])
def test_numbers_that_are_repeats(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, f"{name}/a.png")
    assert read_folders(tmp_path).words_of(tmp_path / name / "a.png") == name.split("_", 1)[1]


@pytest.mark.parametrize(
    "names",
    [
        ("3_friends/a.png", "b.png"),
        ("3_friends/a.png", "7_family/b.png", "c.png"),
        ("3_friends/a.png", "home/b.png"),
        ("1_front/a.png", "2_side/b.png", "3_back/c.png"),
    ],
    ids=["alone beside a loose picture", "beside a loose picture", "alone beside others", "in order"],
)
def test_folders_of_other_habits_keep_equal_weights_and_are_named(tmp_path: Path, names: tuple[str, ...]) -> None:
    pictures(tmp_path, *names)
    folders = read_folders(tmp_path)
    assert not folders.repeats and set(weights(tmp_path, folders).values()) == {1.0}
    (told,) = folders.remarks()
    assert "not taken for repeats" in told and names[0].split("/")[0] in told


def test_the_nearest_folder_of_repeats_counts(tmp_path: Path) -> None:
    pictures(tmp_path, "8_ohwx/2_hat/a.png", "8_ohwx/4_coat/b.png")
    folder = tmp_path / "8_ohwx"
    folders = read_folders(folder)
    assert [folders.words_of(image) for image in folders.images] == ["hat", "coat"]
    assert list(weights(folder, folders).values()) == [0.5, 1.0]


def test_repeats_that_happen_to_be_in_order_have_the_same_words(tmp_path: Path) -> None:
    pictures(tmp_path, "1_ohwx woman/a.png", "2_ohwx_woman/b.png")
    assert list(weights(tmp_path, read_folders(tmp_path)).values()) == [0.5, 1.0]


@pytest.mark.parametrize(
    "place", ["reg", "Regularization", "regularisation", "reg_images", "prior_1_woman", "img/reg images"]
)
def test_regularization_images_are_not_the_subject(tmp_path: Path, place: str) -> None:
    pictures(tmp_path, "img/10_ohwx woman/a.png", f"{place}/1_woman/b.png", f"{place}/c.png")
    folders = read_folders(tmp_path)
    assert subject_images(tmp_path) == [tmp_path / "img/10_ohwx woman/a.png"]
    assert [one.number for one in folders.repeats] == [10]
    assert folders.regularization == ((tmp_path / place, 2),)
    told = folders.remarks()[-1]
    assert "2 regularization images" in told and f'"prior_images": "{(tmp_path / place).as_posix()}"' in told


@pytest.mark.parametrize(("prior", "advised"), [("reg", False), (".", False), ("reg/1_woman", False), ("re", True)])
def test_nobody_is_told_to_learn_the_prior_images_that_are_learned(tmp_path: Path, prior: str, advised: bool) -> None:
    pictures(tmp_path, "a.png", "reg/1_woman/b.png")
    (told,) = read_folders(tmp_path).remarks(str(tmp_path / prior))
    assert "1 regularization image, not taken for the subject" in told and ("prior_images" in told) == advised


def test_masks_and_prior_images_in_the_dataset_folder_are_no_photos(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "masks/a.png", "other men/b.png", "other men/more/c.png", "reg/d.png")
    apart = (str(tmp_path / "masks"), str(tmp_path / "more" / ".." / "other men"), None)
    assert subject_images(tmp_path, *apart) == [tmp_path / "a.png"]
    assert len(subject_images(tmp_path)) == 4, "nobody said what they are"
    (told,) = read_folders(tmp_path, *apart).remarks()
    assert "1 regularization image" in told


@pytest.mark.parametrize("apart", [".", "..", "../elsewhere", "a.png"])
def test_masks_among_the_photos_hide_none(tmp_path: Path, apart: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    pictures(tmp_path / "photos", "a.png", "b/c.png")
    assert len(subject_images(tmp_path / "photos", str(tmp_path / "photos" / apart))) == 2


def test_regularization_folders_in_one_another_are_told_once(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "reg/reg_images/b.png")
    assert read_folders(tmp_path).regularization == ((tmp_path / "reg", 1),)


def test_a_folder_of_the_class_beside_the_subjects_is_regularization(tmp_path: Path) -> None:
    pictures(tmp_path, "2_ohwx woman/a.png", "1_woman/b.png")
    folders = read_folders(tmp_path)
    assert weights(tmp_path, folders) == {"2_ohwx woman/a.png": 1.0}
    assert folders.regularization == ((tmp_path / "1_woman", 1),)


@pytest.mark.parametrize("name", ["1_woman/a.png", "reg/a.png"])
def test_what_is_all_there_is_is_the_subject(tmp_path: Path, name: str) -> None:
    pictures(tmp_path, name)
    assert subject_images(tmp_path) == [tmp_path / name]


def test_a_dataset_folder_that_lies_in_one_called_reg_is_the_subjects(tmp_path: Path) -> None:
    pictures(tmp_path, "reg/photos/a.png", "reg/photos/b.png")
    assert len(subject_images(tmp_path / "reg/photos")) == 2


def test_a_folder_of_photos_says_nothing(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "summer/b.png", "2024_summer/c.png")
    (tmp_path / "a.txt").write_text("one line\n\n")
    folders = read_folders(tmp_path)
    assert len(folders.images) == 3 and folders.remarks() == () and not folders.unread
    assert read_folders(tmp_path / "a.png").images == (tmp_path / "a.png",)


def test_caption_files_of_more_lines_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.caption").write_text("\none\r\ntwo\n")
    (tmp_path / "c.txt").write_text("one\n")
    (tmp_path / "c.caption").write_text("not\nread\n")
    (told,) = read_folders(tmp_path).remarks()
    assert told.startswith("2 caption files have more than one line: the first")


@pytest.mark.parametrize(
    ("names", "trigger"),
    [
        (("10_ohwx woman/a.png", "3_ohwx_woman/b.png", "reg/1_woman/c.png"), "ohwx woman"),
        (("10_ohwx woman/a.png", "4_ohwx man/b.png"), None),
        (("10_best of/a.png",), None),
        (("10_woman/a.png",), None),
        (("a.png",), None),
    ],
)
def test_the_trigger_that_names_of_folders_tell(tmp_path: Path, names: tuple[str, ...], trigger: str | None) -> None:
    pictures(tmp_path, *names)
    found = told_trigger(tmp_path)
    assert (found and found.replace("_", " ")) == trigger
    (tmp_path / "person.json").write_text(json.dumps({"consent": {}, "trigger": "zwx alice"}))
    assert told_trigger(tmp_path) == "zwx alice"


def test_the_trigger_of_no_folder_is_none(tmp_path: Path) -> None:
    assert told_trigger(tmp_path / "nothing") is None
