"""Anima's names of layers, against those that diffusers knows."""

from __future__ import annotations

import pytest

pytest.importorskip("diffusers")

from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_anima_lora_to_diffusers as by_diffusers

from twinloop.families import FAMILIES
from twinloop.families.lora_layers import Fit, LoraLayers
from twinloop.loras.lora import Layer
from twinloop.loras.tensors import encode

np = pytest.importorskip("numpy")

ANIMA = FAMILIES["anima"]
NAMES = ANIMA.lora_names


@pytest.mark.parametrize("rename", (*NAMES.renames, *NAMES.others), ids=lambda rename: rename.theirs)
def test_a_layer_is_that_which_diffusers_takes_it_for(rename: object) -> None:
    theirs, (ours,) = (getattr(rename, side) for side in ("theirs", "ours"))
    found = by_diffusers({f"diffusion_model.{theirs.replace('{}', '7')}.lora_A.weight": 0})
    assert [*found] == [f"transformer.{ours.replace('{}', '7')}.lora_A.weight"]


def test_every_target_has_another_name_in_the_copy() -> None:
    renamed = {ours for rename in NAMES.renames for ours in rename.ours}
    assert renamed == {f"transformer_blocks.{{}}.{target}" for target in ANIMA.targets}
    copied = NAMES.groups(["transformer_blocks.3.attn2.to_out.0"])
    assert copied == {"lora_unet_blocks_3_cross_attn_output_proj": ("transformer_blocks.3.attn2.to_out.0",)}


def sized(inputs: int, outputs: int) -> Layer:
    down, up = np.zeros((2, inputs)), np.zeros((outputs, 2))
    return Layer(encode(down, "F32"), encode(up, "F32"), 1.0)


@pytest.mark.parametrize(
    ("layers", "fit"),
    [
        ({"blocks.0.self_attn.q_proj": (2048, 2048)}, Fit.YES),
        ({"blocks.27.mlp.layer2": (8192, 2048)}, Fit.YES),
        ({"blocks.0.self_attn.q": (2048, 2048)}, Fit.OPEN),  # Wan's
        (
            {
                "transformer_blocks.0.attn1.to_q": (2048, 2048),
                "transformer_blocks.0.attn2.to_k": (1024, 2048),
            },
            Fit.LIKELY,
        ),
        # LTX's
        (
            {
                "transformer_blocks.0.attn1.to_q": (2048, 2048),
                "transformer_blocks.0.attn2.to_k": (2048, 2048),
            },
            Fit.OPEN,
        ),
    ],
)
def test_its_loras_are_told_from_others(layers: dict[str, tuple[int, int]], fit: Fit) -> None:
    assert NAMES.fit is not None
    assert NAMES.fit(LoraLayers({path: sized(*sizes) for path, sizes in layers.items()})) is fit
