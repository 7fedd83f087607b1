"""Which base model, and how it is computed with: what is asked for, before anything is looked at or loaded.

Imports no large library.
"""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.families.predictions import NOT_ASKED, Asked


@dataclass(frozen=True)
class BaseChoice:
    """A base model as the user asked for it.

    Attributes:
        base: folder, single ``.safetensors`` or ``.gguf`` file, or hub id. device: ``auto``, ``cpu``, ``cuda`` or
            ``mps``.
        precision, quantization: of the weights, as `choose_compute` takes them.
        prediction: what the user says that it predicts.
        parts: (diffusers' name, file) of parts that come from files of their own, instead of with the base.
        part_hashes: (name, sha256) of those files as they were when the settings were read; () = whatever they hold.
        clip_skip: which layer from the end of its CLIP texts are read from; 1 = the last.
        allow_download: what is missing here may be fetched from the hub.
    """

    base: str
    device: str = "auto"
    precision: str = "auto"
    quantization: str | None = None
    allow_download: bool = False
    prediction: Asked = NOT_ASKED
    parts: tuple[tuple[str, str], ...] = ()
    part_hashes: tuple[tuple[str, str], ...] = ()
    clip_skip: int = 1

    @property
    def part_names(self) -> tuple[str, ...]:
        """Of those that need not come with the base."""
        return tuple(name for name, _ in self.parts)

    @property
    def half(self) -> bool:
        """Whether half-precision copies of its weights will do."""
        return self.precision != "float32"
