"""A LoKr or LoHa as the nearest LoRA, for programs that read none of these."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.families.registered import lora_names_of
from twinloop.loras.adapter import Adapter, Place, understood
from twinloop.loras.algebra import Addend, check_held, cut, norm, peaks, spectrum, total
from twinloop.loras.combine import Reduction
from twinloop.loras.container import check_output, file_bytes, write_new
from twinloop.loras.hadamard import Hadamard
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import LOHA, LOKR, Dialect, Layer, LoraFile, Update, read_lora
from twinloop.loras.products import Decomposed, product_norm
from twinloop.loras.tensors import NAMES, RawTensor, check_finite, widest
from twinloop.loras.texts import ARGUMENTS, named_texts, rank_texts
from twinloop.loras.write import as_tensors, is_unet, named_layers
from twinloop.ports import Reporter

LARGEST_EXACT = 512
"""Rank up to which layers are written out exactly where no limit is given; more is as large as the model."""
_UNET_3X3 = re.compile(r"\.conv[12]$|samplers\.\d+\.conv$|^conv_(in|out)$")
_UNET_1X1 = re.compile(r"\.conv_shortcut$")
_PROJECTION = re.compile(r"\.proj_(in|out)$")


@dataclass(frozen=True)
class Kept:
    """How near the LoRAs are.

    ``energy``: share of the squared norm of all layers that were none, 0..1; ``worst``: the layer that kept least.
    """

    energy: float
    worst: str
    worst_energy: float

    def to_json(self) -> dict[str, Any]:
        return {
            "kept_energy": round(self.energy, 6), "residual_energy": round(1 - self.energy, 6),
            "least_kept": {"layer": self.worst, "energy": round(self.worst_energy, 6)},
        }  # fmt: skip


def extract(
    source: Path, output: Path, limit: Reduction | None, dtype: str | None, reporter: Reporter
) -> dict[str, Any]:
    """Write a LoKr or LoHa file as a LoRA under diffusers' names.

    Args:
        limit: None = exactly, for a LoHa. dtype: ``float32``, ``float16`` or ``bfloat16``; None = each layer's own.

    Raises:
        NothingToDo: it is a LoRA already. ModelFileError, InputError, StateError: as reading and writing raise them.
    """
    check_output(output)
    file = read_lora(source)
    if not has_products(file):
        file.plain()
        raise NothingToDo(f"{source} is a LoRA already; nothing was written. For a smaller rank: twinloop lora resize")
    if limit is None and file.method == LOKR:
        limit = Reduction()  # which asks how small
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
        "method": file.method,
        "family": adapter.family or None,
        "layers": len(named),
        "ranks": [min(ranks), max(ranks)],
        **kept.to_json(),
        "dropped": list(file.others),
    }


def has_products(file: LoraFile) -> bool:
    """Whether `as_pairs` makes a LoRA of it: a LoKr, or a LoHa without anything else."""
    return (bool(file.products) and file.method == LOKR) or file.method == LOHA


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
    products: dict[str, Kronecker | Hadamard] = {**file.products, **file.hadamards}
    for number, (name, layer) in enumerate(products.items(), 1):
        try:
            if isinstance(layer, Hadamard):
                made, share, energy = _of_loha(layer, limit, dtype)
            else:
                made, share = _nearest(layer, limit, dtype)
                energy = product_norm(layer) ** 2
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {name}: {error}") from error
        except InputError as error:
            raise InputError(f"{file.path}: {error}") from error
        layers[name], shares[name] = made, share
        whole, left = whole + energy, left + energy * share
        reporter.progress("Decomposing", number, len(products))
    worst = min(shares, key=lambda name: shares[name], default="")
    kept = Kept(left / whole if whole else 1.0, worst, shares.get(worst, 1.0))
    return replace(file, layers=layers, hadamards={}, method="LoRA"), kept


def _nearest(layer: Kronecker, limit: Reduction | None, dtype: str | None) -> tuple[Layer, float]:
    found = Decomposed(layer)
    rank = found.rank
    if limit is None:
        _check_exact(rank)
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


def _check_exact(rank: int) -> None:
    if rank > LARGEST_EXACT:
        raise InputError(f"as a LoRA this has a rank of {rank}. Say how far to go down: --rank N or --energy X.")


def _of_loha(layer: Hadamard, limit: Reduction | None, dtype: str | None) -> tuple[Layer, float, float]:
    """(the nearest pair, the share of the energy that it keeps, that energy); the pair itself where no limit is given,
    or none that it would exceed.
    """
    whole = _multiplied(layer)
    up, down = whole.up.values(), whole.down.values()
    check_finite(up, down)
    rank = whole.rank
    possible = min(rank, len(up), down[0].size)
    if limit is None:
        _check_exact(possible)
    target = dtype or widest(layer.dtypes)
    if rank == possible and (limit is None or (limit.energy is None and (limit.rank or 0) >= rank)):
        made, share, energy = total([Addend(whole, 1.0, peaks(whole, 1.0))], target), 1.0, norm(whole) ** 2
    else:
        found = spectrum(whole)
        wanted = possible if limit is None or limit.energy is None else found.rank_for(limit.energy)
        rank = wanted if limit is None or limit.rank is None else min(wanted, limit.rank)
        made, energy = cut(whole, found, rank, target), float(found.energy.sum())
        share = float(found.energy[:rank].sum()) / energy if energy else 1.0
        energy *= whole.scale**2
    check_held(made.down, made.up)
    return made, share, energy


def _multiplied(layer: Hadamard) -> Layer:
    """The pair that a LoHa is, in float64, under its own scale."""
    up, down = layer.pair()
    rank, kernel = len(down), layer.kernel
    return Layer(
        RawTensor("F64", down.reshape(rank, -1, *kernel)),
        RawTensor("F64", up.reshape(len(up), rank, *(1 for _ in kernel))),
        layer.scale * rank,
    )


def loha_norm(layer: Hadamard) -> float:
    """Frobenius norm of a LoHa's update, scale included; nan or inf where the weights are."""
    return norm(_multiplied(layer))


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


def _texts(file: LoraFile, named: Mapping[str, Update], limit: Reduction | None, kept: Kept) -> dict[str, str]:
    own = {key: text for key, text in file.texts.items() if key != ARGUMENTS}
    note = f"LoRA from a {file.method}: {limit or 'exact'}, {100 * kept.energy:.2f}% of its squared norm kept"
    return {
        **own,
        **rank_texts(named.values()),
        "ss_training_comment": "; ".join(filter(None, (own.get("ss_training_comment", ""), note))),
    }
