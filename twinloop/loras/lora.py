"""A LoRA or LoKr file as one update per layer under the names of its dialect."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.loras.adapter_settings import AdapterSettings, settings_of
from twinloop.loras.bare_names import PEFT, is_bare, with_components
from twinloop.loras.components import KOHYA_NAMES
from twinloop.loras.container import read_tensors
from twinloop.loras.hadamard import PARTS as HADAMARD_PARTS
from twinloop.loras.hadamard import Hadamard, hadamard
from twinloop.loras.kronecker import PARTS, Kronecker, kronecker
from twinloop.loras.tensors import AGAIN, RawTensor


class Dialect(StrEnum):
    """How a file names layers and their two matrices.

    DIFFUSERS: ``unet.`` or ``transformer.<path>.lora_A.weight``. KOHYA: ``lora_unet_<path_>.lora_down.weight`` and
    ``.alpha``; for LoKr also LyCORIS's own ``lycoris_<path_>``, which follows diffusers' paths. COMFYUI:
    ``diffusion_model.<path>.lora_A.weight``, for transformers. LORA_DIFFUSION: ``unet:<n>:down``, the first of them
    all.
    """

    DIFFUSERS = "diffusers"
    KOHYA = "kohya"
    COMFYUI = "comfyui"
    LORA_DIFFUSION = "lora_diffusion"


def neat(alpha: float) -> float:
    """The shortest number that float32 cannot tell from this one: 0.7 was meant where a file holds 0.699999988."""
    return float(str(np.float32(alpha)))


@dataclass(frozen=True, eq=False)
class Layer:
    """One low-rank update: up @ down x scale.

    Attributes:
        down: (rank, in) or (rank, in, k, k). up: (out, rank) or (out, rank, 1, 1). alpha: None = not given, which means
            alpha = rank.
    """

    down: RawTensor
    up: RawTensor
    alpha: float | None

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        """What the product is multiplied with: alpha / rank."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @property
    def outputs(self) -> int:
        return self.up.shape[0]

    @property
    def inputs(self) -> int:
        return self.down.shape[1]


def is_wide_shape(shape: Sequence[int]) -> bool:
    """Whether weights of that shape, or a down matrix, (rank, in, ...), are of a convolution that sees neighbours;
    others have the rank of linear layers, as in sd-scripts.
    """
    return tuple(shape[2:]) not in ((), (1, 1))


Update = Layer | Kronecker
"""What a file does to one layer."""
U = TypeVar("U", bound=Update | Hadamard)


@dataclass(frozen=True, eq=False)
class LoraFile:
    """What a file holds.

    Attributes:
        layers: name of the layer as the file writes it (prefix included, ending not) -> its update; diffusers' names
            always with the component's.
        hadamards: layers of a LoHa, by the same names; none of them is in ``layers`` before `extraction.as_pairs` has
            made LoRAs of them.
        texts: of the header. method: ``LoRA``, ``LoKr`` (some layers may be pairs), or what else the tensors are
            (``DoRA``...).
        others: names of tensors that belong to no layer's update, such as trained words. dtypes: of all tensors, each
            once. size: bytes of the file.
        bare: the file's layers bear no component's name, as PEFT saves a model by itself.
        lengths: of a DoRA that has them by outputs: name of the layer -> length of each output's weights, (outputs,).
        foreign: those of ``others`` that are neither such lengths nor trained words.
    """

    path: Path
    dialect: Dialect
    layers: Mapping[str, Update]
    texts: Mapping[str, str]
    method: str
    others: tuple[str, ...]
    dtypes: tuple[str, ...]
    size: int
    bare: bool = False
    lengths: Mapping[str, RawTensor] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    hadamards: Mapping[str, Hadamard] = field(default_factory=dict)

    def plain(self) -> LoraFile:
        """Itself, if it is a LoRA or a LoKr and nothing else.

        Raises:
            ModelFileError: DoRA, LoHa and the like, which are neither pairs nor Kronecker products.
        """
        if self.method == LOHA:
            raise ModelFileError(f"{self.path}: {NO_LORA}")
        if self.method not in ("LoRA", LOKR):
            raise ModelFileError(
                f"{self.path} holds {self.method} weights, which are neither pairs of matrices nor Kronecker products:"
                " they can be looked at (twinloop lora info), not converted, merged or resized. Use the file as it is,"
                " in the program that trained it."
            )
        return self

    @property
    def pairs(self) -> dict[str, Layer]:
        """The layers that are pairs of matrices."""
        return {name: layer for name, layer in self.layers.items() if isinstance(layer, Layer)}

    @property
    def products(self) -> dict[str, Kronecker]:
        """The layers that are Kronecker products."""
        return {name: layer for name, layer in self.layers.items() if isinstance(layer, Kronecker)}


