"""Krea 2: Raw and Turbo."""

from __future__ import annotations

from typing import Any

from twinloop.families import parts
from twinloop.families.base import Family, Guidance, Preset, SingleFile
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.families.lora_names import LoraNames, Rename
from twinloop.families.losses import FlowLoss
from twinloop.families.sizes import Layout, Size
from twinloop.ports import GenerationSettings

WORDS = 512
"""Tokens of a prompt that the pipeline uses."""
_WIDTH, _KEYS = 6144, 1536
"""Of the denoiser, and of the keys of its attention; FLUX.2 [dev] is as wide, its keys as its queries."""
_FLUX2_BLOCKS = 8
"""FLUX.2 [dev] has blocks of the same names, and fewer of them."""
_TURBO = "krea/Krea-2-Turbo"

_BLOCKS = {
    "transformer_blocks": "blocks",
    "text_fusion.layerwise_blocks": "txtfusion.layerwise_blocks",
    "text_fusion.refiner_blocks": "txtfusion.refiner_blocks",
}
_IN_BLOCKS = {
    "attn.to_q": "attn.wq",
    "attn.to_k": "attn.wk",
    "attn.to_v": "attn.wv",
    "attn.to_out.0": "attn.wo",
    "attn.to_gate": "attn.gate",
    "ff.gate": "mlp.gate",
    "ff.up": "mlp.up",
    "ff.down": "mlp.down",
}
_ALONE = {
    "img_in": "first",
    "time_embed.linear_1": "tmlp.0",
    "time_embed.linear_2": "tmlp.2",
    "time_mod_proj": "tproj.1",
    "text_fusion.projector": "txtfusion.projector",
    "txt_in.linear_1": "txtmlp.1",
    "txt_in.linear_2": "txtmlp.3",
    "final_layer.linear": "last.linear",
}
_WORDS = (
    "layerwise_blocks", "refiner_blocks", "text_fusion", "time_mod_proj", "to_gate", "gate", "up", "down", "projector",
    "blocks", "txtfusion", "wq", "wk", "wv", "first", "last", "tmlp", "txtmlp", "tproj",
)  # fmt: skip
_NAMES = (
    *(
        Rename(f"{theirs}.{{}}.{their_layer}", (f"{ours}.{{}}.{layer}",))
        for ours, theirs in _BLOCKS.items()
        for layer, their_layer in _IN_BLOCKS.items()
    ),
    *(Rename(theirs, (ours,)) for ours, theirs in _ALONE.items()),
)
"""Of the makers' code, in which no layers are fused; all of its linear layers."""


def encode(pipeline: Any, text: str, device: Any) -> dict[str, Any]:
    """(1, n, layers, width) states of several layers of the language model, as many tokens as the text has; (1,
    `WORDS`) where these stand in what the pipeline makes of a text.

    The pipeline fills every text up in its middle and masks what it put there; kept, that would take several times the
    memory.
    """
    words, seen = pipeline.encode_prompt(prompt=text, device=device, max_sequence_length=WORDS)
    return {"prompt_embeds": words[:, seen[0]], "prompt_embeds_mask": seen}


def for_pipeline(words: Any) -> Any:
    """The texts of a batch in the length that the pipeline wants, each token in its place, zeros where nobody looks."""
    kept, seen = words["prompt_embeds"], words["prompt_embeds_mask"]
    whole = kept.new_zeros(*seen.shape, *kept.shape[2:])
    whole[seen] = kept[_said(words)]
    return {"prompt_embeds": whole, "prompt_embeds_mask": seen}


def _said(words: Any) -> Any:
    """(n, longest) which tokens are of the text; zeros behind them fill shorter texts up."""
    seen, longest = words["prompt_embeds_mask"], words["prompt_embeds"].shape[1]
    return seen.new_ones(len(seen), longest).cumsum(1) <= seen.sum(1, keepdim=True)


