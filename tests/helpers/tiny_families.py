"""One real diffusers folder per family, with random weights, built in a fraction of a second; nothing in them is
special-cased by the product.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers.tiny_models import WORDS, build_tiny_sdxl, copy_of

TEMPLATE = (
    "describe {% for m in messages %}{% if m.content is string %}{{ m.content }} {% else %}"
    "{% for part in m.content %}{{ part.text }} {% endfor %}{% endif %}{% endfor %}"
)
SYSTEM = ("describe", "the", "image", "by", "detailing")
VISION = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
TURNS = ("<|im_start|>", "<|im_end|>")
WIDTH = 16
"""Of text encoders and denoisers."""


def build_tiny(name: str, folder: Path, seed: int = 0) -> Path:
    """The folder of a family's model."""
    if name == "sdxl":
        return build_tiny_sdxl(folder, full_vae=True, seed=seed)
    return copy_of(f"{name}-{seed}", folder, lambda kept: _build(name, kept, seed))


def _build(name: str, folder: Path, seed: int) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = BUILDERS[name](folder)
        _spread(getattr(pipeline, "transformer", None))
        options = {"overwrite_modular_index": True} if is_of_blocks(pipeline) else {}
        pipeline.save_pretrained(str(folder), safe_serialization=True, **options)
    if name == "qwen-image-edit":
        write_image_processor(folder)


def is_of_blocks(pipeline: Any) -> bool:
    """Whether diffusers has it as steps only."""
    from diffusers import ModularPipeline

    return isinstance(pipeline, ModularPipeline)


def write_image_processor(folder: Path) -> None:
    """What the models on the hub have: image settings in ``processor/``, under the name of a class that needs
    torchvision.
    """
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    make: Any = Qwen2VLImageProcessorPil
    make(patch_size=2, merge_size=2, temporal_patch_size=1, min_pixels=16, max_pixels=256).save_pretrained(
        folder / "processor"
    )
    index = json.loads((folder / "model_index.json").read_text())
    index["processor"] = ["transformers", "Qwen2VLProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))


def _spread(transformer: Any) -> None:
    """Gates and last layers that start at zero would hide a LoRA behind them."""
    import torch

    for name, parameter in transformer.named_parameters() if transformer is not None else ():
        if not bool(parameter.any()) and not name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.05)


