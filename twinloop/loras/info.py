"""What a LoRA file is, for ``twinloop lora info``."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from twinloop.loras.adapter import families_name
from twinloop.loras.algebra import norm
from twinloop.loras.extraction import loha_norm
from twinloop.loras.hadamard import Hadamard
from twinloop.loras.lora import Layer, LoraFile, Update
from twinloop.loras.products import product_norm
from twinloop.loras.texts import shown, trigger_of
from twinloop.ports import Reporter

_PARTS = (
    ("text_encoder_2", ("text_encoder_2.", "lora_te2_", "text_encoders.clip_g")),
    ("text_encoder_3", ("text_encoder_3.", "lora_te3_", "text_encoders.t5")),
    ("text_encoder", ("text_encoder", "lora_te")),
)


def describe(file: LoraFile, reporter: Reporter) -> dict[str, Any]:
    """All that can be said of a file, as JSON. Norms are of the updates as applied, their scale included."""
    norms: dict[str, float] = {}
    layers: dict[str, Update | Hadamard] = {**file.layers, **file.hadamards}
    for number, (name, layer) in enumerate(layers.items(), 1):
        norms[name] = _norm(layer)
        reporter.progress("Measuring", number, len(layers))
    return {
        "file": str(file.path),
        "bytes": file.size,
        "dialect": file.dialect.value,
        "method": file.method,
        "family": families_name(file) or None,
        "dtypes": list(file.dtypes),
        "layers": len(layers),
        "parts": _parts(layers),
        "ranks": _counted("whole" if layer.rank is None else layer.rank for layer in layers.values()),
        "factors": _counted("x".join(map(str, layer.small)) for layer in file.products.values()),
        "alphas": _counted(layer.alpha for layer in layers.values()),
        "scales": _counted(layer.scale for layer in layers.values()),
        "trigger": trigger_of(file.texts) or None,
        "norms": _norms(norms),
        "other_tensors": list(file.others)[:20],
        "header": shown(file.texts),
        "header_texts": len(file.texts),
    }


def part_of(name: str) -> str:
    """``denoiser``, ``text_encoder``, ``text_encoder_2`` or ``text_encoder_3``, by a layer's name in any dialect."""
    bare = name.removeprefix("base_model.model.")
    return next((part for part, starts in _PARTS if bare.startswith(starts)), "denoiser")


def _norm(layer: Update | Hadamard) -> float:
    if isinstance(layer, Hadamard):
        return loha_norm(layer)
    return norm(layer) if isinstance(layer, Layer) else product_norm(layer)


def _parts(layers: Iterable[str]) -> dict[str, int]:
    return dict(Counter(part_of(name) for name in layers))


def _counted(values: Any) -> dict[str, int]:
    """Value -> number of layers; ``not given`` for None."""
    return {_word(value): count for value, count in Counter(values).most_common(8)}


def _word(value: float | str | None) -> str:
    if value is None:
        return "not given"
    return value if isinstance(value, str) else f"{value:g}"


def _norms(norms: Mapping[str, float]) -> dict[str, Any]:
    finite = {name: value for name, value in norms.items() if math.isfinite(value)}
    if not finite:
        return {"measured": 0, "not_finite": len(norms)}
    largest = max(finite, key=lambda name: finite[name])
    return {
        "measured": len(finite),
        "not_finite": len(norms) - len(finite),
        "zero": sum(value == 0 for value in finite.values()),
        "total": round(math.sqrt(sum(value**2 for value in finite.values())), 6),
        "mean": round(statistics.fmean(finite.values()), 6),
        "median": round(statistics.median(finite.values()), 6),
        "largest": round(finite[largest], 6),
        "largest_layer": largest,
    }
