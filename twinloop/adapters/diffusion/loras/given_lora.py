"""What a given LoRA file tells before its weights are looked at: whether it is whole, for which family, of which kind.

Loads no large library: what is asked before a run and what is asked as a file is put on have one answer and one text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from twinloop.adapters.diffusion.messages import wrong_base
from twinloop.adapters.diffusion.weight_files import pickled
from twinloop.errors import ModelFileError
from twinloop.families.base import Family
from twinloop.families.recognise import lora_suits
from twinloop.families.single_files import Header, read_header
from twinloop.loras.lora import MAGNITUDES
from twinloop.loras.whose import of_another_family


def check_lora(path: Path, family: Family) -> None:
    """Whether a LoRA file can be read and, as far as its header and its layers tell, is one for this family.

    Raises:
        ModelFileError: as `whole_lora`, or for another family.
    """
    header = whole_lora(path)
    problem = lora_suits(header.shapes, header.texts, family) or of_another_family(path, family)
    if problem:
        raise ModelFileError(wrong_base(path, problem))


def whole_lora(path: Path) -> Header:
    """The header of a file that is to be worn or begun from, whose tensors are all there.

    Raises:
        ModelFileError: missing, damaged, cut off or a pickle.
    """
    if not path.is_file():
        raise ModelFileError(f"No LoRA at {path}. Correct the path.")
    if path.suffix != ".safetensors":
        raise pickled(path)
    try:
        header = read_header(path)
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    if header.missing:
        raise ModelFileError(f"{path} is cut off: {header.missing:,} bytes are missing. Take it from its source again.")
    return header


def damaged(path: Path, why: Exception) -> ModelFileError:
    """What is said of a file that the header's reader, or the library's own, does not take."""
    return ModelFileError(f"{path} is damaged or not a safetensors file ({why}). Take it from its source again.")


def holds_lokr(path: Path) -> bool:
    """Whether this is a readable file with LoKr layers."""
    return any(".lokr_" in name for name in shapes_in(path))


def holds_dora(path: Path, *, denoiser: bool = False) -> bool:
    """Whether this is a readable file with a DoRA's magnitudes.

    Args:
        denoiser: of the denoiser, not of text encoders alone.
    """
    names = (name for name in shapes_in(path) if not (denoiser and name.startswith(_ENCODERS)))
    return any(name.endswith(MAGNITUDES) for name in names)


_ENCODERS = ("lora_te", "text_encoder", "base_model.model.text_encoder")


def shapes_in(path: Path) -> Mapping[str, Sequence[int]]:
    """Tensor -> sizes; none where the file cannot be read."""
    try:
        return read_header(path).shapes
    except (OSError, ValueError):
        return {}


def dora_on_packed(path: Path) -> ModelFileError:
    """What is said where a DoRA is to be worn on the packed weights of a ``.gguf`` file."""
    return ModelFileError(
        f"{path} is a DoRA, and its magnitudes cannot be applied to the packed weights of a .gguf file. A DoRA goes"
        ' with F16, F32 or a folder: give such a base_model; "quantization": "int8" makes that smaller.'
    )
