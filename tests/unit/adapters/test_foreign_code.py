"""Code that lies in the folder of a model: never run, and nobody is asked whether to."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from transformers import dynamic_module_utils

from tests.helpers.captioner_models import build_blip, build_florence2
from tests.helpers.tiny_families import build_tiny, write_image_processor
from twinloop.adapters.captioners.sentences import BLIP, FLORENCE2, CaptionerKind, SentenceCaptioner
from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.adapters.diffusion.compute import choose_compute
from twinloop.adapters.diffusion.loading import load_pipeline
from twinloop.adapters.diffusion.seeing import seeing_processor
from twinloop.errors import ModelFileError
from twinloop.families import FAMILIES


class Willing(io.StringIO):
    """Somebody who says yes to everything."""

    asked = 0

    def readline(self, *_: object) -> str:
        self.asked += 1
        return "y\n"


@pytest.fixture(autouse=True)
def stdin(monkeypatch: pytest.MonkeyPatch) -> Willing:
    """As at the start of a command: another test may have loaded a base model, which stops all asking."""
    monkeypatch.setattr(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 15)
    willing = Willing()
    monkeypatch.setattr(sys, "stdin", willing)
    return willing


def poison(folder: Path, ran: Path) -> None:
    """Have a folder bring a tokenizer and an image processor of its own."""
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Evil: pass\n")
    for name, kind, value in (
        ("tokenizer_config.json", "AutoTokenizer", ["evil.Evil", None]),
        ("preprocessor_config.json", "AutoImageProcessor", "evil.Evil"),
    ):
        path = folder / name
        known = json.loads(path.read_text()) if path.exists() else {}
        known |= {"tokenizer_class": "Evil", "image_processor_type": "Evil", "auto_map": {kind: value}}
        path.write_text(json.dumps(known))
    (folder / "processor_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("kind", "build"), [(BLIP, build_blip), (FLORENCE2, build_florence2)], ids=["blip", "florence2"]
)
def test_a_captioner_brings_none(
    kind: CaptionerKind, build: Callable[[Path], Path], tmp_path: Path, stdin: Willing
) -> None:
    folder = build(tmp_path / "model")
    poison(folder, tmp_path / "ran")
    captioner = SentenceCaptioner(kind, str(folder), allow_download=False, device="cpu")
    with pytest.raises(ModelFileError, match="not a"):
        captioner.caption(np.zeros((32, 32, 3), np.uint8))
    assert not stdin.asked and not (tmp_path / "ran").exists()


def test_what_reads_photos_for_a_text_encoder_brings_none(tmp_path: Path, stdin: Willing) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    write_image_processor(tmp_path)
    poison(tmp_path / "processor", tmp_path / "ran")
    with pytest.raises(ModelFileError, match="holds no image processor"):
        seeing_processor(tmp_path, None)
    assert not stdin.asked and not (tmp_path / "ran").exists()


def test_a_processor_in_the_place_of_a_tokenizer_brings_none(tmp_path: Path, stdin: Willing) -> None:
    """diffusers does not tell it whether to trust the folder."""
    base = build_tiny("sd15", tmp_path / "base")
    index = json.loads((base / "model_index.json").read_text())
    (base / "model_index.json").write_text(json.dumps({**index, "tokenizer": ["transformers", "BlipProcessor"]}))
    poison(base / "tokenizer", tmp_path / "ran")
    family = FAMILIES["sd15"]
    files = find_base(BaseChoice(str(base), "cpu", "float32"), family)
    with pytest.raises(ModelFileError, match="custom code"):
        load_pipeline(files, family, choose_compute("cpu", "float32"))
    assert not stdin.asked and not (tmp_path / "ran").exists()
