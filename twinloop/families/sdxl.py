"""SDXL and everything that shares its architecture: Animagine, Illustrious, Pony, and the embedded nano base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from twinloop.domain.choices import NANO, SDXL
from twinloop.families import clip, parts
from twinloop.families.base import SCHEDULERS, Family, Preset, SingleFile, TrainableEncoders
from twinloop.families.lora_layers import Fit, LoraLayers, unet_fit
from twinloop.families.lora_names import LoraNames
from twinloop.families.losses import DiffusionLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings, TrainingSettings

ZIT = (
    "'zit' is read as Animagine XL 3.1, as this tool's first description meant it. Z-Image-Turbo, which others call"
    " ZIT, is the preset zimage-turbo."
)

# 1000-2000 steps of one to two images, rank 16-32, 1e-4, min-SNR 5 and a little noise offset are what SDXL trainers
# agree on
_TRAINING = TrainingSettings(
    preset="sdxl", steps=1500, rank=32, alpha=16.0, learning_rate=1e-4, batch_size=2, resolution=1024, seed=0,
    warmup_steps=50, min_snr_gamma=5.0, noise_offset=0.0357, checkpoint_every=250,
)  # fmt: skip
_GENERATION = GenerationSettings(steps=30, guidance=7.5, width=1024, height=1024, batch_size=1)

_PLACES = frozenset(
    f"{block}.attentions.{number}"
    for block, count in (
        ("down_blocks.1", 2),
        ("down_blocks.2", 2),
        ("mid_block", 1),
        ("up_blocks.0", 3),
        ("up_blocks.1", 3),
    )
    for number in range(count)
)
"""The attentions of SDXL. sd-scripts knows its layers by the original names only; A1111, Forge and ComfyUI read these
first."""


def encode(pipeline: Any, text: clip.Text, device: Any) -> dict[str, Any]:
    """Words of both encoders side by side, and the second one's summary.

    No prompt is zeros where the configuration says so.
    """
    words, pooled = _encode(pipeline, [text], None, device)
    if not text and pipeline.config.force_zeros_for_empty_prompt:
        words, pooled = words.new_zeros(words.shape), pooled.new_zeros(pooled.shape)
    return {"prompt_embeds": words, "pooled_prompt_embeds": pooled}


def encode_trained(pipeline: Any, texts: Sequence[str], cached: Any, device: Any) -> dict[str, Any]:
    """(n, as long as the cached ones, 2048) words and (n, 1280) summaries."""
    words, pooled = _encode(pipeline, texts, cached["prompt_embeds"].shape[1], device)
    if pipeline.config.force_zeros_for_empty_prompt:
        has_text = pooled.new_tensor([[float(bool(text))] for text in texts])
        words, pooled = words * has_text[..., None], pooled * has_text
    return {"prompt_embeds": words, "pooled_prompt_embeds": pooled}


def _encode(pipeline: Any, texts: Sequence[clip.Text], length: int | None, device: Any) -> tuple[Any, Any]:
    """Words and summaries; the summary of a text of several chunks is that of the first.

    Those of one go through the pipeline itself.
    """
    read = [clip.split(pipeline.tokenizer, text) for text in texts]
    if clip.single(pipeline.tokenizer, read, length):
        words, _, pooled, _ = pipeline.encode_prompt(
            prompt=list(texts), device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return words, pooled
    # the two tokenizers know the same tokens by the same numbers; only what they fill up with differs
    first = clip.read(pipeline.text_encoder, pipeline.tokenizer, read, device)
    second = clip.read(pipeline.text_encoder_2, pipeline.tokenizer_2, read, device)
    words = clip.lined_up([first.hidden_states[-2], second.hidden_states[-2]], read, length)
    dtype = pipeline.text_encoder_2.dtype
    return words.to(device, dtype), second[0][clip.first_rows(read)].to(device, dtype)


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 4, h, w) latents -> the noise in them, or their velocity, of the same shape."""
    sized = {"text_embeds": words["pooled_prompt_embeds"], "time_ids": sizes}
    return model(latents, times, words["prompt_embeds"], added_cond_kwargs=sized, return_dict=False)[0]


