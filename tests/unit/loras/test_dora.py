"""DoRAs in files: lengths of outputs by the same places as their layers; what is none is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.loras.makers import layer
from tests.unit.things import Recording
from twinloop.errors import ModelFileError
from twinloop.loras.actions import Term, convert, merge, resize
from twinloop.loras.adapter import Place
from twinloop.loras.combine import Reduction
from twinloop.loras.components import DENOISER
from twinloop.loras.container import file_bytes
from twinloop.loras.dora import understood_dora
from twinloop.loras.lora import Dialect, read_lora
from twinloop.loras.tensors import RawTensor, encode

PATH = "transformer_blocks.0.attn.to_{}"
LENGTHS = np.arange(1.0, 73.0)


def written(path: Path, stem: str, **more: RawTensor) -> Path:
    """A pair over 72 outputs and more tensors of the same layer."""
    pair = layer(72, 24, 2, None)
    sides = ("lora_down", "lora_up") if stem.startswith("lora_") else ("lora_A", "lora_B")
    tensors = {f"{stem}.{sides[0]}.weight": pair.down, f"{stem}.{sides[1]}.weight": pair.up}
    path.write_bytes(file_bytes({**tensors, **{f"{stem}.{name}": tensor for name, tensor in more.items()}}, {}))
    return path


def lengths(shape: tuple[int, ...] = (72, 1)) -> RawTensor:
    return encode(LENGTHS[: int(np.prod(shape))].reshape(shape), "F32")


def test_a_fused_layers_lengths_go_to_its_parts(tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", "lora_unet_double_blocks_0_img_attn_qkv", dora_scale=lengths())
    adapter, found = understood_dora(read_lora(path), "flux")
    assert found.keys() == adapter.layers.keys() == {Place(DENOISER, PATH.format(part)) for part in "qkv"}
    for number, part in enumerate("qkv"):
        own = found[Place(DENOISER, PATH.format(part))].values()
        assert own.tolist() == LENGTHS[24 * number : 24 * (number + 1), None].tolist()


@pytest.mark.parametrize("stem", ["transformer.", "", "base_model.model."])
def test_pefts_lengths_bare_or_not(stem: str, tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", stem + PATH.format("q"), lora_magnitude_vector=lengths((72,)))
    _, found = understood_dora(read_lora(path), "qwen-image")
    assert {place: part.values().ravel().tolist() for place, part in found.items()} == {
        Place(DENOISER, PATH.format("q")): LENGTHS.tolist()
    }


def test_a_lora_has_none(tmp_path: Path) -> None:
    adapter, found = understood_dora(
        read_lora(written(tmp_path / "x.safetensors", "transformer." + PATH.format("q"))), ""
    )
    assert len(adapter.layers) == 1 and not found


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"dora_scale": lengths((1, 24))}, "nor to the magnitudes of its outputs"),
        ({"dora_scale": lengths(), "diff_b": lengths((72,))}, "nor to the magnitudes of its outputs"),
        ({"dora_scale": lengths((71, 1))}, "the magnitudes of .* do not fit its matrices"),
    ],
)
def test_what_is_none_is_refused(tensors: dict[str, RawTensor], says: str, tmp_path: Path) -> None:
    file = read_lora(written(tmp_path / "x.safetensors", "lora_unet_double_blocks_0_img_attn_qkv", **tensors))
    with pytest.raises(ModelFileError, match=says):
        understood_dora(file, "flux")


@pytest.mark.parametrize("stem", ["transformer.", "lora_unet_"])
def test_it_is_neither_converted_nor_merged_nor_resized(stem: str, tmp_path: Path) -> None:
    """In no number type: between the two forms of its lengths lie the base's weights."""
    name = PATH.format("q").replace(".", "_") if stem == "lora_unet_" else PATH.format("q")
    kind = "dora_scale" if stem == "lora_unet_" else "lora_magnitude_vector"
    path = written(tmp_path / "x.safetensors", stem + name, **{kind: lengths((72, 1))})
    output, refused = tmp_path / "out.safetensors", "holds DoRA weights.*not converted, merged or resized"
    with pytest.raises(ModelFileError, match=refused):
        convert(path, Dialect.DIFFUSERS if stem == "lora_unet_" else Dialect.KOHYA, output)
    with pytest.raises(ModelFileError, match=refused):
        merge([Term(path, 0.5)], output, None, None, "float16", Recording())
    with pytest.raises(ModelFileError, match=refused):
        resize(path, output, Reduction(rank=1), "float16", Recording())
    assert not output.exists()
