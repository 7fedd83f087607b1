"""The components of a pipeline that a LoRA adapts, and what each dialect calls them."""

from __future__ import annotations

from collections.abc import Mapping

DENOISER = "denoiser"
"""UNet or transformer; text encoders bear diffusers' names: ``text_encoder``, ``text_encoder_2``,
``text_encoder_3``."""

KOHYA: Mapping[str, str] = {
    "unet": DENOISER,
    "transformer": DENOISER,
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "te3": "text_encoder_3",
}
"""kohya's ``lora_<name>_``; ``transformer`` is OneTrainer's."""
KOHYA_NAMES = "|".join(sorted(KOHYA, key=len, reverse=True))
"""The same as alternatives of a regular expression."""

COMFYUI: Mapping[str, str] = {
    "clip_l": "text_encoder",
    "clip_h": "text_encoder",
    "clip_g": "text_encoder_2",
    "t5xxl": "text_encoder_3",
}
"""ComfyUI's ``text_encoders.<name>.transformer.``: its own name of the encoder, then the path in transformers.
``clip_h`` is that of SD 2."""
COMFYUI_ENCODER: Mapping[str, str] = {"te": "clip_l", "te1": "clip_l", "te2": "clip_g", "te3": "t5xxl"}
"""The other way, for what is written: kohya's name of the text encoder -> ComfyUI's."""
