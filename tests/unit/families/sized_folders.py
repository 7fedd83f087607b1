"""Model folders of which only the sizes of their parts matter."""

from __future__ import annotations

from collections.abc import Mapping

Shapes = dict[str, tuple[int, ...]]

ONE_FOR_ALL = "distilled_guidance_layer.in_proj.bias"
GUIDED, NORM = "guidance_in.in_layer.weight", "joint_blocks.0.x_block.attn.ln_q.weight"


def blocks(**counts: int) -> Shapes:
    return {f"{stack}.{number}.weight": (4, 4) for stack, count in counts.items() for number in range(count)}


def sd3(count: int, *more: str) -> Shapes:
    return {**blocks(joint_blocks=count), "x_embedder.proj.weight": (4, 16, 2, 2), **dict.fromkeys(more, (4,))}


def flux(double: int, single: int, channels: int, *more: str) -> Shapes:
    found = blocks(double_blocks=double, single_blocks=single)
    return {**found, "img_in.weight": (4, channels), **dict.fromkeys(more, (4, 4))}


DUAL = "joint_blocks.0.x_block.attn2.qkv.weight"


MARK_2511 = "__index_timestep_zero__"


QWEN = {**blocks(transformer_blocks=60), "img_in.weight": (4, 64)}


KREA2 = {**blocks(blocks=28), "first.weight": (4, 64), "txtfusion.projector.weight": (1, 12)}


HERE: Mapping[str, tuple[str, str, Shapes, str]] = {
    "SD 3.5 Medium": ("sd35", "x", sd3(24, DUAL, NORM), "stabilityai/stable-diffusion-3.5-medium"),
    "SD 3.5 Large": ("sd35", "x", sd3(38, NORM), "stabilityai/stable-diffusion-3.5-large"),
    "SD 3.5 Large Turbo": ("sd35", "sd3.5_large_turbo", sd3(38, NORM), "stabilityai/stable-diffusion-3.5-large"),
    "SD 3 Medium": ("sd35", "x", sd3(24), "stabilityai/stable-diffusion-3-medium-diffusers"),
    "FLUX.1 dev": ("flux", "x", flux(19, 38, 64, GUIDED), "black-forest-labs/FLUX.1-dev"),
    "FLUX.1 schnell": ("flux", "x", flux(19, 38, 64), "black-forest-labs/FLUX.1-schnell"),
    "FLUX.1 Kontext": ("flux-kontext", "x", flux(19, 38, 64, GUIDED), "black-forest-labs/FLUX.1-Kontext-dev"),
    "Chroma": ("chroma", "Chroma1-HD", flux(19, 38, 64, ONE_FOR_ALL), "lodestones/Chroma1-HD"),
    "FLUX.2 dev": ("flux2", "x", flux(8, 48, 128, GUIDED), "black-forest-labs/FLUX.2-dev"),
    "Klein 4B": ("flux2-klein", "flux-2-klein-4b", flux(5, 20, 128), "black-forest-labs/FLUX.2-klein-base-4B"),
    "Klein 9B": ("flux2-klein", "flux-2-klein-9b", flux(8, 24, 128), "black-forest-labs/FLUX.2-klein-base-9B"),
    "Qwen-Image": ("qwen-image", "x", QWEN, "Qwen/Qwen-Image"),
    "Qwen-Image-Edit-2509": ("qwen-image-edit", "x", QWEN, "Qwen/Qwen-Image-Edit-2509"),
    "2511 by ComfyUI's mark": ("qwen-image-edit", "x", {**QWEN, MARK_2511: ()}, "Qwen/Qwen-Image-Edit-2511"),
    "2511 by its name": ("qwen-image-edit", "Qwen_Image_Edit_2511_bf16", QWEN, "Qwen/Qwen-Image-Edit-2511"),
    "Z-Image": ("zimage", "z_image_bf16", blocks(layers=30, noise_refiner=2), "Tongyi-MAI/Z-Image"),
    "Z-Image-Turbo": ("zimage", "Z_Image_Turbo_bf16", blocks(layers=30), "Tongyi-MAI/Z-Image-Turbo"),
    "Krea 2 Raw": ("krea2", "krea2_raw_bf16", KREA2, "krea/Krea-2-Raw"),
    "Krea 2 Turbo": ("krea2", "krea2_turbo_fp8_scaled", KREA2, "krea/Krea-2-Turbo"),
    "SDXL": ("sdxl", "x", {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "stabilityai/stable-diffusion-xl-base-1.0"),
    "SD 1.5": ("sd15", "x", {"input_blocks.0.0.weight": (320, 4, 3, 3)}, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    "names that nobody knows": ("flux", "x", {"some.weight": (2,)}, "black-forest-labs/FLUX.1-dev"),
}
