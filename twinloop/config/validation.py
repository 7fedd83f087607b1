"""The section ``validation``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from twinloop.config.section import Clash, Section
from twinloop.domain.choices import SharpnessRuler


class ValidationConfig(Section):
    """The limits of the checks."""

    auto_filter: bool = Field(
        True,
        description=(
            "copy a round's images into folders for approved, rejected and unsure ones; false = no such folders. Only"
            " approved images join the dataset either way"
        ),
    )
    sharpness: SharpnessRuler = Field(
        "face",
        description=(
            "face = crop measure, limit learned from the real photos (without faces: of whole images); image ="
            " Laplacian variance of the whole image"
        ),
    )
    sharpness_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description=(
            "least face sharpness, as a share of the real photos' median; null = 0.3, and 0.03 for the embedded base,"
            " which draws softly"
        ),
    )
    blur_threshold: Annotated[float, Field(ge=0.0)] = Field(
        100.0, description="with sharpness image: least Laplacian variance of the whole image"
    )
    min_brightness: Annotated[float, Field(ge=0.0, le=255.0)] = Field(
        30.0, description="least mean grey of an image, 0 to 255; less where low-key light was asked for"
    )
    max_brightness: Annotated[float, Field(ge=0.0, le=255.0)] = Field(
        225.0, description="most mean grey of an image, 0 to 255; more where high-key light was asked for"
    )
    min_face_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.5, description="least confidence of the face detector, with an allowance for profiles"
    )
    min_face_quality: Annotated[float, Field(ge=0.0, le=1.0)] | None = Field(
        None,
        description=(
            "least face quality, where it is measured; null = 0.7 with the embedded detectors, learned from the real"
            " photos with others"
        ),
    )
    faces: bool = Field(
        True,
        description=(
            "false = of a character without a face (robot, animal): none is looked for, so that identity and all facets"
            " that need a face are left out"
        ),
    )
    identity: bool = Field(True, description="compare with the frozen real photos; needs an embedder")
    identity_tolerance: Annotated[float, Field(gt=0.0)] = Field(
        2.5,
        description=(
            "an image may be this many standard deviations less like the person than the photos are to each other. If"
            " that is too strict: halfway between strangers and the photos, but at least this many deviations above"
            " strangers"
        ),
    )
    novelty_distance: Annotated[int, Field(ge=0, le=64)] = Field(
        6, description="an image whose perceptual hash differs from another's in this many bits or fewer is a copy"
    )

    @property
    def measures_identity(self) -> bool:
        """Whether likeness to the photos is wanted, and can be told at all."""
        return self.identity and self.faces

    def clashes(self) -> Iterator[Clash]:
        if self.min_brightness >= self.max_brightness:
            yield Clash(("min_brightness", "max_brightness"), "min_brightness must be below max_brightness")
