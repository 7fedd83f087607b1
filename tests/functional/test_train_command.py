"""``twinloop train``: a LoRA by hand, and the first LoRA of a run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.functional import loops
from tests.functional.console import Said, configuration, twinloop
from twinloop.adapters.fakes import FakeTrainer
from twinloop.ports import Trained
from twinloop.stages.trial import Trial
from twinloop.store.journal import Journal
from twinloop.store.lock import locked
from twinloop.store.models.lora_file import header_texts

FAKES = ("--base-model", "fake", "--models-dir", "fake", "--person", "ohwx ana", "--steps", "3")


def test_a_folder_becomes_a_lora_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora_v2.safetensors", "--json")
    assert said.code == 0, said.err
    assert said.data["path"] == "lora_v2.safetensors" and said.data["steps"] == 3
    before = (home / "lora_v2.safetensors").stat().st_mtime_ns
    again = twinloop(capsys, "train", "photos", *FAKES, "--output", "lora_v2.safetensors", "--json")
    assert again.data == said.data and (home / "lora_v2.safetensors").stat().st_mtime_ns == before
    assert not list(home.glob(".training_*"))


def test_another_training_does_not_overwrite_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twinloop(capsys, "train", "photos", *FAKES, "--output", "mine.safetensors")
    before = (home / "mine.safetensors").read_bytes()
    said = twinloop(capsys, "train", "photos", *FAKES, "--seed", "5", "--output", "mine.safetensors")
    assert said.code == 2 and "exists and was made from other photos or settings" in said.err
    assert (home / "mine.safetensors").read_bytes() == before


def test_masks_are_looked_at_before_the_photos_and_counted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = sorted((home / "photos").glob("*.png"))[-1]
    (home / "masks").mkdir()
    with Image.open(photo) as image:
        wrong, right = Image.new("L", (image.width, 3 * image.height), 255), Image.new("L", image.size, 255)
    config = configuration(home, training={"steps": 3, "masks": "masks"})
    for argv in (("train", "photos", "--config", config, "--output", "mine.safetensors"), ("run", "--config", config)):
        wrong.save(home / "masks" / photo.name)
        said = twinloop(capsys, *argv)
        assert said.code == 2 and f"training.masks: masks/{photo.name} is" in said.err, said.err
        assert not (home / "out" / "dataset_iter0.json").exists()
        right.save(home / "masks" / photo.name)
        said = twinloop(capsys, *argv)
        assert said.code == 0 and "1 of " in said.out and " with a mask; " in said.out, said.err
    right.point(lambda grey: grey // 2).save(home / "masks" / photo.name)
    said = twinloop(capsys, "train", "photos", "--config", config, "--output", "mine.safetensors")
    assert said.code == 2 and "exists and was made from other photos or settings" in said.err


def test_prior_images_without_a_picture_are_told_before_the_photos_are_looked_at(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinloop.manual.look_at", lambda *_: pytest.fail("the photos were looked at"))
    (home / "others").mkdir()
    config = configuration(home, training={"steps": 3, "prior_images": "others"})
    said = twinloop(capsys, "train", "photos", "--config", config, "--output", "mine.safetensors")
    assert said.code == 2 and "training.prior_images: no usable image in others" in said.err


def test_what_only_rounds_begin_with_is_told_where_a_folder_is_trained_on(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert twinloop(capsys, "train", "photos", *FAKES, "--output", "v 1.safetensors").code == 0
    first = Path("v 1.safetensors").read_bytes()
    config = configuration(home, training={"steps": 4, "initial_lora": "v 1.safetensors", "warm_start": True})
    said = twinloop(capsys, "train", "photos", "--config", config, "--output", "mine.safetensors")
    assert said.code == 0, said.err
    assert "To go on from that file: --start-from 'v 1.safetensors'" in said.err
    assert "training.warm_start is about the rounds of a run" in said.err
    assert Path("mine.safetensors").read_bytes() != first
    begun = ("--start-from", "v 1.safetensors", "--output", "begun.safetensors")
    said = twinloop(capsys, "train", "photos", "--config", config, *begun)
    assert said.code == 0 and "of a run" not in said.err, said.err


def test_the_first_lora_of_a_run_is_the_one_that_the_loop_goes_on_from(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home)
    said = twinloop(capsys, "train", "--config", config)
    assert said.code == 0, said.err
    first = (home / "loras/lora_v1.safetensors").read_bytes()
    assert twinloop(capsys, "run", "--config", config).code == 0
    assert (home / "loras/lora_v1.safetensors").read_bytes() == first
    split = loops.tree("out", "loras")
    shutil.rmtree("out")
    shutil.rmtree("loras")
    assert twinloop(capsys, "run", "--config", config).code == 0
    whole = loops.tree("out", "loras")
    assert {name for name in whole if "_2" not in name} == {name for name in split if "_2" not in name}
    assert whole["loras/lora_v1.safetensors"] == split["loras/lora_v1.safetensors"]


def test_approved_images_copied_into_the_folder_count_less_than_photos(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Option B of the loop: what was generated and approved is merged by hand, and its mark still tells it from a
    photo.
    """
    config = configuration(home)
    assert twinloop(capsys, "run", "--config", config).code == 0
    approved = sorted((home / "out/approved_iter1").glob("*.png"))
    assert approved
    for path in approved:
        shutil.copy(path, home / "photos" / path.name)
    said = twinloop(capsys, "train", "photos", *FAKES, "--output", "by_hand.safetensors")
    assert said.code == 0 and f"({len(approved)} synthetic)" in said.out, said.out
    record = json.loads((home / "by_hand.json").read_text())
    assert record["path"] == "by_hand.safetensors"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "Name the folder of photos"),
        (("photos", "--output", "lora.ckpt"), "LoRAs are written as .safetensors"),
        (("nowhere", *FAKES), "Folder not found: nowhere"),
    ],
)
def test_wrong_command_lines(home: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str) -> None:
    said = twinloop(capsys, "train", *argv)
    assert said.code == 2 and words in said.err