def denoise(model: Any, latents: Any, times: Any, words: Any, sizes: Any) -> Any:
    """(n, 16, h, w) latents -> their velocity, of the same shape; the denoiser takes tokens of two by two cells.

    Words have no places in it, so that it finds the same without what the pipeline fills texts up with.
    """
    _, _, height, width = latents.shape
    said = _said(words)
    grid = parts.positions(latents, height // 2, width // 2, 3)
    places = grid.new_zeros(said.shape[1] + len(grid), 3)  # all words are at the origin
    places[said.shape[1] :] = grid
    made = model(
        hidden_states=parts.packed(latents),
        encoder_hidden_states=words["prompt_embeds"],
        timestep=times / 1000,
        position_ids=places,
        encoder_attention_mask=None if bool(said.all()) else said,
        return_dict=False,
    )[0]
    return parts.unpacked(made, height, width)


def fit(layers: LoraLayers) -> Fit:
    """By the names of its gates, its MLP or what lies around its blocks; of a LoRA over plain attention alone, by the
    widths of that.
    """
    if layers.begin(r"(txtfusion|text_fusion)\.|(tmlp|txtmlp|tproj)\.\d"):
        return Fit.YES
    if layers.begin(r"blocks\.\d+\.(attn\.(w[qkvo]|gate)|mlp\.(gate|up|down))$"):
        return Fit.YES
    if layers.begin(r"transformer_blocks\.\d+\.(attn\.to_gate|ff\.(gate|up|down))$"):
        return Fit.YES
    keys, queries = layers.first(".attn.to_k", ".attn.to_v"), layers.first(".attn.to_q", ".attn.to_out.0")
    if keys is not None:
        return Fit.YES if (keys.inputs, keys.outputs) == (_WIDTH, _KEYS) else Fit.OPEN
    wide = queries is not None and queries.inputs == queries.outputs == _WIDTH
    return Fit.YES if wide and layers.blocks("transformer_blocks") > _FLUX2_BLOCKS else Fit.OPEN


_SETTINGS = {"num_layers": 28, "in_channels": 64}

FAMILY = Family(
    name="krea2",
    pipeline="Krea2Pipeline",
    image_pipeline="",
    reference="krea/Krea-2-Raw",
    download="36 GB",
    gated=True,
    targets=(
        "attn.to_q",
        "attn.to_k",
        "attn.to_v",
        "attn.to_out.0",
        "attn.to_gate",
        "ff.gate",
        "ff.up",
        "ff.down",
    ),  # in the blocks of the words, too; what lies outside of all blocks stays as it is
    architecture="Krea-2",
    base_version="krea2",
    licence="Krea 2: Krea 2 Community License, which limits the revenue of who uses it commercially.",
    encode=encode,
    for_pipeline=for_pipeline,
    denoise=denoise,
    to_latents=parts.whitened,
    to_raw=parts.frame_of,
    loss=FlowLoss(),
    guidance=Guidance(off=0.0, spoils_where="is_distilled"),
    joining="pad",
    frames=True,
    # ComfyUI reads these names, and diffusers' under ``transformer.``
    lora_names=LoraNames(
        prefix="diffusion_model.",
        dots=True,
        form="a_b",
        renames=_NAMES,
        words=_WORDS,
        architectures=("krea2", "krea-2"),
        fit=fit,
    ),
    single_file=SingleFile(
        whole=False,
        model="Krea2Transformer2DModel",
        marks=(("txtfusion.projector.weight",), ("text_fusion.projector.weight",)),
        layout=Layout(
            stacks={"num_layers": ("blocks", "transformer_blocks")},
            inputs={"in_channels": ("first.weight", "img_in.weight")},
        ),
    ),
    # alike but for the schedule of noise, which the pipeline's own configuration says
    sizes=(Size("Krea 2 Raw", _SETTINGS), Size("Krea 2 Turbo", _SETTINGS, _TURBO, hints=("turbo",))),
    presets={
        "krea2": Preset(
            GenerationSettings(steps=28, guidance=4.5, width=1024, height=1024, batch_size=1),
            parts.flow_training("krea2", steps=1000, rank=32, alpha=32.0, learning_rate=3e-4),
            repeats=10,
            hints=("krea-2", "krea2"),
            aliases={"krea2-raw": ""},
        ),
        "krea2-turbo": Preset(
            GenerationSettings(steps=8, guidance=0.0, width=1024, height=1024, batch_size=1),
            parts.flow_training("krea2-turbo", steps=1000, rank=32, alpha=32.0, learning_rate=3e-4),
            repeats=10,
            hints=("krea-2-turbo", "krea2-turbo"),
            distilled=(
                "Krea 2 Turbo is distilled to eight steps. A LoRA trained on it loses that: train on Krea 2 Raw (preset"
                " krea2), whose LoRAs are made to be worn on Turbo, or let training.assistant_lora name Turbo's"
                " training adapter (ostris/krea2_turbo_training_adapter)."
            ),
        ),
    },
)
