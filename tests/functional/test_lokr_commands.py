"""``twinloop lora`` on LoKr files, as people type it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.functional.console import twinloop
from tests.unit.loras.kronecker_files import lokr
from tests.unit.loras.kronecker_files import saved as saved_lokr
from tests.unit.loras.makers import adapter, delta, saved
from twinloop.loras.adapter import understood
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Dialect, Layer, read_lora


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = {"modelspec.trigger_phrase": "ohwx ana", "ss_network_args": '{"algo": "lokr", "factor": "4"}'}
    saved_lokr(Path("flux.safetensors"), lokr("flux", 4, 2, 4.0), Dialect.DIFFUSERS, texts)
    saved_lokr(Path("whole.safetensors"), lokr("flux", -1, None, 4.0), Dialect.KOHYA, texts)
    saved(Path("plain.safetensors"), adapter("flux", encoders=False), Dialect.DIFFUSERS)
    return tmp_path


def test_info_shows_factor_and_rank(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", "info", "flux.safetensors")
    assert said.code == 0 and all(word in said.out for word in ("LoKr", "Factor", "4x4", "flux", "ohwx ana"))
    data = twinloop(capsys, "lora", "info", "whole.safetensors", "--json").data
    assert (data["method"], list(data["ranks"])) == ("LoKr", ["whole"]) and data["norms"]["zero"] == 0


def test_a_lokr_goes_there_and_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", "convert", "flux.safetensors", "--to", "kohya", "--output", "k.safetensors")
    assert said.code == 0, said.err
    assert all(name.startswith("lycoris_") for name in read_lora(Path("k.safetensors")).layers)
    assert (
        twinloop(capsys, "lora", "convert", "k.safetensors", "--to", "diffusers", "--output", "d.safetensors").code == 0
    )
    assert Path("d.safetensors").read_bytes() == Path("flux.safetensors").read_bytes()


def test_a_lokr_becomes_the_nearest_lora_and_the_rest_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "lora", "convert", "whole.safetensors", "--to", "lora", "--rank", "4", "--output", "l.safetensors"
    )
    assert said.code == 0 and "LoKr -> LoRA of rank 4" in said.out and "of the energy kept" in said.out
    assert "of the LoKr's squared norm is not in this LoRA" in said.err
    file, first = read_lora(Path("l.safetensors")), understood(read_lora(Path("whole.safetensors"))).layers
    assert (
        file.method == "LoRA"
        and file.dialect is Dialect.DIFFUSERS
        and file.texts["ss_network_module"] == "networks.lora"
    )
    assert "ss_network_args" not in file.texts and "LoRA from a LoKr: rank 4" in file.texts["ss_training_comment"]
    for place, part in understood(file).layers.items():
        whole = first[place]
        assert isinstance(part, Layer) and isinstance(whole, Kronecker)
        values = np.linalg.svd(delta(whole), compute_uv=False)
        assert np.linalg.norm(delta(whole) - delta(part)) == pytest.approx(np.linalg.norm(values[4:]), rel=0.02)
    exact = twinloop(
        capsys,
        "lora",
        "convert",
        "flux.safetensors",
        "--to",
        "lora",
        "--energy",
        "1",
        "--output",
        "e.safetensors",
        "--json",
    )
    assert exact.data["kept_energy"] == 1.0 and exact.data["ranks"][1] <= 8 and "not in this LoRA" not in exact.err


def test_a_lokr_takes_part_in_a_merge(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(
        capsys, "lora", "merge", "flux.safetensors:0.5", "plain.safetensors:2", "--output", "m.safetensors", "--json"
    )
    assert said.code == 0, said.err
    assert [part["file"] for part in said.data["extracted"]] == ["flux.safetensors"] and said.data["extracted"][0][
        "kept_energy"
    ] == 1.0
    made, first, second = (understood(read_lora(Path(f"{name}.safetensors"))).layers for name in ("m", "flux", "plain"))
    for place, layer in first.items():
        part, other = made[place], second[place]
        assert isinstance(layer, Kronecker) and isinstance(part, Layer) and isinstance(other, Layer)
        assert np.allclose(delta(part), 0.5 * delta(layer) + 2 * delta(other), atol=1e-2)


def test_a_lokr_gets_a_smaller_rank_and_stays_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", "resize", "flux.safetensors", "--rank", "1", "--output", "r.safetensors")
    assert said.code == 0 and "of rank 1" in said.out
    file = read_lora(Path("r.safetensors"))
    assert file.method == "LoKr" and {layer.rank for layer in file.layers.values()} == {1}
    assert {layer.scale for layer in file.layers.values()} == {2.0}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ("convert", "plain.safetensors", "--to", "lora", "--rank", "4", "--output", "x.safetensors"),
            "is a LoRA already",
        ),
        (("convert", "flux.safetensors", "--to", "lora", "--output", "x.safetensors"), "How small?"),
        (
            ("convert", "flux.safetensors", "--to", "kohya", "--rank", "4", "--output", "x.safetensors"),
            "go with --to lora",
        ),
        (("resize", "flux.safetensors", "--rank", "8", "--output", "x.safetensors"), "within the limit already"),
    ],
)
def test_one_clear_error(argv: tuple[str, ...], words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = twinloop(capsys, "lora", *argv)
    assert said.code == 2 and words in said.err and "Traceback" not in said.err and not Path("x.safetensors").exists()
