"""``twinloop masks`` as people type it: which photos get a mask, what is said, and that a training takes them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import ROOT, configuration, twinloop
from tests.helpers.fake_photos import fake_photo
from tests.helpers.segmenter_files import grey_onnx, red_onnx, red_tflite
from twinloop.domain.records import Dataset, Member
from twinloop.domain.segmenters import ISNET, ISNET_ANIME, U2NET
from twinloop.stages.masks import check_masks
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.pictures.masks import read_mask

FIXTURES = ROOT.parent / "shared" / "fixtures"
real = pytest.mark.skipif(not FIXTURES.is_dir(), reason="shared fixtures are not on this machine")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with one network, and two photos: red in the left half, and red all over."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/u2net.onnx").write_bytes(red_onnx(U2NET))
    Path("photos/trip").mkdir(parents=True)
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, :40, 0] = 255
    Image.fromarray(pixels).save("photos/a.png")
    Image.new("RGB", (80, 60), "red").save("photos/trip/b.png")
    return tmp_path


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def test_masks_beside_the_folder_that_a_training_takes(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path("photos").rglob("*.png")}
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [
        "Network: u2net.onnx (U-2-Net)",
        "2 masks made, 0 kept, 0 photos without: photos_masks",
        "Look at some of them before you train. In the configuration:",
        '  "training": { "masks": "photos_masks" }',
    ]
    assert files("photos_masks") == ["a.png", "trip/b.png"] and said.err == ""
    grey, _ = read_mask(Path("photos_masks/a.png"))
    assert grey.shape == (60, 80) and grey[30, 10] == 255 and grey[30, 70] == 0
    check_masks(Path("photos_masks"), Path("photos"))
    assert before == {path: path.read_bytes() for path in Path("photos").rglob("*.png")}


def test_what_is_there_is_kept_and_another_network_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "masks", "photos", "--everyone")
    first = Path("photos_masks/a.png").stat().st_mtime_ns
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert "0 masks made, 2 kept, 0 photos without" in said.out and "--again" not in said.out
    said = twinloop(capsys, "masks", "photos", "--everyone", "--grow", "0.1")
    assert "2 masks were made with another network or edge; --again makes them anew." in said.out
    assert Path("photos_masks/a.png").stat().st_mtime_ns == first
    said = twinloop(capsys, "masks", "photos", "--everyone", "--grow", "0.1", "--again")
    assert "2 masks made" in said.out
    assert read_mask(Path("photos_masks/a.png"))[0][30, 44] > 200, "the edge is 8 pixels further out"
    Image.new("L", (80, 60), 255).save("photos_masks/a.png")
    said = twinloop(capsys, "masks", "photos", "--everyone", "--again")
    assert "1 mask of another program, or changed by one, stays as it is; delete it to have it made here." in said.out


def test_json_tells_every_photo(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    Image.new("RGB", (80, 60), "black").save("photos/nobody.png")
    said = twinloop(capsys, "masks", "photos", "--everyone", "--json")
    assert said.code == 0
    data = said.data
    assert {name: data[name] for name in ("masks", "network", "made", "kept", "others", "none")} == {
        "masks": "photos_masks", "network": "u2net.onnx (U-2-Net)", "made": 2, "kept": 0, "others": 0, "none": 2,
    }  # fmt: skip
    by_name = {item["photo"]: item for item in data["photos"]}
    assert by_name["photos/trip/b.png"] == {
        "photo": "photos/trip/b.png", "mask": "photos_masks/trip/b.png", "state": "made", "problem": None,
        "share": 1.0, "faces_beside": 0,
    }  # fmt: skip
    assert by_name["photos/nobody.png"]["mask"] is None
    assert by_name["photos/nobody.png"]["problem"] == "the network marks nothing in it"
    assert "no mask made of broken.jpg: cannot be" in said.err


def test_where_no_photo_gets_one_it_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("photos")
    Path("photos").mkdir()
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert said.code == 2 and "No photos in photos" in said.err
    Image.new("RGB", (80, 60), "black").save("photos/nobody.png")
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert said.code == 2 and "No mask was made" in said.err and not Path("photos_masks").exists()


def test_without_a_network_it_is_said_which_to_get(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/u2net.onnx").write_bytes(red_onnx(U2NET)[:-30])
    for argv in (("masks", "photos"), ("masks", "photos", "--models-dir", "nowhere")):
        said = twinloop(capsys, *argv)
        assert said.code == 2 and "no network that tells a subject" in said.err
        assert "twinloop models pull selfie_segmentation.tflite" in said.err
    assert "--models-dir nowhere" in said.err
    said = twinloop(capsys, "masks", "photos")
    assert "u2net.onnx: cut short" in said.err
    said = twinloop(capsys, "masks", "photos", "--model", "photos/a.png")
    assert said.code == 2 and "no segmentation network goes by this name" in said.err
    assert not Path("photos_masks").exists()


def test_the_finest_is_taken_unless_one_is_named_or_the_subject_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models/isnet-general-use.onnx").write_bytes(red_onnx(ISNET))
    Path("models/isnet-anime.onnx").write_bytes(red_onnx(ISNET_ANIME))
    Path("models/BiRefNet.onnx").write_bytes(grey_onnx())  # its name alone is no network
    Path("models/selfie_segmentation.tflite").write_bytes(red_tflite())

    def network(*argv: str) -> str:
        return str(twinloop(capsys, "masks", "photos", "--everyone", "--again", *argv, "--json").data["network"])

    assert network() == "isnet-general-use.onnx (ISNet)"
    assert network("--subject", "character") == "isnet-anime.onnx (ISNet for anime)"
    small = "selfie_segmentation.tflite"
    assert network("--model", f"models/{small}") == f"{small} (MediaPipe selfie segmentation)"


def test_without_a_face_detector_it_goes_on_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "masks", "photos")
    assert said.code == 0 and "2 masks made" in said.out
    assert "no face is looked for, so of several people all are in the masks: models: no usable face" in said.err


def test_the_face_of_the_subject_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The fakes find none on photos that are not theirs."""
    fake_photo(Path("photos/face.png"), seed=1)
    said = twinloop(capsys, "masks", "photos", "--models-dir", "fake", "--model", "models/u2net.onnx", "--json")
    assert said.code == 0
    assert "a.png, b.png: no face found" in said.err and "face.png: no face found" not in said.err


