"""Entry points that import PyTorch and diffusers say nothing of their own accord; real warnings are still said."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from twinloop.adapters import import_notes

ROOT = Path(__file__).parents[3]


def test_an_entry_point_is_quiet() -> None:
    """The modules of ``python -m workshop`` import PyTorch and diffusers at their top, as the scripts in
    bench/ do.
    """
    code = (
        "import gc; gc.disable();"  # it goes through half a million new objects again and again, for seconds
        " import workshop.export; from transformers import CLIPImageProcessor; from diffusers import"
        " StableDiffusionPipeline"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("script", ["memory_forecast.py", "quantised_forecast.py", "real_size.py"])
def test_the_benches_import_the_adapters_first(script: str) -> None:
    text = (ROOT / "bench" / script).read_text()
    assert text.index("import twinloop.adapters") < text.index("import torch")


def test_only_the_notes_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    import_notes.leave_out_import_notes()
    logger = logging.getLogger("torchao")
    logger.propagate, before = True, logger.propagate
    try:
        with caplog.at_level(logging.WARNING, logger="torchao"):
            logger.warning("Failed to load /somewhere/_C.abi3.so: no such GPU")
            logger.warning("int8 weights of this version cannot be read")
    finally:
        logger.propagate = before
    assert [record.getMessage() for record in caplog.records] == ["int8 weights of this version cannot be read"]
