"""The configuration's section of files that take the place of parts of the base model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from twinloop.config.section import PlaceAsWritten, Section

PartFile = Annotated[PlaceAsWritten, Field(min_length=1)]


class BaseParts(Section):
    """Text encoders and autoencoder from files of their own, by diffusers' names of a pipeline's parts."""

    vae: PartFile | None = Field(
        None, description=".safetensors file of the autoencoder (vae, ae); null = that of the base model"
    )
    text_encoder: PartFile | None = Field(
        None,
        description=(
            ".safetensors file of the first text encoder: clip_l, or the language model that reads prompts (t5xxl of"
            " chroma); null = that of the base model"
        ),
    )
    text_encoder_2: PartFile | None = Field(
        None,
        description=(
            "file of the second text encoder: clip_g of sdxl and sd35, t5xxl of flux; null = that of the base model"
        ),
    )
    text_encoder_3: PartFile | None = Field(
        None, description="file of the third text encoder: t5xxl of sd35; null = that of the base model"
    )

    @property
    def given(self) -> tuple[tuple[str, str], ...]:
        """Part and file of those that are named."""
        return tuple((name, file) for name in type(self).model_fields if (file := getattr(self, name)) is not None)
