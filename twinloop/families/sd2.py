"""Stable Diffusion 2: its LoRAs are told from others and converted; its models are not drawn with."""

from __future__ import annotations

from dataclasses import replace

from twinloop.families import sd15
from twinloop.families.lora_layers import Fit, LoraLayers, unet_fit


def fit(layers: LoraLayers) -> Fit:
    """Its attention sees words of OpenCLIP, 1024 wide."""
    return unet_fit(layers, words=1024, large=False)


OF_LORAS = replace(
    sd15.FAMILY,
    name="sd2",
    architecture="stable-diffusion-v2",
    base_version="sd_v2",
    lora_names=replace(sd15.FAMILY.lora_names, architectures=(), fit=fit, pointwise_projections=False),
    presets={},
)
