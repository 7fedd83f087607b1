"""Anima as one file in the names of the original code, as it is shared on the web: denoiser and text conditioner."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from tests.helpers.part_files import tensors_of

_NAMES = {
    "transformer_blocks.": "blocks.",
    "time_embed.t_embedder.": "t_embedder.1.",
    "time_embed.norm.": "t_embedding_norm.",
    "patch_embed.proj.": "x_embedder.proj.1.",
    "norm_out.linear_": "final_layer.adaln_modulation.",
    "proj_out.": "final_layer.linear.",
    "norm1.linear_": "adaln_modulation_self_attn.",
    "norm2.linear_": "adaln_modulation_cross_attn.",
    "norm3.linear_": "adaln_modulation_mlp.",
    "attn1.": "self_attn.",
    "attn2.": "cross_attn.",
    "to_out.0.": "output_proj.",
    "to_q.": "q_proj.",
    "to_k.": "k_proj.",
    "to_v.": "v_proj.",
    "norm_q.": "q_norm.",
    "norm_k.": "k_norm.",
    "ff.net.0.proj.": "mlp.layer1.",
    "ff.net.2.": "mlp.layer2.",
}


def write_anima_file(folder: Path, to: Path, prefix: str = "net.") -> Path:
    """The model of a diffusers folder."""
    denoiser = {_original(name): value for name, value in tensors_of(folder, "transformer").items()}
    conditioner = tensors_of(folder, "text_conditioner").items()
    whole = denoiser | {f"llm_adapter.{name}": value for name, value in conditioner}
    tensors = {prefix + name: value.contiguous() for name, value in whole.items()}
    like = _start(next((folder / "transformer").glob("*.safetensors")))
    for padding in ("", "x" * 8):
        save_file(tensors, to, {"padding": padding})
        if _start(to) == like:
            return to
    raise AssertionError(f"no padding has the tensors of {to} begin where they do in {folder}")


def _start(file: Path) -> int:
    """Where tensors lie that are read in place, within 16 bytes: products of the same numbers round by that."""
    with open(file, "rb") as opened:
        return (8 + int.from_bytes(opened.read(8), "little")) % 16


def _original(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name
