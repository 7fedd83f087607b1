"""Write tiny denoisers of Z-Image and Krea 2 as ``.gguf`` files, as they are shared for ComfyUI."""

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


def build_gguf_krea2(home: Path) -> tuple[Path, dict[str, Any]]:
    """``home/model.gguf`` in 8 bits under the makers' names, and beside it the folder ``home/model`` with everything
    else.

    Returns:
        the file, and the weights as they were, under diffusers' names.
    """
    import shutil

    import torch
    from diffusers import Krea2Transformer2DModel

    from tests.helpers.krea2_names import original_krea2
    from tests.helpers.tiny_families import build_tiny

    folder = build_tiny("krea2", home / "model") / "transformer"
    config: Any = Krea2Transformer2DModel.load_config(folder)
    wide = {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = Krea2Transformer2DModel.from_config({**config, **wide})
    shutil.rmtree(folder)
    model.save_config(folder)
    write_gguf(original_krea2(model.state_dict()), home / "model.gguf", "Q8_0", "krea2")
    return home / "model.gguf", model.state_dict()


def write_gguf(tensors: dict[str, Any], path: Path, kind: str, architecture: str = "zimage") -> None:
    """Matrices of layers inside of blocks in packed form, where their rows divide into blocks; everything else in
    float32.
    """
    import gguf

    chosen = gguf.GGMLQuantizationType[kind]
    block, _ = gguf.GGML_QUANT_SIZES[chosen]
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in tensors.items():
        numbers = value.float().numpy()
        if numbers.ndim == 2 and numbers.shape[1] % block == 0 and ("layers." in name or "blocks." in name):
            writer.add_tensor(name, gguf.quants.quantize(numbers, chosen), raw_dtype=chosen)
        else:
            writer.add_tensor(name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
