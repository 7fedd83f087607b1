r"""A facet of your own in one file: low-key and high-key lighting, told from the pixels alone.

    python gap_analysis.py photos --models-dir models --output gaps.json --facet examples/lighting_facet.py
    python generate_synthetic.py gaps.json --lora lora.safetensors --person "ohwx person" --output synthetic_1 \
        --facet examples/lighting_facet.py
    python validate_synthetic.py synthetic_1 --models-dir models --approved approved_1 --rejected rejected_1 \
        --facet examples/lighting_facet.py

It takes the place of the built-in facet of the same name; another name would stand beside the built-in ones. In a
configuration: "analysis": {"plugins": ["examples/lighting_facet.py"]}.
"""

from collections.abc import Mapping

import numpy as np

from twinloop.domain.faces import ImageArray
from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.domain.observation import Observation, Reading
from twinloop.registry import register_facet

VALUES = ("normal", "low_key", "high_key")
DARK, BRIGHT = 70.0, 185.0
"""Median grey, 0..255, below or above which a picture as a whole is dark or bright."""


def measure(image: ImageArray, seen: Observation) -> Mapping[str, float]:
    """The median grey, robust against one bright window. A model of your own would be called here."""
    return {"lighting_example.median": float(np.median(image.mean(axis=2)))}


def judge(seen: Observation) -> Reading:
    """Numbers only: a limit can change without looking at a picture again."""
    median = seen.measure("lighting_example.median")
    if median is None:
        return Reading.unknown()  # not measured, which is not the same as no gap
    if median < DARK:
        return one_of(VALUES, "low_key")
    return one_of(VALUES, "high_key" if median > BRIGHT else "normal")


register_facet(
    DefinedFacet(
        name="lighting",
        values=VALUES,
        shares={"low_key": 0.20, "high_key": 0.15},  # a value without a share is never a gap
        phrases={
            "normal": Phrase(("soft even lighting",), ("soft lighting",)),
            "low_key": Phrase(
                ("dramatic lighting, low key, moody atmosphere",),
                ("low key, dark, dramatic lighting",),
                ("overexposed",),
            ),
            "high_key": Phrase(
                ("bright lighting, high key, airy atmosphere",), ("high key, bright, airy",), ("underexposed",)
            ),
        },
        needs=(),  # no detector
        judge=judge,
        measurer=measure,
    )
)