def _sd15(folder: Path) -> Any:
    from diffusers import PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    make: Any = UNet2DConditionModel
    unet = make(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
    )
    scheduler: Any = PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
    )
    pipeline: Any = StableDiffusionPipeline
    return pipeline(
        vae=_vae(4),
        text_encoder=_clip(folder, projection=False),
        tokenizer=_clip_tokenizer(folder),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sd35(folder: Path) -> Any:
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    make: Any = SD3Transformer2DModel
    transformer = make(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        out_channels=16,
        pos_embed_max_size=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    tokenizer = _clip_tokenizer(folder)
    pipeline: Any = StableDiffusion3Pipeline
    return pipeline(
        transformer=transformer,
        scheduler=_flow(shift=3.0),
        vae=_vae(16),
        text_encoder=_clip(folder, projection=True),
        tokenizer=tokenizer,
        text_encoder_2=_clip(folder, projection=True),
        tokenizer_2=tokenizer,
        text_encoder_3=_t5(2 * WIDTH),
        tokenizer_3=_plain_tokenizer(),
    )


def _flux(folder: Path, kind: str = "FluxPipeline") -> Any:
    import diffusers
    from diffusers import FluxTransformer2DModel

    make: Any = FluxTransformer2DModel
    transformer = make(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    pipeline: Any = getattr(diffusers, kind)
    return pipeline(
        scheduler=_flow(shift=3.0, use_dynamic_shifting=True),
        vae=_vae(16),
        text_encoder=_clip(folder, projection=False),
        tokenizer=_clip_tokenizer(folder),
        text_encoder_2=_t5(WIDTH),
        tokenizer_2=_plain_tokenizer(),
        transformer=transformer,
    )


def _chroma(folder: Path) -> Any:
    from diffusers import ChromaPipeline, ChromaTransformer2DModel

    make: Any = ChromaTransformer2DModel
    transformer = make(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
        approximator_num_channels=16,
        approximator_hidden_dim=WIDTH,
        approximator_layers=1,
    )
    pipeline: Any = ChromaPipeline
    return pipeline(
        scheduler=_flow(shift=3.0),
        vae=_vae(16),
        text_encoder=_t5(WIDTH),
        tokenizer=_plain_tokenizer(),
        transformer=transformer,
    )


def _flux2(folder: Path) -> Any:
    from diffusers import Flux2Pipeline
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, PixtralVisionConfig

    text = MistralConfig(
        vocab_size=64,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=30,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
    )
    vision = PixtralVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=16, patch_size=8
    )
    encoder = Mistral3ForConditionalGeneration(
        Mistral3Config(text_config=text, vision_config=vision, image_token_index=3)
    )
    pipeline: Any = Flux2Pipeline
    return pipeline(
        scheduler=_flow(shift=3.0, use_dynamic_shifting=True),
        vae=_flux2_vae(),
        text_encoder=encoder,
        tokenizer=_plain_tokenizer(),
        transformer=_flux2_transformer(24, guided=True),
    )


def _flux2_klein(folder: Path) -> Any:
    from diffusers import Flux2KleinPipeline
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=64,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=27,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
    )
    pipeline: Any = Flux2KleinPipeline
    return pipeline(
        scheduler=_flow(shift=3.0, use_dynamic_shifting=True),
        vae=_flux2_vae(),
        text_encoder=Qwen3ForCausalLM(config),
        tokenizer=_plain_tokenizer(),
        transformer=_flux2_transformer(24, guided=False),
        is_distilled=False,
    )


def _flux2_transformer(words: int, *, guided: bool) -> Any:
    from diffusers import Flux2Transformer2DModel

    make: Any = Flux2Transformer2DModel
    return make(
        patch_size=1,
        in_channels=32,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=words,
        timestep_guidance_channels=8,
        axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=guided,
    )


def _flux2_vae() -> Any:
    import torch
    from diffusers import AutoencoderKLFlux2

    make: Any = AutoencoderKLFlux2
    vae = make(**_vae_sizes(8))
    torch.nn.init.uniform_(vae.bn.running_mean, -0.5, 0.5)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    return vae


def _zimage(folder: Path) -> Any:
    from diffusers import ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
    )
    make: Any = ZImageTransformer2DModel
    transformer = make(
        in_channels=16,
        dim=16,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[2, 2, 4],
        axes_lens=[1024, 64, 64],
    )
    pipeline: Any = ZImagePipeline
    return pipeline(
        scheduler=_flow(shift=3.0),
        vae=_vae(16),
        text_encoder=Qwen3Model(config),
        tokenizer=_plain_tokenizer(),
        transformer=transformer,
    )


def _qwen_image(folder: Path, kind: str = "QwenImagePipeline", **more: Any) -> Any:
    import diffusers
    from diffusers import QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "vocab_size": 64,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "bos_token_id": 1,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [0],
        "patch_size": 2,
        "temporal_patch_size": 1,
        "window_size": 8,
    }
    tokenizer = _plain_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(VISION)})
    start, picture, end = tokenizer.convert_tokens_to_ids(VISION)
    config: Any = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=picture,
        video_token_id=63,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    make: Any = QwenImageTransformer2DModel
    transformer = make(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(2, 2, 4),
    )
    pipeline: Any = getattr(diffusers, kind)
    return pipeline(
        scheduler=_flow(shift=1.0, use_dynamic_shifting=True, shift_terminal=0.02, base_shift=0.5, max_shift=0.9),
        vae=_qwen_vae(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        transformer=transformer,
        **more,
    )


def _krea2(folder: Path) -> Any:
    from diffusers import Krea2Pipeline, Krea2Transformer2DModel
    from transformers import Qwen3VLConfig, Qwen3VLModel

    text = {
        "vocab_size": 64,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "max_position_embeddings": 2048,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True},
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "patch_size": 2,
        "temporal_patch_size": 1,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    tokenizer = _plain_tokenizer(lines=True)
    tokenizer.add_special_tokens({"additional_special_tokens": [*VISION, *TURNS]})
    start, picture, end = tokenizer.convert_tokens_to_ids(VISION)
    config: Any = Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=picture,
        video_token_id=63,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    make: Any = Krea2Transformer2DModel
    transformer = make(
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        timestep_embed_dim=8,
        text_hidden_dim=WIDTH,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=64,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 2, 2),
    )
    pipeline: Any = Krea2Pipeline
    return pipeline(
        scheduler=_flow(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=6400
        ),
        vae=_qwen_vae(),
        text_encoder=Qwen3VLModel(config),
        tokenizer=tokenizer,
        transformer=transformer,
        text_encoder_select_layers=(1, 3),
    )