def fit(layers: LoraLayers) -> Fit:
    """Its attention sees words of two CLIPs, 2048 wide, and is several blocks deep."""
    return unet_fit(layers, words=2048, large=True)


def _tagged(
    name: str,
    hints: tuple[str, ...],
    steps: int,
    guidance: float,
    suffix: str | None = None,
    aliases: dict[str, str] | None = None,
) -> Preset:
    """A base that was trained on tag lists, with the quality tags that its model card names."""
    return Preset(
        replace(_GENERATION, steps=steps, guidance=guidance),
        replace(_TRAINING, preset=name, shuffle_captions=True),
        style="tags",
        suffix=suffix,
        repeats=10,
        hints=hints,
        aliases=aliases or {},
    )


FAMILY = Family(
    name="sdxl",
    pipeline="StableDiffusionXLPipeline",
    image_pipeline="StableDiffusionXLImg2ImgPipeline",
    reference=SDXL,
    download="7 GB in half precision",
    half_copies=True,
    targets=("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    architecture="stable-diffusion-xl-v1-base",
    base_version="sdxl_base_v1-0",
    size_multiple=8,
    licence="SDXL base: CreativeML Open RAIL++-M; fine-tunes have their own terms.",
    denoiser="unet",
    patch=1,
    encoders=("text_encoder", "text_encoder_2"),
    clip_alone=True,
    joining="repeat",
    encode=encode,
    denoise=denoise,
    to_latents=parts.scaled,
    to_raw=parts.raw_of,
    loss=DiffusionLoss(),
    trainable_encoders=TrainableEncoders({"text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}, encode_trained),
    schedulers=SCHEDULERS,
    lora_names=LoraNames(places=_PLACES, architectures=("stable-diffusion-xl",), fit=fit),
    single_file=SingleFile(
        whole=True,
        model="UNet2DConditionModel",
        marks=(("conditioner.embedders.1.model.ln_final.weight", "model.diffusion_model.label_emb.0.0.weight"),),
        layout=Layout(inputs={"in_channels": ("input_blocks.0.0.weight",)}),
    ),
    sizes=(Size("SDXL", {"in_channels": 4}),),
    presets={
        "sdxl": Preset(
            _GENERATION,
            _TRAINING,
            repeats=10,
            hints=("sdxl", "stable-diffusion-xl", "xl-base", "juggernaut-xl", "realvisxl"),
        ),
        "animagine": _tagged(
            "animagine",
            ("animagine",),
            28,
            7.0,
            "masterpiece, best quality, very aesthetic, absurdres",
            {"zit": ZIT},
        ),
        "illustrious": _tagged(
            "illustrious",
            ("illustrious", "noobai", "noob-ai", "wai-nsfw"),
            28,
            6.0,
            "masterpiece, best quality, newest, absurdres, highres",
        ),
        "pony": replace(_tagged("pony", ("pony",), 30, 7.0), style="pony"),
        NANO: Preset(
            GenerationSettings(steps=20, guidance=2.2, width=256, height=256, batch_size=8),
            TrainingSettings(
                preset=NANO,
                steps=220,
                rank=16,
                alpha=16.0,
                learning_rate=1e-3,
                batch_size=8,
                resolution=256,
                seed=0,
                warmup_steps=10,
                min_snr_gamma=0.0,
                noise_offset=0.0,
                checkpoint_every=40,
                keep_trigger=False,
            ),
            small_face=0.55,  # only its close-ups have good faces (docs/log.md)
            style="full",  # the captions that it was trained on say of every face whether the eyes are open
            aspect_buckets=False,
            true_sizes=False,
        ),
    },
)
