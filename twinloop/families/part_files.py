"""Files that hold one part of a base model: a text encoder or an autoencoder, as ComfyUI's folders have them.

What a file is follows from the names of its tensors, and its size from their shapes. Both are compared with the
configuration of the part that it is to replace, because a file holds none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]
PROJECTION = "text_projection.weight"
_OF_PICTURES = re.compile(r"(^|\.)(vision_model|vision_tower|visual|image_encoder)\.")
"""In the names of tensors of what sees beside a text encoder."""


@dataclass(frozen=True)
class PartKind:
    """What a file of a part can be.

    Attributes:
        name: for people.
        configurations: ``_class_name`` or ``model_type`` of the configurations that it goes with.
        mark: end of the name of a tensor that it holds; what stands before it is the prefix of all of its tensors.
        others: names behind that prefix; a leading ``!`` means: is not there.
        axes: how many axes the marked tensor has.
        sizes: setting of the configuration -> tensor behind the prefix, and its axis that tells it.
        blocks: setting -> what numbers its blocks, behind the prefix.
    """

    name: str
    configurations: tuple[str, ...]
    mark: str
    sizes: Mapping[str, tuple[str, int]]
    others: tuple[str, ...] = ()
    axes: int = 0
    blocks: tuple[str, str] = ("", "")

    @property
    def is_autoencoder(self) -> bool:
        return self.configurations[0].startswith("Autoencoder")

    def prefix(self, shapes: Shapes) -> str | None:
        """What stands before the names of its tensors; None = the file is none of this kind."""
        for name, shape in shapes.items():
            if not name.endswith(self.mark) or _OF_PICTURES.search(name) or (self.axes and len(shape) != self.axes):
                continue
            prefix = name.removesuffix(self.mark)
            if (not prefix or prefix.endswith(".")) and all(_holds(shapes, prefix, other) for other in self.others):
                return prefix
        return None

    def told(self, shapes: Shapes) -> dict[str, int]:
        """The settings of its configuration that a file of this kind tells."""
        prefix = self.prefix(shapes) or ""
        found = {
            setting: shapes[prefix + name][axis]
            for setting, (name, axis) in self.sizes.items()
            if len(shapes.get(prefix + name, ())) > axis
        }
        setting, numbered = self.blocks
        if numbered:
            pattern = re.compile(rf"{re.escape(prefix + numbered)}\.(\d+)\.")
            found[setting] = len({match[1] for name in shapes if (match := pattern.match(name))})
        return found


def _holds(shapes: Shapes, prefix: str, other: str) -> bool:
    return (prefix + other[1:] not in shapes) if other.startswith("!") else prefix + other in shapes


_WORDS = {"vocab_size": ("embed_tokens.weight", 0), "hidden_size": ("embed_tokens.weight", 1)}
_LANGUAGE = {**_WORDS, "intermediate_size": ("layers.0.mlp.gate_proj.weight", 0)}
_LAYERS = ("num_hidden_layers", "layers")
_ATTENTION = "layers.0.self_attn.q_proj.weight"
_KL = {
    "latent_channels": ("decoder.conv_in.weight", 1),
    "first block_out_channels": ("encoder.conv_in.weight", 0),
    "last block_out_channels": ("decoder.conv_in.weight", 0),
}
CLIP = PartKind(
    "a CLIP text encoder",
    ("clip_text_model",),
    "embeddings.position_embedding.weight",
    {
        "vocab_size": ("embeddings.token_embedding.weight", 0),
        "hidden_size": ("embeddings.token_embedding.weight", 1),
        "intermediate_size": ("encoder.layers.0.mlp.fc1.weight", 0),
        "max_position_embeddings": ("embeddings.position_embedding.weight", 0),
    },
    ("embeddings.token_embedding.weight",),
    blocks=("num_hidden_layers", "encoder.layers"),
)
OPEN_CLIP = PartKind(
    "a CLIP text encoder in OpenCLIP's names",
    ("clip_text_model",),
    "transformer.resblocks.0.attn.in_proj_weight",
    {
        "vocab_size": ("token_embedding.weight", 0),
        "hidden_size": ("token_embedding.weight", 1),
        "intermediate_size": ("transformer.resblocks.0.mlp.c_fc.weight", 0),
        "max_position_embeddings": ("positional_embedding", 0),
    },
    ("token_embedding.weight",),
    blocks=("num_hidden_layers", "transformer.resblocks"),
)
T5 = PartKind(
    "a T5 text encoder",
    ("t5",),
    "encoder.block.0.layer.0.SelfAttention.q.weight",
    {
        "vocab_size": ("shared.weight", 0),
        "d_model": ("encoder.block.0.layer.0.SelfAttention.q.weight", 1),
        "d_ff": ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", 0),
    },
    blocks=("num_layers", "encoder.block"),
)
QWEN_3 = PartKind(
    "a Qwen 3 text encoder",
    ("qwen3", "qwen3_vl"),
    _ATTENTION,
    _LANGUAGE,
    ("layers.0.self_attn.q_norm.weight", "!layers.0.pre_feedforward_layernorm.weight"),
    blocks=_LAYERS,
)
QWEN_2 = PartKind(
    "a Qwen 2.5 text encoder",
    ("qwen2_5_vl",),
    _ATTENTION,
    _LANGUAGE,
    ("layers.0.self_attn.q_proj.bias",),
    blocks=_LAYERS,
)
MISTRAL = PartKind(
    "a Mistral or Llama text encoder",
    ("mistral3",),
    _ATTENTION,
    _LANGUAGE,
    ("!layers.0.self_attn.q_proj.bias", "!layers.0.self_attn.q_norm.weight", "layers.0.mlp.gate_proj.weight"),
    blocks=_LAYERS,
)
FLUX2_VAE = PartKind(
    "a FLUX.2 autoencoder", ("AutoencoderKLFlux2",), "decoder.conv_in.weight", _KL, ("bn.running_mean",), axes=4
)
KL_VAE = PartKind(
    "an autoencoder", ("AutoencoderKL",), "decoder.conv_in.weight", _KL, ("encoder.conv_in.weight",), axes=4
)
WAN_VAE = PartKind(
    "an autoencoder of Qwen-Image or Wan in Wan's names",
    ("AutoencoderKLQwenImage",),
    "decoder.conv1.weight",
    {"z_dim": ("decoder.conv1.weight", 1), "base_dim": ("encoder.conv1.weight", 0)},
    ("encoder.conv1.weight",),
    axes=5,
)
QWEN_VAE = PartKind(
    "an autoencoder of Qwen-Image or Wan",
    ("AutoencoderKLQwenImage",),
    "decoder.conv_in.weight",
    {"z_dim": ("decoder.conv_in.weight", 1), "base_dim": ("encoder.conv_in.weight", 0)},
    ("encoder.conv_in.weight",),
    axes=5,
)
KINDS = (CLIP, OPEN_CLIP, T5, QWEN_3, QWEN_2, MISTRAL, FLUX2_VAE, KL_VAE, WAN_VAE, QWEN_VAE)
"""In the order in which they are looked for."""
SEEING = ("qwen3_vl",)
"""Of the configurations that name a text encoder of more than one kind: those of models that see pictures, whose
language model alone looks like another's."""
READ_LAYERS = {"mistral3": 30}
"""Of text encoders that prompts are read with the first layers of: how many; ComfyUI's files hold no others."""


