"""Flux.2 Klein: the small Flux.2, with a Qwen3 text encoder; base and distilled."""

from __future__ import annotations

from dataclasses import replace

from twinloop.families import flux2, parts
from twinloop.families.base import Editing, Guidance, Preset, SingleFile
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.sizes import Size
from twinloop.ports import GenerationSettings


def fit(layers: LoraLayers) -> Fit:
    """It is narrower than FLUX.2 [dev]."""
    return Fit.YES if flux2.is_klein(layers) else Fit.OPEN


FAMILY = replace(
    flux2.FAMILY,
    name="flux2-klein",
    pipeline="Flux2KleinPipeline",
    reference="black-forest-labs/FLUX.2-klein-base-4B",
    download="16 GB (4B)",
    architecture="Flux.2-klein-4b",
    base_version="flux2_klein",
    lora_names=replace(flux2.FAMILY.lora_names, architectures=("flux.2-klein",), fit=fit),
    licence="FLUX.2 [klein] 4B: Apache-2.0; 9B: FLUX Non-Commercial License.",
    guidance=Guidance(negative=True, off_where="is_distilled"),
    editing=Editing({"Flux2KleinPipeline": 4}),
    single_file=SingleFile(
        whole=False,
        model="Flux2Transformer2DModel",
        marks=(
            ("single_stream_modulation.lin.weight", "!guidance_in.in_layer.weight"),
            (
                "single_stream_modulation.linear.weight",
                "!time_guidance_embed.guidance_embedder.linear_1.weight",
            ),
        ),
        layout=flux2.LAYOUT,
    ),
    # the configurations of the base models fit the distilled ones; theirs would switch guidance off
    sizes=(
        Size("4B", {"num_layers": 5, "num_single_layers": 20, "guidance_embeds": False, "in_channels": 128}),
        Size(
            "9B",
            {"num_layers": 8, "num_single_layers": 24, "guidance_embeds": False, "in_channels": 128},
            "black-forest-labs/FLUX.2-klein-base-9B",
            hints=("9b",),
            architecture="Flux.2-klein-9b",
        ),
    ),
    presets={
        "flux2-klein": Preset(
            GenerationSettings(steps=4, guidance=1.0, width=1024, height=1024, batch_size=1, references=3),
            parts.flow_training("flux2-klein", steps=flux2.STEPS),
            repeats=10,
            hints=("klein", "flux.2-klein", "flux-2-klein", "flux2-klein"),
            distilled=(
                "FLUX.2 [klein] is distilled to four steps. LoRAs are better trained on klein-base (preset"
                " flux2-klein-base); they load on both."
            ),
        ),
        "flux2-klein-base": Preset(
            GenerationSettings(steps=50, guidance=4.0, width=1024, height=1024, batch_size=1, references=3),
            parts.flow_training("flux2-klein-base", steps=flux2.STEPS),
            repeats=10,
            hints=("klein-base", "flux.2-klein-base", "flux-2-klein-base", "flux2-klein-base"),
        ),
    },
)
