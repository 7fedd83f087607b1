"""LoRAs side by side at several strengths, on the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain.shots import Shot
from twinloop.domain.statistics import Estimate, paired_difference

FEWEST = 6
"""Images of a column, below which intervals are too narrow to tell strengths apart (`statistics.bootstrap_mean`)."""
FEWEST_DIVERSE = 3
"""Images, below which diversity has no interval."""
LIKENESS = "identity"
"""The metric that strengths are told apart by."""
NO_FACE = "no face that could be compared"
"""What is said of a LoRA in none of whose images a likeness could be measured."""


@dataclass(frozen=True)
class AskedPrompt:
    """One prompt as a person gave it; None = as for all others."""

    prompt: str
    negative: str | None = None
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Column:
    """One LoRA at one strength.

    Attributes:
        folder: of its images. name: of the LoRA as people read it, "" = the bare base model. lora: None = none.
        drawn_with: sha256 of a LoRA whose file is no longer there as it was; all images are. "" = its file is there.
    """

    folder: str
    name: str = ""
    lora: Path | None = None
    strength: float = 0.0
    drawn_with: str = ""

    @property
    def title(self) -> str:
        """``alice at 0.8``, or that there is no LoRA."""
        return f"{self.name} at {self.strength:g}" if self.name else "without LoRA"


@dataclass(frozen=True)
class Row:
    """One prompt and seed, and how large and in how many steps its images are drawn.

    ``reads_negative``: whether the base model reads a negative prompt at this guidance.
    """

    shot: Shot
    width: int
    height: int
    steps: int
    guidance: float
    reads_negative: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.shot.key,
            "prompt": self.shot.prompt,
            "negative_prompt": self.shot.negative_prompt,
            "seed": self.shot.seed,
            "width": self.width,
            "height": self.height,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
        }


@dataclass(frozen=True)
class Drawn:
    """A column with its images, in the order of the rows.

    Attributes:
        images: (file under the comparison's folder, sha256). sha256: of the LoRA, None without one.
        metrics: what was measured on them, each with its interval. samples: metric -> one number per image.
    """

    column: Column
    sha256: str | None
    images: tuple[tuple[str, str], ...]
    metrics: dict[str, Estimate] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        column = self.column
        return {
            "folder": column.folder,
            "lora": None
            if column.lora is None
            else {"name": column.name, "file": column.lora.name, "sha256": self.sha256},
            "strength": column.strength,
            "images": [{"file": file, "sha256": digest} for file, digest in self.images],
            "metrics": {name: _figure_json(name, estimate) for name, estimate in self.metrics.items()},
            "samples": {name: [round(value, 5) for value in values] for name, values in self.samples.items()},
        }


def has_interval(metric: str, estimate: Estimate) -> bool:
    """Whether the interval says anything: the diversity of two images is one figure, said twice."""
    return metric != "diversity" or estimate.n >= FEWEST_DIVERSE


def _figure_json(metric: str, estimate: Estimate) -> dict[str, Any]:
    unknown = {} if has_interval(metric, estimate) else {"low": None, "high": None}
    return {**estimate.to_json(), **unknown}


@dataclass(frozen=True)
class Best:
    """The strength at which a LoRA is most like the photos.

    Attributes:
        name, sha256: of the LoRA. likeness: there. images: behind that figure.
        as_good: the other strengths of the LoRA that are not measurably worse. others: all its other strengths.
    """

    name: str
    sha256: str | None
    strength: float
    likeness: Estimate
    as_good: tuple[float, ...]
    others: int

    def to_json(self) -> dict[str, Any]:
        return {
            "lora": self.name,
            "sha256": self.sha256,
            "strength": self.strength,
            "identity": self.likeness.to_json(),
            "as_good": list(self.as_good),
        }

    @property
    def verdict(self) -> str:
        """How far that strength stands out from the others."""
        if not self.others:
            return "no other strength was drawn"
        if self.likeness.n < FEWEST:
            return f"too few images to tell strengths apart ({FEWEST} or more of each can)"
        listed = ", ".join(f"{strength:g}" for strength in self.as_good)
        if len(self.as_good) == self.others:
            return f"no strength is measurably better ({listed} may be as good)"
        return f"{listed} may be as good" if self.as_good else "measurably better than the others"


@dataclass(frozen=True)
class Comparison:
    """All of it. ``trigger``: "" = not known; ``measured_by``: fingerprint of the detectors, None = by none.

    ``dataset``: the photos that likeness is to, None = it was not measured.
    """

    base_model: str
    trigger: str
    seed: int
    rows: tuple[Row, ...]
    columns: tuple[Drawn, ...]
    settings: dict[str, Any]
    measured_by: str | None = None
    dataset: str | None = None

    @property
    def best(self) -> tuple[Best, ...]:
        return best_strengths(self.columns)

    @property
    def faceless(self) -> tuple[str, ...]:
        """The LoRAs whose likeness was asked for, and that have no face to compare in any image."""
        return tuple(name for name, columns in _measured(self.columns).items() if not _has_faces(columns))

    def to_json(self) -> dict[str, Any]:
        """compare.json."""
        return {
            "base_model": self.base_model,
            "trigger": self.trigger,
            "seed": self.seed,
            "dataset": self.dataset,
            "measured_by": self.measured_by,
            "settings": self.settings,
            "rows": [row.to_json() for row in self.rows],
            "columns": [drawn.to_json() for drawn in self.columns],
            "best": [best.to_json() for best in self.best],
        }


@dataclass(frozen=True)
class KnownStrength:
    """What compare.json says of one LoRA; the fields as in `Best`."""

    name: str
    sha256: str
    strength: float
    as_good: tuple[float, ...]


def strengths_from_json(data: dict[str, Any]) -> tuple[KnownStrength, ...]:
    """The best strengths that a compare.json names.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return tuple(
        KnownStrength(
            str(one["lora"]), str(one["sha256"]), float(one["strength"]), tuple(float(also) for also in one["as_good"])
        )
        for one in data["best"]
    )


def has_no_face(data: dict[str, Any], sha256: str) -> bool:
    """Whether a compare.json measured the likeness of a LoRA and found no face of it that could be compared."""
    likeness = [
        one["metrics"][LIKENESS]["value"]
        for one in data.get("columns", ())
        if (one["lora"] or {}).get("sha256") == sha256 and LIKENESS in one["metrics"]
    ]
    return bool(likeness) and not any(likeness)


def best_strengths(columns: Sequence[Drawn]) -> tuple[Best, ...]:
    """Of each LoRA whose likeness was measured on faces, the strength where it is highest, the lowest of equal ones."""
    return tuple(_best(one) for one in _measured(columns).values() if _has_faces(one))


def _measured(columns: Sequence[Drawn]) -> dict[str, list[Drawn]]:
    by_lora: dict[str, list[Drawn]] = {}
    for drawn in columns:
        if drawn.column.lora is not None and LIKENESS in drawn.metrics:
            by_lora.setdefault(drawn.column.name, []).append(drawn)
    return by_lora


def _has_faces(columns: Sequence[Drawn]) -> bool:
    """Whether any image has a likeness: it is 0 where no face could be compared."""
    return any(drawn.metrics[LIKENESS].value for drawn in columns)


def _best(columns: Sequence[Drawn]) -> Best:
    top = max(columns, key=lambda drawn: (drawn.metrics[LIKENESS].value, -drawn.column.strength))
    others = [drawn for drawn in columns if drawn is not top]
    pairs = len(columns) * len(others) // 2
    as_good = tuple(drawn.column.strength for drawn in others if not _worse(drawn, top, pairs))
    return Best(top.column.name, top.sha256, top.column.strength, top.metrics[LIKENESS], as_good, len(others))


def _worse(drawn: Drawn, top: Drawn, comparisons: int) -> bool:
    """Whether a column is less like the photos beyond chance: image by image over the same prompts and seeds, with an
    interval that is wider for being one of several (`Estimate.among`).
    """
    if top.metrics[LIKENESS].n < FEWEST:
        return False
    change = paired_difference(drawn.samples[LIKENESS], top.samples[LIKENESS]).among(comparisons)
    return change.low > 0
