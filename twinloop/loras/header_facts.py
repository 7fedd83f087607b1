"""Kind, rank and alpha of an adapter, as far as the header of its file tells them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twinloop.loras.texts import ARGUMENTS


@dataclass(frozen=True)
class AdapterFacts:
    """What a header says of its adapter. None = nothing, or that layers differ (``Dynamic``).

    Attributes:
        adapter: ``lora``, ``dora`` or ``lokr``.
    """

    adapter: str | None = None
    rank: int | None = None
    alpha: float | None = None


def adapter_facts(texts: Mapping[str, str]) -> AdapterFacts:
    """From the texts that sd-scripts writes into the files of its trainings, as do most tools, this one among them."""
    rank, alpha = _number(texts.get("ss_network_dim")), _number(texts.get("ss_network_alpha"))
    return AdapterFacts(_kind(texts), None if rank is None else int(rank), alpha)


def _kind(texts: Mapping[str, str]) -> str | None:
    module, arguments = texts.get("ss_network_module", ""), _arguments(texts)
    algorithm = str(arguments.get("algo", "lora")).lower()
    if algorithm == "lokr":
        return "lokr"
    if not module.startswith(("networks.lora", "lycoris")) or algorithm not in ("lora", "locon"):
        return None
    weighed = (arguments.get(name) for name in ("dora_wd", "use_dora"))
    return "dora" if any(str(value).lower() == "true" for value in weighed) else "lora"


def _arguments(texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = json.loads(texts.get(ARGUMENTS, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
