"""The sections that rule the rounds: ``merge``, ``panel`` and ``stop``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from twinloop.config.section import Positive, Section, Share


class MergeConfig(Section):
    """How many synthetic images there may be."""

    max_synthetic_share: Share = Field(0.5, description="synthetic images of all images, at most")
    real_to_synthetic_weight: Annotated[float, Field(ge=1.0)] = Field(
        1.3, description="total weight of real photos over total weight of synthetic images, at least"
    )
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.7, description="weight of a synthetic round, per round of age"
    )


class PanelConfig(Section):
    """The fixed panel that every LoRA is measured on."""

    images: Annotated[int, Field(ge=2, le=1000)] = Field(
        24, description="images that each LoRA draws to be measured; more tell smaller differences, and take longer"
    )


class StopConfig(Section):
    """When the loop stops, beside max_iterations and convergence_threshold."""

    approval_rate: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.9,
        description=(
            "stop where more than this share of the images is approved, in approval_rounds rounds running with 20"
            " images or more together"
        ),
    )
    approval_rounds: Positive = Field(2, description="rounds in a row above approval_rate before stopping")
    patience: Positive = Field(1, description="rounds of small improvement before stopping")
    drift_rounds: Positive = Field(2, description="rolled-back rounds in a row before stopping")
