"""Early rejection: a preview is held against the checks that it can be trusted with; what fails them is never finished.

Images that were given up count as rejected ones wherever rejections are counted, so an approval rate means the same
with and without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinloop.checks import EARLY, Check, CheckContext, run_checks
from twinloop.checks.base import CheckLimits
from twinloop.domain.faces import ImageArray
from twinloop.domain.json_fields import entry, list_of, number, text
from twinloop.domain.shots import Shot
from twinloop.domain.verdicts import CheckResult, Outcome, Verdict
from twinloop.stages.observe import Observer
from twinloop.store.pictures.images import LoadedImage


@dataclass(frozen=True)
class EarlyJudge:
    """The checks of a preview, by the same ruler and limits as those of the finished image.

    Attributes:
        at: share of the denoising steps after which previews are judged. checks: the few that a preview can be trusted
            with.
    """

    at: float
    observer: Observer
    limits: CheckLimits
    checks: Sequence[Check] = EARLY

    def results(self, shot: Shot, preview: ImageArray) -> tuple[CheckResult, ...]:
        """What every check says of a preview (uint8 HxWx3 RGB)."""
        return results_of(shot, preview, self.observer, self.limits, self.checks)


def results_of(
    shot: Shot, pixels: ImageArray, observer: Observer, limits: CheckLimits, checks: Sequence[Check]
) -> tuple[CheckResult, ...]:
    """What checks say of an image that is no file yet. It enters no catalogue: nobody will ask for it again."""
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    seen = observer.observe(LoadedImage(Path(shot.key), digest, pixels, "synthetic"))
    facets = {facet.name: facet for facet in observer.facets}
    return run_checks(
        CheckContext(seen, shot.facet, shot.value, facets, limits, faceless=observer.pack.faceless), checks
    )


def fails(results: Sequence[CheckResult]) -> bool:
    """Whether a preview is reason enough to stop: only for a clear no, never for an unsure."""
    return any(result.outcome is Outcome.REJECTED for result in results)


@dataclass(frozen=True)
class GivenUp:
    """A shot whose image was not finished.

    Attributes:
        file: the name that the image would have. at: share of the steps that were made. results: of the checks of its
            preview.
    """

    shot: Shot
    file: str
    at: float
    results: tuple[CheckResult, ...]

    @property
    def verdict(self) -> Verdict:
        """As of an image, without one."""
        return Verdict(self.file, "", self.shot.facet, self.shot.value, self.results, early=self.at)

    def record(self) -> dict[str, Any]:
        """What the journal and the metadata keep beside the shot."""
        return {
            "at": self.at,
            "reason": "; ".join(self.verdict.reasons),
            "checks": [result.to_json() for result in self.results],
        }

    def to_json(self) -> dict[str, Any]:
        """One entry of ``rejected_early`` in generation_metadata.json."""
        return {"file": self.file, **self.record(), **self.shot.to_json()}

    @classmethod
    def from_record(cls, shot: Shot, file: str, data: Mapping[str, Any]) -> GivenUp:
        return cls(shot, file, entry(data, "at", number), entry(data, "checks", list_of(CheckResult.from_json)))

    @classmethod
    def from_json(cls, data: Any) -> GivenUp:
        """Raises ValueError where it is no such record; names the field."""
        return cls.from_record(Shot.from_json(data), entry(data, "file", text), data)
