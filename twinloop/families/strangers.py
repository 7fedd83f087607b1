"""Files that people give as a base model and that are something else: what they are, told by their headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twinloop.families.sizes import PREFIX

_LORA = (".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", ".lokr_w1", ".lokr_w1_a", ".hada_w1_a")
_KINDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "an SDXL refiner": (("conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias",),),
    "a Stable Diffusion 2 model": (
        ("cond_stage_model.model.token_embedding.weight",),
        ("cond_stage_model.model.transformer.resblocks.0.ln_1.weight",),
    ),
    "a ControlNet": (("control_model.time_embed.0.weight",), ("controlnet_cond_embedding.conv_in.weight",)),
    "a Chroma Radiance model, which draws pixels": (("img_in_patch.weight", "distilled_guidance_layer.in_proj.bias"),),
    "a Lumina 2 model": (("cap_embedder.0.weight", "layers.0.adaLN_modulation.1.weight"),),
    "a FLUX.3 model": (("early_stream_modulations.image.lin.weight",),),
    "a Qwen-Image 2.1 model": (("txt_in.text_norm.weight",),),
    "an AuraFlow model": (("double_layers.0.attn.w2q.weight",),),
    "a HiDream model": (("double_stream_blocks.0.block.adaLN_modulation.1.bias",),),
    "a Wan model, which makes videos": (("head.modulation",),),
    "a HunyuanVideo model, which makes videos": (
        ("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias",),
    ),
    "an LTX model, which makes videos": (("patchify_proj.weight",),),
    "an autoencoder (VAE) alone": (
        ("encoder.conv_in.weight", "decoder.conv_in.weight"),
        ("encoder.conv1.weight", "decoder.conv1.weight"),
    ),
    "a text encoder alone": (
        ("text_model.embeddings.position_embedding.weight",),
        ("encoder.block.0.layer.0.SelfAttention.q.weight",),
        ("model.layers.0.self_attn.q_proj.weight",),
    ),
}
"""What it is -> groups of tensors; it holds all of one group."""
_INPUTS: Mapping[tuple[str, int, str], str] = {
    ("input_blocks.0.0.weight", 9, ""): "an inpainting model, which takes a mask",
    ("input_blocks.0.0.weight", 8, ""): "an InstructPix2Pix model, which takes a picture",
    ("input_blocks.0.0.weight", 5, ""): "a depth model, which takes a map of depths",
    ("img_in.weight", 384, ""): "a FLUX.1 Fill model, which takes a mask",
    # FLUX.2 has as many channels, and no such layer in its blocks
    (
        "img_in.weight",
        128,
        "double_blocks.0.img_mod.lin.weight",
    ): "a FLUX.1 Canny or Depth model, which takes a map of edges or of depths",
}
"""(Tensor, its second axis, another tensor that it has) -> what it is that takes so many channels."""
_PACKED = ".quant_state.bitsandbytes__"
"""In the names of what bitsandbytes keeps beside weights of 4 bits."""


def stranger(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a file with these tensors is instead of a model that is drawn with; "" = nothing that is known here."""
    if any(name.endswith(_LORA) for name in shapes):
        return "a LoRA, which belongs into generation.extra_loras"
    held = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    for (name, channels, other), what in _INPUTS.items():
        if held.get(name, ())[1:2] == (channels,) and (not other or other in held):
            return what
    return next((what for what, groups in _KINDS.items() if any(_holds(held, group) for group in groups)), "")


def is_packed(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether its weights are packed in 4 bits by bitsandbytes: two numbers to a byte, one column of bytes."""
    first = next((shape for name, shape in shapes.items() if name.removeprefix(PREFIX) == "img_in.weight"), ())
    return first[1:] == (1,) or any(_PACKED in name for name in shapes)


def _holds(held: Collection[str], group: tuple[str, ...]) -> bool:
    return all(mark in held for mark in group)
