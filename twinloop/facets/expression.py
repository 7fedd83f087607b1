"""What the face does."""

from __future__ import annotations

from twinloop.domain.facet import DefinedFacet, Phrase, most_probable
from twinloop.domain.observation import Observation, Reading

VALUES = ("neutral", "smile", "serious", "laughing", "surprised", "angry")
AT_LEAST = 0.4
"""Least probability to name an expression; six values, so chance is 0.17."""


def _judge(seen: Observation) -> Reading:
    return most_probable(seen, "expression", VALUES, AT_LEAST)


FACET = DefinedFacet(
    name="expression",
    values=VALUES,
    shares={"neutral": 0.20, "smile": 0.20, "serious": 0.10, "laughing": 0.10, "surprised": 0.05, "angry": 0.05},
    phrases={
        "neutral": Phrase(("neutral expression",), ("expressionless",), wish="with a neutral expression"),
        "smile": Phrase(("smiling",), ("smile",), wish="with a smile"),
        "serious": Phrase(
            ("serious expression",),
            ("serious",),
            ("smiling",),
            negative_tags=("smile",),
            wish="with a serious expression",
        ),
        "laughing": Phrase(("laughing, open mouth",), ("laughing, open mouth",), wish="with a laugh"),
        "surprised": Phrase(
            ("surprised expression, raised eyebrows",),
            ("surprised, raised eyebrows",),
            wish="with a surprised expression",
        ),
        "angry": Phrase(
            ("angry expression, frowning",),
            ("angry",),
            ("smiling",),
            negative_tags=("smile",),
            wish="with an angry expression",
        ),
    },
    needs=("faces", "expression"),
    judge=_judge,
)
