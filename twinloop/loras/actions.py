"""What ``twinloop lora`` does with files: convert, merge, resize.

Results say what was done; originals are only read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.errors import InputError, ModelFileError, NothingToDo
from twinloop.loras.adapter import Adapter, understood
from twinloop.loras.combine import Part, Reduction, Resized, merged, resized
from twinloop.loras.container import check_output, file_bytes, write_new
from twinloop.loras.extraction import as_pairs, convolutions, has_products
from twinloop.loras.lora import Dialect, LoraFile, Update, read_lora
from twinloop.loras.tensors import NAMES
from twinloop.loras.texts import merged_texts, named_texts, resized_texts
from twinloop.loras.write import as_tensors, effective_dialect, is_unet, named_layers
from twinloop.ports import Reporter
from twinloop.store.atomic import sha256_file


@dataclass(frozen=True)
class Term:
    """One LoRA of a merge and its weight."""

    path: Path
    weight: float


def convert(source: Path, target: Dialect, output: Path) -> dict[str, Any]:
    """The same numbers under the names of another dialect, alpha kept.

    Raises:
        NothingToDo: it is in that dialect already. ModelFileError, InputError, StateError: as reading and writing raise
            them.
    """
    check_output(output)
    file = read_lora(source)
    adapter = understood(file)
    dialect = effective_dialect(adapter, target)
    if dialect is file.dialect and not file.bare:
        raise NothingToDo(
            f"{source} is in the dialect {dialect.value} already; nothing was"
            f" written.{'' if target is dialect else _why(adapter)}"
        )
    named = named_layers(adapter, dialect)
    write_new(output, file_bytes(*as_tensors(named, dialect, named_texts(file.texts, output.stem))))
    return {
        "source": str(source),
        "output": str(output),
        "from": file.dialect.value,
        "to": dialect.value,
        "asked_for": target.value,
        "family": adapter.family or None,
        "layers": len(named),
        "dropped": list(file.others),
    }


def _why(adapter: Adapter) -> str:
    """Why its files for ComfyUI are kohya's (`effective_dialect`)."""
    if is_unet(adapter):
        return " For UNets (SD 1.5, SDXL) ComfyUI reads kohya's files."
    return " ComfyUI reads it as it is: its own names fuse layers that have LoKrs of their own here."


def merge(
    terms: Sequence[Term],
    output: Path,
    to: Dialect | None,
    limit: Reduction | None,
    dtype: str | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """The weighted sum of several LoRAs; ranks add up unless ``limit`` cuts them.

    A LoKr or LoHa takes part as the nearest LoRA within the limit.

    Args:
        dtype: ``float32`` (the default, which keeps the sum as it is), ``float16`` or ``bfloat16``. to: default the
            first file's dialect.

    Raises:
        InputError: other bases, no weight. ModelFileError, StateError: as reading and writing raise them.
    """
    check_output(output)
    _check_terms(terms)
    files = [read_lora(term.path) for term in terms]
    extracted = {file.path: as_pairs(file, limit, "F32", reporter) for file in files if has_products(file)}
    pairs = [extracted[file.path][0] if file.path in extracted else file.plain() for file in files]
    parts = [
        Part(file.path.name, convolutions(understood(file)), term.weight)
        for file, term in zip(pairs, terms, strict=True)
    ]
    adapter = merged(parts, NAMES[dtype or "float32"])
    dialect = effective_dialect(adapter, to or _writable(files[0].dialect))
    named = named_layers(adapter, dialect)
    reduced = None if limit is None else resized(named, limit, NAMES[dtype or "float32"], reporter)
    named = named if reduced is None else reduced.layers
    sources = [(f.texts, f.path.name, sha256_file(f.path), term.weight) for f, term in zip(files, terms, strict=True)]
    texts = named_texts(merged_texts(sources, named.values()), output.stem)
    write_new(output, file_bytes(*as_tensors(named, dialect, texts)))
    ranks = [layer.rank for layer in named.values() if layer.rank is not None]
    return {
        "output": str(output), "to": dialect.value, "family": adapter.family or None, "layers": len(named),
        "sources": [{"file": str(term.path), "weight": term.weight} for term in terms],
        "ranks": [min(ranks), max(ranks)], "exact": reduced is None and dtype in (None, "float32"),
        "extracted": [
            {"file": str(file.path), "method": file.method, **extracted[file.path][1].to_json()}
            for file in files
            if file.path in extracted
        ],
        **({} if reduced is None else _kept(reduced)),
    }  # fmt: skip


def resize(source: Path, output: Path, limit: Reduction, dtype: str | None, reporter: Reporter) -> dict[str, Any]:
    """One LoRA or LoKr with smaller ranks, in its own dialect and, unless told otherwise, its own number type.

    Raises:
        NothingToDo: it is within the limit already. ModelFileError, InputError, StateError: as reading and writing
            raise them.
    """
    check_output(output)
    file = read_lora(source).plain()
    dialect = _writable(file.dialect)
    try:
        reduced = resized(_named(file, dialect), limit, None if dtype is None else NAMES[dtype], reporter)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error}") from error
    texts = named_texts(resized_texts(file.texts, reduced.layers.values(), str(limit)), output.stem)
    data = file_bytes(*as_tensors(reduced.layers, dialect, texts))
    write_new(output, data)
    return {
        "source": str(source), "output": str(output), "dialect": dialect.value, "layers": len(reduced.layers),
        "bytes_before": file.size, "bytes": len(data), "ranks": list(reduced.ranks), **_kept(reduced),
    }  # fmt: skip


def _named(file: LoraFile, dialect: Dialect) -> Mapping[str, Update]:
    """Layers under the names the file has, so that also bases this program does not know can be resized."""
    if dialect is not file.dialect:
        return named_layers(understood(file), dialect)
    return {name.removeprefix("base_model.model."): layer for name, layer in file.layers.items()}


def _writable(dialect: Dialect) -> Dialect:
    return Dialect.KOHYA if dialect is Dialect.LORA_DIFFUSION else dialect


def _kept(reduced: Resized[str]) -> dict[str, Any]:
    return {
        "kept_energy": round(reduced.kept, 6),
        "least_kept": {"layer": reduced.worst, "energy": round(reduced.worst_kept, 6)},
    }


def _check_terms(terms: Sequence[Term]) -> None:
    if len(terms) < 2 and all(term.weight == 1.0 for term in terms):
        raise InputError("Merging takes two or more LoRAs, as A.safetensors:0.7 B.safetensors:0.3.")
    if any(term.weight == 0 for term in terms):
        raise InputError("A LoRA of weight 0 adds nothing: leave it out.")
