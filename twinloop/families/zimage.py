"""Z-Image: base and Turbo."""

from __future__ import annotations

from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Guidance, Preset, SingleFile
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

_BLOCKS = ("layers", "noise_refiner", "context_refiner", "siglip_refiner")
_FUSED = tuple(
    rename
    for block in _BLOCKS
    for rename in (
        Rename(f"{block}.{{}}.attention.qkv", tuple(f"{block}.{{}}.attention.to_{part}" for part in "qkv")),
        Rename(f"{block}.{{}}.attention.out", (f"{block}.{{}}.attention.to_out.0",)),
    )
)
"""LoRAs come with diffusers' names nearly always; those over the original's fused layers are read too."""


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, n, 2560): as many words as the text has, without padding."""
    (words,), _ = pipeline.encode_prompt(prompt=text, device=device, do_classifier_free_guidance=False)
    return {"prompt_embeds": words[None]}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> n velocities of (16, h, w).

    This model counts time from noise to picture and predicts the way there, hence both signs.
    """
    pictures = list(latents.unsqueeze(2).unbind(0))
    made = model(pictures, (1000 - times) / 1000, words["prompt_embeds"], return_dict=False)[0]
    return [-one[:, 0] for one in made]


def fit(layers: LoraLayers) -> Fit:
    """By the names of its blocks."""
    return Fit.YES if layers.begin(r"(layers|noise_refiner|context_refiner)\.\d+\.") else Fit.OPEN


FAMILY = Family(
    name="zimage",
    pipeline="ZImagePipeline",
    image_pipeline="ZImageImg2ImgPipeline",
    reference="Tongyi-MAI/Z-Image",
    download="20 GB",
    targets=(
        "attention.to_q",
        "attention.to_k",
        "attention.to_v",
        "attention.to_out.0",
        "feed_forward.w1",
        "feed_forward.w2",
        "feed_forward.w3",
    ),
    blocks=("layers",),  # not the refiners of noise and words before them, as all other trainers have it
    architecture="Z-Image",
    base_version="zimage",
    licence="Z-Image: Apache-2.0.",
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=parts.raw_of,
    loss=FlowLoss(shift=2.0),
    guidance=Guidance(off=0.0),
    joining="list",
    overflows_in_float16=True,  # https://github.com/Tongyi-MAI/Z-Image/issues/14
    # ComfyUI and diffusers read these names; attention is one matrix in the original code, but both take the three
    # apart
    lora_names=LoraNames(
        prefix="diffusion_model.",
        dots=True,
        form="a_b",
        also_read=_FUSED,
        kohya_remark=(
            "ComfyUI reads only a part of a Z-Image LoRA in kohya's names, not its attention. For it: --to comfyui"
        ),
        architectures=("zimage",),
        fit=fit,
    ),
    single_file=SingleFile(
        whole=False,
        model="ZImageTransformer2DModel",
        marks=(("layers.0.adaLN_modulation.0.weight", "cap_embedder.0.weight"),),
        layout=Layout(stacks={"n_layers": ("layers",)}, switches={"siglip_feat_dim": ("siglip_embedder.1.weight",)}),
    ),
    # alike but for the schedule of noise
    sizes=(
        Size("Z-Image", {"n_layers": 30, "siglip_feat_dim": False}),
        Size("Z-Image-Turbo", {"n_layers": 30, "siglip_feat_dim": False}, "Tongyi-MAI/Z-Image-Turbo", hints=("turbo",)),
    ),
    presets={
        "zimage": Preset(
            GenerationSettings(steps=30, guidance=4.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("zimage"),
            repeats=10,
            hints=("z-image", "zimage"),
        ),
        "zimage-turbo": Preset(
            GenerationSettings(steps=9, guidance=0.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("zimage-turbo"),
            repeats=10,
            hints=("z-image-turbo", "zimage-turbo"),
            distilled=(
                "Z-Image-Turbo is distilled to nine steps. A LoRA trained on it loses that: let training.assistant_lora"
                " name its training adapter (ostris/zimage_turbo_training_adapter), or train on Z-Image (preset"
                " zimage), whose LoRAs load on both."
            ),
        ),
    },
)
