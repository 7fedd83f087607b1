"""kohya's names run the parts of a layer's path together with underscores; here they are told apart again, without
guessing.
"""

from __future__ import annotations

import re

from twinloop.errors import ModelFileError
from twinloop.families.registered import families_of_loras

_KNOWN = """
down_blocks mid_block up_blocks transformer_blocks single_transformer_blocks input_blocks middle_block output_blocks
in_layers out_layers emb_layers skip_connection time_embed label_emb time_embedding add_embedding linear_1 linear_2
conv_in conv_out conv_shortcut conv_norm_out time_emb_proj proj_in proj_out
to_q to_k to_v to_out to_qkv to_qkv_mlp_proj to_add_out add_q_proj add_k_proj add_v_proj proj_mlp ff_context linear_in
linear_out norm1_context norm_out
x_embedder context_embedder pos_embed time_text_embed timestep_embedder text_embedder guidance_embedder
time_guidance_embed
double_blocks single_blocks img_attn txt_attn img_mlp txt_mlp img_mod txt_mod img_in txt_in time_in vector_in
guidance_in in_layer out_layer
final_layer adaLN_modulation single_stream_modulation double_stream_modulation_img double_stream_modulation_txt
joint_blocks x_block context_block
noise_refiner context_refiner feed_forward cap_embedder t_embedder y_embedder all_x_embedder all_final_layer
text_model text_projection self_attn q_proj k_proj v_proj out_proj token_embedding position_embedding wi_0 wi_1
attentions resnets downsamplers upsamplers attn attn1 attn2 ff net proj conv conv1 conv2 op norm norm1 norm2 norm3
linear
lin linear1 linear2 qkv modulation out layers layer attention w1 w2 w3 mlp fc1 fc2 encoder embeddings
block SelfAttention EncDecAttention DenseReluDense q k v o wi wo
"""
_NUMBER = re.compile(r"\d+(-\d+)*")
"""Of a layer in a row, or the two of a patch's size (Z-Image's ``all_final_layer.2-1``)."""
_PARTS = frozenset(tuple(word.split("_")) for word in _KNOWN.split())


def _known() -> frozenset[tuple[str, ...]]:
    own = (tuple(word.split("_")) for family in families_of_loras() for word in family.lora_names.words)
    return _PARTS.union(own)


def dotted(name: str) -> str:
    """``down_blocks_0_attentions_1_proj_in`` -> ``down_blocks.0.attentions.1.proj_in``.

    Raises:
        ModelFileError: a part that this program does not know, so that any dot would be a guess.
    """
    words, path, at = name.split("_"), list[str](), 0
    known = _known()
    longest = max(map(len, known))
    while at < len(words):
        if _NUMBER.fullmatch(words[at]):
            path.append(words[at])
            at += 1
            continue
        length = next((n for n in range(longest, 0, -1) if tuple(words[at : at + n]) in known), 0)
        if not length:
            raise ModelFileError(
                f"the layer {name[:80]!r} has a part this program does not know ({'_'.join(words[at:])[:40]!r}), so it"
                " cannot be renamed."
            )
        path.append("_".join(words[at : at + length]))
        at += length
    return ".".join(path)