def _anima(folder: Path) -> Any:
    from diffusers import AnimaAutoBlocks, AnimaTextConditioner, CosmosTransformer3DModel
    from tokenizers.processors import TemplateProcessing
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=1024,
    )
    ending = _plain_tokenizer()  # as T5's, which gives something of an empty text, too
    ending.backend_tokenizer.post_processor = TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    condition: Any = AnimaTextConditioner
    make: Any = CosmosTransformer3DModel
    pipeline: Any = AnimaAutoBlocks().init_pipeline()
    pipeline.update_components(
        scheduler=_flow(shift=3.0),
        vae=_qwen_vae(),
        text_encoder=Qwen3Model(config),
        tokenizer=_plain_tokenizer(),
        t5_tokenizer=ending,
        text_conditioner=condition(
            source_dim=WIDTH,
            target_dim=WIDTH,
            model_dim=WIDTH,
            num_layers=1,
            num_attention_heads=2,
            mlp_ratio=1.0,
            target_vocab_size=64,
            min_sequence_length=32,
        ),
        transformer=make(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=12,
            num_layers=2,
            mlp_ratio=1.0,
            text_embed_dim=WIDTH,
            adaln_lora_dim=4,
            max_size=(4, 64, 64),
            rope_scale=(1.0, 4.0, 4.0),
            extra_pos_embed_type=None,
        ),
    )
    return pipeline


def build_auraflow(folder: Path) -> Path:
    """The model of the example in ``examples/auraflow_family.py``."""
    import torch
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make: Any = AuraFlowTransformer2DModel
        transformer = make(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            caption_projection_dim=16,
            pos_embed_max_size=64,
        )
        encoder = UMT5EncoderModel(
            UMT5Config(
                vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2, is_encoder_decoder=False
            )
        )
        pipeline: Any = AuraFlowPipeline
        made = pipeline(
            tokenizer=_plain_tokenizer(),
            text_encoder=encoder,
            vae=_vae(4),
            transformer=transformer,
            scheduler=_flow(shift=1.73),
        )
        _spread(transformer)
        made.save_pretrained(folder, safe_serialization=True)
    return folder


BUILDERS: dict[str, Callable[[Path], Any]] = {
    "sd15": _sd15,
    "sd35": _sd35,
    "flux": _flux,
    "chroma": _chroma,
    "flux-kontext": lambda folder: _flux(folder, "FluxKontextPipeline"),
    "flux2": _flux2,
    "flux2-klein": _flux2_klein,
    "zimage": _zimage,
    "anima": _anima,
    "krea2": _krea2,
    "qwen-image": _qwen_image,
    "qwen-image-edit": lambda folder: _qwen_image(folder, "QwenImageEditPlusPipeline", processor=None),
}


def _flow(**settings: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    make: Any = FlowMatchEulerDiscreteScheduler
    return make(num_train_timesteps=1000, **settings)


def _vae_sizes(channels: int) -> dict[str, Any]:
    return {
        "block_out_channels": (8, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": channels,
        "norm_num_groups": 4,
        "sample_size": 64,
        "layers_per_block": 1,
    }


def _vae(channels: int) -> Any:
    from diffusers import AutoencoderKL

    make: Any = AutoencoderKL
    moved = {"scaling_factor": 0.3611, "shift_factor": 0.1159} if channels == 16 else {"scaling_factor": 0.18215}
    return make(**_vae_sizes(channels), **moved)


def _qwen_vae() -> Any:
    from diffusers import AutoencoderKLQwenImage

    make: Any = AutoencoderKLQwenImage
    return make(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[1.5, 0.7, 2.0, 1.1],
    )


def _clip_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    from workshop.tokenizer import write_tokenizer

    write_tokenizer(folder / "tokenizer", WORDS, 16)
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


def _clip(folder: Path, *, projection: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    size = len(_clip_tokenizer(folder))
    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        hidden_act="gelu",
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)


def _t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=width, num_layers=1, num_heads=2, is_encoder_decoder=False)
    )


def _plain_tokenizer(*, lines: bool = False) -> Any:
    """Words split at spaces, with a chat template that just joins what was said. ``lines``: ends of lines are tokens,
    too.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split, Whitespace
    from transformers import PreTrainedTokenizerFast

    names = ["<pad>", "<end>", "<unknown>", "<image>", *WORDS, *SYSTEM]
    core = Tokenizer(
        WordLevel({name: number for number, name in enumerate(dict.fromkeys(names))}, unk_token="<unknown>")
    )
    split: Any = Split(Regex(r"\n|\w+|[^\w\s]+"), "removed", invert=True) if lines else Whitespace()
    core.pre_tokenizer = split
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<end>",
        unk_token="<unknown>",
        model_max_length=512,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer
