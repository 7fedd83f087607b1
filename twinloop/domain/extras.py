"""The extras of this package: which libraries each brings, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.domain.quantised import Quantization

EXTRAS: Mapping[str, Mapping[str, str]] = {
    "train": {
        "torch": "torch",
        "diffusers": "diffusers",
        "transformers": "transformers",
        "peft": "peft",
        "accelerate": "accelerate",
        "huggingface-hub": "huggingface_hub",
        "tensorboardX": "tensorboardX",
    },
    "optimizers": {"prodigyopt": "prodigyopt", "pytorch-optimizer": "pytorch_optimizer"},
    "optimizers-gpu": {"bitsandbytes": "bitsandbytes"},
    "quant": {"torchao": "torchao", "bitsandbytes": "bitsandbytes", "gguf": "gguf"},
    "wandb": {"wandb": "wandb"},
    "nano": {"numba": "numba"},
    "raw": {"rawpy": "rawpy"},
    "large": {"faiss-cpu": "faiss"},
}
"""Extra -> the libraries, as they are installed and as they are imported."""
PURPOSES: Mapping[str, str] = {
    "train": "making images and LoRAs",
    "optimizers": "the optimizers prodigy, lion, came, adamw_schedulefree",
    "optimizers-gpu": "the optimizer adamw8bit",
    "quant": "int8, fp8, nf4, .gguf",
    "wandb": "training.wandb",
    "nano": "twinloop demo, twinloop nano",
    "raw": "raw photos of cameras",
    "large": "telling people apart among more than 100,000 faces",
}
OPTIONAL = frozenset({"tensorboardX"})
"""Without these the rest of their extra works."""
MODULES = frozenset(module for libraries in EXTRAS.values() for module in libraries.values())
"""All that an import may miss because an extra is not installed."""

OPTIMIZER_MODULES: Mapping[str, tuple[str, str]] = {
    "adamw8bit": ("bitsandbytes", "optimizers-gpu"),
    "prodigy": ("prodigyopt", "optimizers"),
    "lion": ("pytorch_optimizer", "optimizers"),
    "came": ("pytorch_optimizer", "optimizers"),
    "adamw_schedulefree": ("pytorch_optimizer", "optimizers"),
}
"""Module and extra of those that a library beside PyTorch brings."""
QUANTIZATION_MODULES: Mapping[Quantization, str] = {"nf4": "bitsandbytes", "int8": "torchao", "fp8": "torchao"}
"""Modules, all of the extra ``quant``."""
GGUF_MODULE = "gguf"
"""The module that reads .gguf files, of the extra ``quant``."""
