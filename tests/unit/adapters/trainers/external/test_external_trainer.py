"""What can happen to a training by another program: errors, Ctrl-C, a loss that breaks down, wrong places."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.contract.makers import TRAINING, samples
from tests.helpers.external_trainers import ai_toolkit_trainer, installed, kohya_trainer, sd_scripts
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.trainers.external import process
from twinloop.adapters.trainers.external.aitoolkit import AiToolkit
from twinloop.adapters.trainers.external.kohya import Kohya
from twinloop.adapters.trainers.external.tool import ReportedStep, locate, network
from twinloop.adapters.trainers.external.trainer import ExternalTrainer
from twinloop.domain.records import Mask, TrainingSample
from twinloop.errors import InputError, Locked, MissingTool, StateError, ToolFailed, TrainingDiverged
from twinloop.families import FAMILIES
from twinloop.families.predictions import Asked
from twinloop.loras.adapter import understood
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Dialect, read_lora
from twinloop.store.atomic import sha256_file
from twinloop.store.models.lora_file import kohya_path

TEXTS = {"modelspec.trigger_phrase": "ohwx ana", "ss_output_name": "lora_v1"}
SETTINGS = dataclasses.replace(TRAINING, caption_dropout=0.0, alpha=2.0)


@pytest.fixture
def photos(tmp_path: Path) -> tuple[TrainingSample, ...]:
    return samples(tmp_path / "photos", count=3)


def train(
    trainer: ExternalTrainer,
    photos: tuple[TrainingSample, ...],
    home: Path,
    seen: list[tuple[int, int, float]] | None = None,
) -> Path:
    output = home / "lora.safetensors"
    told = seen if seen is not None else []
    trainer.train(photos, SETTINGS, output, home / "work", TEXTS, lambda *step: told.append(step))
    return output


def test_kohyas_lora_comes_home_in_both_dialects(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    seen: list[tuple[int, int, float]] = []
    output = train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "home", seen)
    file, copy = read_lora(output), read_lora(kohya_path(output))
    assert (file.dialect, copy.dialect) == (Dialect.DIFFUSERS, Dialect.KOHYA)
    theirs = understood(read_lora(tmp_path / "home" / "work" / "output" / "lora_v1.safetensors"))
    assert theirs.family == "sdxl"
    for made in (understood(file), understood(copy)):
        assert made.layers.keys() == theirs.layers.keys()
        assert all(part.up.same(theirs.layers[place].up) and part.alpha == 2.0 for place, part in made.layers.items())
    assert file.texts["twinloop.trainer"] == "kohya 0123456789ab" and file.texts["ss_network_alpha"] == "2"
    assert file.texts["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert file.texts["ss_network_module"] == "networks.lora"
    assert not {"ss_dataset_dirs", "ss_tag_frequency"} & file.texts.keys()
    # a bar is drawn before its loss
    assert [step for step, _, _ in seen] == [1, 2, 3, 4, 5, 6] and seen[3][2] in (
        pytest.approx(1 / 3, abs=1e-3),
        0.25,
    )
    assert float((tmp_path / "home" / "work" / "done").read_text()) == pytest.approx(1 / 6, abs=1e-3)


def test_a_base_in_the_home_folder_is_told_by_its_whole_path(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.safetensors").touch()
    train(kohya_trainer(tmp_path / "sd-scripts", "~/mine.safetensors"), photos, tmp_path / "home")
    told = tomllib.loads((tmp_path / "home" / "work" / "training.toml").read_text())["model"]
    assert told["pretrained_model_name_or_path"] == str(tmp_path / "mine.safetensors")


def test_captions_beyond_a_chunk_are_in_the_header(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    short = read_lora(train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "short"))
    assert "ss_max_token_length" not in short.texts
    long = (*photos[1:], dataclasses.replace(photos[0], caption=", ".join(["ohwx ana", *["blue sky"] * 30])))
    made = read_lora(train(kohya_trainer(tmp_path / "sd-scripts"), long, tmp_path / "long"))
    assert made.texts["ss_max_token_length"] == "225"
    config = tomllib.loads((tmp_path / "long" / "work" / "training.toml").read_text())
    assert config["dataset"]["max_token_length"] == 225


def test_ai_toolkits_lora_comes_home(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    output = train(ai_toolkit_trainer(tmp_path / "ai-toolkit"), photos, tmp_path / "home")
    assert read_lora(output).dialect is Dialect.DIFFUSERS
    copy = read_lora(kohya_path(output))
    assert copy.dialect is Dialect.KOHYA and "lora_unet_double_blocks_0_img_attn_qkv" in copy.layers
    assert copy.texts["ss_network_module"] == "networks.lora_flux"


def test_what_the_program_does_otherwise_is_said_once_and_not_claimed(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    said: list[str] = []
    trainer = ai_toolkit_trainer(tmp_path / "ai-toolkit", notice=said.append)
    asked = dataclasses.replace(SETTINGS, schedule="cosine_restarts", restarts=2, warmup_steps=1)
    for name in ("v1", "v2"):
        output = tmp_path / name / "lora.safetensors"
        trainer.train(photos, asked, output, tmp_path / name / "work", TEXTS, lambda *step: None)
    about = ("alpha is", "not warmed up", "falls once, without restarts")
    assert len(said) == 3 and all(words in one for words, one in zip(about, said, strict=True)), said
    assert said == trainer.notes(asked, prior=False)
    assert "12 steps instead of 6" in trainer.notes(asked, prior=True)[0]
    texts = read_lora(output).texts
    assert (texts["ss_lr_scheduler"], texts["ss_lr_warmup_steps"], texts["ss_min_snr_gamma"]) == ("cosine", "0", "0.0")


def test_a_lora_whose_layers_do_not_tell_its_base_is_read_as_what_was_trained(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    trainer = ai_toolkit_trainer(tmp_path / "ai-toolkit")
    script = tmp_path / "ai-toolkit" / "run.py"
    text, single = script.read_text(), '\n    ("transformer.single_transformer_blocks.3.proj_mlp", 96, 24),'
    assert single in text
    script.write_text(text.replace(single, ""))
    copy = read_lora(kohya_path(train(trainer, photos, tmp_path / "home")))
    assert list(copy.layers) == ["lora_unet_double_blocks_0_img_attn_qkv"]


def test_an_error_shows_the_last_lines_and_keeps_the_log(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "crash")
    trainer = kohya_trainer(tmp_path / "sd-scripts")
    with pytest.raises(
        ToolFailed, match=r"sd-scripts ended with exit code 1(.|\n)*CUDA out of memory(.|\n)*trainer\.log"
    ) as caught:
        train(trainer, photos, tmp_path / "home")
    assert "steps:" not in str(caught.value).split("Its last lines:")[1].split("Traceback")[0]
    assert "CUDA out of memory" in (tmp_path / "home" / "work" / "trainer.log").read_text()
    assert not (tmp_path / "home" / "lora.safetensors").exists()
    monkeypatch.delenv("STAND_IN")
    assert train(trainer, photos, tmp_path / "home").exists()


def test_a_loss_that_breaks_down_ends_it_at_once(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "nan")
    for trainer in (kohya_trainer(tmp_path / "sd-scripts"), ai_toolkit_trainer(tmp_path / "ai-toolkit")):
        began = time.monotonic()
        with pytest.raises(TrainingDiverged, match="no longer a number"):
            train(trainer, photos, tmp_path / trainer.fingerprint)
        assert time.monotonic() - began < 60, "the stand-in would sleep for a minute"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_a_program_that_does_not_listen(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang")
    monkeypatch.setenv("STAND_IN_PID", str(tmp_path / "pid"))
    monkeypatch.setattr(process, "GRACE", (0.2, 0.2))

    def interrupt(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    trainer = kohya_trainer(tmp_path / "sd-scripts")
    with pytest.raises(KeyboardInterrupt):
        trainer.train(photos, SETTINGS, tmp_path / "lora.safetensors", tmp_path / "work", TEXTS, interrupt)
    if (tmp_path / "pid").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("deaf", [False, True])
def test_what_the_program_started_ends_with_it(tmp_path: Path, deaf: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the program itself is gone at once, and where its children do not listen."""
    monkeypatch.setattr(process, "GRACE", (2.0, 0.3 if deaf else 5.0))
    child = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        f" {'signal.signal(signal.SIGTERM, signal.SIG_IGN); ' if deaf else ''}print(f'child {{os.getpid()}}!',"
        " flush=True); time.sleep(60)"
    )
    leader = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    seen = list[int]()

    def heed(line: str) -> None:
        if line.startswith("child") and line.endswith("!"):  # it may come in pieces
            seen.append(int(line[6:-1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run(
            process.Command([sys.executable, "-c", leader], tmp_path), tmp_path / "log", heed, tmp_path / "note"
        )
    assert ends(seen[0]) and not (tmp_path / "note").exists()


def runs(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked about yet."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(told) and not told.startswith("Z")


def ends(pid: int) -> bool:
    """Whether a process is gone, or will be in two seconds."""
    for _ in range(100):
        if not runs(pid):
            return True
        time.sleep(0.02)
    return False


STARTER = """
import signal, sys
from pathlib import Path
from twinloop.adapters.trainers.external.process import Command, run
for number in (signal.SIGINT, signal.SIGHUP):  # a test session in the background has them ignored
    signal.signal(number, signal.SIG_DFL)
program = "import os, time; print(f'pid {os.getpid()}!', flush=True); time.sleep(60)"
command = Command([sys.executable, "-c", program], Path())
run(command, Path("log"), lambda line: print(line, flush=True), Path(sys.argv[1]))
"""
"""Has a program run that says its number, and waits for it."""


def started(note: Path) -> tuple[subprocess.Popen[str], int]:
    """A command, and the process that it started and waits for."""
    note.parent.mkdir(parents=True, exist_ok=True)
    command = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(note)], cwd=note.parent, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(process.__file__).parents[4])},
    )  # fmt: skip
    assert command.stdout is not None
    said = next(line for line in command.stdout if line.startswith("pid") and line.endswith("!\n"))
    return command, int(said[4:-2])


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_ends_the_command_ends_the_program_too(tmp_path: Path, name: str) -> None:
    """A service manager's word, or the end of the terminal; the exit status is as by that signal."""
    number = getattr(signal, name)
    command, program = started(tmp_path / "trainer.pid")
    with command:
        command.send_signal(number)
        assert command.wait(30) == -number and ends(program) and not (tmp_path / "trainer.pid").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_program_whose_command_was_killed_is_ended_by_the_next_start(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    heard: list[str] = []
    trainer, home = kohya_trainer(tmp_path / "sd-scripts", notice=heard.append), tmp_path / "home"
    command, program = started(home / "work" / "trainer.pid")
    with command:
        command.kill()
    assert runs(program)
    assert train(trainer, photos, home).exists() and ends(program)
    assert f"process {program}" in heard[0] and "It is being stopped" in heard[0]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_two_commands_do_not_train_in_one_work_folder(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    note = tmp_path / "home" / "work" / "trainer.pid"
    command, program = started(note)
    with command:
        with pytest.raises(Locked, match=f"another command \\(process {command.pid}\\)"):
            train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "home")
        time.sleep(0.2)  # what a signal ended would be gone by then
        assert runs(program) and json.loads(note.read_text())["pid"] == program
        command.terminate()


@pytest.mark.parametrize("make", [kohya_trainer, ai_toolkit_trainer])
def test_a_lora_that_cannot_be_used_does_not_block_the_next_start(
    make: Callable[[Path], ExternalTrainer], photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    trainer, home = make(tmp_path / "program"), tmp_path / "home"
    scripts = list((tmp_path / "program").glob("*.py"))
    whole = {path: path.read_text() for path in scripts}
    for path, text in whole.items():
        path.write_text(text.replace("save_file(tensors, ", "save_file({'x': np.ones(1, np.float32)}, "))
    with pytest.raises(ToolFailed, match="wrote a LoRA that cannot be used") as caught:
        train(trainer, photos, home)
    kept = home / "work" / "lora_v1.safetensors.unusable"
    assert str(home / "work") in str(caught.value) and str(kept) in str(caught.value) and kept.is_file()
    for path, text in whole.items():
        path.write_text(text)
    seen: list[tuple[int, int, float]] = []
    assert train(trainer, photos, home, seen).exists() and seen[0][0] == 5, "it goes on from what was saved"


def test_only_whole_states_are_gone_on_from(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that was being written when the process was killed is passed over, and so is one after the last step."""
    monkeypatch.setenv("STAND_IN", "crash")
    trainer = kohya_trainer(tmp_path / "sd-scripts")
    with pytest.raises(ToolFailed):
        train(trainer, photos, tmp_path / "home")
    output = tmp_path / "home" / "work" / "output"
    assert (output / "lora_v1-step00000002-state" / "train_state.json").is_file()
    (output / "lora_v1-step00000004-state").mkdir()
    (output / "lora_v1-step00000004-state" / "train_state.json").write_text("{}")
    monkeypatch.delenv("STAND_IN")
    seen: list[tuple[int, int, float]] = []
    train(trainer, photos, tmp_path / "home", seen)
    assert [step for step, _, _ in seen] == [3, 4, 5, 6]


def test_a_training_that_went_on_and_is_interrupted_again_goes_on_from_the_states_before(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sd-scripts counts steps from within an epoch once it has gone on: the numbers of its later states are not those
    of the training.
    """
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # headers hold the date
    whole = train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "undisturbed").read_bytes()
    monkeypatch.setenv("STAND_IN", "crash")
    trainer, home = kohya_trainer(tmp_path / "sd-scripts"), tmp_path / "home"
    for _ in range(2):
        with pytest.raises(ToolFailed):
            train(trainer, photos, home)
    wrong = home / "work" / "output" / "resumed" / "lora_v1-step00000004-state"
    wrong.mkdir(parents=True)
    for name in ("train_state.json", "random_states_0.pkl"):
        (wrong / name).write_text('{"current_step": 4, "state": "another"}')
    monkeypatch.delenv("STAND_IN")
    seen: list[tuple[int, int, float]] = []
    assert train(trainer, photos, home, seen).read_bytes() == whole
    assert [step for step, _, _ in seen] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "first_step", "told"),
    [
        ({"tensorboard": False}, 3, 0),
        ({"gradient_checkpointing": True}, 3, 0),
        ({"learning_rate": 2e-3}, 1, 1),
        ("damaged record", 1, 1),
    ],
)
def test_only_what_decides_the_weights_begins_a_training_anew_and_that_is_said(
    photos: tuple[TrainingSample, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any] | str,
    first_step: int,
    told: int,
) -> None:
    heard: list[str] = []
    trainer, home = kohya_trainer(tmp_path / "sd-scripts", notice=heard.append), tmp_path / "home"
    with monkeypatch.context() as crashing:
        crashing.setenv("STAND_IN", "crash")
        with pytest.raises(ToolFailed):
            train(trainer, photos, home)
    assert heard == []
    settings, seen = SETTINGS, list[int]()
    if isinstance(change, str):
        (home / "work" / "external.json").write_text("{")
    else:
        settings = dataclasses.replace(SETTINGS, **change)
    trainer.train(photos, settings, home / "lora.safetensors", home / "work", TEXTS, lambda step, *_: seen.append(step))
    assert seen[0] == first_step and len(heard) == told
    assert all("begins at step 1" in text for text in heard)


