"""Review: what a person says of generated images, recorded beside the automatic verdicts, and
stronger than they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinloop.domain.choices import ReviewPolicy
from twinloop.domain.verdicts import Outcome, Verdict
from twinloop.errors import InputError, StateError
from twinloop.stages.validate import Judged
from twinloop.store.atomic import read_as, write_json
from twinloop.store.clock import utc_now


@dataclass(frozen=True)
class Opinion:
    """What a person said of one image, and when (ISO 8601, UTC)."""

    outcome: Outcome
    when: str


@dataclass(frozen=True)
class Review:
    """The opinions on one round, by file name. ``finished``: the loop may go on with them."""

    iteration: int
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "finished": self.finished,
            "decisions": {
                name: {"outcome": str(o.outcome), "when": o.when} for name, o in sorted(self.opinions.items())
            },
        }

    @classmethod
    def read(cls, path: Path, iteration: int) -> Review:
        """The review so far; an empty one where nobody has begun.

        Raises:
            StateError: the file is damaged.
        """
        if not path.exists():
            return cls(iteration)

        def parse(data: Any) -> Review:
            opinions = {
                name: Opinion(Outcome(item["outcome"]), str(item["when"])) for name, item in data["decisions"].items()
            }
            return cls(iteration, opinions, bool(data["finished"]))

        return read_as(
            path,
            parse,
            "Correct it, or put it back from a copy. Where the run has not gone on from that round yet, you may delete"
            " it and review the round again.",
        )


def to_look_at(verdicts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the verdicts of a round, as verdicts_iterN.json has them, those of images that were finished: of the others
    there is nothing to see.
    """
    return [item for item in verdicts if "rejected_early" not in item]


def read_verdicts(path: Path) -> list[Verdict]:
    """The verdicts of a round that a person can look at.

    Raises:
        InputError: there is no such file. StateError: it is damaged.
    """
    return read_as(
        path,
        lambda data: [Verdict.from_json(item) for item in to_look_at(data["verdicts"])],
        "Move it away and run the loop again.",
    )


def wanted(policy: ReviewPolicy, iteration: int) -> bool:
    """Whether a round waits for a person."""
    return policy == "always" or (policy == "first_round" and iteration == 1)


def say(path: Path, review: Review, known: Sequence[str], opinions: Mapping[str, Outcome | None]) -> Review:
    """Write opinions down (None takes one back); returns the review as it is now.

    Raises:
        InputError: an image that is not of this round. StateError: the loop has already gone on.
    """
    unknown = sorted(set(opinions) - set(known))
    if unknown:
        raise InputError(
            f"No such image in round {review.iteration}: {', '.join(unknown[:3])}. Names are those of its folder"
            f" synthetic_iter{review.iteration}."
        )
    if review.finished:
        raise StateError(
            f"The review of round {review.iteration} is finished, and the run may have used it; nothing was changed."
        )
    kept = {name: opinion for name, opinion in review.opinions.items() if name not in opinions}
    kept |= {name: Opinion(outcome, utc_now()) for name, outcome in opinions.items() if outcome is not None}
    return _write(path, dataclasses.replace(review, opinions=kept))


def finish(path: Path, review: Review) -> Review:
    """Let the loop go on. Images without an opinion keep their automatic verdict."""
    return review if review.finished else _write(path, dataclasses.replace(review, finished=True))


def _write(path: Path, review: Review) -> Review:
    write_json(path, review.to_json())
    return review


def overruled(judged: Sequence[Judged], review: Review) -> list[Judged]:
    """The verdicts with the person's word over them."""
    return [
        (
            dataclasses.replace(item, verdict=dataclasses.replace(item.verdict, human=review.opinions[name].outcome))
            if (name := item.asked.path.name) in review.opinions
            else item
        )
        for item in judged
    ]
