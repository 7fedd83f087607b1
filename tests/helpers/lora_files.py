"""LoRA files for a base model whose attentions need not be known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twinloop.adapters.diffusion.loras import writing
from twinloop.adapters.diffusion.loras.lokr_writing import LokrWeights
from twinloop.adapters.diffusion.loras.writing import LoraWeights
from twinloop.families.base import Family


def write_lora(path: Path, lora: LoraWeights | LokrWeights, family: Family, texts: Mapping[str, str]) -> bytes:
    """As `writing.write_lora`."""
    return writing.write_lora(path, lora, family, texts, attentions=None)
