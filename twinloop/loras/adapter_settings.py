"""Alphas as PEFT's configuration has them: JSON in the header of a file by diffusers, a file of its own by PEFT."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinloop.errors import ModelFileError
from twinloop.loras.patterns import Patterns
from twinloop.loras.tensors import AGAIN

ADAPTER_TEXT = "lora_adapter_metadata"
"""Header text in which diffusers keeps rank and alpha as JSON."""
_TABLE = ".alpha_pattern"


class AdapterSettings:
    """The configuration of one file, by the components of its model.

    Args:
        text: JSON; keys bear the component's name, or none where the file is of a denoiser by itself.

    Raises:
        ModelFileError: it is no such configuration.
    """

    def __init__(self, text: str) -> None:
        try:
            found: dict[str, Any] = json.loads(text)
            if "r" in found:
                found |= {f"{part}.{key}": value for part in ("unet", "transformer") for key, value in found.items()}
            tables = {key.removesuffix(_TABLE): table for key, table in found.items() if key.endswith(_TABLE)}
            self._patterns = {part: Patterns(table or {}) for part, table in tables.items()}
            self._found = found
        except (ValueError, TypeError, AttributeError, RecursionError, re.error, ModelFileError) as error:
            raise _unreadable(error) from error

    def alpha(self, name: str, rank: int | None, lokr: bool) -> float | None:
        """Alpha of a layer: of a table's key that fits its path, else the model's; None = not told.

        Args:
            name: component and path. rank: None = whole matrices.

        Raises:
            ModelFileError: it is no finite number.
        """
        component, _, path = name.partition(".")
        alpha = self._patterns[component].of(path) if component in self._patterns else None
        if alpha is None:
            alpha = self._found.get(f"{component}.{'alpha' if lokr else 'lora_alpha'}")
        if alpha is None:
            return None
        root = rank is not None and not lokr and bool(self._found.get(f"{component}.use_rslora"))
        try:
            made = float(alpha) * (math.sqrt(rank) if rank is not None and root else 1.0)
        except (ValueError, TypeError, OverflowError) as error:
            raise _unreadable(error) from error
        if not math.isfinite(made):
            raise _unreadable(f"an alpha is {made}")
        return made


def _unreadable(why: object) -> ModelFileError:
    return ModelFileError(f"its rank and alpha, as PEFT's configuration has them, cannot be read ({why}). {AGAIN}")


def settings_of(path: Path, texts: Mapping[str, str]) -> AdapterSettings | None:
    """The configuration in a file's header, or beside a file that PEFT itself saved; None = there is none.

    Raises:
        ModelFileError: it cannot be read.
    """
    if ADAPTER_TEXT in texts:
        return AdapterSettings(texts[ADAPTER_TEXT])
    config = path.with_name("adapter_config.json")
    if path.name != "adapter_model.safetensors" or not config.is_file():
        return None
    try:
        return AdapterSettings(config.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(f"{config.name}: {error}") from error
