"""The three exporters on fake photos: seed's command lines, limits of the targets, marks, what is missing."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import ROOT, python, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop.adapters.fakes import FakeTruth, fake_image
from twinloop.cli.export.pictures import COMMANDS
from twinloop.cli.scripts import SCRIPTS
from twinloop.domain.records import Dataset, Member
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_png

FAKE = ("--models-dir", "fake")
SMALL = ("--size", "256", *FAKE)
SEED = {
    "export_for_did.py": ("--dataset", "alice", "--output", "alice_did_package/"),
    "export_facesheet.py": (
        "--dataset",
        "alice",
        "--angles",
        "front,profile_left,profile_right,three_quarter",
        "--output",
        "alice_metahuman.jpg",
    ),
    "export_expressions.py": (
        "--dataset",
        "alice",
        "--expressions",
        "neutral,smile,surprised,angry",
        "--output",
        "alice_live2d/",
    ),
}
MADE = {
    "export_for_did.py": "alice_did_package/presenter.jpg",
    "export_facesheet.py": "alice_metahuman.jpg",
    "export_expressions.py": "alice_live2d/neutral.png",
}


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos of alice: frontal, both profiles and a three-quarter view; neutral and smiling."""
    home = tmp_path_factory.mktemp("photos")
    (home / "alice").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for number, (yaw, shown) in enumerate(
            [(0, "neutral"), (4, "smile"), (-80, "neutral"), (78, "neutral"), (35, "neutral")]
        ):
            photo(f"IMG_{number}.png", seed=number, yaw=float(yaw), expression=shown)
    return home / "alice"


