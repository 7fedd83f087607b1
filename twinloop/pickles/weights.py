"""The weights in what a model file holds, under the names that ``state_dict()`` gives them, and a few plain facts about
the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from twinloop.errors import ModelFileError
from twinloop.pickles.arrays import ArrayShell, ScalarShell
from twinloop.pickles.values import AnyArray, Inert, TensorRef

Weight = TensorRef | AnyArray

_PARTS = (
    "ema",
    "model",
    "state_dict",
    "model_state_dict",
    "params_ema",
    "params",
    "net",
    "module",
    "weights",
    "g_ema",
    "generator",
)
"""Where checkpoints keep the weights that are used: Ultralytics and YOLOv5 prefer the averaged ones."""
_MODEL_FACTS = ("names", "stride", "task", "yaml", "nc", "kpt_shape")
_FILE_FACTS = ("version", "license", "epoch")
_MAX_WEIGHTS = 200_000
_MAX_ITEMS = 20_000_000
_MAX_DEPTH = 64
_MAX_NODES = 20_000
_SMALL = 4096


@dataclass(frozen=True)
class Weights:
    """What would be converted.

    Attributes:
        tensors: name -> tensor or array. part: the key of the checkpoint that was taken; empty when the file is nothing
            but weights.
        left_out: other keys that hold numbers (optimizer...). facts: plain JSON values about the model.
    """

    tensors: Mapping[str, Weight]
    part: str
    left_out: tuple[str, ...]
    facts: Mapping[str, object]

    @property
    def params(self) -> int:
        """How many numbers in all."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())


def weights_of(value: object) -> Weights:
    """Find the weights.

    Raises:
        ModelFileError: the nesting goes round in circles, or two weights have one name.
    """
    steps = _Steps()
    part, holder = _main_part(value, steps)
    found = dict(_module(holder, _Steps()) if _is_module(holder) else _flat(holder, _Steps()))
    rest = value.items() if isinstance(value, dict) and part else ()
    left_out = tuple(
        str(key) for key, other in rest if str(key) != part and next(_flat(other, steps), None) is not None
    )
    return Weights(found, part, left_out, _facts(value, holder))


@dataclass
class _Steps:
    """How much was looked at: a small file may hold one list a hundred thousand times over."""

    places: int = 0
    items: int = 0

    def look(self, depth: int, waiting: int) -> None:
        """One place more.

        Raises:
            ModelFileError: too deep, or too many with those that wait.
        """
        self.places += 1
        if depth > _MAX_DEPTH or self.places + waiting > _MAX_WEIGHTS:
            raise ModelFileError("its values contain one another or are too many; it cannot be converted")

    def read(self, count: int) -> None:
        """Items of a container. Raises ModelFileError when there are too many in all."""
        self.items += count
        if self.items > _MAX_ITEMS:
            raise ModelFileError("its values are too many; it cannot be converted")


def _main_part(value: object, steps: _Steps) -> tuple[str, object]:
    if not isinstance(value, dict) or any(isinstance(item, TensorRef) for item in value.values()):
        return "", value
    for name in _PARTS:
        holder = value.get(name)
        if _is_module(holder) or (isinstance(holder, dict) and next(_flat(holder, steps), None) is not None):
            return name, holder
    return "", value


def _is_module(value: object) -> bool:
    return isinstance(value, Inert) and all(
        isinstance(value.attributes.get(name), dict) for name in ("_parameters", "_buffers", "_modules")
    )


def _unwrapped(value: object) -> Weight | None:
    if isinstance(value, TensorRef):
        return value
    if isinstance(value, ArrayShell) and value.value is not None and value.value.dtype.kind not in "SU":
        return value.value
    return None


def _module(root: object, steps: _Steps) -> Iterator[tuple[str, Weight]]:
    """As ``state_dict()`` does: a module's own parameters and lasting buffers, then its children's."""
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    while waiting:
        prefix, module, depth = waiting.pop()
        steps.look(depth, len(waiting))
        if not isinstance(module, Inert):
            continue
        attributes = module.attributes
        passing = attributes.get("_non_persistent_buffers_set")
        for group, skipped in (("_parameters", ()), ("_buffers", passing if isinstance(passing, set) else ())):
            for name, tensor in _entries(attributes.get(group)):
                weight = _unwrapped(tensor)
                if weight is not None and name not in skipped:
                    yield prefix + name, weight
        children = list(_entries(attributes.get("_modules")))
        waiting.extend((f"{prefix}{name}.", child, depth + 1) for name, child in reversed(children))


def _entries(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items() if isinstance(key, str | int))


def _flat(root: object, steps: _Steps) -> Iterator[tuple[str, Weight]]:
    """Every tensor and array, named by the way to it; modules inside name theirs as `_module` does."""
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    names: set[str] = set()
    while waiting:
        path, value, depth = waiting.pop()
        steps.look(depth, len(waiting))
        weight = _unwrapped(value)
        if weight is not None:
            name = path or "tensor"
            if name in names:
                raise ModelFileError(f"two of its tensors would be called {name[:80]!r}; it cannot be converted")
            names.add(name)
            yield name, weight
            continue
        dot = "." if path else ""
        if _is_module(value):
            yield from ((f"{path}{dot}{name}", tensor) for name, tensor in _module(value, steps))
            continue
        waiting.extend(
            (f"{path}{dot}{name}", item, depth + 1) for name, item in reversed(list(_children(value, steps)))
        )


def _children(value: object, steps: _Steps) -> Iterator[tuple[str, object]]:
    if isinstance(value, Inert):
        found: Iterable[tuple[str, object]] = value.attributes.items()
    elif isinstance(value, list | tuple | ArrayShell):
        items = value.objects if isinstance(value, ArrayShell) else value
        steps.read(len(items))
        found = ((str(number), item) for number, item in enumerate(items))
    else:
        steps.read(len(value) if isinstance(value, dict) else 0)
        found = _entries(value)
    yield from ((name, item) for name, item in found if not _is_plain(item))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bytes | int | float | complex | ScalarShell)


def _facts(value: object, holder: object) -> dict[str, object]:
    found: dict[str, object] = {}
    attributes = holder.attributes if isinstance(holder, Inert) else {}
    top = value if isinstance(value, dict) else {}
    arguments = top.get("train_args")
    task = arguments.get("task") if isinstance(arguments, dict) else None
    for name, fact in [
        ("task", task),
        *((name, attributes.get(name)) for name in _MODEL_FACTS),
        *((name, top.get(name)) for name in _FILE_FACTS),
    ]:
        if fact is not None:
            plain = _Plain().value(fact)
            if plain is not None:
                found[name] = plain
    return dict(sorted(found.items()))


class _Plain:
    """Turns values into JSON, small and without anything that is not plain; what is too large or deep becomes null."""

    def __init__(self) -> None:
        self._nodes = 0

    def value(self, value: object, depth: int = 0) -> object:
        self._nodes += 1
        value = value.value if isinstance(value, ScalarShell) else value
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            return None
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int):
            return value if abs(value) < 1 << 63 else None
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, dict):
            return {str(key): self.value(item, depth + 1) for key, item in value.items() if isinstance(key, str | int)}
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        return self._numbers(value, depth)

    def _numbers(self, value: object, depth: int) -> object:
        weight = _unwrapped(value)
        if weight is None or math.prod(weight.shape) > _SMALL:
            return None
        array = weight.numpy() if isinstance(weight, TensorRef) else weight
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            return None
        return self.value(array.tolist(), depth + 1)
