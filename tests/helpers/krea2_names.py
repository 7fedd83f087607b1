"""Krea 2's tensors under the names that its makers gave them."""

from __future__ import annotations

from typing import Any


def original_krea2(kept: dict[str, Any]) -> dict[str, Any]:
    """The makers' names; the six rows of a block's modulation in one."""
    made = {}
    for name, value in kept.items():
        for ours, theirs in (
            ("transformer_blocks.", "blocks."), ("text_fusion.", "txtfusion."), ("attn.to_out.0.", "attn.wo."),
            ("attn.to_gate.", "attn.gate."), ("attn.to_", "attn.w"), ("attn.norm_q.weight", "attn.qknorm.qnorm.scale"),
            ("attn.norm_k.weight", "attn.qknorm.knorm.scale"), (".ff.", ".mlp."),
            (".norm1.weight", ".prenorm.scale"), (".norm2.weight", ".postnorm.scale"), ("img_in.", "first."),
            ("time_embed.linear_1.", "tmlp.0."), ("time_embed.linear_2.", "tmlp.2."), ("time_mod_proj.", "tproj.1."),
            ("txt_in.norm.weight", "txtmlp.0.scale"), ("txt_in.linear_1.", "txtmlp.1."),
            ("txt_in.linear_2.", "txtmlp.3."), ("final_layer.scale_shift_table", "last.modulation.lin"),
            ("final_layer.norm.weight", "last.norm.scale"), ("final_layer.linear.", "last.linear."),
            (".scale_shift_table", ".mod.lin"),
        ):  # fmt: skip
            name = name.replace(ours, theirs)
        made[name] = (value.flatten() if name.endswith(".mod.lin") else value).contiguous().clone()
    return made