@pytest.fixture
def here(alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photos of alice."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(alice, tmp_path / "alice")
    return tmp_path


def photo(name: str, **truth: object) -> None:
    fake_photo(Path("alice") / name, size=480, **{"framing": "portrait", **truth})  # type: ignore[arg-type]


def made(name: str, seed: int = 99, **truth: object) -> Path:
    """A synthetic image, marked as the generator marks it."""
    path = Path("alice") / name
    path.write_bytes(synthetic_png(fake_image(FakeTruth(**{"framing": "portrait", **truth}), seed, 480), "p", {}))  # type: ignore[arg-type]
    return path


def files(*places: str) -> dict[str, bytes]:
    roots = [Path(place) for place in places]
    paths = [
        path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*"))) if path.is_file()
    ]
    return {path.as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("script", SEED)
def test_the_first_descriptions_command_lines_run_as_written(script: str, here: Path) -> None:
    said = python(script, *SEED[script], *FAKE, cwd=here)
    assert said.code == 0, said.err
    assert (here / MADE[script]).is_file()
    assert Path(MADE[script]).parts[0] in said.out.splitlines()[-1]


def test_scripts_and_subcommands_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert {SCRIPTS[name] for name in SEED} == set(COMMANDS)  # the later targets have no script
    for script in SEED:
        command = SCRIPTS[script]
        assert f"twinloop export {command.name}" in (ROOT / script).read_text()
        said = twinloop(capsys, "export", command.name, "--help")
        assert said.code == 0 and all(flag in said.out for flag in SEED[script] if flag.startswith("--"))


def test_a_second_run_writes_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ("did", "sheet.jpg", "sheet_views", "live2d")
    seen = []
    for _ in range(2):
        for target, output in (("did", "did"), ("facesheet", "sheet.jpg"), ("expressions", "live2d")):
            flags = FAKE if target == "did" else SMALL
            assert twinloop(capsys, "export", target, "--dataset", "alice", "--output", output, *flags).code == 0
        seen.append(files(*places))
        Path("outputs/catalog.sqlite").unlink()  # also without the cache
    assert seen[0] == seen[1] and len(seen[0]) > 15


def test_did_keeps_the_limits_and_puts_the_best_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_photo(Path("alice") / "large.png", size=1504, seed=50, yaw=6.0, framing="close_up")
    fake_photo(Path("alice") / "third.png", size=512, seed=51, yaw=12.0, framing="half_body")
    said = twinloop(capsys, "export", "did", "--dataset", "alice", "--output", "did", "--json", *FAKE)
    assert [item["source"]["file"] for item in said.data["items"]][:2] == ["large.png", "IMG_0.png"]
    assert [item["file"] for item in said.data["items"]] == ["presenter.jpg", "presenter_2.jpg", "presenter_3.jpg"]
    for item in said.data["items"]:
        path = Path("did") / item["file"]
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and max(picture.size) <= 1280
            assert list(picture.size) == [item["picture"]["width"], item["picture"]["height"]]
        assert path.stat().st_size <= 10_000_000
        assert item["picture"]["scale"] <= 1.0
    assert said.data["items"][0]["picture"]["face_height"] >= 200
    bodies = [json.loads(path.read_bytes()) for path in sorted(Path("did/requests").iterdir())]
    moods = [body["config"]["driver_expressions"]["expressions"][0]["expression"] for body in bodies]
    assert sorted(moods) == ["happy", "neutral", "serious", "surprise"]
    assert all(body["script"]["type"] == "text" and body["source_url"].startswith("https://") for body in bodies)


def test_did_warns_of_a_small_face_and_of_a_smile(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("few").mkdir()
    fake_photo(Path("few/a.png"), size=256, seed=1, expression="smile", framing="half_body")
    said = twinloop(capsys, "export", "did", "--dataset", "few", "--output", "did", *FAKE)
    assert said.code == 0
    assert "expression is smile, not neutral" in said.err and "at least 200 are advised" in said.err
    assert "only 1 of 3 pictures" in said.err


def test_did_offers_no_other_expression_as_an_alternative(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("few").mkdir()
    for seed, shown in enumerate(("neutral", "angry", "neutral", "smile"), 1):
        fake_photo(Path(f"few/{seed}_{shown}.png"), size=512, seed=seed, expression=shown)
    said = twinloop(capsys, "export", "did", "--dataset", "few", "--output", "did", "--count", "4", "--json", *FAKE)
    assert sorted(item["source"]["file"] for item in said.data["items"]) == ["1_neutral.png", "3_neutral.png"]
    assert "only 2 of 4 pictures: no more frontal, neutral photos" in said.err


def test_did_offers_no_shut_eyes_as_an_alternative(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("few").mkdir()
    for seed, (name, eyes) in enumerate((("open", True), ("shut", False), ("wide", True)), 1):
        fake_photo(Path(f"few/{name}.png"), size=512, seed=seed, eyes_open=eyes)
    said = twinloop(capsys, "export", "did", "--dataset", "few", "--output", "did", "--json", *FAKE)
    assert sorted(item["source"]["file"] for item in said.data["items"]) == ["open.png", "wide.png"]
    assert "only 2 of 3 pictures: no more frontal, neutral photos with open eyes" in said.err


def test_photos_that_were_left_out_are_counted_with_their_reasons(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_photo(Path("alice/tiny.png"), size=96, seed=9)
    shutil.copy("alice/IMG_0.png", "alice/copy.png")
    said = twinloop(capsys, "export", "facesheet", "--dataset", "alice", "--output", "sheet.jpg", *SMALL)
    assert "left_30: missing, none of 5 usable photos shows it (2 of 7 were left out)" in said.err
    assert "Left out: 2 of 7 photos (same file as another 1, blurred 1)" in said.out


def test_the_sheet_takes_each_side_from_its_own_photo(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "export", "facesheet", "--dataset", "alice", "--angles", "profile_right,front,profile_left,left_30",
        "--output", "out/sheet.jpg", "--json", *SMALL,
    )  # fmt: skip
    yaws = {item["slot"]: item["measured"]["yaw"] for item in said.data["items"]}
    assert yaws == {"profile_right": 78.0, "front": 0.0, "profile_left": -80.0}
    assert [gap["slot"] for gap in said.data["missing"]] == ["left_30"]
    assert "20 to 40 degrees to the viewer's left" in said.data["missing"][0]["wanted"]
    assert "reference" in Path("out/sheet_views/README.txt").read_text()
    sizes = {Image.open(Path("out") / item["file"]).size for item in said.data["items"]}
    assert len(sizes) == 1
    eyes = {item["picture"]["eyes"][1] for item in said.data["items"]}
    assert len(eyes) == 1
    with Image.open("out/sheet.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.width > 4 * sizes.pop()[0]


def test_expressions_are_one_size_with_drafts_and_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, "export", "expressions", "--dataset", "alice", "--output", "live2d/", *SMALL)
    assert said.code == 0
    assert "surprised: missing, none of 5 usable photos" in said.err and "add a real photo" in said.err
    names = {path.name for path in Path("live2d").iterdir()}
    drafts = {f"{name}.exp3.json" for name in ("neutral", "smile", "surprised", "angry")}
    assert names == {"neutral.png", "smile.png", *drafts, "overview.jpg", "README.txt", "manifest.json"}
    assert len({Image.open(Path("live2d") / name).size for name in ("neutral.png", "smile.png")}) == 1
    assert Image.open("live2d/neutral.png").mode == "RGBA"
    text = Path("live2d/README.txt").read_text()
    assert "drafts" in text and "cannot be rigged" in text and "surprised: none of" in text


def test_the_mark_is_carried_and_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made("synthetic_1.png", expression="surprised")
    twinloop(capsys, "export", "expressions", "--dataset", "alice", "--output", "live2d", *SMALL)
    marked = {name for name, data in files("live2d").items() if is_marked_synthetic(data)}
    assert marked == {"live2d/surprised.png", "live2d/overview.jpg"}
    items = {item["slot"]: item["origin"] for item in json.loads(Path("live2d/manifest.json").read_bytes())["items"]}
    assert items == {"neutral": "real", "smile": "real", "surprised": "synthetic"}
    assert "surprised.png: from synthetic_1.png, SYNTHETIC" in Path("live2d/README.txt").read_text()


def test_real_photos_go_first_unless_told_otherwise(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("alice/IMG_0.png").unlink()
    photo("frontal.png", seed=70, yaw=9.0)
    made("better.png", yaw=0.0, quality=15)
    taken = {}
    for origin in ("prefer-real", "any", "real-only"):
        said = twinloop(
            capsys, "export", "did", "--dataset", "alice", "--output", origin, "--origin", origin, "--json", *FAKE
        )
        taken[origin] = [item["source"]["file"] for item in said.data["items"]]
    assert taken["prefer-real"][:2] == ["frontal.png", "better.png"]
    assert taken["any"][0] == "better.png"
    assert "better.png" not in taken["real-only"]


def test_a_runs_dataset_brings_its_approved_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mark may be lost (a picture edited by hand): the run's own record counts too."""
    plain = Path("round1.png")
    fake_photo(plain, size=480, seed=33, expression="angry", framing="portrait")
    members = [
        Member("alice/IMG_0.png", sha256_file(Path("alice/IMG_0.png")), "c", "real", 0, 1.0),
        Member("round1.png", sha256_file(plain), "c", "synthetic", 1, 0.5),
    ]
    write_json(Path("dataset_iter1.json"), Dataset(tuple(members)).to_json())
    said = twinloop(
        capsys,
        "export",
        "expressions",
        "--dataset",
        "dataset_iter1.json",
        "--expressions",
        "angry",
        "--output",
        "x",
        "--json",
        *SMALL,
    )
    assert [(item["slot"], item["origin"]) for item in said.data["items"]] == [("angry", "synthetic")]
    assert is_marked_synthetic(Path("x/angry.png").read_bytes())


def test_nothing_of_the_cameras_record_goes_along(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Secret camera 3000"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    exif.get_ifd(0x8769)[0xA431] = "SERIAL-4711"
    Path("gps").mkdir()
    picture = Image.fromarray(fake_image(FakeTruth(framing="portrait"), 5, 480))
    picture.save("gps/a.jpg", quality=95, exif=exif)
    assert b"SERIAL-4711" in Path("gps/a.jpg").read_bytes()
    twinloop(capsys, "export", "did", "--dataset", "gps", "--output", "did", *FAKE)
    twinloop(capsys, "export", "facesheet", "--dataset", "gps", "--output", "sheet.jpg", *SMALL)
    exported = files("did", "sheet.jpg", "sheet_views")
    assert len([name for name in exported if name.endswith((".jpg", ".png"))]) == 3
    for name, data in exported.items():
        assert b"Secret" not in data and b"SERIAL" not in data and str(here).encode() not in data, name
        if name.endswith((".jpg", ".png")):
            assert not dict(Image.open(io.BytesIO(data)).getexif())


def test_nothing_to_export_is_an_error_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "export", "expressions", "--dataset", "alice", "--expressions", "angry", "--output", "x", *FAKE
    )
    assert said.code == 2 and "angry: none of 5 usable photos shows it" in said.err and not Path("x").exists()
    Path("empty").mkdir()
    assert (
        "No photo to export in empty"
        in twinloop(capsys, "export", "did", "--dataset", "empty", "--output", "x", *FAKE).err
    )
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("empty/black.png")
    said = twinloop(capsys, "export", "did", "--dataset", "empty", "--output", "x", *FAKE)
    assert said.code == 2 and "black.png: no face found" in said.err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("facesheet", "--dataset", "alice", "--output", "sheet.pdf"), "ends in .jpg or .png"),
        (("facesheet", "--dataset", "alice", "--output", "s.jpg", "--angles", "behind"), "Unknown view 'behind'"),
        (
            ("expressions", "--dataset", "alice", "--output", "x", "--expressions", "bored"),
            "Unknown expression 'bored'",
        ),
        (("expressions", "--dataset", "alice", "--output", "x", "--size", "9"), "256 to 2048"),
        (("did", "--output", "x"), "Which photos?"),
        (("did", "--dataset", "alice", "--output", "alice/did"), "lies in the folder of the photos"),
        (("facesheet", "--dataset", "alice", "--output", "alice/sheet.jpg"), "lies in the folder of the photos"),
        (("pngtuber", "--dataset", "alice", "--output", "alice"), "lies in the folder of the photos"),
        (("did", "--dataset", "nowhere", "--output", "x"), "Folder not found: nowhere"),
    ],
)
def test_mistakes_are_told(here: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], told: str) -> None:
    said = twinloop(capsys, "export", *argv, *FAKE)
    assert said.code == 2 and told in said.err


def test_a_training_set_does_not_lie_among_its_photos(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "export", "kohya", "--dataset", "alice", "--output", "alice/set")
    assert said.code == 2 and "lies in the folder of the photos" in said.err


def test_an_edited_draft_is_not_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ("export", "expressions", "--dataset", "alice", "--output", "live2d", *SMALL)
    twinloop(capsys, *call)
    Path("live2d/smile.exp3.json").write_text("{}")
    before = files("live2d")
    photo("IMG_9.png", seed=9, expression="angry")
    said = twinloop(capsys, *call)
    assert said.code == 2 and "was changed since it was exported" in said.err
    assert files("live2d") == before
