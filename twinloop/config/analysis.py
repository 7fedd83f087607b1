"""The section ``analysis``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from twinloop.config.section import Place, Section, Share


class AnalysisSettings(Section):
    """What to look at and what share of each value is wanted."""

    facets: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="facets to analyse, one or more; null = all that are registered"
    )
    shares: dict[str, dict[str, Share]] = Field(
        default_factory=dict, description="facet -> value -> wanted share, over the facet's defaults"
    )
    plugins: tuple[Place, ...] = Field(
        (),
        description="Python files that register facets of your own; a configuration from somebody else can run code"
        " through them: read it first",
    )
    keep_all: bool = Field(
        False,
        description="count every readable image, also those without a face, blurred ones, duplicates and other people",
    )
