"""`bootstrap_config.json` -> settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from twinloop.config.mistakes import mistakes, right_part
from twinloop.config.settings import Settings
from twinloop.errors import ConfigError, InputError
from twinloop.system import shell

_DEEPEST = 100
"""Of brackets within brackets: what is nested deeper is no configuration, and copying it would fail."""


def parse_settings(data: Any, source: str) -> Settings:
    """Settings from parsed JSON.

    Raises:
        ConfigError: all mistakes at once, each with its field and what was expected.
    """
    if not isinstance(data, dict):
        raise ConfigError(source, ["the file must hold one JSON object { ... }"])
    # keys that start with an underscore are comments
    data = {key: value for key, value in data.items() if not str(key).startswith("_")}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(source, mistakes(data, error)) from None


def salvaged_settings(data: Any) -> tuple[Settings, frozenset[str]]:
    """Of parsed JSON that `parse_settings` refuses, what is right, so that it can be looked at too; and the fields that
    are wrong.
    """
    return right_part({key: value for key, value in data.items() if not str(key).startswith("_")})


def load_settings(path: Path) -> Settings:
    """Settings from a JSON file; errors as in `read_config` and `parse_settings`."""
    return parse_settings(read_config(path), str(path))


def read_config(path: Path) -> Any:
    """The parsed JSON of a configuration, not yet checked.

    Raises:
        InputError: no such file. ConfigError: not JSON; says where.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        # not "> {path}": PowerShell would write it as UTF-16
        raise InputError(
            f"No configuration at {path}. Write one: twinloop init --output {shell.quote(str(path))}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"Cannot read {path}: it is not UTF-8 text. Save it as UTF-8 (in an editor: Save as; in PowerShell:"
            " twinloop init --output FILE instead of > FILE)."
        ) from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error}") from error
    try:
        data = json.loads(text)
        _check_depth(data, _DEEPEST)
    except json.JSONDecodeError as error:
        raise ConfigError(
            str(path), [f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}"]
        ) from None
    except RecursionError:
        raise ConfigError(str(path), [f"brackets within brackets, more than {_DEEPEST} deep"]) from None
    except ValueError:
        raise ConfigError(str(path), ["a number of more digits than any setting has"]) from None
    return data


def _check_depth(data: Any, left: int) -> None:
    """Raises RecursionError for what is nested deeper."""
    if not left:
        raise RecursionError
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        _check_depth(item, left - 1)
