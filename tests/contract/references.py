"""One training step of each family as its makers' and diffusers' public training scripts define it, written out
plainly.

Each reference goes from pixels and captions to the denoiser's call and the target with the plain pipeline's own helpers
and formulas of its own; nothing of this program's families is used. Sources: docs/parity.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers.modular_pipelines.anima.encoders import AnimaTextEncoderStep
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Given:
    """What both sides start from: (n, 3, H, W) pixels in -1..1, captions, (n,) times of the scheduler, (n, c, h, w)
    noise.
    """

    pipeline: Any
    pixels: Tensor
    captions: list[str]
    times: Tensor
    noise: Tensor

    @property
    def sigma(self) -> Tensor:
        """(n, 1, 1, 1) shares of noise of a flow model."""
        return (self.times / 1000)[:, None, None, None]


@dataclass(frozen=True, eq=False)
class Step:
    """The denoiser's arguments, what it should answer, and how its answer is read as latents (n, c, h, w)."""

    clean: Tensor
    call: Mapping[str, Any]
    target: Tensor
    read: Callable[[Any], Tensor]


def _encoded(given: Given) -> Tensor:
    return torch.as_tensor(given.pipeline.vae.encode(given.pixels).latent_dist.mode())


def _flow(given: Given, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Rectified flow: noisy latents, and the velocity from picture to noise."""
    return (1.0 - given.sigma) * clean + given.sigma * given.noise, given.noise - clean


def _diffusion(given: Given, clean: Tensor) -> tuple[Tensor, Tensor]:
    """What diffusers' DDPM scheduler adds, and the noise or the velocity."""
    scheduler: Any = diffusers.DDPMScheduler.from_config(given.pipeline.scheduler.config)
    noisy = scheduler.add_noise(clean, given.noise, given.times)
    velocity = scheduler.config.prediction_type == "v_prediction"
    return noisy, scheduler.get_velocity(clean, given.noise, given.times) if velocity else given.noise


def _sd15(given: Given) -> Step:
    clean = _encoded(given) * given.pipeline.vae.config.scaling_factor
    noisy, target = _diffusion(given, clean)
    words, _ = given.pipeline.encode_prompt(given.captions, "cpu", 1, False)
    return Step(
        clean, {"sample": noisy, "timestep": given.times, "encoder_hidden_states": words}, target, lambda made: made
    )


def _sdxl(given: Given) -> Step:
    clean = _encoded(given) * given.pipeline.vae.config.scaling_factor
    noisy, target = _diffusion(given, clean)
    words, _, pooled, _ = given.pipeline.encode_prompt(given.captions, device="cpu", do_classifier_free_guidance=False)
    height, width = given.pixels.shape[-2:]
    sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(clean), dtype=torch.float32)
    call = {
        "sample": noisy,
        "timestep": given.times,
        "encoder_hidden_states": words,
        "added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes},
    }
    return Step(clean, call, target, lambda made: made)


def _sd35(given: Given) -> Step:
    config = given.pipeline.vae.config
    clean = (_encoded(given) - config.shift_factor) * config.scaling_factor
    noisy, target = _flow(given, clean)
    words, _, pooled, _ = given.pipeline.encode_prompt(
        given.captions,
        given.captions,
        given.captions,
        device="cpu",
        do_classifier_free_guidance=False,
        max_sequence_length=256,
    )
    call = {
        "hidden_states": noisy,
        "timestep": given.times,
        "encoder_hidden_states": words,
        "pooled_projections": pooled,
    }
    return Step(clean, call, target, lambda made: made)