def test_with_accumulated_gradients_sd_scripts_starts_anew(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(SETTINGS, gradient_accumulation=2)
    trainer, seen = kohya_trainer(tmp_path / "sd-scripts"), list[int]()

    def told(step: int, steps: int, loss: float) -> None:
        seen.append(step)

    monkeypatch.setenv("STAND_IN", "crash")
    with pytest.raises(ToolFailed):
        trainer.train(photos, settings, tmp_path / "lora.safetensors", tmp_path / "work", TEXTS, told)
    monkeypatch.delenv("STAND_IN")
    seen.clear()
    trainer.train(photos, settings, tmp_path / "lora.safetensors", tmp_path / "work", TEXTS, told)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_the_gpu_is_left_before_the_program_starts(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    left: list[bool] = []
    tool, output = Kohya(), tmp_path / "home" / "work" / "output"
    trainer = ExternalTrainer(
        tool,
        installed(tool, sd_scripts(tmp_path / "sd-scripts")),
        BaseChoice("someone/some-sdxl"),
        FAMILIES["sdxl"],
        make_room=lambda: left.append(output.exists()),
    )
    train(trainer, photos, tmp_path / "home")
    assert left == [False]


def test_a_save_that_was_cut_short_is_taken_away(
    photos: tuple[TrainingSample, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ai-toolkit would try to go on from it, and fail, each time."""
    monkeypatch.setenv("STAND_IN", "crash")
    trainer = ai_toolkit_trainer(tmp_path / "ai-toolkit")
    with pytest.raises(ToolFailed):
        train(trainer, photos, tmp_path / "home")
    broken = tmp_path / "home" / "work" / "output" / "lora_v1" / "lora_v1_000000004.safetensors"
    broken.write_bytes(broken.with_name("lora_v1_000000002.safetensors").read_bytes()[:-3])
    monkeypatch.delenv("STAND_IN")
    seen: list[tuple[int, int, float]] = []
    train(trainer, photos, tmp_path / "home", seen)
    assert [step for step, _, _ in seen] == [3, 4, 5, 6]


def test_a_photo_that_changed_is_named(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    photos[1].path.write_bytes(b"another picture")
    with pytest.raises(StateError, match=r"1\.png is gone or changed"):
        train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "home")


def test_kohyas_lokr_comes_home_as_one(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    trainer, output = kohya_trainer(tmp_path / "sd-scripts"), tmp_path / "lora.safetensors"
    trainer.train(
        photos,
        dataclasses.replace(SETTINGS, adapter="lokr", lokr_factor=8),
        output,
        tmp_path / "work",
        TEXTS,
        lambda *step: None,
    )
    theirs = understood(read_lora(tmp_path / "work" / "output" / "lora_v1.safetensors")).layers
    for path in (output, kohya_path(output)):
        file = read_lora(path)
        assert file.method == "LoKr" and file.texts["ss_network_module"] == "lycoris.kohya"
        for place, layer in understood(file).layers.items():
            other = theirs[place]
            assert isinstance(layer, Kronecker) and isinstance(other, Kronecker) and layer.scale == other.scale
            assert all(raw.same(other.parts[part]) for part, raw in layer.parts.items())


def test_what_a_program_does_not_train_is_refused_first(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    tool = Kohya()
    where = installed(tool, sd_scripts(tmp_path / "sd-scripts"))
    with pytest.raises(InputError, match=r"does not train zimage LoRAs.*sd15, sdxl, sd35, flux"):
        train(ExternalTrainer(tool, where, BaseChoice("base"), FAMILIES["zimage"]), photos, tmp_path / "a")
    with pytest.raises(InputError, match=r"--clip_l=FILE, --t5xxl=FILE, --ae=FILE"):
        train(ExternalTrainer(tool, where, BaseChoice("base"), FAMILIES["flux"]), photos, tmp_path / "b")


def test_settings_that_a_program_has_no_word_for_are_refused(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    asked = dataclasses.replace(SETTINGS, ema_decay=0.99, face_weight=3.0, stop_at=2, adapter="dora")
    for trainer, words in (
        (
            kohya_trainer(tmp_path / "k"),
            "training.ema_decay, training.face_weight, training.adapter dora, training.keep_checkpoints",
        ),
        (ai_toolkit_trainer(tmp_path / "a"), "training.face_weight, training.adapter dora, training.keep_checkpoints"),
    ):
        with pytest.raises(InputError, match=f"cannot do {words}"):
            trainer.train(photos, asked, tmp_path / "lora.safetensors", tmp_path / "work", TEXTS, lambda *step: None)
    assert not (tmp_path / "work").exists()


def test_what_would_come_to_nothing_here_is_refused_before_any_photo_is_looked_at(tmp_path: Path) -> None:
    """What a configuration may ask of the built-in trainer alone, and what another program saves on the way."""
    asked = dataclasses.replace(
        SETTINGS, memory=12, blocks_to_swap=4, start_from="a", save_every=2, validate_every=2, wandb="project"
    )
    words = "training.blocks_to_swap, training.memory, training.start_from, training.save_every"
    for trainer, told in (
        (kohya_trainer(tmp_path / "k"), words.replace("training.blocks_to_swap, ", "")),
        (ai_toolkit_trainer(tmp_path / "a"), words),
    ):
        with pytest.raises(InputError, match=f"cannot do {told}, training.validate_every, training.wandb"):
            trainer.check(asked)
    with pytest.raises(InputError, match=r"blocks_to_swap: .* swaps blocks of .*flux and sd35 only, not of sdxl"):
        kohya_trainer(tmp_path / "k").check(dataclasses.replace(SETTINGS, blocks_to_swap=4))


def test_pictures_of_other_people_are_told_apart(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    mixed = (*photos[:2], dataclasses.replace(photos[2], prior=True))
    train(kohya_trainer(tmp_path / "sd-scripts"), mixed, tmp_path / "home")
    subsets = tomllib.loads((tmp_path / "home" / "work" / "dataset.toml").read_text())["datasets"][0]["subsets"]
    assert [(subset["is_reg"], subset["class_tokens"]) for subset in subsets][-1] == (True, "person")
    assert sum(subset["is_reg"] for subset in subsets) == 1
    arguments = tomllib.loads((tmp_path / "home" / "work" / "training.toml").read_text())["training"]
    assert arguments["prior_loss_weight"] == SETTINGS.prior_weight


@pytest.mark.parametrize("make", [kohya_trainer, ai_toolkit_trainer])
def test_masks_lie_beside_the_pictures(
    make: Callable[[Path], ExternalTrainer], photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    """One for each; the stand-ins look for them. Another mask is another training."""
    made = []
    for grey in (100, 200):
        path = tmp_path / "mask.png"
        Image.new("L", (96, 72), grey).save(path)
        masked = (dataclasses.replace(photos[0], mask=Mask(path, sha256_file(path))), *photos[1:])
        made.append(train(make(tmp_path / "program"), masked, tmp_path / "home").read_bytes())
    assert made[0] != made[1] != train(make(tmp_path / "program"), photos, tmp_path / "home").read_bytes()


def test_kohyas_flux_with_its_parts(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    """Their own flags reach the program; the stand-in for FLUX.1 does not know them and says so, as argparse does."""
    tool = Kohya()
    parts = ("--clip_l=a", "--t5xxl=b", "--ae=c")
    trainer = ExternalTrainer(
        tool, installed(tool, sd_scripts(tmp_path / "sd-scripts"), *parts), BaseChoice("me/flux"), FAMILIES["flux"]
    )
    with pytest.raises(ToolFailed, match=r"unrecognized arguments: --clip_l=a --t5xxl=b --ae=c"):
        train(trainer, photos, tmp_path / "home")


@pytest.mark.parametrize("tool", [Kohya(), AiToolkit()], ids=lambda tool: tool.program.name)
def test_not_installed_is_one_clear_error(tool: Kohya | AiToolkit, tmp_path: Path) -> None:
    with pytest.raises(
        MissingTool, match=rf"training\.trainer_path does not say where.*git clone {tool.url}.*\"builtin\""
    ):
        locate(tool, None, None, ())
    with pytest.raises(MissingTool, match=rf"is not .*: there is no {tool.main} in it"):
        locate(tool, str(tmp_path), None, ())
    (tmp_path / tool.main).write_text("")
    with pytest.raises(MissingTool, match=r"trainer_python: there is no /nowhere/python"):
        locate(tool, str(tmp_path), "/nowhere/python", ())
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").write_text("")
    assert locate(tool, str(tmp_path), None, ()).python == tmp_path / "venv" / "bin" / "python"


def test_a_program_that_cannot_be_started(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    tool = AiToolkit()
    trainer = ai_toolkit_trainer(tmp_path / "ai-toolkit")
    broken = tmp_path / "python"
    broken.write_text("not a program")
    where = locate(tool, str(tmp_path / "ai-toolkit"), str(broken), ())
    with pytest.raises(MissingTool, match="cannot be started"):
        train(ExternalTrainer(tool, where, BaseChoice("base"), FAMILIES["flux"]), photos, tmp_path / "home")
    assert trainer.fingerprint != ExternalTrainer(tool, where, BaseChoice("base"), FAMILIES["flux"]).fingerprint


def test_downloads_only_when_allowed() -> None:
    assert network(True) == {} and network(False)["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("steps:  45%|####5     | 27/60 [01:10<12:25,  2.6s/it, avr_loss=0.124]", ReportedStep(32, 0.124)),
        ("steps:   0%|          | 0/60 [00:00<?, ?it/s]", ReportedStep(5, None)),
        (
            "steps: 100%|██████████| 60/60 [01:10<00:00,  1.2it/s, Average key norm=0.01, avr_loss=1e-3]",
            ReportedStep(65, 1e-3),
        ),
        ("caching latents: 100%|##########| 5/5 [00:00<00:00, 90.1it/s]", None),
        ("epoch validation steps: 10%|#  | 1/10 [00:00<00:00, 9.1it/s]", None),
        ("epoch 1/10", None),
    ],
)
def test_kohyas_progress(line: str, seen: ReportedStep | None) -> None:
    assert Kohya().seen(line, 5) == seen


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (
            "lora_v1:  50%|#####     | 750/1500 [12:34<12:34,  1.41s/it, lr: 1.0e-04 loss: 1.234e-01]",
            ReportedStep(750, 0.1234),
        ),
        ("lora_v1:   0%|          | 0/1500 [00:00<?, ?it/s]", None),
        ("Caching latents to disk: 100%|##########| 40/40 [00:00<00:00, 90.1it/s]", None),
    ],
)
def test_ai_toolkits_progress(line: str, seen: ReportedStep | None) -> None:
    assert AiToolkit().seen(line, 5) == seen


def test_numbers_of_the_lora_are_those_of_the_program(photos: tuple[TrainingSample, ...], tmp_path: Path) -> None:
    one = train(kohya_trainer(tmp_path / "sd-scripts"), photos, tmp_path / "a")
    other = train(kohya_trainer(tmp_path / "sd-scripts", "someone/some-sdxl", "--unet_lr=0.1"), photos, tmp_path / "b")
    first, second = (next(iter(read_lora(path).layers.values())) for path in (one, other))
    assert first.rank == SETTINGS.rank and np.isfinite(first.up.values()).all() and first.up.same(second.up)


def test_prior_images_are_all_read_and_take_no_steps_and_no_passes_from_the_subject(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    prior = tuple(dataclasses.replace(one, prior=True) for one in samples(tmp_path / "reg", count=8))
    weighed = (*(dataclasses.replace(one, weight=1.0 + n / 10) for n, one in enumerate(photos)), *prior)
    for trainer, home in (
        (kohya_trainer(tmp_path / "sd-scripts"), tmp_path / "a"),
        (ai_toolkit_trainer(tmp_path / "ai-toolkit"), tmp_path / "b"),
    ):
        seen: list[tuple[int, int, float]] = []
        made = read_lora(train(trainer, weighed, home, seen))
        assert [step[:2] for step in seen] == [(n, 6) for n in range(1, 7)]
        assert float((home / "work" / "done").read_text()) == pytest.approx(1 / 12, abs=1e-3)
        assert made.texts["modelspec.description"] == "Character LoRA, trained on 3 images in 6 steps"
        assert made.texts["ss_epoch"] == str(round(6 * SETTINGS.effective_batch / 3))
    theirs = read_lora(tmp_path / "a" / "work" / "output" / "lora_v1.safetensors")
    assert theirs.texts["ss_num_reg_images"] == "8"


def test_a_program_is_told_what_the_base_predicts_and_keeps_only_what_it_goes_on_from(
    photos: tuple[TrainingSample, ...], tmp_path: Path
) -> None:
    tool = Kohya()
    where = installed(tool, sd_scripts(tmp_path / "sd-scripts"))
    plain, told = (
        ExternalTrainer(tool, where, BaseChoice("someone/some-sdxl", prediction=asked), FAMILIES["sdxl"])
        for asked in (Asked(), Asked("v_prediction", True))
    )
    assert plain.fingerprint != told.fingerprint
    train(told, photos, tmp_path / "a")
    found = tomllib.loads((tmp_path / "a" / "work" / "training.toml").read_text())
    assert found["model"]["v_parameterization"] is found["model"]["zero_terminal_snr"] is True
    assert found["output"]["save_last_n_steps"] == 1
