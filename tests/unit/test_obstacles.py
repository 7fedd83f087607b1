"""What keeps a training from starting is known before photos are looked at, all of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.functional import loops
from tests.functional.console import ROOT, twinloop
from tests.helpers.external_trainers import ai_toolkit, sd_scripts
from tests.unit.things import Recording
from twinloop.config import Settings
from twinloop.errors import ConfigError, InputError, MissingExtra, NothingToDo
from twinloop.store.atomic import write_json
from twinloop.wiring import build_makers, build_toolbox
from twinloop.wiring.obstacles import obstacles

PROGRAMS = {"kohya": sd_scripts, "ai-toolkit": ai_toolkit}

FLUX = "some/FLUX.1-dev"
KOHYA: dict[str, Any] = {"trainer": "kohya", "extra_args": ["--clip_l=a", "--t5xxl=b", "--ae=c"]}
AURAFLOW: dict[str, Any] = {
    "base": "some/auraflow",
    "training": {"preset": "auraflow"},
    "analysis": {"plugins": [str(ROOT / "examples" / "auraflow_family.py")]},
}
"""A family of a plug-in, without an image-to-image pipeline."""


def found(home: Path, *, base: str, training: dict[str, Any], **changes: Any) -> list[str]:
    program = training.get("trainer", "builtin")
    if program != "builtin":
        PROGRAMS[program](home / program)
        training = {**training, "trainer_path": str(home / program)}
    settings = loops.settings(base_model=base, training=training, **changes)
    return [str(error) for error in obstacles(settings, build_makers(settings))]


@pytest.mark.parametrize(
    ("base", "training", "words"),
    [
        (
            "some/sdxl",
            {"trainer": "kohya", "adapter": "dora", "ema_decay": 0.9},
            "training.ema_decay, training.adapter dora",
        ),
        ("some/FLUX.1-dev", {"trainer": "kohya"}, "--clip_l=FILE, --t5xxl=FILE, --ae=FILE"),
        ("Tongyi-MAI/Z-Image", {"trainer": "kohya"}, "does not train zimage"),
        ("Qwen/Qwen-Image-Edit", {"trainer": "ai-toolkit"}, "does not train qwen-image-edit"),
        ("some/sdxl", {"trainer": "kohya", "assistant_lora": "a.safetensors"}, "cannot do training.assistant_lora"),
        (
            "some/sdxl",
            {"trainer": "ai-toolkit", "assistant_lora": "a.safetensors"},
            "on models of flux, zimage, krea2 only",
        ),
        ("some/FLUX.1-dev", {"trainer": "ai-toolkit", "text_encoder": True}, "text encoders of sd15 and sdxl only"),
        (FLUX, {**KOHYA, "caption_dropout": 0.1}, "training.caption_dropout: kohya's sd-scripts caches"),
        (
            FLUX,
            {**KOHYA, "shuffle_captions": True, "keep_tokens": 2, "caption_tag_dropout_rate": 0.1},
            "training.caption_tag_dropout_rate, training.shuffle_captions, training.keep_tokens: kohya's sd-scripts",
        ),
        ("some/sdxl", {**KOHYA, "keep_trigger": True}, "training.keep_trigger: kohya's sd-scripts drops a caption"),
        ("some/sdxl", {"trainer": "ai-toolkit", "keep_trigger": False}, "training.keep_trigger: ai-toolkit puts"),
    ],
)
def test_what_another_trainer_does_not_know(tmp_path: Path, base: str, training: dict[str, Any], words: str) -> None:
    assert words in found(tmp_path, base=base, training=training)[0]


def test_what_another_trainer_knows(tmp_path: Path) -> None:
    for program in PROGRAMS:
        told = found(tmp_path, base="some/sdxl", training={"trainer": program, "adapter": "lokr", "lokr_factor": 8})
        assert not any(program in line or "photo" in line for line in told)


@pytest.mark.parametrize(
    ("base", "training"),
    [
        (FLUX, KOHYA),  # captions would be dropped now and then, without being asked for
        (FLUX, {**KOHYA, "caption_dropout": 0, "shuffle_captions": False, "keep_trigger": True}),
        ("some/sdxl", {**KOHYA, "keep_trigger": False, "shuffle_captions": True, "caption_tag_dropout_rate": 0.1}),
        ("some/sdxl", {**KOHYA, "keep_trigger": True, "caption_dropout": 0}),
        ("some/sdxl", {"trainer": "ai-toolkit", "keep_trigger": True}),
    ],
)
def test_captions_as_another_trainer_reads_them(tmp_path: Path, base: str, training: dict[str, Any]) -> None:
    assert not any("caption" in line or "trigger" in line for line in found(tmp_path, base=base, training=training))


@pytest.mark.parametrize(
    ("base", "references", "words"),
    [
        ("nano", 2, "do not look at photos"),
        ("Qwen/Qwen-Image-Edit-2509", 9, "look at 3 photos at most"),
        ("some/FLUX.1-Kontext-dev", 2, "look at 1 photo at most"),
    ],
)
def test_more_photos_than_a_model_looks_at(tmp_path: Path, base: str, references: int, words: str) -> None:
    told = found(tmp_path, base=base, training={}, generation={"references": references})
    assert any(line.startswith(f"generation.references: {references}, ") and words in line for line in told)


@pytest.mark.parametrize(
    ("base", "size", "said"),
    [
        (
            "nano",
            {"width": 250, "height": 256},
            "generation: width 250: this base model makes sizes that are multiples of 8, such as width 248.",
        ),
        ("some/FLUX.1-dev", {"width": 1000, "height": 1020}, "multiples of 16, such as width 992 and height 1008."),
    ],
)
def test_a_size_that_no_model_of_the_family_makes(tmp_path: Path, base: str, size: dict[str, int], said: str) -> None:
    (told,) = (line for line in found(tmp_path, base=base, training={}, generation=size) if "multiples" in line)
    assert told.endswith(said)


def test_photos_that_a_family_cannot_start_from(tmp_path: Path) -> None:
    wanted = found(tmp_path, **AURAFLOW, generation={"from_photos": 0.5})
    assert any("the family 'auraflow' cannot start from a photo" in line for line in wanted)
    assert not any("from a photo" in line for line in found(tmp_path, **AURAFLOW))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"base": "some/FLUX.1-Kontext-dev", "training": {}}, "its models edit photos"),
        ({"base": "some/FLUX.2-dev", "training": {}}, "its models edit photos"),
        (AURAFLOW, "diffusers has no image-to-image pipeline for it"),
    ],
)
def test_a_family_that_cannot_redraw_a_face(tmp_path: Path, asked: dict[str, Any], why: str) -> None:
    wanted = found(tmp_path, **asked, generation={"face_detail": 0.4})
    assert any(line.startswith("generation.face_detail: ") and why in line for line in wanted)
    for other, strength in ((asked, 0.0), ({"base": "nano", "training": {}}, 0.4)):
        told = found(tmp_path, **other, generation={"face_detail": strength})
        assert not any("face_detail" in line for line in told)


ATTENTION = "attentions.0.transformer_blocks.0.attn1.to_q"


def lora_of_width(path: Path, width: int, layer: str = f"down_blocks.1.{ATTENTION}") -> str:
    pair = {"lora_A": np.ones((2, width)), "lora_B": np.ones((width, 2))}
    save_file({f"unet.{layer}.{part}.weight": value.astype(np.float32) for part, value in pair.items()}, path)
    return str(path)


@pytest.mark.parametrize("where", ["initial_lora", "warm_start", "start_from", "extra_loras"])
def test_a_lora_of_other_sizes_than_the_base(where: str, tmp_path: Path, full_base: Path) -> None:
    def told(lora: str) -> list[str]:
        asked: dict[str, Any] = {} if where == "extra_loras" else {where: lora}
        asked = {"initial_lora": lora, "warm_start": True} if where == "warm_start" else asked
        extra = {"extra_loras": [{"path": lora}]} if where == "extra_loras" else {}
        return found(tmp_path, base=str(full_base), training={"preset": "sdxl", **asked}, generation=extra)

    wide, absent = lora_of_width(tmp_path / "wide.safetensors", 48), tmp_path / "absent.safetensors"
    (problem,) = told(wide)
    assert wide in problem and "attn1.to_q takes 32 channels here, 48 in the file" in problem
    assert "Use the base model that the LoRA was trained on" in problem
    (problem,) = told(lora_of_width(absent, 32, f"down_blocks.7.{ATTENTION}"))
    assert "this base has no layer down_blocks.7." in problem
    assert not told(lora_of_width(tmp_path / "fits.safetensors", 32))


def test_layers_that_a_training_would_not_go_on_with(tmp_path: Path, full_base: Path) -> None:
    given = lora_of_width(tmp_path / "time.safetensors", 64, "time_embedding.linear_2")
    (problem,) = found(tmp_path, base=str(full_base), training={"preset": "sdxl", "start_from": given})
    assert "1 layer that this training leaves alone, such as time_embedding.linear_2" in problem


def test_several_are_told_as_problems() -> None:
    one, two = (
        loops.settings(base_model="nano", training={}, generation={"references": 3, "width": width})
        for width in (256, 250)
    )
    with pytest.raises(InputError, match=r"^generation\.references: 3"):
        build_toolbox(one, Recording())
    with pytest.raises(ConfigError, match=r"^this cannot run here: 2 problems\n"):
        build_toolbox(two, Recording())


def test_a_run_looks_for_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(settings: Settings) -> list[MissingExtra]:
        looks.append(settings)
        return []

    def stop(*_: object) -> None:
        raise NothingToDo("here the loop begins")

    looks: list[Settings] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twinloop.wiring.obstacles.missing_libraries", look)
    monkeypatch.setattr("twinloop.loop.run_loop", stop)
    loops.write_photos(Path("photos"))
    chosen = loops.settings(base_model="nano", models_dir="fake", training={})
    write_json(Path("config.json"), chosen.model_dump(mode="json"))
    said = twinloop(capsys, "run", "config.json")
    assert "here the loop begins" in said.err and len(looks) == 1


def test_the_doctor_names_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = loops.settings(base_model="nano", models_dir="fake").model_dump(mode="json")
    data["training"] |= {"preset": None, "trainer": "kohya", "text_encoder": True}
    data["generation"]["references"] = 3
    write_json(Path("config.json"), data)
    said = twinloop(capsys, "doctor", "--config", "config.json")
    assert said.code == 2 and "config.json: 3 mistakes" in said.err
    assert "dataset_dir: no such folder: photos" in said.err
    assert "kohya cannot train the embedded base" in said.err and "generation.references: 3" in said.err
    assert "Facets:" in said.out, "what the detectors measure is said all the same"
