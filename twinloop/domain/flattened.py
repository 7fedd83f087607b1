"""Nested settings as one table."""

from __future__ import annotations

from typing import Any


def flattened(data: Any, prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; lists stay whole, and what is no mapping stands under ``prefix``."""
    if not isinstance(data, dict):
        return {prefix: data}
    return {
        name: value
        for key, item in data.items()
        for name, value in flattened(item, f"{prefix}.{key}" if prefix else str(key)).items()
    }
