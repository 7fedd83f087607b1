"""``twinloop lora`` as people type it, on a real SD 1.5 LoRA and on made ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.functional.console import ROOT, twinloop
from tests.unit.loras.makers import adapter, delta, saved
from twinloop.loras.adapter import understood
from twinloop.loras.lora import Dialect, read_lora

REAL = ROOT / ".." / "shared" / "fixtures" / "weights" / "lora" / "lora_disney.safetensors"


@pytest.fixture
def real() -> Path:
    if not REAL.is_file():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    return REAL


def test_a_real_lora_is_described(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = twinloop(capsys, "lora", "info", real, "--json").data
    assert (data["dialect"], data["family"], data["layers"], data["ranks"]) == (
        "lora_diffusion",
        "sd15",
        192,
        {"1": 192},
    )
    assert data["parts"] == {"text_encoder": 48, "denoiser": 144} and data["other_tensors"] == ["<s1>", "<s2>"]
    assert data["norms"]["zero"] == 0 and data["norms"]["largest"] > data["norms"]["mean"] > 0
    said = twinloop(capsys, "lora", "info", real)
    assert said.code == 0 and "sd15" in said.out and "lora_diffusion" in said.out


def test_a_real_lora_is_no_base_model_and_asks_for_its_own(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gap = {"type": "face_angle", "target": "profile", "count": 3, "reason": "r"}
    Path("gaps.json").write_text(json.dumps({"recommendations": [gap]}))
    call = ("generate", "gaps.json", "--person", "ohwx ana")
    as_base = twinloop(capsys, *call, "--base-model", real)
    assert as_base.code == 2 and "is a LoRA (for sd15), not a base model" in as_base.err
    alone = twinloop(capsys, *call, "--lora", real)
    assert alone.code == 2 and "LoRA for sd15. Name a base model of that kind with --base-model" in alone.err
    assert "hf download" not in as_base.err + alone.err
    on_sdxl = twinloop(capsys, *call, "--lora", real, "--base-model", "stabilityai/stable-diffusion-xl-base-1.0")
    assert on_sdxl.code == 2 and "made for the family 'sd15', the base model is of 'sdxl'" in on_sdxl.err


def test_a_real_lora_goes_through_every_dialect(real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = real.read_bytes()
    kohya, diffusers, again = (tmp_path / f"{name}.safetensors" for name in ("kohya", "diffusers", "again"))
    said = twinloop(capsys, "lora", "convert", real, "--to", "kohya", "--output", kohya)
    assert said.code == 0 and "<s1>, <s2>" in said.err
    assert twinloop(capsys, "lora", "convert", kohya, "--to", "diffusers", "--output", diffusers).code == 0
    assert (
        twinloop(capsys, "lora", "convert", diffusers, "--to", "comfyui", "--output", again, "--json").data["to"]
        == "kohya"
    )
    assert again.read_bytes() == kohya.read_bytes() and real.read_bytes() == before
    with safe_open(str(kohya), "numpy") as file, safe_open(str(real), "numpy") as first:
        name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0"
        assert np.array_equal(file.get_tensor(f"{name}.lora_up.weight"), first.get_tensor("unet:143:up"))
        assert "lora_te_text_model_encoder_layers_11_self_attn_out_proj.lora_down.weight" in set(file.keys())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    saved(
        Path("a.safetensors"),
        adapter("sdxl", 4, 2.0, "F16"),
        Dialect.KOHYA,
        {
            "modelspec.title": "Ana",
            "modelspec.trigger_phrase": "ohwx ana",
            "ss_network_dim": "4",
            "ss_tag_frequency": "{}",
        },
    )
    saved(
        Path("b.safetensors"),
        adapter("sdxl", 2, None, "F16", 50),
        Dialect.DIFFUSERS,
        {"modelspec.trigger_phrase": "film grain"},
    )
    return tmp_path


def test_two_are_merged_exactly(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "lora", "merge", "a.safetensors:0.7", "b.safetensors:-0.3", "--output", "m.safetensors", "--json"
    )
    assert said.code == 0, said.err
    assert said.data["exact"] is True and said.data["ranks"] == [6, 6] and said.data["to"] == "kohya"
    one, other, made = (understood(read_lora(Path(f"{name}.safetensors"))).layers for name in "abm")
    for place, part in made.items():
        assert np.allclose(delta(part), 0.7 * delta(one[place]) - 0.3 * delta(other[place]), atol=1e-4)
    texts = read_lora(Path("m.safetensors")).texts
    assert texts["modelspec.trigger_phrase"] == "ohwx ana, film grain" and texts["ss_network_dim"] == "6"
    assert "ss_tag_frequency" not in texts and texts["modelspec.merged_from"] == "a.safetensors, b.safetensors"
    sources = json.loads(texts["twinloop.merged"])
    assert [(source["file"], source["weight"]) for source in sources] == [
        ("a.safetensors", 0.7),
        ("b.safetensors", -0.3),
    ]


def test_a_merge_may_be_cut_and_rounded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys,
        "lora",
        "merge",
        "a.safetensors",
        "b.safetensors",
        "--output",
        "m.safetensors",
        "--rank",
        "3",
        "--dtype",
        "bfloat16",
        "--to",
        "diffusers",
        "--json",
    )
    assert said.code == 0, said.err
    assert said.data["exact"] is False and said.data["ranks"] == [3, 3] and 0.3 < said.data["kept_energy"] < 1
    file = read_lora(Path("m.safetensors"))
    assert file.dialect is Dialect.DIFFUSERS and file.dtypes == ("BF16",)


def test_resizing_tells_what_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", "resize", "a.safetensors", "--rank", "2", "--output", "r.safetensors")
    assert said.code == 0 and "of rank 2" in said.out and "% of the energy kept" in said.out
    file = read_lora(Path("r.safetensors"))
    assert file.texts["ss_training_comment"] == "resized from rank 4: rank 2" and file.texts["ss_network_dim"] == "2"
    assert {part.scale for part in file.layers.values()} == {0.5} and file.size < Path("a.safetensors").stat().st_size
    half = twinloop(capsys, "lora", "resize", "a.safetensors", "--energy", "0.5", "--output", "e.safetensors", "--json")
    assert half.data["kept_energy"] >= 0.5 and half.data["least_kept"]["energy"] >= 0.5


def test_what_a1111_shows_is_the_new_files_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"ss_output_name": "lora_v1", "ss_sd_model_name": "base.safetensors"}
    for name, seed in (("f", 0), ("g", 9)):
        saved(Path(f"{name}.safetensors"), adapter("sdxl", 4, 2.0, seed=seed), Dialect.KOHYA, texts)
    commands = (
        ("convert", "f.safetensors", "--to", "diffusers"),
        ("resize", "f.safetensors", "--rank", "2"),
        ("merge", "f.safetensors", "g.safetensors"),
    )
    for action, *more in commands:
        assert twinloop(capsys, "lora", action, *more, "--output", f"ana_{action}.safetensors").code == 0
        made = read_lora(Path(f"ana_{action}.safetensors")).texts
        assert made["ss_output_name"] == f"ana_{action}" and made["twinloop.trained_as"] == "lora_v1"
    again = ("lora", "convert", "ana_convert.safetensors", "--to", "kohya", "--output", "lora_v1.safetensors")
    assert twinloop(capsys, *again).code == 0
    back, first = (read_lora(Path(f"{name}.safetensors")).texts for name in ("lora_v1", "f"))
    assert back["ss_output_name"] == "lora_v1" and back["sshs_model_hash"] == first["sshs_model_hash"]


def test_a_trainings_module_is_kept_where_its_arguments_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"ss_network_module": "networks.lora_flux", "ss_network_args": '{"train_blocks": "all"}'}
    for name, seed in (("f", 0), ("g", 9)):
        saved(Path(f"{name}.safetensors"), adapter("flux", 4, 2.0, seed=seed), Dialect.KOHYA, texts)
    assert twinloop(capsys, "lora", "resize", "f.safetensors", "--rank", "2", "--output", "r.safetensors").code == 0
    assert texts.items() <= read_lora(Path("r.safetensors")).texts.items()
    assert twinloop(capsys, "lora", "merge", "f.safetensors", "g.safetensors", "--output", "m.safetensors").code == 0
    assert read_lora(Path("m.safetensors")).texts["ss_network_module"] == "networks.lora_flux"
    assert twinloop(capsys, "lora", "merge", "a.safetensors", "b.safetensors", "--output", "n.safetensors").code == 0
    assert read_lora(Path("n.safetensors")).texts["ss_network_module"] == "networks.lora"


def test_what_a_file_says_of_itself_cannot_steer_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steer = "\x1b]0;pwn\x07\x1b[31mRED\nForged: line"
    texts = {"modelspec.title": steer, "modelspec.trigger_phrase": steer, f"ss_{steer}": "x"}
    path = saved(Path("s.safetensors"), adapter("sd15"), Dialect.DIFFUSERS, texts).path
    tensors = load_file(path) | {
        f"unet.{steer}.lora_A.weight": np.ones((2, 4), np.float32) * 1e6,
        f"unet.{steer}.lora_B.weight": np.ones((4, 2), np.float32),
    }
    save_file(tensors, path, texts)
    said = twinloop(capsys, "lora", "info", path)
    assert said.code == 0 and "\x1b" not in said.out and "\x07" not in said.out
    assert "RED" in said.out and not any(line.startswith("Forged") for line in said.out.splitlines())


def test_that_comfyui_reads_half_of_kohyas_z_image_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for family, told in (("zimage", True), ("qwen-image", False)):
        saved(Path(f"{family}.safetensors"), adapter(family), Dialect.DIFFUSERS)
        said = twinloop(
            capsys, "lora", "convert", f"{family}.safetensors", "--to", "kohya", "--output", f"{family}_k.safetensors"
        )
        assert said.code == 0 and ("--to comfyui" in said.err) is told


def test_a_merge_of_broken_or_too_large_numbers_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = load_file("a.safetensors")
    name = next(name for name in tensors if name.endswith("lora_up.weight"))
    for file, value in (("nan", np.nan), ("inf", np.inf), ("large", 60000.0)):
        save_file(tensors | {name: np.full_like(tensors[name], value)}, f"{file}.safetensors")
    for file in ("nan", "inf"):
        said = twinloop(capsys, "lora", "merge", "a.safetensors", f"{file}.safetensors", "--output", "m.safetensors")
        assert said.code == 2 and f"{file}.safetensors: in the layer" in said.err and "not finite" in said.err
    large = ("lora", "merge", "a.safetensors", "large.safetensors:1e9")
    said = twinloop(capsys, *large, "--output", "m.safetensors", "--dtype", "float16")
    assert said.code == 2 and "too large for float16" in said.err and not Path("m.safetensors").exists()
    assert twinloop(capsys, *large, "--output", "m.safetensors").code == 0
    shared = ("a.safetensors", "large.safetensors:9", "--output", "n.safetensors", "--dtype", "float16")
    assert twinloop(capsys, "lora", "merge", *shared).code == 0, "both matrices share what one alone cannot hold"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("info", "none.safetensors"), "LoRA not found: none.safetensors"),
        (("info", "pickle.pt"), "pickled model"),
        (("info", "cut.safetensors"), "cut short"),
        (("info", "mixed.safetensors"), "more than one dialect"),
        (("convert", "a.safetensors", "--to", "kohya", "--output", "x.safetensors"), "in the dialect kohya already"),
        (("convert", "a.safetensors", "--to", "comfyui", "--output", "x.safetensors"), "ComfyUI reads kohya's files"),
        (
            ("convert", "a.safetensors", "--to", "diffusers", "--output", "b.safetensors"),
            "exists and holds something else",
        ),
        (("convert", "a.safetensors", "--to", "diffusers", "--output", "x.pt"), "ending .safetensors"),
        (("merge", "a.safetensors", "--output", "x.safetensors"), "two or more LoRAs"),
        (("merge", "a.safetensors:0", "b.safetensors", "--output", "x.safetensors"), "weight 0 adds nothing"),
        (("merge", "a.safetensors", "flux.safetensors", "--output", "x.safetensors"), "different base models"),
        (("resize", "a.safetensors", "--output", "x.safetensors"), "How small?"),
        (("resize", "a.safetensors", "--rank", "4", "--output", "x.safetensors"), "within the limit already"),
    ],
)
def test_one_clear_error(argv: tuple[str, ...], words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pickle.pt").write_bytes(b"\x80\x04}.")
    Path("cut.safetensors").write_bytes(Path("a.safetensors").read_bytes()[:-50])
    pair = {"lora_down.weight": np.ones((2, 4), np.float32), "lora_up.weight": np.ones((4, 2), np.float32)}
    save_file(
        {f"{stem}.{name}": value for stem in ("lora_unet_x", "unet.x") for name, value in pair.items()},
        "mixed.safetensors",
    )
    saved(Path("flux.safetensors"), adapter("flux"), Dialect.COMFYUI)
    before = sorted(path.name for path in here.iterdir())
    said = twinloop(capsys, "lora", *argv)
    assert said.code == 2 and words in said.err and said.err.count("error:") == 1
    assert "Traceback" not in said.err and sorted(path.name for path in here.iterdir()) == before


def test_a_wrong_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", "resize", "a.safetensors", "--energy", "0", "--output", "x.safetensors")
    assert said.code == 2 and "above 0" in said.err
    said = twinloop(capsys, "lora", "merge", "a.safetensors:nan", "--output", "x.safetensors")
    assert said.code == 2 and "FILE:WEIGHT" in said.err
    said = twinloop(capsys, "lora", "merge", "a.safetensors:x", "b.safetensors", "--output", "x.safetensors")
    assert said.code == 2 and "the weight 'x' is no number" in said.err and "not found" not in said.err
    said = twinloop(capsys, "lora", "merge", "c:none.safetensors", "b.safetensors", "--output", "x.safetensors")
    assert "LoRA not found: c:none.safetensors" in said.err, "a colon within a name is no weight"
