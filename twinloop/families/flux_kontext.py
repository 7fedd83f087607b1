"""Flux.1 Kontext [dev]: Flux that changes a photo as the prompt says. Its LoRAs are Flux's."""

from __future__ import annotations

from dataclasses import replace

from twinloop.families import flux
from twinloop.families.base import Editing, Preset

_DEV = flux.FAMILY.presets["flux"]

FAMILY = replace(
    flux.FAMILY,
    name="flux-kontext",
    pipeline="FluxKontextPipeline",
    image_pipeline="",
    reference="black-forest-labs/FLUX.1-Kontext-dev",
    licence="FLUX.1 Kontext [dev]: FLUX.1 [dev] Non-Commercial License.",
    sizes=flux.FAMILY.sizes[:1],
    editing=Editing({"FluxKontextPipeline": 1}, scales=False),
    presets={
        "flux-kontext": Preset(
            replace(_DEV.generation, steps=28, guidance=2.5),
            replace(_DEV.training, preset="flux-kontext"),
            repeats=10,
            hints=("kontext", "flux.1-kontext", "flux1-kontext"),
            notice=(
                "FLUX.1 Kontext edits photos: set generation.from_photos above 0, so that shots start from a real one."
            ),
        ),
    },
)