def _flux(given: Given) -> Step:
    config = given.pipeline.vae.config
    clean = (_encoded(given) - config.shift_factor) * config.scaling_factor
    noisy, target = _flow(given, clean)
    n, channels, height, width = clean.shape
    words, pooled, text_ids = given.pipeline.encode_prompt(
        given.captions, given.captions, device="cpu", max_sequence_length=512
    )
    helpers: Any = diffusers.FluxPipeline
    call = {
        "hidden_states": helpers._pack_latents(noisy, n, channels, height, width),
        "timestep": given.times / 1000,
        "guidance": torch.ones(n),
        "pooled_projections": pooled,
        "encoder_hidden_states": words,
        "txt_ids": text_ids,
        "img_ids": helpers._prepare_latent_image_ids(n, height // 2, width // 2, "cpu", torch.float32),
    }
    return Step(clean, call, target, lambda made: helpers._unpack_latents(made, height * 8, width * 8, 8))


def _chroma(given: Given) -> Step:
    config = given.pipeline.vae.config
    clean = (_encoded(given) - config.shift_factor) * config.scaling_factor
    noisy, target = _flow(given, clean)
    n, channels, height, width = clean.shape
    words, text_ids, seen, *_ = given.pipeline.encode_prompt(given.captions, do_classifier_free_guidance=False)
    # as masked out: all captions end at the same place
    last = int(seen.bool().sum(1).max())
    helpers: Any = diffusers.ChromaPipeline
    call = {
        "hidden_states": helpers._pack_latents(noisy, n, channels, height, width),
        "timestep": given.times / 1000,
        "encoder_hidden_states": words[:, :last],
        "txt_ids": text_ids[:last],
        "img_ids": helpers._prepare_latent_image_ids(n, height // 2, width // 2, "cpu", torch.float32),
    }
    return Step(clean, call, target, lambda made: helpers._unpack_latents(made, height * 8, width * 8, 8))


def _flux2(given: Given, guidance: Tensor | None, words: Tensor, text_ids: Tensor) -> Step:
    vae, helpers = given.pipeline.vae, diffusers.Flux2Pipeline
    mean = vae.bn.running_mean.view(1, -1, 1, 1)
    std = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
    clean = (helpers._patchify_latents(_encoded(given)) - mean) / std
    noisy, target = _flow(given, clean)
    places = helpers._prepare_latent_ids(clean)
    call = {
        "hidden_states": helpers._pack_latents(noisy),
        "timestep": given.times / 1000,
        "guidance": guidance,
        "encoder_hidden_states": words,
        "txt_ids": text_ids,
        "img_ids": places,
    }
    return Step(clean, call, target, lambda made: helpers._unpack_latents_with_ids(made, places))


def _flux2_dev(given: Given) -> Step:
    words, text_ids = given.pipeline.encode_prompt(
        given.captions, device="cpu", max_sequence_length=512, text_encoder_out_layers=(10, 20, 30)
    )
    return _flux2(given, torch.ones(len(words)), words, text_ids)


def _flux2_klein(given: Given) -> Step:
    words, text_ids = given.pipeline.encode_prompt(
        given.captions, device="cpu", max_sequence_length=512, text_encoder_out_layers=(9, 18, 27)
    )
    return _flux2(given, None, words, text_ids)


def _zimage(given: Given) -> Step:
    config = given.pipeline.vae.config
    clean = (_encoded(given) - config.shift_factor) * config.scaling_factor
    noisy, target = _flow(given, clean)
    words, _ = given.pipeline.encode_prompt(
        given.captions, device="cpu", do_classifier_free_guidance=False, max_sequence_length=512
    )
    call = {"x": list(noisy.unsqueeze(2).unbind(0)), "t": (1000 - given.times) / 1000, "cap_feats": words}
    return Step(clean, call, target, lambda made: -torch.stack(list(made)).squeeze(2))


def _qwen_image(given: Given) -> Step:
    vae = given.pipeline.vae
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    scale = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    frame = (vae.encode(given.pixels[:, :, None]).latent_dist.mode() - mean) * scale
    clean = frame[:, :, 0]
    noisy, target = _flow(given, clean)
    n, channels, height, width = clean.shape
    words, mask = given.pipeline.encode_prompt(given.captions, device="cpu", max_sequence_length=512)
    helpers: Any = diffusers.QwenImagePipeline
    call = {
        "hidden_states": helpers._pack_latents(noisy[:, :, None].permute(0, 2, 1, 3, 4), n, channels, height, width),
        "encoder_hidden_states": words, "encoder_hidden_states_mask": mask, "timestep": given.times / 1000,
        "img_shapes": [[(1, height // 2, width // 2)]] * n,
    }  # fmt: skip
    return Step(clean, call, target, lambda made: helpers._unpack_latents(made, height * 8, width * 8, 8)[:, :, 0])


def _anima(given: Given) -> Step:
    """Both captions at once, as the trainers of this model fill them up."""
    vae, read = given.pipeline.vae, AnimaTextEncoderStep.encode_prompt
    mean, std = (torch.tensor(told).view(1, -1, 1, 1, 1) for told in (vae.config.latents_mean, vae.config.latents_std))
    clean = ((vae.encode(given.pixels[:, :, None]).latent_dist.mode() - mean) / std)[:, :, 0]
    noisy, target = _flow(given, clean)
    texts = read(given.pipeline, given.captions, prepare_unconditional_embeds=False, device=torch.device("cpu"))
    words = given.pipeline.text_conditioner(
        source_hidden_states=texts["qwen_prompt_embeds"],
        source_attention_mask=texts["qwen_attention_mask"],
        target_input_ids=texts["t5_input_ids"],
        target_attention_mask=texts["t5_attention_mask"],
    )
    call = {
        "hidden_states": noisy.unsqueeze(2), "timestep": given.times / 1000, "encoder_hidden_states": words,
        "padding_mask": torch.zeros(1, 1, *noisy.shape[2:]),
    }  # fmt: skip
    return Step(clean, call, target, lambda made: made.squeeze(2))


def _krea2(given: Given) -> Step:
    """As musubi-tuner and ai-toolkit have it, which fill texts up to the longest of a batch; diffusers' script fills
    them up to 512 tokens.
    """
    vae = given.pipeline.vae
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    scale = 1.0 / torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    frame = (vae.encode(given.pixels[:, :, None]).latent_dist.mode() - mean) * scale
    clean = frame[:, :, 0]
    noisy, target = _flow(given, clean)
    n, channels, height, width = clean.shape
    words, seen = given.pipeline.encode_prompt(given.captions, device="cpu", max_sequence_length=512)
    texts = [text[there] for text, there in zip(words, seen, strict=True)]
    longest = max(map(len, texts))
    call = {
        "hidden_states": given.pipeline._pack_latents(noisy, n, channels, height, width),
        "encoder_hidden_states": torch.nn.utils.rnn.pad_sequence(texts, batch_first=True),
        "encoder_attention_mask": torch.arange(longest)[None] < torch.tensor([[len(text)] for text in texts]),
        "timestep": given.times / 1000,
        "position_ids": given.pipeline.prepare_position_ids(longest, height // 2, width // 2, torch.device("cpu")),
    }
    return Step(clean, call, target, lambda made: given.pipeline._unpack_latents(made, height * 8, width * 8)[:, :, 0])


REFERENCES: Mapping[str, Callable[[Given], Step]] = {
    "sd15": _sd15,
    "sdxl": _sdxl,
    "sd35": _sd35,
    "chroma": _chroma,
    "flux": _flux,
    "flux-kontext": _flux,
    "flux2": _flux2_dev,
    "flux2-klein": _flux2_klein,
    "zimage": _zimage,
    "anima": _anima,
    "krea2": _krea2,
    "qwen-image": _qwen_image,
}
