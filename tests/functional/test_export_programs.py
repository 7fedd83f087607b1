"""Exports beyond pictures for artists: LoRA drop-ins, datasets for trainers, sprites; against what those programs
document.
"""

from __future__ import annotations

import io
import json
import shlex
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import save_file

from tests.functional.console import configuration, twinloop
from tests.helpers.fake_photos import fake_photo
from tests.helpers.part_files import as_comfyui_has_it
from tests.helpers.tiny_families import build_tiny
from tests.unit.loras.makers import adapter, saved
from twinloop.cli.command import Command, script_parser
from twinloop.cli.export import lora, trainers
from twinloop.domain.records import Dataset, LoRA, Member, PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.exporters.sprites import SILLYTAVERN, VRM
from twinloop.loras.lora import Dialect, read_lora
from twinloop.store.atomic import sha256_file, write_json
from twinloop.store.pictures.provenance import is_marked_synthetic, synthetic_png

FAKE = ("--models-dir", "fake")
TRAINERS = ("kohya", "ai-toolkit", "onetrainer", "simpletuner")
PIXELS = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(here: Path) -> Path:
    """Two captioned photos, one of them with a place in its EXIF, and a synthetic image without a caption."""
    folder = here / "ana"
    folder.mkdir()
    exif = Image.Exif()
    exif[271] = "SecretCam"
    exif.get_ifd(0x8825)[1] = "N"
    Image.fromarray(PIXELS).save(folder / "a.jpg", exif=exif, quality=95)
    Image.fromarray(PIXELS).save(folder / "b.png")
    (folder / "c.png").write_bytes(synthetic_png(PIXELS, "prompt", {}))
    (folder / "a.txt").write_text("ohwx ana, smiling")
    (folder / "b.txt").write_text("ohwx ana, profile")
    return folder


@pytest.mark.parametrize("target", TRAINERS)
def test_masks_go_with_the_pictures_where_there_is_a_word(
    target: str, photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "masks").mkdir()
    Image.new("L", (48, 64), 100).save(here / "masks" / "a.png")
    config = configuration(
        here, dataset_dir="ana", base_model="me/sdxl", training={"masks": "masks", "mask_floor": 0.5}
    )
    said = twinloop(capsys, "export", target, "--config", config, "--dataset", "ana", "--output", "out")
    assert said.code == 0, said.err
    beside = target == "onetrainer"
    made = sorted((here / "out/dataset").rglob("*-masklabel.png" if beside else "masks/**/*.png"))
    if target == "simpletuner":
        assert not made and "training.masks" in said.err
        return
    pictures = [
        path for path in (here / "out/dataset").rglob("*") if path.suffix in (".jpg", ".png") and path not in made
    ]
    names = [path.stem.removesuffix("-masklabel") for path in made]
    assert names == sorted(path.stem for path in pictures)
    values = [Image.open(path).getpixel((3, 3)) for path in made]
    assert sorted(map(str, values)) == ["178", "255", "255"]


@pytest.mark.parametrize("target", TRAINERS)
def test_prior_images_go_along_in_folders_of_their_own(
    target: str, photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "reg").mkdir()
    (photos / "reg" / "other.png").write_bytes(synthetic_png(PIXELS[::-1].copy(), "prompt", {}))
    training = {"prior_images": "ana/reg", "class_word": "woman"}
    config = configuration(here, dataset_dir="ana", person_trigger="ohwx ana", base_model="me/sdxl", training=training)
    said = twinloop(capsys, "export", target, "--config", config, "--output", "out")
    assert said.code == 0, said.err
    (made,) = (here / "out/dataset/prior_1_woman").glob("*.png")
    assert made.with_suffix(".txt").read_text() == "photo of woman\n"
    assert "not taken for the subject" in said.err and "to learn it" not in said.err
    assert "1 of 3 pictures have no caption" in said.err
    (item,) = [one for one in json.loads((here / "out/manifest.json").read_text())["items"] if "prior_" in one["file"]]
    assert item["origin"] == "synthetic"
    assert "prior_ hold the prior images" in (here / "out/README.txt").read_text()
    said_so = {
        "kohya": ("dataset.toml", "is_reg = true"),
        "ai-toolkit": ("job.yaml", "is_reg: true"),
        "onetrainer": ("concepts.json", "prior_1_woman"),
        "simpletuner": ("multidatabackend.json", '"is_regularisation_data": true'),
    }
    name, words = said_so[target]
    assert words in (here / "out" / name).read_text()


