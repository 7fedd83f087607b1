"""Reading torch modules out of inert records: attributes, children, weights. Checks kinds, runs nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twinloop.domain.faces import FloatArray
from twinloop.errors import ModelFileError
from twinloop.pickles import Inert, TensorRef


@dataclass(frozen=True, eq=False)
class Module:
    """One ``torch.nn.Module`` of a checkpoint.

    Attributes:
        record: its inert record. path: where it stands, for messages (``model.3.cv1``).
    """

    record: Inert
    path: str

    @property
    def kind(self) -> str:
        """The class name without its package: packages move between versions, block names do not."""
        return self.record.cls.name

    def value(self, name: str, default: object = None) -> object:
        """A plain attribute."""
        return self.record.attributes.get(name, default)

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number.

        Raises:
            ModelFileError: it is missing or something else.
        """
        value = self.value(name, default)
        if type(value) is not int:
            raise self.wrong(f"{name} is not a whole number")
        return value

    def pair(self, name: str) -> tuple[int, int]:
        """A number or pair of numbers, as (rows, columns)."""
        value = self.value(name)
        if type(value) is int:
            return value, value
        if isinstance(value, tuple | list) and len(value) == 2 and all(type(v) is int for v in value):
            return value[0], value[1]
        raise self.wrong(f"{name} is not a number or a pair")

    def child(self, name: str) -> Module:
        """A child module by name.

        Raises:
            ModelFileError: there is none.
        """
        found = self.children().get(name)
        if found is None:
            raise self.wrong(f"has no part {name!r}")
        return found

    def children(self) -> dict[str, Module]:
        """All children in order."""
        modules = self.value("_modules", {})
        if not isinstance(modules, dict):
            raise self.wrong("has no readable parts")
        return {
            str(name): Module(record, f"{self.path}.{name}")
            for name, record in modules.items()
            if isinstance(record, Inert)
        }

    def tensor(self, name: str) -> FloatArray | None:
        """A parameter or buffer as float32; None when it is absent (a convolution without bias)."""
        for group in ("_parameters", "_buffers"):
            holder = self.value(group, {})
            value = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(value, TensorRef):
                return value.numpy().astype(np.float32)
        return None

    def needed(self, name: str, dimensions: int) -> FloatArray:
        """A parameter or buffer that must be there.

        Raises:
            ModelFileError: it is missing or has another number of dimensions.
        """
        found = self.tensor(name)
        if found is None or found.ndim != dimensions:
            raise self.wrong(f"{name} is missing or has the wrong shape")
        return found

    def wrong(self, what: str) -> ModelFileError:
        """An error that names the place."""
        return ModelFileError(f"{self.path} ({self.kind}): {what}; this checkpoint cannot be read")
