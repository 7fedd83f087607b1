"""LoRA files for tests, small and of every family and dialect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.loras.adapter import Adapter, Place
from twinloop.loras.components import DENOISER
from twinloop.loras.container import file_bytes
from twinloop.loras.kronecker import Kronecker
from twinloop.loras.lora import Layer, LoraFile, Update, read_lora
from twinloop.loras.tensors import RawTensor, encode
from twinloop.loras.write import written


def matrix(rows: int, columns: int, dtype: str, draw: np.random.Generator) -> RawTensor:
    return encode(draw.normal(size=(rows, columns)), dtype)


def layer(out: int, into: int, rank: int, alpha: float | None, dtype: str = "F32", seed: int = 0) -> Layer:
    draw = np.random.default_rng(seed)
    return Layer(matrix(rank, into, dtype, draw), matrix(out, rank, dtype, draw), alpha)


PATHS: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "sd15": (
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 320, 320),
        ("down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k", 320, 768),
        ("mid_block.attentions.0.proj_in", 1280, 1280),
        ("up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_out.0", 320, 320),
        ("up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj", 64, 8),
        ("up_blocks.1.attentions.0.transformer_blocks.0.ff.net.2", 8, 64),
    ),
    "sdxl": (
        ("down_blocks.1.attentions.1.transformer_blocks.1.attn1.to_q", 640, 640),
        ("down_blocks.2.attentions.0.transformer_blocks.9.attn2.to_k", 1280, 2048),
        ("down_blocks.0.resnets.1.conv1", 320, 320),
        ("down_blocks.0.downsamplers.0.conv", 320, 320),
        ("mid_block.attentions.0.transformer_blocks.3.ff.net.0.proj", 64, 8),
        ("mid_block.resnets.1.time_emb_proj", 8, 16),
        ("up_blocks.0.attentions.2.proj_out", 8, 8),
        ("up_blocks.1.upsamplers.0.conv", 8, 8),
        ("up_blocks.2.resnets.0.conv_shortcut", 8, 8),
        ("add_embedding.linear_1", 8, 8),
        ("conv_in", 8, 4),
    ),
    "flux": (
        *(
            (f"transformer_blocks.{n}.attn.{name}", 24, 24)
            for n in (0, 3)
            for name in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        ),
        ("transformer_blocks.0.ff.net.0.proj", 96, 24),
        ("transformer_blocks.0.ff_context.net.2", 24, 96),
        ("transformer_blocks.0.norm1.linear", 144, 24),
        *(
            (f"single_transformer_blocks.12.{name}", size, 24)
            for name, size in (("attn.to_q", 24), ("attn.to_k", 24), ("attn.to_v", 24), ("proj_mlp", 96))
        ),
        ("single_transformer_blocks.12.proj_out", 24, 120),
        ("single_transformer_blocks.12.norm.linear", 72, 24),
        ("x_embedder", 24, 8),
        ("time_text_embed.guidance_embedder.linear_1", 24, 8),
        ("norm_out.linear", 48, 24),
        ("proj_out", 8, 24),
    ),
    "chroma": (
        *(
            (f"transformer_blocks.3.attn.{name}", 24, 24)
            for name in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        ),
        ("transformer_blocks.3.ff.net.0.proj", 96, 24),
        ("transformer_blocks.3.ff_context.net.2", 24, 96),
        *(
            (f"single_transformer_blocks.12.{name}", size, 24)
            for name, size in (("attn.to_q", 24), ("attn.to_k", 24), ("attn.to_v", 24), ("proj_mlp", 96))
        ),
        ("single_transformer_blocks.12.proj_out", 24, 120),
        ("distilled_guidance_layer.in_proj", 32, 8),
        ("distilled_guidance_layer.layers.4.linear_1", 32, 32),
        ("distilled_guidance_layer.layers.4.linear_2", 32, 32),
        ("distilled_guidance_layer.out_proj", 24, 32),
        ("x_embedder", 24, 8),
        ("context_embedder", 24, 16),
        ("proj_out", 8, 24),
    ),
    "flux2": (
        *(
            (f"transformer_blocks.1.attn.{name}", 24, 24)
            for name in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "to_out.0")
        ),
        ("transformer_blocks.1.ff.linear_in", 144, 24),
        ("transformer_blocks.1.ff_context.linear_out", 24, 72),
        ("single_transformer_blocks.5.attn.to_qkv_mlp_proj", 216, 24),
        ("single_transformer_blocks.5.attn.to_out", 24, 96),
    ),
    "flux2-klein": (
        ("single_transformer_blocks.5.attn.to_qkv_mlp_proj", 27648, 3072),
        ("transformer_blocks.1.ff_context.linear_out", 24, 72),
    ),
    "sd35": (
        *((f"transformer_blocks.2.attn.{name}", 1536, 1536) for name in ("to_q", "to_k", "to_v")),
        *((f"transformer_blocks.2.attn2.{name}", 12, 12) for name in ("to_q", "to_k", "to_v", "to_out.0")),
        ("transformer_blocks.2.attn.to_add_out", 12, 12),
        ("transformer_blocks.2.ff.net.0.proj", 48, 12),
        ("transformer_blocks.2.norm1_context.linear", 72, 12),
    ),
    "qwen-image": (
        *(
            (f"transformer_blocks.59.attn.{name}", 12, 12)
            for name in ("to_q", "to_k", "add_v_proj", "to_out.0", "to_add_out")
        ),
        ("transformer_blocks.59.img_mlp.net.0.proj", 48, 12),
        ("transformer_blocks.59.txt_mod.1", 72, 12),
        ("img_in", 12, 8),
    ),
    "krea2": (
        ("transformer_blocks.27.attn.to_q", 24, 24),
        *((f"transformer_blocks.27.attn.{name}", 6, 24) for name in ("to_k", "to_v")),
        *((f"transformer_blocks.0.attn.{name}", 24, 24) for name in ("to_gate", "to_out.0")),
        *((f"transformer_blocks.0.ff.{name}", 64, 24) for name in ("gate", "up")),
        ("transformer_blocks.0.ff.down", 24, 64),
        ("text_fusion.layerwise_blocks.1.attn.to_q", 12, 12),
        ("text_fusion.refiner_blocks.0.ff.down", 12, 32),
        ("text_fusion.projector", 1, 12),
        *((f"time_embed.linear_{n}", 24, 24) for n in (1, 2)),
        *((f"txt_in.linear_{n}", 24, 24) for n in (1, 2)),
        ("time_mod_proj", 144, 24),
        ("img_in", 24, 16),
        ("final_layer.linear", 16, 24),
    ),
    "zimage": (
        *((f"layers.7.attention.{name}", 12, 12) for name in ("to_q", "to_k", "to_v", "to_out.0")),
        ("noise_refiner.1.feed_forward.w2", 12, 32),
        ("layers.7.adaLN_modulation.0", 48, 12),
    ),
}
"""family -> (path in diffusers, width out, width in); the widths are what families are told apart by."""
ENCODERS = {
    "sd15": ("text_encoder",),
    "sdxl": ("text_encoder", "text_encoder_2"),
    "flux": ("text_encoder",),
    "chroma": ("text_encoder",),
    "sd35": ("text_encoder", "text_encoder_2", "text_encoder_3"),
}
_CLIP = "text_model.encoder.layers.{}.self_attn.out_proj"
_T5 = "encoder.block.{}.layer.0.SelfAttention.q"


def adapter(
    family: str, rank: int = 4, alpha: float | None = 4.0, dtype: str = "F32", seed: int = 0, encoders: bool = True
) -> Adapter:
    """One LoRA over a few layers of every kind that the family has."""
    places = [(Place(DENOISER, path), out, into) for path, out, into in PATHS[family]]
    for component in ENCODERS.get(family, ()) if encoders else ():
        path = _T5 if component == "text_encoder_3" or family == "chroma" else _CLIP
        places.append((Place(component, path.format(len(places))), 8, 8))
    return Adapter(
        family, {place: layer(out, into, rank, alpha, dtype, seed + n) for n, (place, out, into) in enumerate(places)}
    )


def saved(path: Path, made: Adapter, dialect: Any, texts: Mapping[str, str] | None = None) -> LoraFile:
    """The adapter as a file, read back."""
    path.write_bytes(file_bytes(*written(made, dialect, texts or {})))
    return read_lora(path)


def delta(part: Update) -> np.ndarray[Any, Any]:
    """The whole update of a layer, (out, in); of a LoKr over a convolution (out, in x kernel)."""
    if isinstance(part, Kronecker):
        whole = np.kron(part.left(), part.right()) * part.scale
        return whole if part.rows is None else whole[slice(*part.rows)]
    up, down = part.up.values(), part.down.values()
    return up.reshape(len(up), -1) @ down.reshape(part.rank, -1) * part.scale
