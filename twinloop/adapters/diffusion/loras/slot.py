"""The LoRAs a pipeline wears: put on, taken off, exchanged, without touching the base weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.adapters.diffusion.loras.dora_layers import interpolate
from twinloop.adapters.diffusion.loras.given_lora import holds_lokr
from twinloop.adapters.diffusion.loras.hot_swap import exchange, pairs_of, settle
from twinloop.adapters.diffusion.loras.lokr_reading import read_products
from twinloop.adapters.diffusion.loras.precision import as_activations
from twinloop.adapters.diffusion.loras.reading import read_for_pipeline
from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.messages import first_line, wrong_base
from twinloop.adapters.diffusion.prompts import PromptEmbedder, encoders_of
from twinloop.adapters.diffusion.quantised.model import stays_in_place
from twinloop.errors import ModelFileError
from twinloop.families.base import Family

ADAPTER = "twinloop"


@dataclass
class _Worn:
    """One LoRA in place: its file as it was, its strength, whether it changes the text encoders, and whether it is a
    LoKr or a DoRA.
    """

    path: Path
    state: tuple[int, int] | None
    scale: float
    adapts_encoders: bool
    product: bool = False
    magnitudes: bool = False

    @property
    def encoder_key(self) -> str:
        """Changes with what it adds to the text encoders, "" = nothing."""
        return f"{self.path} {self.state} {self.scale}" if self.adapts_encoders else ""


class LoraSlot:
    """The LoRA files on a pipeline.

    They stay apart from the base weights, so that taking them off restores those exactly.
    """

    def __init__(self, pipeline: Any, family: Family, prompts: PromptEmbedder) -> None:
        self._pipeline = pipeline
        self._family = family
        self._prompts = prompts
        self._worn: dict[str, _Worn] = {}
        self._steady, self._rank = False, 0
        self._wrapped = False

    def hold_steady(self, wanted: bool) -> None:
        """Whether a LoRA of another alpha, or of a rank that is not larger than one before, is to look the same to a
        compiler (`settle`).
        """
        if self._steady and not wanted:
            self.wear([])  # what was filled up may round otherwise in the last place
        self._steady = wanted

    @property
    def holds_products(self) -> bool:
        """Whether a LoKr is worn."""
        return any(worn.product for worn in self._worn.values())

    @property
    def holds_magnitudes(self) -> bool:
        """Whether a DoRA is worn."""
        return any(worn.magnitudes for worn in self._worn.values())

    def use(self, path: Path | None, scale: float = 1.0) -> None:
        """Wear this file alone at this strength (None = the bare base).

        Raises:
            ModelFileError: not a LoRA, or one for another kind of base model.
        """
        self.wear([] if path is None else [(path, scale)])

    def wear(self, wanted: Sequence[tuple[Path, float]]) -> None:
        """Wear exactly these files, each at its strength; those that are worn already stay where they are.

        Raises:
            ModelFileError: not a LoRA, or one for another kind of base model; then none is worn. As PyTorch: memory
                runs out; then, too.
        """
        try:
            self._change(wanted)
        except (ModelFileError, RuntimeError, MemoryError):  # half of one may be on when memory runs out
            self._take_all_off()
            raise
        finally:
            self._prompts.encoder_key = "\n".join(
                worn.encoder_key for worn in self._worn.values() if worn.adapts_encoders
            )

    def _change(self, wanted: Sequence[tuple[Path, float]]) -> None:
        names = [ADAPTER if number == 0 else f"{ADAPTER}_{number}" for number in range(len(wanted))]
        stale = [
            name for name, worn in self._worn.items()
            if name not in names or not _same(worn, wanted[names.index(name)][0])
        ]  # fmt: skip
        self._take_off(
            [name for name in stale if name not in names or not self._exchange(name, wanted[names.index(name)][0])]
        )
        self._put_all_on({name: path for name, (path, _) in zip(names, wanted, strict=True)})
        self._scale({name: scale for name, (_, scale) in zip(names, wanted, strict=True)})
        if self._steady:
            self._rank = settle(self._denoiser, self._rank)

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipeline, self._family.denoiser)

    def _exchange(self, name: str, path: Path) -> bool:
        """Whether this file could take the place of the one that is worn under that name."""
        if self._worn[name].adapts_encoders or self._worn[name].product or holds_lokr(path):
            return False
        try:
            read = read_for_pipeline(path, self._pipeline, self._family)
        except ModelFileError:  # said where it is put on
            return False
        pairs = pairs_of(read, path, self._family.denoiser)
        if pairs is None or not exchange(self._denoiser, name, pairs, smaller=self._steady):
            return False
        self._worn[name] = _Worn(path, _state(path), 1.0, adapts_encoders=False)
        return True

    def _take_off(self, names: Sequence[str]) -> None:
        if not names:
            return
        if len(names) == len(self._worn):
            self._take_all_off()
            return
        self._pipeline.delete_adapters(list(names))
        for name in names:
            del self._worn[name]

    def _take_all_off(self) -> None:
        self._pipeline.unload_lora_weights()
        self._worn.clear()
        self._wrapped = False

    def _put_all_on(self, wanted: Mapping[str, Path]) -> None:
        """Wear what is not worn yet, pairs of matrices before products whatever the order in ``wanted``.

        A product lies around the layers of pairs, and stays around them, empty, when it alone is taken off. diffusers
        looks for a layer's weights one layer deep, so that no pair can be loaded below one.
        """
        products = {name for name, path in wanted.items() if holds_lokr(path)}
        if self._wrapped and any(name not in self._worn and name not in products for name in wanted):
            self._take_all_off()
        for name, path in wanted.items():
            if name not in self._worn and name not in products:
                self._put_on(name, path)
        for name, path in wanted.items():
            if name not in self._worn:
                self._put_product_on(name, path)

    def _put_product_on(self, name: str, path: Path) -> None:
        products = read_products(path, self._pipeline, self._family)
        self._wrapped = True
        products.wear(self._pipeline, name)
        self._worn[name] = _Worn(path, _state(path), 1.0, products.adapts_encoders, product=True)

    def _put_on(self, name: str, path: Path) -> None:
        read = read_for_pipeline(path, self._pipeline, self._family)
        try:
            self._pipeline.load_lora_weights(
                read.given,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=stays_in_place(self._denoiser),
            )
        except (ValueError, RuntimeError, KeyError, TypeError, AssertionError) as error:
            if ran_out_of_memory(error):
                raise
            raise ModelFileError(wrong_base(path, first_line(error))) from error
        for model in (self._denoiser, *encoders_of(self._pipeline)):
            as_activations(model, name)
            interpolate(model, name)
        self._worn[name] = _Worn(path, _state(path), 1.0, read.adapts_encoders, magnitudes=read.has_magnitudes)

    def _scale(self, scales: dict[str, float]) -> None:
        changed = [name for name, scale in scales.items() if self._worn[name].scale != scale]
        if len(scales) > 1 or changed:
            self._pipeline.set_adapters(list(scales), list(scales.values()))
        for name in changed:
            self._worn[name].scale = scales[name]


def _same(worn: _Worn, path: Path) -> bool:
    return worn.path == path and worn.state == _state(path)


def _state(path: Path) -> tuple[int, int] | None:
    """Changes when the file does: a path may be written anew between two uses."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size