@pytest.mark.parametrize("target", TRAINERS)
def test_a_folder_for_a_trainer(target: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = (
        "export",
        target,
        "--dataset",
        "ana",
        "--output",
        "out",
        "--person",
        "ohwx ana",
        "--base-model",
        "me/sdxl",
        "--steps",
        "500",
    )
    said = twinloop(capsys, *argv, "--json")
    assert said.code == 0, said.err
    assert "1 of 3 pictures have no caption" in said.err
    data = said.data
    assert [(item["origin"], item["repeats"]) for item in data["items"]] == [("real", 1), ("real", 1), ("synthetic", 1)]
    for item in data["items"]:
        picture = Path("out") / item["file"]
        assert picture.with_suffix(".txt").read_text().strip() == item["caption"]
        assert is_marked_synthetic(picture.read_bytes()) is (item["origin"] == "synthetic")
        assert b"SecretCam" not in picture.read_bytes()
    first = Path("out") / data["items"][0]["file"]
    with Image.open(first) as one, Image.open(photos / "a.jpg") as other:
        assert np.array_equal(np.asarray(one), np.asarray(other)) and not one.getexif()
    assert all((Path("out") / item["name"]).stat().st_size == item["bytes"] for item in data["files"])
    assert "How to start" in (Path("out") / "README.txt").read_text()
    again = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert twinloop(capsys, *argv).code == 0
    assert again == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", ["kohya", "ai-toolkit"])
def test_the_trigger_is_told_also_where_it_was_made_up(
    target: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = twinloop(capsys, "export", target, "--dataset", "ana", "--output", "out", "--base-model", "me/sdxl")
    assert said.code == 0 and "Trigger: ohwx ana\n" in said.out


def test_the_configurations_name_folders_that_are_there(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in TRAINERS:
        said = twinloop(capsys, "export", target, "--dataset", "ana", "--output", target, "--base-model", "me/sdxl")
        assert said.code == 0, said.err
    dataset = tomllib.loads(Path("kohya/dataset.toml").read_text())["datasets"][0]["subsets"][0]["image_dir"]
    training = tomllib.loads(Path("kohya/training.toml").read_text())
    job = yaml.safe_load(Path("ai-toolkit/job.yaml").read_text())["config"]["process"][0]["datasets"][0]["folder_path"]
    concepts = json.loads(Path("onetrainer/config.json").read_text())["concept_file_name"]
    backend = json.loads(Path("simpletuner/multidatabackend.json").read_text())[0]["instance_data_dir"]
    assert all(Path(place).is_dir() for place in (dataset, job, backend)) and Path(concepts).is_file()
    assert Path(training["dataset"]["dataset_config"]).is_file()


@pytest.mark.parametrize(
    ("target", "family", "command"),
    [
        ("kohya", "sdxl", ["accelerate", "launch", "sdxl_train_network.py", "--config_file", "training.toml"]),
        ("kohya", "flux", ["flux_train_network.py", "training.toml", "--clip_l", "FILE", "--t5xxl", "--ae"]),
        ("ai-toolkit", "sdxl", ["python", "run.py", "job.yaml"]),
        ("onetrainer", "sdxl", ["python", "scripts/train.py", "--config-path", "config.json"]),
    ],
)
def test_the_command_that_starts_a_training_can_be_pasted(
    photos: Path, capsys: pytest.CaptureFixture[str], target: str, family: str, command: list[str]
) -> None:
    """Whole, with the family's own script and with paths that a shell takes as one word."""
    said = twinloop(
        capsys,
        "export",
        target,
        "--dataset",
        "ana",
        "--output",
        "an out",
        "--base-model",
        "me/base",
        "--preset",
        family,
    )
    assert said.code == 0 and "script for" not in said.err
    start = Path("an out/README.txt").read_text().split("How to start")[1]
    line = next(line for line in start.splitlines() if line.startswith("  "))
    words = shlex.split(line)
    named = {word if "/an out/" not in word else Path(word).name for word in words}
    assert set(command) <= named and "SCRIPT" not in named
    assert all(Path(word).is_file() for word in words if "/an out/" in word)


def test_a_runs_dataset_keeps_captions_and_weights(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [
        Member(str(photos / name), sha256_file(photos / name), f"ohwx ana {name}", origin, 1, weight)
        for name, origin, weight in (("a.jpg", "real", 1.0), ("b.png", "real", 1.0), ("c.png", "synthetic", 0.5))
    ]
    write_json(Path("dataset_iter1.json"), Dataset(tuple(members)).to_json())
    said = twinloop(
        capsys,
        "export",
        "kohya",
        "--dataset",
        "dataset_iter1.json",
        "--output",
        "out",
        "--base-model",
        "me/sdxl",
        "--json",
    )
    assert said.code == 0, said.err
    assert [(item["repeats"], item["caption"]) for item in said.data["items"]] == [
        (2, "ohwx ana a.jpg"),
        (2, "ohwx ana b.png"),
        (1, "ohwx ana c.png"),
    ]
    assert [item["origin"] for item in said.data["items"]] == ["real", "real", "synthetic"]
    assert said.data["left_out"] == []
    subsets = tomllib.loads(Path("out/dataset.toml").read_text())["datasets"][0]["subsets"]
    assert [subset["num_repeats"] for subset in subsets] == [2, 1]


def test_photos_that_are_not_in_the_package_are_told(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "d.jpg").write_bytes((photos / "a.jpg").read_bytes()[:100])
    said = twinloop(capsys, "export", "kohya", "--dataset", "ana", "--output", "out", "--base-model", "me/sdxl")
    assert said.code == 0 and "Left out: 1 of 4 photos (" in said.out and "manifest.json" in said.out
    assert "1 photo of the dataset is not here" in Path("out/README.txt").read_text()
    assert [item["file"] for item in json.loads(Path("out/manifest.json").read_text())["left_out"]] == ["d.jpg"]


@pytest.mark.parametrize("target", TRAINERS)
def test_a_copy_of_a_photo_is_no_second_one(target: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a training by this program; where all readable files are wanted, it is one."""
    (photos / "z.png").write_bytes((photos / "b.png").read_bytes())
    argv = ("export", target, "--dataset", "ana", "--output", "out", "--base-model", "me/sdxl", "--json")
    data = twinloop(capsys, *argv).data
    assert data["left_out"] == [{"file": "z.png", "reason": "same file as b.png"}]
    assert [item["source"]["file"] for item in data["items"]] == ["a.jpg", "b.png", "c.png"]
    config = configuration(Path.cwd(), dataset_dir="ana", base_model="me/sdxl", analysis={"keep_all": True})
    whole = twinloop(capsys, "export", target, "--config", config, "--dataset", "ana", "--output", "all", "--json").data
    assert not whole["left_out"] and len(whole["items"]) == 4


@pytest.mark.parametrize("target", TRAINERS)
def test_the_weight_of_prior_images_is_told_or_said_to_be_left_out(
    target: str, photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "reg").mkdir()
    Image.fromarray(PIXELS[::-1].copy()).save(photos / "reg" / "other.png")
    training = {"prior_images": "ana/reg", "prior_weight": 0.3, "memory": 12}
    config = configuration(here, dataset_dir="ana", base_model="me/sdxl", training=training)
    said = twinloop(capsys, "export", target, "--config", config, "--dataset", "ana", "--output", "out")
    assert said.code == 0, said.err
    files = "".join(
        path.read_text() for path in Path("out").glob("*.*") if path.name not in ("README.txt", "manifest.json")
    )
    unsaid = [line for line in said.err.splitlines() if "cannot be said to" in line]
    assert len(unsaid) == 1 and "training.memory" in unsaid[0]
    assert ("0.3" in files) is ("training.prior_weight" not in unsaid[0]) is (target != "simpletuner")


@pytest.mark.parametrize(
    ("target", "told"), [("kohya", False), ("ai-toolkit", False), ("onetrainer", True), ("simpletuner", True)]
)
def test_quantization_and_precision_are_told_or_noted(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str], target: str, told: bool
) -> None:
    configuration(here, base_model="me/sdxl", quantization="nf4", precision="float16")
    said = twinloop(
        capsys, "export", target, "--config", "bootstrap_config.json", "--dataset", "ana", "--output", "out"
    )
    assert said.code == 0, said.err
    assert ("quantization nf4 cannot be said to" in said.err) is not told
    written = "".join(
        path.read_text() for path in Path("out").glob("*.*") if path.suffix in (".json", ".toml", ".yaml")
    )
    assert ("nf4-bnb" in written or "NFLOAT_4" in written) is told
    assert "fp16" in written or "FLOAT_16" in written.replace("BFLOAT_16", "")
    assert "bf16" not in written and "BFLOAT_16" not in written


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("kohya", "--output", "out"), "Which photos?"),
        (("kohya", "--dataset", "none", "--output", "out"), "Folder not found"),
        (("kohya", "--dataset", "ana", "--output", "out", "--preset", "zimage"), "does not train zimage"),
        (
            ("simpletuner", "--dataset", "ana", "--output", "out", "--preset", "flux-kontext"),
            "does not train flux-kontext",
        ),
        (("a1111", "--output", "out"), "Which LoRA?"),
        (("a1111", "--lora", "none.safetensors", "--output", "out"), "LoRA not found"),
        (("comfyui", "--config", "bootstrap_config.json", "--output", "out"), "no final LoRA yet"),
        (("comfyui", "--lora", "a.safetensors", "--weight", "3", "--output", "out"), "from 0 to 2"),
    ],
)
def test_one_clear_error(
    argv: tuple[str, ...], words: str, photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration(here)
    said = twinloop(capsys, "export", *argv)
    assert said.code == 2 and words in said.err and not Path("out").exists()


@pytest.mark.parametrize(("target", "place"), [("a1111", "models/Lora"), ("comfyui", "models/loras")])
def test_a_lora_drops_in(target: str, place: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(
        Path("ana.safetensors"),
        adapter("sdxl", 4, 2.0, "F16"),
        Dialect.DIFFUSERS,
        {
            "modelspec.trigger_phrase": "ohwx ana",
            "ss_sd_model_name": "/home/ana/models/base.safetensors",
            "ss_output_name": "lora_v1",
        },
    )
    Path("p.png").write_bytes(synthetic_png(PIXELS, "prompt", {}))
    said = twinloop(
        capsys,
        "export",
        target,
        "--lora",
        "ana.safetensors",
        "--preview",
        "p.png",
        "--weight",
        "0.8",
        "--output",
        "out",
        "--json",
    )
    assert said.code == 0, said.err
    home = Path("out") / place
    file = read_lora(home / "ana.safetensors")
    assert file.dialect is Dialect.KOHYA and {part.alpha for part in file.layers.values()} == {2.0}
    assert file.texts["ss_output_name"] == "ana", "what A1111 shows and inserts"
    card = json.loads((home / "ana.json").read_text())
    assert set(card) == {"description", "sd version", "activation text", "preferred weight", "negative text", "notes"}
    assert (card["sd version"], card["activation text"], card["preferred weight"]) == ("SDXL", "ohwx ana", 0.8)
    assert card["notes"] == "Base model: base.safetensors." and file.texts["ss_sd_model_name"] == "base.safetensors"
    preview = (home / "ana.preview.png").read_bytes()
    assert is_marked_synthetic(preview) and max(Image.open(io.BytesIO(preview)).size) <= 768
    assert (home / "ana.txt").exists() is (target == "comfyui")


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("", "for which base it was made cannot be told"),
        ("zimage", "A1111 itself does not run zimage"),
        ("sdxl", None),
    ],
)
def test_which_bases_a1111_runs_is_said_only_where_the_family_is_known(
    family: str, says: str | None, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if family:
        saved(Path("ana.safetensors"), adapter(family, encoders=False), Dialect.DIFFUSERS)
    else:
        down, up = np.zeros((2, 8), np.float32), np.zeros((8, 2), np.float32)
        name = "transformer.blocks_of_theirs.0.attn.to_q"
        save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, "ana.safetensors")
    said = twinloop(capsys, "export", "a1111", "--lora", "ana.safetensors", "--output", "out")
    assert said.code == 0, said.err
    for words in ("for which base it was made", "A1111 itself does not run"):
        assert (words in said.err) is (says is not None and says.startswith(words))
    assert says is None or says in said.err


def test_transformers_get_the_names_their_programs_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for family, dialect in (("zimage", Dialect.COMFYUI), ("flux", Dialect.KOHYA)):
        saved(Path(f"{family}.safetensors"), adapter(family, encoders=False), Dialect.DIFFUSERS)
        said = twinloop(capsys, "export", "comfyui", "--lora", f"{family}.safetensors", "--output", family)
        assert said.code == 0 and "no trigger words" in said.err
        assert read_lora(Path(family) / "models/loras" / f"{family}.safetensors").dialect is dialect


def test_the_final_lora_of_a_run_with_its_best_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(here)
    Path("loras").mkdir()
    saved(Path("loras/lora_v2.safetensors"), adapter("sdxl"), Dialect.DIFFUSERS)
    Path("loras/lora.safetensors").write_bytes(Path("loras/lora_v2.safetensors").read_bytes())
    digest = sha256_file(Path("loras/lora.safetensors"))
    write_json(Path("loras/lora_v2.json"), LoRA("x", 2, digest, "b", "d", "sdxl", 1, 0, 0.1).to_json())
    Path("out/panel_v2").mkdir(parents=True)
    for number in range(3):
        pixels = np.full((32, 32, 3), 80 * number, np.uint8)
        Path(f"out/panel_v2/panel_{number:03d}.png").write_bytes(synthetic_png(pixels, "prompt", {}))
    likeness = [0.1, 0.7, 0.5]
    score = PanelScore(2, {"identity": Estimate(0.43, 0.1, 0.7, 3)}, {"identity": likeness}, {})
    write_json(Path("out/panel_v2.json"), score.to_json())
    said = twinloop(capsys, "export", "a1111", "--config", config, "--output", "drop", "--json")
    assert said.code == 0, said.err
    assert said.data["preview"] == "panel_001.png" and said.data["trigger"] == "ohwx ana"
    with Image.open("drop/models/Lora/ana.preview.png") as picture:
        assert picture.getpixel((5, 5)) == (80, 80, 80)


@pytest.fixture
def faces(here: Path) -> Path:
    for number, shown in enumerate(("neutral", "smile", "surprised", "angry", "laughing")):
        (here / "alice").mkdir(exist_ok=True)
        fake_photo(
            here / "alice" / f"{number}.png", size=480, seed=number, framing="portrait", expression=shown, yaw=2.0
        )
    return here / "alice"


def test_sprites_for_sillytavern(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "export", "sillytavern", "--dataset", "alice", "--output", "out", "--size", "256", "--json", *FAKE
    )
    assert said.code == 0, said.err
    with zipfile.ZipFile("out/sprites.zip") as archive:
        names = archive.namelist()
        # flat: the name is the emotion
        assert set(names) == {f"{name}.png" for name, value in SILLYTAVERN.items() if value}
        sizes = {Image.open(io.BytesIO(archive.read(name))).size for name in names}
    assert sizes == {(256, 256)}
    assert {gap["slot"] for gap in said.data["missing"]} == {
        name for name, value in SILLYTAVERN.items() if value is None
    }


def test_vrm_names(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "export", "vrm", "--dataset", "alice", "--output", "out", "--size", "256", "--json", *FAKE)
    assert said.code == 0, said.err
    assert {path.stem for path in Path("out").glob("*.png")} == {name for name, value in VRM.items() if value}
    assert {gap["slot"]: gap["why"] for gap in said.data["missing"]} == dict.fromkeys(
        ("sad", "relaxed"), "this program does not measure it"
    )
    assert "cannot be taken from stills" in Path("out/README.txt").read_text()


def test_states_of_a_pngtuber_are_measured_or_missing(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_photo(faces / "blink.png", size=480, seed=9, framing="portrait", expression="neutral", eyes_open=False)
    said = twinloop(
        capsys, "export", "pngtuber", "--dataset", "alice", "--output", "out", "--size", "256", "--json", *FAKE
    )
    # the fake detectors do not measure the jaw: then nothing is guessed
    assert said.code == 2 and "Nothing can be exported" in said.err and "not measured on any photo" in said.err
    assert not Path("out").exists()


@pytest.mark.parametrize("flag", ["--person", "--trigger"])
@pytest.mark.parametrize("command", [*lora.COMMANDS, *trainers.COMMANDS], ids=lambda command: command.name)
def test_trigger_words_by_either_name(command: Command, flag: str) -> None:
    args = script_parser(command, "x").parse_args(["--output", "out", flag, "ohwx ana"])
    assert "ohwx ana" in (getattr(args, "trigger", None), getattr(args, "person", None))


def test_a_base_that_has_to_be_told_of_is_told_to_the_trainer(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"base_prediction": "v_prediction", "zero_terminal_snr": True, "base_model": "me/sdxl"}
    config = configuration(here, dataset_dir="ana", training={"save_every": 100}, **told)
    said = twinloop(capsys, "export", "kohya", "--config", config, "--dataset", "ana", "--output", "out")
    assert said.code == 0, said.err
    found = tomllib.loads((here / "out/training.toml").read_text())
    assert found["model"]["v_parameterization"] is found["model"]["zero_terminal_snr"] is True
    assert "min_snr_gamma" not in found["training"] and "noise_offset" not in found["training"]
    assert found["output"]["save_every_n_steps"] == 100 and "save_last_n_steps" not in found["output"]
    config = configuration(here, dataset_dir="ana", training={}, **{**told, "base_prediction": "epsilon"})
    said = twinloop(capsys, "export", "kohya", "--config", config, "--dataset", "ana", "--output", "out")
    assert said.code == 2 and "zero_terminal_snr" in said.err


def test_files_of_parts_are_looked_at_before_another_trainer_is_told_of_them(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a training by that program on this machine."""
    pytest.importorskip("diffusers")
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    base, files = build_tiny("flux", here / "flux"), here / "files"
    found = {
        part: as_comfyui_has_it(base, part, files / f"{part}.safetensors")
        for part in ("text_encoder", "text_encoder_2", "vae")
    }
    (files / "t5.gguf").write_bytes(b"GGUF")
    (files / "t5.pt").write_bytes(b"x")
    save_file({"a.weight": np.ones((2, 2), np.int8), "a.scale_weight": np.ones(1)}, files / "scaled.safetensors")
    told = {
        files / "scaled.safetensors": "kohya's sd-scripts gets no files whose weights have 8 bits and factors",
        files / "gone.safetensors": "no file at",
        files / "t5.gguf": "only denoisers are read from .gguf files",
        files / "t5.pt": "can run code",
        found["text_encoder"]: "is a CLIP text encoder, and the text_encoder_2 of the base model",
    }
    for file, words in told.items():
        config = configuration(
            here, dataset_dir="ana", base_model="~/flux", base_parts={"text_encoder_2": str(file)}, training={}
        )
        said = twinloop(capsys, "export", "kohya", "--config", config, "--dataset", "ana", "--output", "out")
        assert said.code == 2 and words in said.err and not (here / "out").exists(), (file, said.err)
    parts = {part: f"~/files/{part}.safetensors" for part in found}
    config = configuration(here, dataset_dir="ana", base_model="~/flux", base_parts=parts, training={})
    said = twinloop(capsys, "export", "kohya", "--config", config, "--dataset", "ana", "--output", "out")
    assert said.code == 0, said.err
    model = tomllib.loads((here / "out/training.toml").read_text())["model"]
    assert model["pretrained_model_name_or_path"] == str(base)
    assert [model[name] for name in ("clip_l", "t5xxl", "ae")] == [str(file) for file in found.values()]


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("nano", "base_model: OneTrainer cannot train the embedded base. Name another base_model."),
        ("flux1-Q4.gguf", "base_model: OneTrainer trains on no .gguf files."),
        ("scaled.safetensors", "base_model: OneTrainer trains on no files whose weights have 8 bits and factors"),
    ],
)
def test_a_base_that_other_trainers_do_not_read(
    base: str, words: str, photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"a.weight": np.ones((2, 2), np.int8), "a.scale_weight": np.ones(1)}, here / "scaled.safetensors")
    said = twinloop(capsys, "export", "onetrainer", "--dataset", "ana", "--output", "out", "--base-model", base)
    assert said.code == 2 and words in said.err and not (here / "out").exists()


def test_parts_of_another_base_are_left_out_and_told(
    photos: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(here, dataset_dir="ana", base_model="me/sdxl", base_parts={"vae": "vae.safetensors"})
    data = {name: value for name, value in json.loads(config.read_text()).items() if name != "training"}
    config.write_text(json.dumps(data))
    call = ("export", "kohya", "--config", config, "--dataset", "ana", "--output", "out")
    said = twinloop(capsys, *call, "--base-model", "other/sdxl")
    assert said.code == 0 and "(vae): left out, because they belong to its base_model" in said.err
