"""Stable Diffusion 1.x and its many fine-tunes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twinloop.families import clip, parts
from twinloop.families.base import SCHEDULERS, Family, Preset, SingleFile, TrainableEncoders
from twinloop.families.lora_layers import Fit, LoraLayers, unet_fit
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import DiffusionLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings, TrainingSettings


def encode(pipeline: Any, text: clip.Text, device: Any, clip_skip: int = 1) -> dict[str, Any]:
    """(1, 77 x chunks, 768) words of CLIP."""
    return _encode(pipeline, [text], None, device, clip_skip)


def encode_trained(pipeline: Any, texts: Sequence[str], cached: Any, device: Any, clip_skip: int = 1) -> dict[str, Any]:
    """(n, as long as the cached ones, 768) words of CLIP."""
    return _encode(pipeline, texts, cached["prompt_embeds"].shape[1], device, clip_skip)


def _encode(
    pipeline: Any, texts: Sequence[clip.Text], length: int | None, device: Any, clip_skip: int
) -> dict[str, Any]:
    """Texts of a single chunk, read from the last layer, go through the pipeline itself, whose pictures are the
    measure.
    """
    read = [clip.split(pipeline.tokenizer, text) for text in texts]
    if clip_skip == 1 and clip.single(pipeline.tokenizer, read, length):
        words, _ = pipeline.encode_prompt(
            list(texts), device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"prompt_embeds": words}
    made = clip.read(pipeline.text_encoder, pipeline.tokenizer, read, device)
    words = clip.words_of(pipeline.text_encoder, made, clip_skip)
    return {"prompt_embeds": clip.lined_up([words], read, length).to(device, pipeline.text_encoder.dtype)}


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 4, h, w) latents -> the noise in them, or their velocity, of the same shape."""
    return model(latents, times, words["prompt_embeds"], return_dict=False)[0]


def fit(layers: LoraLayers) -> Fit:
    """Its attention sees words of CLIP-L, 768 wide."""
    return unet_fit(layers, words=768, large=False)


FAMILY = Family(
    name="sd15",
    pipeline="StableDiffusionPipeline",
    image_pipeline="StableDiffusionImg2ImgPipeline",
    reference="stable-diffusion-v1-5/stable-diffusion-v1-5",
    download="3 GB in half precision",
    half_copies=True,
    targets=("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    architecture="stable-diffusion-v1",
    base_version="sd_v1",
    size_multiple=8,
    licence="Stable Diffusion 1.5: CreativeML Open RAIL-M; fine-tunes have their own terms.",
    denoiser="unet",
    patch=1,
    clip_alone=True,
    takes_clip_skip=True,
    joining="repeat",
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=parts.raw_of,
    loss=DiffusionLoss(),
    trainable_encoders=TrainableEncoders({"text_encoder": "lora_te_"}, encode_trained),
    schedulers=SCHEDULERS,
    lora_names=LoraNames(encoders={"text_encoder": "te"}, pointwise_projections=True, fit=fit),
    single_file=SingleFile(
        whole=True,
        model="UNet2DConditionModel",
        marks=(
            (
                "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
                "model.diffusion_model.input_blocks.0.0.weight",
            ),
        ),
        layout=Layout(inputs={"in_channels": ("input_blocks.0.0.weight",)}),
    ),
    sizes=(Size("SD 1.5", {"in_channels": 4}),),
    presets={
        "sd15": Preset(
            GenerationSettings(steps=30, guidance=7.5, width=512, height=512, batch_size=4),
            TrainingSettings(
                preset="sd15",
                steps=1500,
                rank=32,
                alpha=16.0,
                learning_rate=1e-4,
                batch_size=4,
                resolution=512,
                seed=0,
                warmup_steps=50,
                min_snr_gamma=5.0,
                checkpoint_every=250,
            ),
            repeats=10,
            hints=("sd15", "sd-1-5", "sd1.5", "v1-5", "stable-diffusion-v1", "sd-v1", "lcm-dreamshaper"),
        ),
    },
)
