"""The loop, and trainings by hand, on a base model with an autoencoder from a file of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import load_file  # noqa: E402

from tests.functional.console import twinloop  # noqa: E402
from tests.functional.real_bases import configured, run  # noqa: E402
from tests.helpers.part_files import as_comfyui_has_it, write  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.config import parse_settings  # noqa: E402
from twinloop.errors import StateError  # noqa: E402
from twinloop.ports import TrainingSize  # noqa: E402
from twinloop.store.atomic import sha256_file  # noqa: E402
from twinloop.store.models.lora_file import header_texts  # noqa: E402
from twinloop.wiring import build_makers  # noqa: E402


def test_a_run_belongs_to_the_content_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = as_comfyui_has_it(build_tiny("zimage", tmp_path / "other", seed=1), "vae", tmp_path / "ae.safetensors")
    config = configured(tmp_path, build_tiny("zimage", tmp_path / "base"), preset=None)
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_parts": {"vae": str(file)}}))
    said = run(capsys, config)
    assert said.code == 0, said.err
    parts = {"vae": sha256_file(file)}
    kept = json.loads(Path("outputs/bootstrap/run.json").read_text())
    assert kept["base_parts"] == parts and kept["settings"]["base_parts"] == {"vae": str(file)}
    images = json.loads(Path("outputs/bootstrap/synthetic_iter1/generation_metadata.json").read_text())
    assert images["settings"]["base_parts"] == parts and images["images"]
    assert json.loads(Path("outputs/lora_models/alice/lora_v1.json").read_text())["asked"]["base_parts"] == parts

    lora = Path("outputs/lora_models/alice/lora_v1.safetensors")
    assert json.loads(header_texts(lora)["twinloop.base_parts"]) == parts
    call = ("generate", "outputs/bootstrap/gaps_iter1.json", "--lora", lora, "--num-per-gap", 1, "--steps", 1)
    call = (*call, "--width", 64, "--height", 64, "--device", "cpu", "--output")
    bare = twinloop(capsys, *call, "bare")
    assert bare.code == 0 and "lora_v1.safetensors: this LoRA was trained with other files" in bare.err
    assert "(base_parts.vae)" in bare.err
    named = twinloop(capsys, *call, "named", "--base-part", f"vae={file}")
    assert named.code == 0 and "trained with other files" not in named.err

    once, before = file.stat(), sha256_file(file)
    write({name: value + 0.001 for name, value in load_file(file).items()}, file)
    os.utime(file, ns=(once.st_atime_ns, once.st_mtime_ns + 10_000_000))
    again = run(capsys, config)
    assert again.code == 2 and f'base_parts.vae: "{before}" -> "{sha256_file(file)}"' in again.err

    missing = run(capsys, config, base_parts={"vae": str(tmp_path / "moved.safetensors")})
    assert missing.code == 2 and "base_parts.vae: no file at" in missing.err and "Traceback" not in missing.err


def test_a_wrong_file_is_said_before_a_training_starts_and_by_doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = build_tiny("zimage", tmp_path / "base")
    file = as_comfyui_has_it(base, "text_encoder", tmp_path / "qwen_3_4b.safetensors")
    config = configured(tmp_path, base, preset=None)
    argv = ("train", "photos", "--config", config, "--base-part", f"vae={file}", "--output", "a.safetensors")
    said = twinloop(capsys, *argv)
    told = "base_parts.vae: "
    assert said.code == 2 and told in said.err and "It fits base_parts.text_encoder." in said.err
    assert not Path("a.safetensors").exists() and not Path(".training_a").exists()
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_parts": {"vae": str(file)}}))
    said = twinloop(capsys, "doctor", "--config", config)
    assert said.code == 2 and told in said.err and "It fits base_parts.text_encoder." in said.err


def test_a_file_that_is_replaced_while_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generator and trainer hold to the file that the run's record names."""
    monkeypatch.chdir(tmp_path)
    file = as_comfyui_has_it(build_tiny("zimage", tmp_path / "other", seed=1), "vae", tmp_path / "ae.safetensors")
    config = configured(tmp_path, build_tiny("zimage", tmp_path / "base"), preset=None)
    data = {**json.loads(config.read_text()), "base_parts": {"vae": str(file)}, "device": "cpu"}
    makers = build_makers(parse_settings(data, "test"))
    assert makers.generation.base_parts == (("vae", sha256_file(file)),) and makers.trainer()
    write({name: value + 0.001 for name, value in load_file(file).items()}, file)
    told = r"base_parts\.vae: .*ae\.safetensors was changed after this program began"
    with pytest.raises(StateError, match=told):
        makers.generator()
    with pytest.raises(StateError, match=told):
        makers.trainer().forecast(makers.training(2), TrainingSize(2))
