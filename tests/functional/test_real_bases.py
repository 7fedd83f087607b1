"""The configuration of the first description on local base models: nothing changes but the paths.

Wrong inputs are named before anything long starts.

The models are tiny and have random weights, so the images show nothing and no check approves them; everything around is
the real thing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402

from tests.functional.console import twinloop  # noqa: E402
from tests.functional.real_bases import configured, run  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from tests.unit.pickles.files import EVIL  # noqa: E402
from twinloop.store.models.lora_file import header_texts, kohya_path  # noqa: E402


@pytest.mark.parametrize(("family", "preset"), [("sdxl", "sdxl"), ("flux", "flux"), ("zimage", None)])
def test_the_loop_runs_on_a_local_folder(
    family: str, preset: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = build_tiny(family, tmp_path / "base")
    said = run(capsys, configured(tmp_path, base, preset=preset))
    assert said.code == 0, said.err
    loras = Path("outputs/lora_models/alice")
    texts = header_texts(loras / "lora_v1.safetensors")
    assert texts["modelspec.trigger_phrase"] == "ohwx alice" and texts["ss_sd_model_name"] == base.name
    assert kohya_path(loras / "lora_v1.safetensors").is_file()
    history = json.loads(Path("outputs/bootstrap/iteration_history.json").read_text())
    made = list(Path("outputs/bootstrap/synthetic_iter1").glob("*.png"))
    assert history and len(made) == len(json.loads(Path("outputs/bootstrap/shots_iter1.json").read_text())["shots"]) > 0


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("flux", tmp_path_factory.mktemp("models") / "flux")


def foreign_lora(path: Path) -> Path:
    name = "lora_unet_down_blocks_1_attentions_0_proj_in"
    save_file({f"{name}.lora_{part}.weight": torch.zeros(4, 4) for part in ("down", "up")}, path)
    return path


def cut_off(path: Path) -> Path:
    save_file({"transformer.a.lora_A.weight": torch.zeros(64, 64)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def pickle(path: Path) -> Path:
    path.write_bytes(EVIL)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda folder: {"training": {"preset": "sdxl"}},
            ("is a FluxPipeline", "Change base_model or training.preset"),
        ),
        (
            lambda folder: {"training": {"initial_lora": str(foreign_lora(folder / "x.safetensors"))}},
            ("does not fit this base model", "a U-Net", "a transformer"),
        ),
        (
            lambda folder: {"generation": {"extra_loras": [{"path": str(cut_off(folder / "x.safetensors"))}]}},
            ("cut off", "100 bytes are missing"),
        ),
        (
            lambda folder: {"generation": {"extra_loras": [{"path": str(folder / "none.safetensors")}]}},
            ("generation.extra_loras", "no such file"),
        ),
        (lambda folder: {"generation": {"scheduler": "dpmpp_2m"}}, ("generation.scheduler", "Known: euler")),
        (lambda folder: {"generation": {"offload": "model"}}, ("generation.offload", "CUDA GPU", '"none"')),
        (lambda folder: {"precision": "float16"}, ("precision", "need a GPU", '"auto"')),
        (lambda folder: {"training": {"optimizer": "adamw8bit"}}, ("training.optimizer", "CUDA GPU", '"adafactor"')),
        (
            lambda folder: {"training": {"processes": 2, "batch_size": 3}},
            ("training.processes", "3 pictures", "a multiple"),
        ),
        (
            lambda folder: {"base_model": str(pickle(folder / "model.ckpt"))},
            ("can run code when loaded", "dangerous", "delete it"),
        ),
        (
            lambda folder: {"base_model": "someone/not-here", "training": {"preset": "flux"}},
            ("hf download someone/not-here", "--allow-download"),
        ),
    ],
    ids=[
        "family",
        "lora of another family",
        "lora cut off",
        "no lora",
        "scheduler",
        "offload",
        "precision",
        "optimizer",
        "processes",
        "pickle",
        "hub id",
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(
    make: Any,
    words: tuple[str, ...],
    flux: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if torch.cuda.is_available() and words[0] in ("generation.offload", "precision", "training.optimizer"):
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    config = configured(tmp_path, flux, preset="flux")
    said = run(capsys, config, **make(tmp_path))
    assert said.code == 2
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.err
    assert not Path("outputs").exists()  # no photo was looked at, no model loaded


def test_images_made_by_hand_with_another_lora_beside_the_own(
    flux: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """generate twice: the second call finds everything made; the files say what was worn and which sampler drew."""
    from PIL import Image

    from tests.helpers.lora_files import write_lora
    from twinloop.adapters.diffusion.loras.writing import LoraWeights
    from twinloop.families import FAMILIES

    monkeypatch.chdir(tmp_path)
    config = configured(tmp_path, flux, preset="flux")
    layer = "transformer_blocks.0.attn.to_q"
    write_lora(
        Path("style.safetensors"),
        LoraWeights({layer: (torch.ones(2, 16), torch.ones(16, 2))}, 2, 2.0),
        FAMILIES["flux"],
        {},
    )
    data = json.loads(config.read_text())
    data["generation"] |= {"extra_loras": [{"path": "style.safetensors", "scale": 0.5}], "scheduler": "euler"}
    config.write_text(json.dumps(data))
    Path("gaps.json").write_text(
        json.dumps({"recommendations": [{"type": "face_angle", "target": "profile", "count": 1, "reason": "few"}]})
    )
    for _ in range(2):
        said = twinloop(capsys, "generate", "gaps.json", "--config", config, "--output", "made")
        assert said.code == 0, said.err
    (picture,) = Path("made").glob("*.png")
    text = Image.open(picture).text["parameters"]
    assert "<lora:style:0.5>" in text and "Sampler: Euler" in text
    settings = json.loads(Path("made/generation_metadata.json").read_text())["settings"]
    assert settings["extra_loras"] == [{"file": "style.safetensors", "scale": 0.5}]