CHECKPOINTS = ("--steps", "16", "--keep-checkpoints", "4")


def trained(capsys: pytest.CaptureFixture[str], *more: object) -> Said:
    return twinloop(capsys, "train", "photos", *FAKES, *CHECKPOINTS, *more)


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `home`, with enough photos for some to be held out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1735223422")
    loops.write_photos(tmp_path / "photos", 24)
    return tmp_path


def test_the_best_checkpoint_is_taken_by_hand_as_in_a_run(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fake learns by heart after three quarters of its steps: the checkpoint there is the best."""
    said = trained(capsys, "--json")
    assert said.code == 0, said.err
    choice = json.loads((many / "lora.checkpoints.json").read_text())
    assert [entry["step"] for entry in choice["checkpoints"]] == [10, 12, 14, 16]
    assert said.data["steps"] == choice["chosen"] == 12
    assert f"Best of 4 checkpoints: step {choice['chosen']} (lora.checkpoints.json)" in said.err
    assert all("identity" in entry["metrics"] for entry in choice["checkpoints"])
    assert {path.name for path in many.iterdir()} == {
        "photos", "outputs", "lora.safetensors", "lora.json", "lora.checkpoints.json",
    }  # fmt: skip
    assert trained(capsys, "--json").data == said.data
    refused = trained(capsys, "--keep-checkpoints", "5")
    assert refused.code == 2 and "made from other photos or settings" in refused.err


def test_checkpoints_by_hand_are_measured_against_photos_that_were_held_out(
    many: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = FakeTrainer.train

    def counted(self: FakeTrainer, samples: Any, *rest: Any) -> Trained:
        seen.append(sum(sample.weight > 0 for sample in samples))
        return train(self, samples, *rest)

    monkeypatch.setattr(FakeTrainer, "train", counted)
    assert trained(capsys).code == 0
    assert twinloop(capsys, "train", "photos", *FAKES, "--output", "last.safetensors").code == 0
    *with_panel, without = seen
    assert len(with_panel) == 4 and len(set(with_panel)) == 1 and with_panel[0] < without


def test_a_validation_loss_by_hand_holds_photos_out(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = twinloop(capsys, "train", "photos", *FAKES, "--output", "plain.safetensors", "--json")
    assert plain.data["validation_loss"] is None and plain.data["validation_losses"] == []
    validated = ("--validate-every", "2", "--validation-times", "3")
    said = twinloop(capsys, "train", "photos", *FAKES, *validated, "--output", "mine.safetensors", "--json")
    assert said.code == 0, said.err
    assert [one["time"] for one in said.data["validation_losses"]] == [167, 500, 833]
    assert said.data["dataset_id"] != plain.data["dataset_id"], "some photos are held out"
    assert f"validation loss {said.data['validation_loss']:.4f})" in said.err and "no validation" not in said.err
    assert json.loads((many / "mine.json").read_text())["validation_loss"] == said.data["validation_loss"]
    measured = trained(capsys, "--output", "best.safetensors", "--json")
    assert measured.data["validation_loss"] is not None, "photos are held out anyway"
    off = trained(capsys, "--output", "off.safetensors", "--validate-every", "0", "--json")
    assert off.data["validation_loss"] is None and off.data["dataset_id"] == measured.data["dataset_id"]
    weights = [load_file(many / f"{name}.safetensors") for name in ("off", "best")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_why_there_is_no_validation_loss_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "train", "photos", *FAKES, "--validate-every", "2")
    assert said.code == 0 and said.err.count("no validation loss (training.validate_every)") == 1
    assert "20 or more; there are 12\n" in said.err
    assert "no validation loss" not in twinloop(capsys, "train", "photos", *FAKES, "--output", "b.safetensors").err
    config = configuration(home, training={"preset": "fake", "steps": 3, "validate_every": 2}, max_iterations=1)
    said = twinloop(capsys, "run", "--config", config)
    assert said.err.count("no validation loss (training.validate_every)") == 1


@pytest.mark.parametrize("killed_at", [2, 9])
def test_killed_while_checkpoints_are_measured_it_goes_on(
    many: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    assert trained(capsys, "--output", "whole.safetensors").code == 0
    kept, records = Journal.record, iter(range(1000))

    def record(self: Journal, key: str, data: Any = None) -> None:
        kept(self, key, data)
        if next(records) == killed_at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "record", record)
        assert trained(capsys).code == 130
    assert (many / ".measuring_lora/journal.jsonl").exists()
    assert trained(capsys).code == 0
    one, other = ((many / f"{name}.checkpoints.json").read_bytes() for name in ("whole", "lora"))
    assert one == other and not list(many.glob(".measuring*")) and not list(many.glob(".training*"))


def test_what_another_order_left_behind_is_not_taken_over(
    many: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trial, "settle", stop)
        assert trained(capsys, "--seed", "5").code == 130
    assert len(list((many / ".training_lora/candidates").glob("*.safetensors"))) == 4
    assert trained(capsys).code == 0
    assert json.loads((many / "lora.json").read_text())["seed"] == 0
    assert trained(capsys, "--output", "fresh.safetensors").code == 0
    one, other = ((many / f"{name}.checkpoints.json").read_bytes() for name in ("fresh", "lora"))
    assert one == other


def test_the_record_says_what_was_trained(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--adapter", "dora", "--rank", "6", "--alpha", "3", "--learning-rate", "0.002", "--batch-size", "2")
    assert twinloop(capsys, "train", "photos", *FAKES, *flags).code == 0
    record = json.loads((home / "lora.json").read_text())
    assert (record["adapter"], record["rank"], record["alpha"]) == ("dora", 6, 3.0)
    assert (record["asked"]["learning_rate"], record["asked"]["batch_size"]) == (0.002, 2)
    assert twinloop(capsys, "train", "photos", *FAKES, *flags).code == 0
    for other in ((*flags[:-1], "3"), (*flags, "--quantization", "int8"), (*flags, "--precision", "float32")):
        said = twinloop(capsys, "train", "photos", *FAKES, *other)
        assert said.code == 2 and "made from other photos or settings" in said.err


def test_so_few_photos_are_warned_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(Path("photos").iterdir())[1:]:
        path.unlink()
    said = twinloop(capsys, "train", "photos", *FAKES)
    assert said.code == 0 and "Dataset: 1 image used (0 synthetic), 0 left out\n" in said.out
    assert "only 1 real photo: a LoRA of so few learns the photos by heart; add 9 at least" in said.err


def test_a_wrong_configuration_of_a_run_is_told_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, dataset_dir="alcie", max_iterations=0)
    said = twinloop(capsys, "train", "--config", config, "--steps", "5")
    assert said.code == 2 and "2 mistakes" in said.err and "dataset_dir: no such folder: alcie" in said.err


def test_loras_on_the_way_lie_beside_the_one_that_is_trained(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("train", "photos", *FAKES[:-1], "9", "--output", "mine.safetensors")
    saving = (*asked, "--save-every", "2", "--max-step-saves-to-keep", "3")
    assert twinloop(capsys, *saving).code == 0
    found = sorted(path.name for path in home.glob("*.safetensors"))
    steps = [f"mine-step{step:08d}.safetensors" for step in (4, 6, 8)]
    assert found == [*steps, "mine.safetensors"]
    texts, last = header_texts(home / steps[0]), header_texts(home / "mine.safetensors")
    assert texts.keys() == last.keys() and texts["ss_output_name"] == "mine"
    before = (home / "mine.safetensors").read_bytes()
    (home / "mine.safetensors").unlink()
    said = twinloop(capsys, *saving)
    assert said.code == 2 and "mine-step00000004.safetensors is there already" in said.err
    assert twinloop(capsys, *asked).code == 0 and (home / "mine.safetensors").read_bytes() == before


def test_a_long_training_is_told_before_it_starts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, training={"epochs": 500})
    words = "training.epochs 500 on "
    for argv in (("run", "--dry-run", "--config", config), ("doctor", "--config", config)):
        said = twinloop(capsys, *argv)
        assert said.err.count(words) == 1, said.err
    short = configuration(home, training={"epochs": 9})
    for argv in (("train", "--config", short), ("train", "photos", "--config", short)):
        said = twinloop(capsys, *argv)
        assert said.code == 0 and said.err.count("training.epochs 9 on ") == 1, said.err
    shutil.rmtree("out")
    shutil.rmtree("loras")
    config = configuration(home, training={"epochs": 500, "max_train_steps": 6})
    said = twinloop(capsys, "train", "--config", config, "--json")
    assert said.code == 0 and words not in said.err and said.data["steps"] == 6


def test_a_file_is_trained_by_one_command_at_a_time(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Said] = []
    train = FakeTrainer.train

    def meanwhile(self: FakeTrainer, *order: Any) -> Trained:
        monkeypatch.setattr(FakeTrainer, "train", train)
        said.append(twinloop(capsys, "train", "photos", *FAKES, "--output", "new/mine.safetensors", "--seed", "5"))
        said.append(twinloop(capsys, "train", "photos", *FAKES, "--output", "new/other.safetensors"))
        return train(self, *order)

    monkeypatch.setattr(FakeTrainer, "train", meanwhile)
    assert twinloop(capsys, "train", "photos", *FAKES, "--output", "new/mine.safetensors").code == 0
    refused, other = said
    assert refused.code == 2 and (
        f"new/mine.safetensors is being made by another training (process {os.getpid()}). Wait for it" in refused.err
    )
    assert other.code == 0 and sorted(path.name for path in (home / "new").iterdir() if path.name[0] == ".") == []


def test_runs_with_one_folder_of_loras_do_not_train_at_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    with locked(home / "loras"):
        for command in (("run",), ("train",)):
            said = twinloop(capsys, *command, "--config", config)
            assert said.code == 2 and "loras is in use by another run (process" in said.err, said.err
            assert "choose another lora_output_dir" in said.err and not (home / "out").exists()
    assert twinloop(capsys, "run", "--config", config).code == 0


def test_a_run_s_first_lora_is_trained_once_and_new_photos_are_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, max_iterations=1)
    assert "nothing was trained" not in twinloop(capsys, "train", "--config", config).out
    shutil.copy("photos/IMG_0001.png", "later.png")
    Image.open("later.png").rotate(7).save("photos/later.png")
    again = twinloop(capsys, "train", "--config", config)
    assert again.code == 0 and "Version 1 was there already, and nothing was trained." in again.out
    assert f"twinloop run --config {config}" in again.out
    assert "1 picture in photos came after this run had begun and is not used (such as later.png)" in again.err
    anew = twinloop(capsys, "train", "--config", config, "--restart")
    assert anew.code == 0 and "nothing was trained" not in anew.out and Path("out.old1").is_dir()
    assert "came after" not in anew.err
    assert "later.png" in Path("out/dataset_iter0.json").read_text()
    wrong = twinloop(capsys, "train", "photos", "--restart", *FAKES)
    assert wrong.code == 2 and "goes with --config alone" in wrong.err


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_photo_that_is_gone_is_told_before_anything_else(
    command: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(home, max_iterations=1)
    assert twinloop(capsys, "train", "--config", config).code == 0
    Path("photos/IMG_0003.png").unlink()
    planned = twinloop(capsys, "run", "--config", config, "--dry-run")
    told = "photos/IMG_0003.png is gone or was changed since this run began"
    assert planned.code == 0 and f"Without --dry-run this is refused: {told}" in planned.err.replace("\n", " ")
    said = twinloop(capsys, command, "--config", config)
    assert said.code == 2 and told in said.err and not Path("out/panel_v1").exists()


def test_captions_with_another_trigger_are_told_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(home, max_iterations=1)
    Path("photos/person.json").write_text(json.dumps({"consent": {}, "prompt": "zwx ana woman"}))
    told = "the captions in photos begin with 'zwx ana woman', and person_trigger is 'ohwx ana'"
    for argv in (("doctor",), ("run", "--dry-run"), ("train",), ("run",)):
        said = twinloop(capsys, *argv, "--config", config)
        assert said.err.replace("\n", " ").count(told) == 1, argv