@real
def test_of_two_people_the_larger_face_is_the_subject(capsys: pytest.CaptureFixture[str]) -> None:
    """Two photos side by side, in red on black, with the detector that real photos are looked at with."""
    shutil.copy(FIXTURES / "weights/yunet/face_detection_yunet_2026may.onnx", "models")
    with Image.open(FIXTURES / "photos/skimage/astronaut.png") as image:
        portrait = image.convert("RGB").crop((140, 0, 330, 250))
    both = Image.new("RGB", (900, 500))
    both.paste(portrait.resize((380, 500)), (0, 0))
    both.paste(portrait.resize((228, 300)), (600, 100))
    pixels = np.asarray(both).copy()
    pixels[..., 0] = np.where(pixels.any(axis=2), np.maximum(pixels[..., 0], 200), 0)
    shutil.rmtree("photos")
    Path("photos").mkdir()
    Image.fromarray(pixels).save("photos/both.png")
    said = twinloop(capsys, "masks", "photos")
    assert said.code == 0 and said.err == "", said.err
    grey, _ = read_mask(Path("photos_masks/both.png"))
    assert grey[:, :370].mean() > 240 and grey[:, 560:].max() == 0
    twinloop(capsys, "masks", "photos", "--everyone", "--again")
    assert read_mask(Path("photos_masks/both.png"))[0][110:390, 610:810].mean() > 240


