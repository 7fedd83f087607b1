"""Captioners with random weights in folders like the published ones; nothing in them is
special-cased by the product.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twinloop.adapters.detectors.onnx_writer import GraphWriter, _block, _number, _text, _value_info

TAGS = (("general", 9), ("red_shirt", 0), ("blue_shirt", 0), ("blonde_hair", 0), ("hatsune_miku", 4), ("dim_light", 0))
"""Name and category; the tiny tagger sees the shirts by the picture's mean colour, and always the rest but the last."""
WORDS = (
    "a",
    "woman",
    "man",
    "with",
    "in",
    "park",
    "photo",
    "of",
    "red",
    "hat",
    "smiling",
    "wearing",
    "what",
    "does",
    "the",
    "image",
    "describe",
    "detail",
    "is",
    "shown",
)


def build_tagger(folder: Path, side: int = 64) -> Path:
    """A WD14-type folder: NHWC, BGR, 0..255; one probability per tag."""
    folder.mkdir(parents=True, exist_ok=True)
    colour = 0.05  # of a mean of 0..255, so that a full colour is sure
    weights = np.zeros((len(TAGS), 3, 1, 1), np.float32)
    weights[1, :, 0, 0] = (-colour, -colour, colour)
    weights[2, :, 0, 0] = (colour, -colour, -colour)
    writer = GraphWriter()
    planes = writer.one("Transpose", ["image"], perm=(0, 3, 1, 2))
    means = writer.one("GlobalAveragePool", [planes])
    scores = writer.one(
        "Conv",
        [means, writer.weight(weights), writer.weight(np.array([5, 0, 0, 2, 5, -5], np.float32))],
        kernel_shape=(1, 1),
    )
    flat = writer.one("Flatten", [writer.one("Sigmoid", [scores])], axis=1)
    graph = (
        b"".join(_block(1, node) for node in writer._nodes)
        + _text(2, "tagger")
        + b"".join(_block(5, weight) for weight in writer._weights)
    )
    graph += _block(11, _value_info("image", ("batch", side, side, 3))) + _block(
        12, _value_info(flat, ("batch", len(TAGS)))
    )
    (folder / "model.onnx").write_bytes(_number(1, 8) + _block(8, _number(2, 13)) + _block(7, graph))
    rows = [f"{number},{name},{category},1" for number, (name, category) in enumerate(TAGS)]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]) + "\n")
    return folder


def build_place_tagger(folder: Path, red: str = "indoors", blue: str = "outdoors") -> Path:
    """The same tagger with tags of places: ``red`` of red pictures, ``blue`` of blue ones."""
    table = build_tagger(folder) / "selected_tags.csv"
    table.write_text(table.read_text().replace("red_shirt", red).replace("blue_shirt", blue))
    return folder


def build_blip(folder: Path, seed: int = 0) -> Path:
    """A BLIP folder as transformers saves one."""
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *WORDS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), bos_token="[DEC]")
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **sizes,
        "vocab_size": len(vocabulary),
        "encoder_hidden_size": 32,
        "max_position_embeddings": 64,
        "bos_token_id": 5,
        "pad_token_id": 0,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "projection_dim": 32,
    }
    config = BlipConfig(
        text_config=text,
        vision_config={**sizes, "image_size": 32, "patch_size": 16, "projection_dim": 32},
        projection_dim=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BlipForConditionalGeneration(config)
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def build_florence2(folder: Path, seed: int = 7) -> Path:
    """A Florence-2 folder as transformers saves one."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        CLIPImageProcessorPil,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        PreTrainedTokenizerFast,
    )

    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<image>", *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"}, model_max_length=64,
    )  # fmt: skip
    text = {
        "model_type": "bart",
        "vocab_size": len(vocabulary),
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    vision = {
        "embed_dim": [16, 16, 32, 32],
        "depths": [1, 1, 1, 1],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "window_size": 4,
        "projection_dim": 32,
    }
    config = Florence2Config(
        text_config=text, vision_config=vision, image_token_id=4, pad_token_id=1, bos_token_id=0, eos_token_id=2
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Florence2ForConditionalGeneration(config)
    model.save_pretrained(folder)
    images = CLIPImageProcessorPil(
        size={"height": 64, "width": 64}, crop_size={"height": 64, "width": 64}, do_center_crop=False
    )
    images.image_seq_length = 5  # 64 pixels in strides of 32, and their mean
    Florence2Processor(images, tokenizer).save_pretrained(folder)
    return folder
