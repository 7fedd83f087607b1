"""Write a tiny Z-Image denoiser as a ``.gguf`` file, as they are shared for ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def build_gguf_zimage(home: Path, kind: str = "Q8_0") -> Path:
    """``home/model.gguf`` and beside it the folder ``home/model`` with everything else; wide enough for blocks of 32
    weights.

    Returns:
        the file; ``home/float`` is the same model with its weights as they were.
    """
    import shutil

    import torch
    from diffusers import ZImageTransformer2DModel

    from tests.helpers.tiny_families import build_tiny

    build_tiny("zimage", home / "float")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make: Any = ZImageTransformer2DModel
        model = make(
            in_channels=16,
            dim=64,
            n_layers=2,
            n_refiner_layers=1,
            n_heads=8,
            n_kv_heads=8,
            cap_feat_dim=16,
            axes_dims=[2, 2, 4],
            axes_lens=[1024, 64, 64],
        )
        for name, parameter in model.named_parameters():
            if not bool(parameter.any()) and not name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.05)
    shutil.rmtree(home / "float" / "transformer")
    model.save_pretrained(home / "float" / "transformer")
    shutil.copytree(home / "float", home / "model", ignore=shutil.ignore_patterns("diffusion_pytorch_model*"))
    shutil.copytree(home / "float" / "vae", home / "model" / "vae", dirs_exist_ok=True)
    write_gguf(model.state_dict(), home / "model.gguf", kind)
    return home / "model.gguf"


def write_gguf(tensors: dict[str, Any], path: Path, kind: str) -> None:
    """Matrices of layers inside of blocks in packed form, where their rows divide into blocks; everything else in
    float32.
    """
    import gguf

    chosen = gguf.GGMLQuantizationType[kind]
    block, _ = gguf.GGML_QUANT_SIZES[chosen]
    writer = gguf.GGUFWriter(path, "zimage")
    for name, value in tensors.items():
        numbers = value.float().numpy()
        if numbers.ndim == 2 and numbers.shape[1] % block == 0 and "layers." in name:
            writer.add_tensor(name, gguf.quants.quantize(numbers, chosen), raw_dtype=chosen)
        else:
            writer.add_tensor(name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
