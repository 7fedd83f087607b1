"""The LoRAs a pipeline wears: put on, taken off, exchanged, without touching the base weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.adapters.diffusion.lora_import import read_lora, wrong_base
from twinloop.adapters.diffusion.prompts import PromptEmbedder
from twinloop.errors import ModelFileError
from twinloop.families.base import Family

ADAPTER = "twinloop"


@dataclass
class _Worn:
    """One LoRA in place: its file as it was, its strength, and whether it changes the text encoders."""

    path: Path
    state: tuple[int, int] | None
    scale: float
    speaks: bool


class LoraSlot:
    """The LoRA files on a pipeline. They stay apart from the base weights, so that taking them off restores those exactly."""

    def __init__(self, pipeline: Any, family: Family, prompts: PromptEmbedder) -> None:
        self._pipeline = pipeline
        self._family = family
        self._prompts = prompts
        self._worn: dict[str, _Worn] = {}

    def use(self, path: Path | None, scale: float = 1.0) -> None:
        """Wear this file alone at this strength (None = the bare base).

        Raises:
            ModelFileError: not a LoRA, or one for another kind of base model.
        """
        self.wear([] if path is None else [(path, scale)])

    def wear(self, wanted: Sequence[tuple[Path, float]]) -> None:
        """Wear exactly these files, each at its strength; those that are worn already stay where they are.

        Raises:
            ModelFileError: not a LoRA, or one for another kind of base model; then none is worn.
        """
        names = [ADAPTER if number == 0 else f"{ADAPTER}_{number}" for number in range(len(wanted))]
        stale = [
            name for name, worn in self._worn.items()
            if name not in names or not _same(worn, wanted[names.index(name)][0])
        ]  # fmt: skip
        self._take_off(stale)
        for name, (path, _) in zip(names, wanted, strict=True):
            if name not in self._worn:
                self._put_on(name, path)
        self._scale({name: scale for name, (_, scale) in zip(names, wanted, strict=True)})

    def _take_off(self, names: Sequence[str]) -> None:
        if not names:
            return
        if len(names) == len(self._worn):
            self._pipeline.unload_lora_weights()
        else:
            self._pipeline.delete_adapters(list(names))
        spoke = any(self._worn[name].speaks for name in names)
        for name in names:
            del self._worn[name]
        if spoke:
            self._prompts.forget()

    def _put_on(self, name: str, path: Path) -> None:
        read = read_lora(path, self._pipeline, self._family)
        given = dict(read.tensors) if read.converted else str(path)
        try:
            self._pipeline.load_lora_weights(given, adapter_name=name, use_safetensors=True, local_files_only=True)
        except (ValueError, RuntimeError, KeyError, TypeError, AssertionError) as error:
            self._pipeline.unload_lora_weights()
            self._worn.clear()
            raise ModelFileError(wrong_base(path, str(error).strip().splitlines()[0])) from error
        if read.speaks:
            self._prompts.forget()
        self._worn[name] = _Worn(path, _state(path), 1.0, read.speaks)

    def _scale(self, scales: dict[str, float]) -> None:
        changed = [name for name, scale in scales.items() if self._worn[name].scale != scale]
        if len(scales) > 1 or changed:
            self._pipeline.set_adapters(list(scales), list(scales.values()))
        for name in changed:
            self._worn[name].scale = scales[name]
        if any(self._worn[name].speaks for name in changed):
            self._prompts.forget()


def _same(worn: _Worn, path: Path) -> bool:
    return worn.path == path and worn.state == _state(path)


def _state(path: Path) -> tuple[int, int] | None:
    """Changes when the file does: a path may be written anew between two uses."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size
