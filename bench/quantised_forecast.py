"""What the forecast says of large models at their real size, with float and with quantised weights; no weights and no
GPU are needed.

    python bench/quantised_forecast.py [--resolution 1024] [--batch 1] [--swap]

Per model and kind of weights: GiB of the denoiser, of its language model, and the predicted peak of a LoRA training on
a GPU without and with gradient checkpointing, at the rank of the family's preset (bfloat16, AdamW). With --swap instead
of the peaks: for cards of 8, 12, 16 and 24 GiB, how many blocks a training swaps there by itself, and the peak.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import twinloop.adapters  # noqa: F401 - before PyTorch and diffusers: their import notes are left out

# isort: split
import torch
from diffusers import (
    ChromaTransformer2DModel,
    CosmosTransformer3DModel,
    FluxTransformer2DModel,
    Krea2Transformer2DModel,
    QwenImageTransformer2DModel,
    ZImageTransformer2DModel,
)
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
    T5Config,
    T5EncoderModel,
)

from twinloop.adapters.diffusion.block_swap import block_bytes_if
from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.quantised.sizes import bytes_if, real_bytes
from twinloop.adapters.diffusion.without_torchvision import complete
from twinloop.adapters.trainers.lora.adapter_plan import AdapterPlan
from twinloop.adapters.trainers.memory.demand import ROOM_OF_A_CARD, Demand, WeightSizes
from twinloop.adapters.trainers.memory.dry_run import footprint
from twinloop.domain.forecast import BUDGETS, GIB
from twinloop.domain.quantised import QUANTIZATIONS
from twinloop.families import FAMILIES

BF16 = torch.bfloat16


def t5() -> Any:
    return T5EncoderModel(
        T5Config(
            vocab_size=32128,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )


def qwen25() -> Any:
    text = {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    }
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False)
    )


def qwen3() -> Any:
    sizes = {
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    return Qwen3Model(Qwen3Config(vocab_size=151936, **sizes))


def small_qwen3() -> Any:
    sizes = {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    return Qwen3Model(Qwen3Config(vocab_size=151936, **sizes))


def cosmos() -> Any:
    complete(CosmosTransformer3DModel)
    return CosmosTransformer3DModel(
        num_attention_heads=16, attention_head_dim=128, num_layers=28, text_embed_dim=1024, extra_pos_embed_type=None
    )


def qwen3_vl() -> Any:
    text = {
        "vocab_size": 151936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    vision = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560}
    return Qwen3VLModel(Qwen3VLConfig(text_config=text, vision_config=vision))


def words(family: str) -> dict[str, Any]:
    """One text as long as the model takes them, or as captions are."""
    if family == "flux":
        return {"prompt_embeds": torch.zeros(1, 512, 4096), "pooled_prompt_embeds": torch.zeros(1, 768)}
    if family == "chroma":
        return {"prompt_embeds": torch.zeros(1, 128, 4096), "prompt_attention_mask": torch.ones(1, 128).bool()}
    if family == "anima":
        return {"prompt_embeds": torch.zeros(1, 512, 1024)}
    if family == "krea2":
        return {"prompt_embeds": torch.zeros(1, 128, 12, 2560), "prompt_embeds_mask": torch.arange(512)[None] < 128}
    if family == "qwen-image":
        return {"prompt_embeds": torch.zeros(1, 128, 3584), "prompt_embeds_mask": torch.ones(1, 128).long()}
    return {"prompt_embeds": [torch.zeros(128, 2560)]}


MODELS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "flux": (lambda: FluxTransformer2DModel(guidance_embeds=True), t5),
    "chroma": (ChromaTransformer2DModel, t5),
    "zimage": (ZImageTransformer2DModel, qwen3),
    "qwen-image": (QwenImageTransformer2DModel, qwen25),
    "anima": (cosmos, small_qwen3),
    "krea2": (Krea2Transformer2DModel, qwen3_vl),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--swap", action="store_true", help="how many blocks are swapped on which card")
    args = parser.parse_args()
    compute = Compute(torch.device("cuda"), BF16, BF16)
    side = args.resolution // 8
    for name, (denoiser, encoder) in MODELS.items():
        with torch.device("meta"):
            model, reader = denoiser().to(BF16), encoder().to(BF16)
        family = FAMILIES[name]
        settings = replace(next(iter(family.presets.values())).training, batch_size=args.batch)
        base: Any = SimpleNamespace(family=family, denoiser=model, compute=compute)
        one = footprint(base, AdapterPlan.of(settings, family), (1, 16, side, side), words(name))
        sizes = {
            how: WeightSizes(
                bytes_if(model, how, BF16),
                GIB // 4,
                bytes_if(reader, how, BF16),
                block_bytes_if(model, how, BF16),
            )
            for how in QUANTIZATIONS
        }
        plain = Demand(
            one,
            settings,
            resident=GIB // 4,
            gpu=True,
            frozen_encoders=real_bytes(reader),
            quantised_sizes=sizes,
            swaps=True,
        )
        for how, demand in [("bfloat16", plain), *plain.quantised()]:
            weights = (demand.footprint.weights, demand.frozen_encoders)
            peaks = (demand.peak(args.batch, False), demand.peak(args.batch, True))
            told = [f"{size / GIB:6.1f}" for size in ((*weights,) if args.swap else (*weights, *peaks))]
            told += list(_by_card(demand)) if args.swap else []
            print(f"{name:10} rank {settings.rank} {how:8}", *told, flush=True)


def _by_card(demand: Demand) -> Iterator[str]:
    for card in BUDGETS:
        plan = demand.fitting(int(card * GIB * ROOM_OF_A_CARD))
        told = "does not fit" if plan is None else f"{plan.blocks_to_swap} swapped, {plan.peak / GIB:.1f}"
        yield f"| {card} GiB: {told}"


if __name__ == "__main__":
    main()
