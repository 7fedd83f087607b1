"""Ranks and alphas of single layers in PEFT's tables: written so that each key fits one layer, read in time."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.loras.makers import adapter, layer, saved
from twinloop.errors import ModelFileError
from twinloop.loras.adapter import Place, understood
from twinloop.loras.components import DENOISER
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lokr_texts import lokr_settings
from twinloop.loras.lora import Dialect, read_lora
from twinloop.loras.patterns import Patterns, keyed
from twinloop.loras.tensors import encode

LAST = Place(DENOISER, "proj_out")
SINGLE = Place(DENOISER, "single_transformer_blocks.12.proj_out")


def as_peft(table: dict[str, float], path: str) -> float | None:
    """PEFT's own rule (`peft.utils.other.get_pattern_key`)."""
    return next((value for key, value in table.items() if re.match(rf"(.*\.)?({key})$", path)), None)


@given(
    st.dictionaries(
        st.lists(st.sampled_from(["proj_out", "to_q", "blocks", "0", "1", "11"]), min_size=1, max_size=4).map(".".join),
        st.integers(1, 3),
        min_size=1,
    )
)
def test_every_layer_gets_its_own_value_by_pefts_rule_and_by_ours(values: dict[str, int]) -> None:
    table = keyed(values, 1)
    for path, value in values.items():
        assert (as_peft(table, path) or 1) == value == (Patterns(table).of(path) or 1)


@pytest.mark.parametrize("dialect", [Dialect.DIFFUSERS, Dialect.KOHYA])
def test_flux_ends_in_a_layer_that_every_block_has_too(dialect: Dialect, tmp_path: Path) -> None:
    made = adapter("flux", rank=4, alpha=4.0, encoders=False)
    made = replace(made, layers={**made.layers, LAST: layer(8, 24, 2, 0.5), SINGLE: layer(24, 120, 4, 1.0)})
    first = saved(tmp_path / "first.safetensors", made, dialect)
    file = saved(tmp_path / "x.safetensors", understood(first), Dialect.DIFFUSERS)
    back = understood(file).layers
    assert {place: part.scale for place, part in back.items()} == {p: part.scale for p, part in made.layers.items()}
    settings = json.loads(file.texts["lora_adapter_metadata"])
    ranks = settings["transformer.rank_pattern"]
    assert (as_peft(ranks, LAST.path), as_peft(ranks, SINGLE.path)) == (2, None)
    assert ranks == {"^proj_out": 2}


def test_lokrs_are_told_apart_too() -> None:
    def product(alpha: float) -> Kronecker:
        parts = {"w1": encode([[1.0]], "F32"), "w2_a": encode([[1.0]] * 4, "F32"), "w2_b": encode([[1.0] * 4], "F32")}  # type: ignore[arg-type]
        return Kronecker(parts, alpha)

    found = lokr_settings({LAST.path: product(3.0), SINGLE.path: product(1.0), "x_embedder": product(1.0)})
    assert found["alpha_pattern"] == {"^proj_out": 3.0}


def test_a_whole_path_goes_before_an_end_and_the_first_end_counts() -> None:
    older = Patterns({"proj_out": 1, "single.0.proj_out": 2, r"mlp\.fc1": 3, "fc1": 4, "^to_q": 5, r".*\.(k|v)_\w+": 6})
    assert [older.of(path) for path in ("proj_out", "single.0.proj_out", "single.1.proj_out")] == [1, 2, 1]
    assert [older.of(path) for path in ("a.mlp.fc1", "a.fc1", "a.xfc1")] == [3, 4, None]
    assert [older.of(path) for path in ("to_q", "a.to_q", "a.b.k_proj", "k_proj")] == [5, None, 6, None]


@pytest.mark.parametrize(
    "key", [r"(\w*\.*)*(\w*)*x!", ".*" * 20 + "x!", "(a|a)" * 30 + "x", r"(a+)+b", r"(a)\1", "x" * 300 + ".*"]
)
def test_an_expression_that_may_take_for_ever_is_refused(key: str, tmp_path: Path) -> None:
    file = saved(tmp_path / "x.safetensors", adapter("sd15", encoders=False), Dialect.DIFFUSERS)
    text = json.dumps({"unet.lora_alpha": 4, "unet.alpha_pattern": {key: 2}})
    path = retold(file.path, text)
    began = time.monotonic()
    with pytest.raises(ModelFileError, match="expression"):
        read_lora(path)
    assert time.monotonic() - began < 30


def retold(path: Path, text: str) -> Path:
    """The same file with another adapter configuration in its header."""
    from safetensors.numpy import load_file, save_file

    save_file(load_file(path), path, {"lora_adapter_metadata": text})
    return path


def test_a_table_of_thousands_of_layers_is_read_at_once() -> None:
    paths = [f"up_blocks.{n}.attentions.0.transformer_blocks.{n}.attn1.to_q" for n in range(4000)]
    began = time.monotonic()
    table = Patterns({path: number for number, path in enumerate(paths)})
    assert [table.of(path) for path in paths] == list(range(4000))
    assert time.monotonic() - began < 30  # one by one it takes minutes


@pytest.mark.parametrize(
    "text",
    [
        '{"unet.lora_alpha": Infinity}',
        '{"unet.lora_alpha": "x"}',
        '{"unet.alpha_pattern": [1]}',
        "[]",
        '{"unet.alpha_pattern": {"*": 1}}',
        '{"unet.lora_alpha": 1' + "0" * 400 + "}",
    ],
)
def test_what_is_no_configuration_is_named(text: str, tmp_path: Path) -> None:
    file = saved(tmp_path / "x.safetensors", adapter("sd15", encoders=False, alpha=None), Dialect.DIFFUSERS)
    with pytest.raises(ModelFileError, match=r"rank and alpha, as PEFT.s configuration has them, cannot be read"):
        read_lora(retold(file.path, text))