LOKR, LOHA, DORA = "LoKr", "LoHa", "DoRA"
HADA = "hada_"
"""What the names of a LoHa's tensors have before the part."""
NO_LORA = "a LoHa is no LoRA, but can be made one: twinloop lora convert FILE --to lora --output FILE"
_DOWN = (
    ".lora_A.weight",
    ".lora_A.default.weight",
    ".lora_down.weight",
    ".lora.down.weight",
    ".lora_linear_layer.down.weight",
    "_lora.down.weight",
    ":down",
)
_UP = (
    ".lora_B.weight",
    ".lora_B.default.weight",
    ".lora_up.weight",
    ".lora.up.weight",
    ".lora_linear_layer.up.weight",
    "_lora.up.weight",
    ":up",
)
_ALPHA = (".alpha",)
_ROLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("down", _DOWN), ("up", _UP), ("alpha", _ALPHA), *((part, (f".lokr_{part}",)) for part in PARTS),
    *((f"{HADA}{part}", (f".{HADA}{part}",)) for part in HADAMARD_PARTS),
)  # fmt: skip
MAGNITUDES = (".dora_scale", ".lora_magnitude_vector", ".lora_magnitude_vector.weight")
_METHODS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (DORA, MAGNITUDES),
    ("LoKr with a core of both matrices", (".lokr_t1",)),
    ("LoCon with a Tucker core", (".lora_mid.weight",)),
    ("OFT", (".oft_blocks", ".oft_diag", ".oft_R.weight")),
    ("GLoRA", (".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight")),
    ("LoRA that changes the sizes of layers", (".reshape_weight",)),
    ("whole-weight difference", (".diff", ".diff_b", ".w_norm", ".b_norm", ".lora_B.bias")),
)
_PREFIXES: tuple[tuple[Dialect, str], ...] = (
    (Dialect.KOHYA, rf"lora_({KOHYA_NAMES})_|lycoris_"),
    (Dialect.COMFYUI, r"diffusion_model\.|text_encoders\."),
    (Dialect.DIFFUSERS, r"(base_model\.model\.)?(unet|transformer|text_encoder|text_encoder_[23])\."),
    (Dialect.LORA_DIFFUSION, r"(unet|text_encoder):\d+:|<[^>]+>$"),
)
_WORDS = re.compile(r"<[^>]+>|bundle_emb\..+", re.DOTALL)
"""Tensors of trained words: lora_diffusion's, and those that ComfyUI and Forge read (``bundle_emb.<word>...``)."""


def _length_of(name: str) -> str:
    """The layer, by its name in the file, whose lengths a DoRA's tensor holds; "" = it holds none."""
    ending = next((ending for ending in MAGNITUDES if name.endswith(ending)), None)
    return "" if ending is None else name.removesuffix(ending)


def _lengths(tensors: Mapping[str, RawTensor]) -> dict[str, RawTensor]:
    """Lengths of outputs; those of inputs, (1, inputs, ...) under ``dora_scale``, are left out."""
    found = {}
    for name, tensor in tensors.items():
        stem, size = _length_of(name), math.prod(tensor.shape)
        if stem and (not name.endswith(".dora_scale") or tensor.shape[:1] == (size,)):
            found[stem] = RawTensor(tensor.dtype, tensor.bits.reshape(-1))
    return found


def read_lora(path: Path) -> LoraFile:
    """Read a LoRA or LoKr file.

    Raises:
        InputError: no such file. ModelFileError: not a safetensors file, no LoRA, half of a pair missing, two dialects
            in one file.
    """
    texts, tensors = read_tensors(path)
    try:
        dialect = _dialect_of(tensors)
        layers, hadamards, others, methods = _updates(tensors)
        lengths = _lengths(tensors)
        foreign = tuple(name for name in others if _length_of(name) not in lengths and not _WORDS.fullmatch(name))
        bare = dialect is Dialect.DIFFUSERS and any(is_bare(name) for name in (*layers, *hadamards))
        if dialect is Dialect.DIFFUSERS:
            layers, hadamards = with_components(layers), with_components(hadamards)
            lengths = with_components(lengths)
            settings = settings_of(path, texts)
            if settings:
                layers = {name: _adapted(name, layer, settings) for name, layer in layers.items()}
                hadamards = {name: _adapted(name, layer, settings) for name, layer in hadamards.items()}
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error
    lokr = any(isinstance(layer, Kronecker) for layer in layers.values())
    plain = LOHA if hadamards else LOKR if lokr else "LoRA"
    method = next((name for name, _ in _METHODS if name in methods), plain)
    if plain != "LoRA" and method == DORA:
        method = f"{plain} with weight decomposition"
    if method == "LoRA" and not layers:
        raise ModelFileError(f"{path}: no LoRA: no pair of matrices in it. {AGAIN}")
    dtypes = tuple(sorted({tensor.dtype for tensor in tensors.values()}))
    size = path.stat().st_size
    return LoraFile(path, dialect, layers, texts, method, others, dtypes, size, bare, lengths, foreign, hadamards)


