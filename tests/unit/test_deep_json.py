"""JSON with brackets in brackets, thousands deep, reads as any other damaged file does: Python's parser gives up on it
with an error of its own kind.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from twinloop.errors import ModelFileError, StateError
from twinloop.families.predictions import USUAL, _of_folder
from twinloop.families.recognise import kind_of_folder
from twinloop.loras.header_facts import ARGUMENTS, _arguments
from twinloop.loras.texts import _json
from twinloop.store.journal import Journal
from twinloop.store.models.part_hashes import BASE_PARTS, parts_in
from twinloop.store.models.training_log import logged_steps

DEEP = "[" * 100_000


def test_in_headers_of_loras() -> None:
    assert _json(DEEP) is None
    assert _arguments({ARGUMENTS: DEEP}) == {}
    assert parts_in({BASE_PARTS: DEEP}) == {}


def test_in_folders_of_base_models(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    for name in ("model_index.json", "scheduler/scheduler_config.json"):
        (tmp_path / name).write_text(DEEP)
    assert kind_of_folder(tmp_path) == ""
    assert _of_folder(tmp_path) == USUAL


def test_where_diffusers_loads_base_models(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    from twinloop.adapters.diffusion.file_sizes import _settings
    from twinloop.adapters.diffusion.model_folder import absent
    from twinloop.adapters.diffusion.part_files import part_configuration

    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text(DEEP)
    (tmp_path / "model_index.json").write_text('{"vae": ["diffusers", "AutoencoderKL"]}')
    assert _settings(tmp_path / "vae" / "config.json") == {}
    assert part_configuration("vae", tmp_path) is None
    (tmp_path / "model_index.json").write_text(DEEP)
    with pytest.raises(ModelFileError, match="is not valid JSON"):
        absent(tmp_path, ["vae"])


def test_in_what_was_written_down(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(f'{DEEP}\n{{"step": 1, "loss": 0.5}}\n')
    assert [step.step for step in logged_steps(tmp_path / "log.jsonl")] == [1]
    line = f"{zlib.crc32(DEEP.encode()):08x} {DEEP}\n"
    (tmp_path / "journal.jsonl").write_text(line * 2)
    with pytest.raises(StateError, match="line 1 is damaged"):
        Journal(tmp_path / "journal.jsonl")
