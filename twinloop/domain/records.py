"""Datasets, LoRAs and their scores on the panel: what a run leaves behind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain.faces import Box
from twinloop.domain.json_fields import entry, flag, list_of, number, optional, table_of, text, whole
from twinloop.domain.statistics import Estimate
from twinloop.domain.validation_loss import ValidationLoss, validation_json, validation_of
from twinloop.domain.wording import plural


@dataclass(frozen=True)
class Member:
    """One image of a dataset.

    Attributes:
        path: where the file lies (never moved). sha256: its identity.
        origin: ``real`` or ``synthetic``. round: 0 for real photos, else the round that made it.
        weight: how much it counts in training, 1 = once per epoch.
    """

    path: str
    sha256: str
    caption: str
    origin: str
    round: int
    weight: float

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path, "sha256": self.sha256, "caption": self.caption,
            "origin": self.origin, "round": self.round, "weight": round(self.weight, 6),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Member:
        """Raises ValueError where it is no member; names the field."""
        path, sha256, caption, origin = (entry(data, name, text) for name in ("path", "sha256", "caption", "origin"))
        return cls(path, sha256, caption, origin, entry(data, "round", whole), entry(data, "weight", number))


@dataclass(frozen=True)
class Dataset:
    """An immutable set of members; a change makes a new one."""

    members: tuple[Member, ...]

    @property
    def id(self) -> str:
        """Hash of content, captions, origins and weights; where the files lie does not matter."""
        rows = sorted([m.sha256, m.caption, m.origin, m.round, round(m.weight, 6)] for m in self.members)
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]

    @property
    def real(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.origin == "real")

    @property
    def synthetic(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.origin != "real")

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "members": [m.to_json() for m in self.members]}

    @classmethod
    def from_json(cls, data: Any) -> Dataset:
        """Raises ValueError where it is no dataset; names the field."""
        return cls(entry(data, "members", list_of(Member.from_json)))


@dataclass(frozen=True)
class Mask:
    """A grey picture that says where a photo is learned (white) and where not (black).

    Attributes:
        sha256: of the file. photo: sha256 of the photo that it belongs to.
    """

    path: Path
    sha256: str
    photo: str = ""


@dataclass(frozen=True)
class TrainingSample:
    """What a trainer gets for one image: file, caption, weight (relative frequency) and content hash (cache key).

    One of weight 0 is held out: it is never trained on, and the validation loss is measured on it.

    Attributes:
        prior: it shows another one of the subject's class, and keeps the base from forgetting that there are others.
        face: the subject's face in pixels of the upright photo; None = not known.
        mask: where it is learned; None = everywhere.
    """

    path: Path
    sha256: str
    caption: str
    weight: float
    prior: bool = False
    face: Box | None = None
    mask: Mask | None = None


_LORA_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("path", "sha256", "base_model", "dataset_id", "preset"), text),
    **dict.fromkeys(("version", "steps", "seed"), whole),
    "final_loss": number,
    "adapter": optional(text),
    "rank": optional(whole),
    "alpha": optional(number),
}


@dataclass(frozen=True)
class LoRA:
    """One trained adapter file and where it comes from.

    Attributes:
        adapter: ``lora``, ``dora`` or ``lokr``. rank, alpha: of all its layers. None = the file does not tell, or
            its layers differ.
        validation: the loss on the held-out photos after its last step; None = not measured.
    """

    path: str
    version: int
    sha256: str
    base_model: str
    dataset_id: str
    preset: str
    steps: int
    seed: int
    final_loss: float
    adapter: str | None = None
    rank: int | None = None
    alpha: float | None = None
    validation: ValidationLoss | None = None

    def to_json(self) -> dict[str, Any]:
        fields = {name: value for name, value in self.__dict__.items() if name != "validation"}
        return {**fields, **validation_json(self.validation)}

    @classmethod
    def from_json(cls, data: Any) -> LoRA:
        """Raises ValueError for a field that is wrong or not there, but for those of the validation."""
        for name, parse in _LORA_FIELDS.items():
            entry(data, name, parse)
        # as written, so that a run that goes on writes the same bytes: 16 is not made 16.0
        return cls(**{name: data[name] for name in _LORA_FIELDS}, validation=validation_of(int(data["steps"]), data))


OF_FACES = ("identity", "quality")
"""Metrics of the panel that are told from faces."""


@dataclass(frozen=True)
class PanelScore:
    """How one LoRA does on the fixed panel.

    Attributes:
        metrics: ``identity`` (cosine to the frozen reference), ``on_target`` (share), ``diversity`` (1 - mean pairwise
            cosine of thumbnails), ``quality`` (0..1), each with its interval. What was not measured is not there.
        samples: metric -> one number per panel image, in panel order, so that rounds can be compared pair by pair.
        hits: facet -> per panel image whether the value that its prompt asks for was seen; None where it asks for none,
            or none was measured.
        no_face: per panel image whether a face was looked for and none was found, which counts as 0 in ``identity`` and
            ``quality``; empty = every image has a face, or nobody looked.
    """

    version: int
    metrics: dict[str, Estimate]
    samples: dict[str, list[float]] = field(default_factory=dict)
    hits: dict[str, list[bool | None]] = field(default_factory=dict)
    no_face: list[bool] = field(default_factory=list)

    @property
    def faceless(self) -> bool:
        """Whether no panel image at all shows a face, though one was looked for: likeness was not measured."""
        return bool(self.no_face) and all(self.no_face)

    def measured(self, name: str) -> Estimate | None:
        """A metric; None where it was not measured, as what is told from a face where none shows one. Decisions take
        the 0 of such images: a LoRA that ruins faces must not gain by it.
        """
        return None if self.faceless and name in OF_FACES else self.metrics.get(name)

    @property
    def no_face_text(self) -> str:
        """``no face in 4 of 4 images``; "" where each has one."""
        return f"no face in {sum(self.no_face)} of {plural(len(self.no_face), 'image')}" if any(self.no_face) else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "metrics": {name: estimate.to_json() for name, estimate in self.metrics.items()},
            "samples": {name: [round(v, 5) for v in values] for name, values in self.samples.items()},
            "hits": self.hits,
            **({"no_face": self.no_face} if any(self.no_face) else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> PanelScore:
        """Raises ValueError where it is no score, or lacks a metric that it has samples of; names the field."""
        metrics = entry(data, "metrics", table_of(Estimate.from_json))
        samples = entry(data, "samples", table_of(list_of(number)))
        hits = entry(data, "hits", table_of(list_of(optional(flag))))
        no_face = entry(data, "no_face", list_of(flag)) if "no_face" in data else ()
        if lacking := sorted(samples.keys() - metrics.keys()):
            raise ValueError(f'"metrics" lacks {", ".join(lacking)}')
        return cls(
            entry(data, "version", whole),
            metrics,
            {name: list(row) for name, row in samples.items()},
            {name: list(row) for name, row in hits.items()},
            list(no_face),
        )