def _dialect_of(names: Iterable[str]) -> Dialect:
    first: dict[Dialect, str] = {}
    strange: list[str] = []
    for name in names:
        found = next((dialect for dialect, pattern in _PREFIXES if re.match(pattern, name)), None)
        if (
            found is None and is_bare(name) and (_role(name)[0] or _length_of(name))
        ):  # a whole model has no such endings
            found = Dialect.DIFFUSERS
        if found is None and _WORDS.fullmatch(name):
            continue
        if found is None:
            strange.append(name)
        else:
            first.setdefault(found, name)
    if not first:
        what = (
            f" (its tensors are called {strange[0][:60]!r} and so on; a whole model?)" if strange else ": it is empty"
        )
        raise ModelFileError(
            f"no LoRA{what}. A LoRA's tensors are called lora_unet_..., unet..., transformer... or diffusion_model..."
        )
    if len(first) > 1 or strange:
        examples = " and ".join(f"{name[:60]!r}" for name in (*first.values(), *strange)[:2])
        raise ModelFileError(
            f"tensors of more than one dialect in one file, as {examples}. Export it again with one program."
        )
    return next(iter(first))


def _updates(
    tensors: Mapping[str, RawTensor],
) -> tuple[dict[str, Update], dict[str, Hadamard], tuple[str, ...], set[str]]:
    parts: dict[str, dict[str, RawTensor]] = {}
    others: list[str] = []
    methods: set[str] = set()
    for name, tensor in tensors.items():
        role, stem = _role(name)
        if role:
            if role in parts.setdefault(stem, {}):
                raise ModelFileError(f"the layer {stem[:80]!r} is there twice. Export it again.")
            parts[stem][role] = tensor
            continue
        others.append(name)
        methods |= {method for method, endings in _METHODS if name.endswith(endings)}
    unknown = [name for name in others if not _WORDS.fullmatch(name)]
    if unknown and not methods:
        raise ModelFileError(
            f"the tensor {unknown[0][:80]!r} is of no kind this program knows. Use the file in the program that"
            " wrote it."
        )
    strict = methods <= {DORA}
    hadamards = {stem: _hadamard(stem, part) for stem, part in parts.items() if _of_loha(part)}
    layers = {
        stem: _update(stem, part)
        for stem, part in parts.items()
        if stem not in hadamards and (strict or {"down", "up"} <= part.keys() or part.keys() & set(PARTS))
    }
    return layers, hadamards, tuple(others), methods


def _of_loha(part: Mapping[str, RawTensor]) -> bool:
    return any(role.startswith(HADA) for role in part)


def _hadamard(stem: str, part: Mapping[str, RawTensor]) -> Hadamard:
    product = {role.removeprefix(HADA): tensor for role, tensor in part.items() if role.startswith(HADA)}
    if part.keys() - {"alpha"} != {f"{HADA}{role}" for role in product}:
        raise ModelFileError(f"the layer {stem[:80]!r} is a LoHa and something else at once. Export it again.")
    return hadamard(stem, product, _alpha(stem, part.get("alpha")))


def _update(stem: str, part: Mapping[str, RawTensor]) -> Update:
    product = {role: tensor for role, tensor in part.items() if role in PARTS}
    if not product:
        return _layer(stem, part)
    if {"down", "up"} & part.keys():
        raise ModelFileError(f"the layer {stem[:80]!r} is a LoRA and a LoKr at once. Export it again.")
    return kronecker(stem, product, _alpha(stem, part.get("alpha"), may_overflow=True))


def _role(name: str) -> tuple[str, str]:
    for role, endings in _ROLES:
        for ending in endings:
            if name.endswith(ending):
                return role, name.removesuffix(ending)
    return "", name


def _layer(stem: str, part: Mapping[str, RawTensor]) -> Layer:
    missing = [role for role in ("down", "up") if role not in part]
    if missing:
        raise ModelFileError(f"the layer {stem[:80]!r} lacks its {missing[0]} matrix; the file is damaged. {AGAIN}")
    down, up = part["down"], part["up"]
    fitting = len(up.shape) == len(down.shape) >= 2 and down.shape[0] == up.shape[1] and 0 not in down.shape + up.shape
    if not fitting or not all(tensor.dtype.startswith(("F", "BF")) for tensor in (down, up)):
        raise ModelFileError(
            f"the matrices of the layer {stem[:80]!r} do not fit each other: {down.shape} and {up.shape}. {AGAIN}"
        )
    return Layer(down, up, _alpha(stem, part.get("alpha")))


def _alpha(stem: str, tensor: RawTensor | None, may_overflow: bool = False) -> float | None:
    """``may_overflow``: a LoKr of whole matrices has an alpha that says nothing, and that half precision often cannot
    hold.
    """
    if tensor is None:
        return None
    if math.prod(tensor.shape) != 1:
        raise ModelFileError(f"the alpha of {stem[:80]!r} is not one number. {AGAIN}")
    value = float(tensor.bits.reshape(())) if tensor.dtype[0] in "IU" else float(tensor.values().reshape(()))
    if tensor.dtype == "F32":
        value = neat(value)
    if not math.isfinite(value) and not may_overflow:
        raise ModelFileError(f"the alpha of {stem[:80]!r} is not a finite number. {AGAIN}")
    return value


def _adapted(name: str, layer: U, settings: AdapterSettings) -> U:
    if layer.alpha is not None:
        return layer
    found = settings.alpha(name.removeprefix(PEFT), layer.rank, not isinstance(layer, Layer))
    return layer if found is None else replace(layer, alpha=found)