def kind_of_part(shapes: Shapes) -> PartKind | None:
    """What a file with these tensors is; None = no part that is known here."""
    return next((kind for kind in KINDS if kind.prefix(shapes) is not None), None)


def configured(configuration: Mapping[str, object]) -> dict[str, object]:
    """The settings of a part's configuration, by the names that `PartKind.told` has for them."""
    inner = configuration.get("text_config")
    found = {**configuration, **(inner if isinstance(inner, dict) else {})}
    blocks = found.get("block_out_channels")
    decoder = found.get("decoder_block_out_channels") or blocks
    for name, channels, place in (("first", blocks, 0), ("last", decoder, -1)):
        if isinstance(channels, list) and channels:
            found[f"{name} block_out_channels"] = channels[place]
    return found


def name_of_configuration(configuration: Mapping[str, object]) -> str:
    """What `PartKind.configurations` calls it."""
    return str(configuration.get("_class_name") or configuration.get("model_type") or "")


def wrong_sizes(kind: PartKind, shapes: Shapes, configuration: Mapping[str, object]) -> dict[str, tuple[int, object]]:
    """Setting -> (in the file, in the configuration) where they differ. A file with no more layers than prompts are
    read with is as good as a whole one.
    """
    told, wanted = kind.told(shapes), configured(configuration)
    wrong = {name: (value, wanted[name]) for name, value in told.items() if wanted.get(name, value) != value}
    if is_cut(kind, shapes, configuration):
        wrong.pop(kind.blocks[0], None)
    return wrong


def is_cut(kind: PartKind, shapes: Shapes, configuration: Mapping[str, object]) -> bool:
    """Whether a file holds only the layers that prompts are read with, and its configuration has more."""
    layers, read = kind.told(shapes).get(kind.blocks[0]), READ_LAYERS.get(name_of_configuration(configuration))
    whole = configured(configuration).get(kind.blocks[0])
    return read is not None and layers == read and isinstance(whole, int) and whole > read


def sees_pictures(shapes: Shapes) -> bool:
    """Whether a text encoder's file also holds what sees pictures."""
    return any(_OF_PICTURES.search(name) for name in shapes)


Rename = Callable[[str], str | None]


def renamed(kind: PartKind, shapes: Shapes, seeing: bool) -> dict[str, str]:
    """Tensor of the file -> its name in transformers, for text encoders in its own names; those that are not needed are
    left out.

    Args:
        seeing: the model reads pictures, too, so that its language model is one part of it.
    """
    prefix = kind.prefix(shapes) or ""
    if kind is CLIP:
        outer = prefix.removesuffix("text_model.")
        rename = _behind(prefix, "text_model.")
        own: dict[str, str] = {outer + PROJECTION: PROJECTION}
    elif kind is T5:
        rename = _behind(f"{prefix}encoder.", "encoder.")
        own = {f"{prefix}shared.weight": "shared.weight", f"{prefix}encoder.embed_tokens.weight": "shared.weight"}
    else:
        outer = re.sub(r"(model\.|language_model\.)+$", "", prefix)
        inside = _behind(prefix, "model.language_model." if seeing else "model.")
        others = _behind(outer, "")

        def rename(name: str) -> str | None:
            return inside(name) if not _OF_PICTURES.search(name) and name.startswith(prefix) else others(name)

        own = {}
    found = {name: own.get(name) or rename(name) for name in shapes}
    return {name: new for name, new in found.items() if new is not None and not new.endswith("position_ids")}


def _behind(prefix: str, new: str) -> Rename:
    return lambda name: new + name.removeprefix(prefix) if name.startswith(prefix) else None
