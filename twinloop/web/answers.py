"""How answers are written as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from fastapi.responses import JSONResponse


class Answer(JSONResponse):
    """JSON in ASCII, whatever records and folders hold: names of files that are no valid text are escaped, and numbers
    that JSON does not have (NaN, infinite) are null.
    """

    def render(self, content: Any) -> bytes:
        try:
            return _written(content)
        except ValueError:
            return _written(_finite(content))


def _written(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
