"""The section ``generation``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from twinloop.config.section import Place, Positive, Section
from twinloop.domain.choices import Offload, PromptStyle, TimestepSpacing


class ExtraLora(Section):
    """A LoRA that is applied beside the loop's own, for style or detail."""

    path: Annotated[Place, Field(min_length=1)]
    scale: Annotated[float, Field(ge=-4.0, le=4.0)] = 1.0


class GenerationConfig(Section):
    """How images are made."""

    num_per_gap: Annotated[int, Field(gt=0, le=10_000)] = Field(
        5, description="images that are made for each gap in a round"
    )
    num_inference_steps: Positive | None = Field(
        None, description="denoising steps of an image; null = the preset's (docs/families.md)"
    )
    guidance_scale: Annotated[float, Field(ge=0.0, le=50.0)] | None = Field(
        None, description="how closely images follow the prompt (CFG scale); null = the preset's"
    )
    guidance_rescale: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description=(
            "against pictures that guidance makes too bright and hard, as of v-prediction bases (0.7 is usual); SDXL"
            " and SD 1.5"
        ),
    )
    width: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None, description="width of images, in pixels; null = the preset's"
    )
    height: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None, description="height of images, in pixels; null = the preset's"
    )
    batch_size: Positive | None = Field(None, description="images that are drawn at once; null = the preset's")
    lora_scale: Annotated[float, Field(ge=0.0, le=4.0)] = Field(
        1.0, description="strength of the loop's own LoRA while images are made; 1 = as trained"
    )
    prompt_prefix: str | None = Field(
        None, description="words before the trigger in every prompt, in no caption; null = by the preset's style"
    )
    prompt_suffix: str | None = Field(
        None, description="words at the end of every prompt, in no caption; null = the preset's quality words"
    )
    negative_prompt: str | None = Field(
        None,
        description=(
            "what is kept out of every image, after the words of its shot; null = the usual one of the prompt style,"
            ' "" = none'
        ),
    )
    prompt_style: PromptStyle | None = Field(
        None,
        description=(
            "pony = tags after its score words; full = prose whose captions also say what is as usual ('eyes open');"
            " null = the preset's"
        ),
    )
    from_photos: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description=(
            "share of the shots that start from a real photo (image-to-image, or editing where the model edits)"
        ),
    )
    strength: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.6, description="with from_photos, image-to-image: how much of the photo is drawn anew; 1 = all of it"
    )
    references: Annotated[int, Field(ge=1, le=10)] | None = Field(
        None,
        description=(
            "real photos that an editing model looks at for one image, where it takes several; null = the preset's"
        ),
    )
    extra_loras: tuple[ExtraLora, ...] = Field(
        (), description="LoRAs applied beside the loop's own, each with path and scale"
    )
    scheduler: str | None = Field(
        None, description="sampler, by the family's names (euler, dpmpp_2m...); null = the base model's own"
    )
    timestep_spacing: TimestepSpacing | None = Field(
        None,
        description=(
            "how the sampler spreads its steps over the noise; trailing for Lightning and Hyper; null = as the base"
            " model says; SDXL and SD 1.5"
        ),
    )
    offload: Offload = Field(
        "none", description="with a GPU: which parts wait in main memory; saves memory, costs time"
    )
    vae_tiling: bool | None = Field(None, description="decode in tiles; null = where images are large or the GPU small")
    face_detail: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0,
        description=(
            "how much of small faces is drawn anew, enlarged, after each image; 0.4 for example, 0 = they stay as"
            " they are"
        ),
    )
    face_detail_below: Annotated[float, Field(gt=0.0, le=1.0)] | None = Field(
        None,
        description="with face_detail: faces lower than this share of the image height are small; null = the preset's",
    )
    early_reject: Annotated[float, Field(gt=0.0, lt=1.0)] | None = Field(
        None,
        description=(
            "share of the steps after which images whose preview fails its target are given up, 0.6 for example; null ="
            " all are finished"
        ),
    )
