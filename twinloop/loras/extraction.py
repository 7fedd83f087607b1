"""A LoKr as the nearest LoRA, for programs that read no LoKr."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.families.registered import lora_names_of
from twinloop.loras.adapter import Adapter, Place, understood
from twinloop.loras.algebra import check_held
from twinloop.loras.combine import Reduction
from twinloop.loras.container import check_output, file_bytes, write_new
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Dialect, Layer, LoraFile, Update, read_lora
from twinloop.loras.products import Decomposed, product_norm
from twinloop.loras.tensors import NAMES, RawTensor, widest
from twinloop.loras.texts import ARGUMENTS, named_texts, rank_texts
from twinloop.loras.write import as_tensors, is_unet, named_layers
from twinloop.ports import Reporter

LARGEST_EXACT = 512
"""Rank up to which a LoKr is written out exactly where no limit is given; more is as large as the model."""
_UNET_3X3 = re.compile(r"\.conv[12]$|samplers\.\d+\.conv$|^conv_(in|out)$")
_UNET_1X1 = re.compile(r"\.conv_shortcut$")
_PROJECTION = re.compile(r"\.proj_(in|out)$")


@dataclass(frozen=True)
class Kept:
    """How near the LoRAs are.

    ``energy``: share of the squared norm of all LoKr layers, 0..1; ``worst``: the layer that kept least.
    """

    energy: float
    worst: str
    worst_energy: float

    def to_json(self) -> dict[str, Any]:
        return {
            "kept_energy": round(self.energy, 6), "residual_energy": round(1 - self.energy, 6),
            "least_kept": {"layer": self.worst, "energy": round(self.worst_energy, 6)},
        }  # fmt: skip


def extract(source: Path, output: Path, limit: Reduction, dtype: str | None, reporter: Reporter) -> dict[str, Any]:
    """Write a LoKr file as a LoRA under diffusers' names.

    Args:
        dtype: ``float32``, ``float16`` or ``bfloat16``; None = each layer's own.

    Raises:
        NothingToDo: it is a LoRA already. ModelFileError, InputError, StateError: as reading and writing raise them.
    """
    check_output(output)
    file = read_lora(source).plain()
    if not file.products:
        raise NothingToDo(f"{source} is a LoRA already; nothing was written. For a smaller rank: twinloop lora resize")
    pairs, kept = as_pairs(file, limit, None if dtype is None else NAMES[dtype], reporter)
    adapter = convolutions(understood(pairs))
    named = named_layers(adapter, Dialect.DIFFUSERS)
    texts = named_texts(_texts(file, named, limit, kept), output.stem)
    write_new(output, file_bytes(*as_tensors(named, Dialect.DIFFUSERS, texts)))
    ranks = [layer.rank for layer in named.values() if layer.rank is not None]
    return {
        "source": str(source),
        "output": str(output),
        "from": file.dialect.value,
        "to": Dialect.DIFFUSERS.value,
        "asked_for": "lora",
        "family": adapter.family or None,
        "layers": len(named),
        "ranks": [min(ranks), max(ranks)],
        **kept.to_json(),
        "dropped": list(file.others),
    }


def as_pairs(file: LoraFile, limit: Reduction | None, dtype: str | None, reporter: Reporter) -> tuple[LoraFile, Kept]:
    """The same file with the nearest pair in the place of every product.

    Args:
        limit: None = exactly. dtype: safetensors' name; None = each layer's own.

    Raises:
        InputError: exactly would be more than `LARGEST_EXACT`. ModelFileError: weights that are not finite.
    """
    layers: dict[str, Update] = dict(file.layers)
    whole = left = 0.0
    shares: dict[str, float] = {}
    for number, (name, layer) in enumerate(file.products.items(), 1):
        try:
            made, share = _nearest(layer, limit, dtype)
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {name}: {error}") from error
        except InputError as error:
            raise InputError(f"{file.path}: {error}") from error
        layers[name], shares[name] = made, share
        energy = product_norm(layer) ** 2
        whole, left = whole + energy, left + energy * share
        reporter.progress("Decomposing", number, len(file.products))
    worst = min(shares, key=lambda name: shares[name], default="")
    kept = Kept(left / whole if whole else 1.0, worst, shares.get(worst, 1.0))
    return replace(file, layers=layers, method="LoRA"), kept


def _nearest(layer: Kronecker, limit: Reduction | None, dtype: str | None) -> tuple[Layer, float]:
    found = Decomposed(layer)
    rank = found.rank
    if limit is None:
        if rank > LARGEST_EXACT:
            raise InputError(
                f"as a LoRA this LoKr has a rank of {rank}. Say how far to go down: --rank N or --energy X."
            )
    else:
        rank = min(
            rank,
            *(found.rank_for(limit.energy),) if limit.energy is not None else (),
            *(limit.rank,) if limit.rank is not None else (),
        )
    total = float(found.energy.sum())
    share = float(found.energy[:rank].sum()) / total if total else 1.0
    made = found.lora(rank, dtype or widest(layer.dtypes))
    check_held(made.down, made.up)
    return made, share


def convolutions(adapter: Adapter) -> Adapter:
    """Pairs over a UNet's convolutions in the shape that PEFT wants; a LoKr's pair does not tell its kernel, the
    layer's place does.
    """
    if not is_unet(adapter):
        return adapter
    pointwise = (_UNET_1X1, _PROJECTION) if lora_names_of(adapter.family).pointwise_projections else (_UNET_1X1,)
    return replace(adapter, layers={place: _folded(place, layer, pointwise) for place, layer in adapter.layers.items()})


def _folded(place: Place, layer: Update, pointwise: Iterable[re.Pattern[str]]) -> Update:
    side = 3 if _UNET_3X3.search(place.path) else int(any(pattern.search(place.path) for pattern in pointwise))
    if not side or not isinstance(layer, Layer) or len(layer.down.shape) > 2 or layer.inputs % side**2:
        return layer
    down = RawTensor(layer.down.dtype, layer.down.bits.reshape(layer.rank, -1, side, side))
    return Layer(down, RawTensor(layer.up.dtype, layer.up.bits.reshape(layer.outputs, layer.rank, 1, 1)), layer.alpha)


def _texts(file: LoraFile, named: Mapping[str, Update], limit: Reduction, kept: Kept) -> dict[str, str]:
    own = {key: text for key, text in file.texts.items() if key != ARGUMENTS}
    note = f"LoRA from a LoKr: {limit}, {100 * kept.energy:.2f}% of its squared norm kept"
    return {
        **own,
        **rank_texts(named.values()),
        "ss_training_comment": "; ".join(filter(None, (own.get("ss_training_comment", ""), note))),
    }