@real
def test_a_photo_that_exif_turns(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Landscape_6.jpg", "Landscape_8.jpg"):
        shutil.copy(FIXTURES / "images/exif_orientation" / name, "photos")
    Path("models/selfie_segmentation.tflite").write_bytes(red_tflite())
    assert twinloop(capsys, "masks", "photos", "--everyone").code == 0
    check_masks(Path("photos_masks"), Path("photos"))
    for name in ("Landscape_6", "Landscape_8"):
        with Image.open(f"photos/{name}.jpg") as stored:
            grey, _ = read_mask(Path(f"photos_masks/{name}.png"))
            assert grey.shape == (stored.size[0], stored.size[1]), "stored lying, seen upright"


def test_a_configuration_says_where(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    config = configuration(home, training={"steps": 3, "masks": "where/they/lie"})
    said = twinloop(capsys, "masks", "--config", config, "--model", "models/u2net.onnx", "--everyone")
    assert said.code == 0, said.err
    assert files("where/they/lie") == ["a.png", "trip/b.png"]
    said = twinloop(capsys, "masks", "--model", "models/u2net.onnx")
    assert said.code == 2 and "Which photos?" in said.err


def test_the_dataset_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out/approved_iter1").mkdir(parents=True)
    Image.new("RGB", (30, 30), "red").save("out/approved_iter1/made_1.png")
    paths = ["photos/a.png", "photos/trip/b.png", "out/approved_iter1/made_1.png"]
    origins = ["real", "real", "synthetic"]
    members = tuple(
        Member(path, sha256_file(Path(path)), "ohwx ana", origin, 0, 1.0)
        for path, origin in zip(paths, origins, strict=True)
    )
    write_json(Path("out/dataset_iter1.json"), Dataset(members).to_json())
    said = twinloop(capsys, "masks", "out/dataset_iter1.json", "--everyone")
    assert said.code == 0, said.err
    assert files("out/dataset_iter1_masks") == ["a.png", "made_1.png", "trip/b.png"], "never among the photos"
    Path("out/other.json").write_text(json.dumps({"a": 1}))
    said = twinloop(capsys, "masks", "out/other.json", "--everyone")
    assert said.code == 2 and "no dataset of a run" in said.err


@pytest.mark.parametrize("dataset", ["set/10_ohwx woman", "out/dataset_iter1.json"])
def test_no_folder_of_masks_is_taken_for_one_of_pictures(capsys: pytest.CaptureFixture[str], dataset: str) -> None:
    """sd-scripts reads every folder of a set that is called <number>_<words>."""
    Path("set/10_ohwx woman").mkdir(parents=True)
    Path("out").mkdir()
    path = shutil.copy("photos/a.png", "set/10_ohwx woman/a.png")
    member = Member(path, sha256_file(Path(path)), "ohwx woman", "real", 0, 1.0)
    write_json(Path("out/dataset_iter1.json"), Dataset((member,)).to_json())
    said = twinloop(capsys, "masks", dataset, "--everyone", "--json")
    assert said.code == 0 and files("set") == ["10_ohwx woman/a.png"], said.err
    assert said.data["masks"] == {"set": "set_masks/10_ohwx woman", "out": "out/dataset_iter1_masks"}[dataset[:3]]
    check_masks(Path(said.data["masks"]), Path("set"))


def test_what_is_said_next_fits_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "masks", "photos", "--everyone")
    Image.new("RGB", (80, 60), "black").save("photos/a.png")
    said = twinloop(capsys, "masks", "photos", "--everyone", "--again", "--grow", "0.1")
    assert "--again" not in said.out
    shutil.rmtree("photos")
    Path("photos").mkdir()
    Path("photos/broken.jpg").write_bytes(b"cut")
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert said.code == 2 and "No mask was made" in said.err and "Another network" not in said.err
    for name in ("b.png", "b.jpg"):
        Image.new("RGB", (80, 60), "red").save(f"photos/{name}")
    said = twinloop(capsys, "masks", "photos", "--everyone")
    assert "no mask made of photos/b.jpg: its mask would have the name of that of photos/b.png" in said.err
    assert "Rename photos" in said.out


def test_built_in_models_have_no_folder_for_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "masks", "photos", "--models-dir", "nano")
    assert said.code == 2 and "--model FILE" in said.err and "--models-dir nano" not in said.err


def test_places_where_masks_cannot_lie(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "masks", "photos", "--everyone", "--output", "photos/masks")
    assert said.code == 2 and "lies in the folder of the photos" in said.err
    said = twinloop(capsys, "masks", "photos", "--everyone", "--output", "photos/a.png")
    assert said.code == 2
    said = twinloop(capsys, "masks", "photos/a.png", "--everyone")
    assert said.code == 2 and "Name a folder of photos" in said.err
    said = twinloop(capsys, "masks", "photos", "--everyone", "--output", "photos")
    assert said.code == 0 and files("photos") == ["a-masklabel.png", "a.png", "trip/b-masklabel.png", "trip/b.png"]
    check_masks(Path("photos"), Path("photos"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    home.chmod(0o500)
    try:
        said = twinloop(capsys, "masks", "photos", "--everyone")
    finally:
        home.chmod(0o700)
    assert said.code == 2 and "No permission to write photos_masks" in said.err


def test_doctor_says_which_network_makes_them(capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "doctor", "--json")
    assert said.data["masks"] == {"network": "U-2-Net", "file": "models/u2net.onnx", "problem": None}
    assert {item["path"]: item["detail"] for item in said.data["files"]}["models/u2net.onnx"].startswith("U-2-Net; ")
    Path("models/u2net.onnx").write_bytes(grey_onnx())
    said = twinloop(capsys, "doctor", "--json")
    assert "u2net.onnx: not a segmentation network" in said.data["masks"]["problem"]
    assert "Masks of photos (twinloop masks): none can be made" in said.err
    assert twinloop(capsys, "doctor", "--models-dir", "fake", "--json").data["masks"]["network"] is None


@pytest.mark.parametrize(
    ("target", "where"),
    [("kohya", "masks/*/*.png"), ("ai-toolkit", "masks/*/*.png"), ("onetrainer", "*/*-masklabel.png")],
)
def test_they_go_along_to_other_trainers(
    target: str, where: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    twinloop(capsys, "masks", "photos", "--everyone")
    config = configuration(home, base_model="me/sdxl", training={"masks": "photos_masks", "mask_floor": 0.2})
    said = twinloop(capsys, "export", target, "--config", config, "--output", "package")
    assert said.code == 0, said.err
    made = [Image.open(path) for path in sorted(Path("package/dataset").glob(where))]
    assert sorted((image.getpixel((10, 30)), image.getpixel((70, 30))) for image in made) == [(255, 51), (255, 255)]
    assert not any(image.info for image in made), "what they were made of stays here"
