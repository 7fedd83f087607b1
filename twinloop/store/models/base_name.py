"""What a base model is called in files that are passed on, which tell nobody how a machine's folders are called; and
where it lies, as the record of a training has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from twinloop.domain.file_names import is_on_network
from twinloop.errors import TwinLoopError
from twinloop.store.atomic import read_json

BASE_NAME = "ss_sd_model_name"
OUTPUT_NAME = "ss_output_name"
"""What A1111 shows a LoRA as, and inserts into prompts."""
TRAINED_AS = "twinloop.trained_as"
"""`OUTPUT_NAME` of the training's own file, in files of another name that were made from it."""
_ENDINGS = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".bin")
_OF_A_TRAINING = re.compile(r"(-step\d{8})?(_kohya)?$")
_HUB_ID = re.compile(r"\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b", re.ASCII)


def is_hub_id(name: str) -> bool:
    """Whether the hub can have a model of this name, ``owner/name``, by the rules of its library, which refuses others
    with an error of its own; relative paths such as ``../models`` look much like one.
    """
    return bool(_HUB_ID.fullmatch(name)) and not ("--" in name or ".." in name or name.endswith(".git"))


def base_name(base: str) -> str:
    """Of a file or folder the last part of its path; ids of the hub and models that are built in stay as they are."""
    # names of headers come here too, and those may come from anywhere
    if base and not is_on_network(base) and Path(base).expanduser().exists():
        return Path(os.path.abspath(Path(base).expanduser())).name
    if PurePosixPath(base).is_absolute() or PureWindowsPath(base).is_absolute() or base.startswith(("~", ".")):
        return PureWindowsPath(base).name
    return base


def base_title(base: str) -> str:
    """As A1111 names it beside an image: a file without its ending."""
    name = base_name(base)
    return name[: -len(Path(name).suffix)] if name.lower().endswith(_ENDINGS) else name


def recorded_base(lora: Path, texts: Mapping[str, str]) -> str:
    """The base model in the record of a training that lies beside its LoRA, with its whole path; "" = there is none, or
    it is of another LoRA.

    Args:
        texts: of the LoRA's header.
    """
    named = base_name(texts.get(BASE_NAME, ""))
    told = (PureWindowsPath(texts.get(key, "")).name for key in (OUTPUT_NAME, TRAINED_AS))
    stems = (lora.stem, _OF_A_TRAINING.sub("", lora.stem), *told)
    for stem in filter(None, dict.fromkeys(stems)):
        found = _base_of(lora.with_name(f"{stem}.json"))
        if found and base_name(found) == named:
            return found
    return ""


def _base_of(record: Path) -> str:
    try:
        data: Any = read_json(record) if record.is_file() else {}
    except (TwinLoopError, OSError, ValueError):
        return ""
    found = data.get("base_model") if isinstance(data, dict) else None
    return found if isinstance(found, str) else ""
