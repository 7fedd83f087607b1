"""Which preset suits a base model, told from its name, its ``model_index.json`` or the names of its tensors; no weight
is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from twinloop.domain.choices import NANO
from twinloop.families.base import Family, Preset
from twinloop.families.gguf_files import SUFFIX, read_gguf_header
from twinloop.families.registered import FAMILIES, families_of_loras
from twinloop.families.single_files import tensor_names
from twinloop.families.sizes import bare

INDEX = "model_index.json"
INDEX_OF_BLOCKS = "modular_model_index.json"
"""What folders of models hold instead that diffusers has as blocks only."""
FALLBACK = "sdxl"


def preset_for(base_model: str) -> str:
    """The preset that suits a base model when the user names none.

    A local folder or file is asked what it is; among the presets of its family, and for everything else, the name
    decides.
    """
    if base_model == NANO:  # its preset has the same name
        return base_model
    path = Path(base_model).expanduser()
    kind = kind_of_folder(path) if path.is_dir() else ""
    found = [family for family in FAMILIES.values() if kind in family.kinds] if path.is_dir() else _of_file(path)
    name = f"{_plain(path.stem if path.suffix in ('.safetensors', SUFFIX) else path.name)} {kind.lower()}"
    if told := _of_one_size(found, name):
        return told
    # the longest word wins: z-image-turbo before z-image
    hints = _hints(found or list(FAMILIES.values()))
    best = max(((len(hint), preset) for preset, hint in hints if hint in name), default=None)
    if best is not None:
        return best[1]
    return next(iter(found[0].presets)) if found else FALLBACK


def _of_one_size(found: Collection[Family], name: str) -> str:
    """The preset of the one model of a family whose files only their name tells from the others' (`Size.hints`):
    ``turbo.safetensors``, with the family's tensors in it, is Krea 2 Turbo. "" = it is none.
    """
    hinted = (
        f"{family.name}-{hint}" for family in found for size in family.sizes for hint in size.hints if hint in name
    )
    return next((preset for preset in hinted if any(preset in family.presets for family in found)), "")


def distilled(base_model: str, preset: Preset) -> str:
    """What to say of a base model whose name says that it is distilled to a few steps, where its preset knows nothing
    of it; "" = nothing.
    """
    if preset.notice or preset.distilled:
        return ""
    path = Path(base_model)
    name = path.stem if path.suffix in (".safetensors", SUFFIX) else path.name
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    found = next((word for word in _DISTILLED if word in words), "")
    return (
        f"By its name ({found}) {name} is distilled to a few steps: set {_FEW_STEPS} as its card says; the preset's are"
        " a full model's."
        if found
        else ""
    )


_DISTILLED = ("turbo", "lightning", "hyper", "lcm", "flash")
_FEW_STEPS = "generation.num_inference_steps and generation.guidance_scale"


def family_of_tensors(names: Collection[str]) -> Family | None:
    """The family whose single files hold tensors of these names, or None."""
    return next((family for family in FAMILIES.values() if holds_tensors_of(family, names)), None)


def holds_tensors_of(family: Family, names: Collection[str]) -> bool:
    """Whether a single file with tensors of these names may be one of this family; siblings may share their marks."""
    held = set(names) | set(map(bare, names))
    return any(all(_holds(held, mark) for mark in group) for group in family.single_file.marks)


def family_of_lora(texts: Mapping[str, str]) -> Family | None:
    """The family that a LoRA was trained for, if the texts in its header say so in this program's own words."""
    architecture = texts.get("modelspec.architecture", "").removesuffix("/lora")
    version = texts.get("ss_base_model_version", "")
    known = list(FAMILIES.values())
    named = next((family for family in known if architecture in family.architectures), None)
    return named or next((family for family in known if version == family.base_version), None)


def likely_family_of_lora(texts: Mapping[str, str]) -> Family | None:
    """The same, in the words of any program; siblings that share an architecture are taken for the first of them."""
    architecture = texts.get("modelspec.architecture", "").lower()
    # the longest word wins: flux.2-klein before flux
    words = [
        (len(word), family)
        for family in families_of_loras()
        for word in (family.architecture.lower(), *family.lora_names.architectures)
        if word and word in architecture
    ]
    return max(words, key=lambda found: found[0])[1] if words else family_of_lora(texts)


def lora_suits(names: Collection[str], texts: Mapping[str, str], family: Family) -> str:
    """Why a LoRA with these tensors and texts cannot be one for the family; "" = it may be, loading it will tell."""
    made_for = family_of_lora(texts)
    if made_for is not None and made_for.architecture != family.architecture:
        return f"it was made for the family '{made_for.name}', the base model is of '{family.name}'"
    unet, transformer = any(map(_UNET.match, names)), any(map(_TRANSFORMER.match, names))
    if unet != transformer and unet != (family.denoiser == "unet"):
        theirs = "a U-Net" if unet else "a transformer"
        return (
            f"it adapts {theirs}, a {family.name} model has"
            f" {'a U-Net' if family.denoiser == 'unet' else 'a transformer'}"
        )
    return ""


_UNET = re.compile(r"unet\.|lora_unet_(down|mid|up|input|middle|output)_block|lycoris_(down|mid|up)_block")
_TRANSFORMER = re.compile(
    r"transformer\.|lora_transformer_|(lora_unet_|diffusion_model\.)(double_blocks|single_blocks|joint_blocks|layers|blocks|transformer_blocks)|lycoris_(single_)?transformer_blocks"
)


def index_of(folder: Path) -> Path:
    """The file in a diffusers folder that names the pipeline and its parts; where it would lie, where there is none."""
    blocks = folder / INDEX_OF_BLOCKS
    return blocks if blocks.is_file() and not (folder / INDEX).is_file() else folder / INDEX


def index_in(folder: Path) -> dict[str, Any]:
    """What a diffusers folder's index says: of each part the library and the class, None twice = there is none.

    An index of blocks that was written before its parts were loaded names their classes as ``type_hint`` only, which is
    also where diffusers reads them.

    Raises:
        OSError, ValueError, RecursionError: there is none, or it is damaged.
    """
    found: Any = json.loads(index_of(folder).read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return {name: _named(entry) for name, entry in found.items()}


def _named(entry: Any) -> Any:
    """Library and class of a part that an index of blocks also tells a place of; all else as it is."""
    match entry:
        case [None, None, {"type_hint": [library, kind]}] | [library, kind, {}]:
            return [library, kind]
    return entry


def kind_of_folder(path: Path) -> str:
    """The pipeline that a diffusers folder names; "" = none."""
    try:
        return str(index_in(path).get("_class_name", ""))
    except (OSError, ValueError, RecursionError):
        return ""


def _names_in(path: Path) -> Collection[str]:
    """Of the tensors of a single file; none where it cannot be read."""
    if path.suffix == SUFFIX:
        try:
            return read_gguf_header(path).shapes
        except (OSError, ValueError):
            return ()
    return (tensor_names(path) if path.suffix == ".safetensors" else None) or ()


def _of_file(path: Path) -> list[Family]:
    names = _names_in(path)
    return [family for family in FAMILIES.values() if holds_tensors_of(family, names)]


def _holds(held: set[str], mark: str) -> bool:
    return mark[1:] not in held if mark.startswith("!") else mark in held


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower())


def _hints(known: Collection[Family]) -> list[tuple[str, str]]:
    return [(preset, hint) for family in known for preset, details in family.presets.items() for hint in details.hints]
