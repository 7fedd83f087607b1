"""What can be known to fail before photos are looked at or a model is loaded: one clear error at once, not after an
hour.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.adapters.diffusion.messages import wrong_base
from twinloop.adapters.diffusion.weight_files import pickled
from twinloop.domain.wording import plural
from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import DISTILLED_SCHEDULERS, Family
from twinloop.families.gguf_files import SUFFIX, holds_packed_weights
from twinloop.families.recognise import lora_suits
from twinloop.families.single_files import read_header
from twinloop.loras.dora import check_outputs
from twinloop.loras.lora import HADA, MAGNITUDES, NO_LORA
from twinloop.loras.whose import of_another_family
from twinloop.ports import GenerationSettings

Check = Callable[[], object]
"""Looks at one thing, and raises a `TwinLoopError` where it cannot work."""


@dataclass(frozen=True)
class Wanted:
    """What a run will ask of a base model.

    ``loras``: files that it will wear, the loop's own aside; ``from_photos``: images start from photos. ``redraws``:
    small faces are drawn over."""

    choice: BaseChoice
    family: Family
    generation: GenerationSettings
    loras: tuple[Path, ...] = ()
    from_photos: bool = False
    redraws: bool = False


def checks(wanted: Wanted) -> Iterator[Check]:
    """Looks at files, names and the machine, each of which fails alone; with leave to download, the last one fetches a
    missing base model.

    Raises (on calling one of them):
        InputError, MissingModel, ModelFileError, UnsafeModelFile: it cannot work; with the next step.
    """
    family, generation, choice = wanted.family, wanted.generation, wanted.choice
    yield lambda: check_sampler(generation, family)
    yield lambda: check_references(generation.references, family)
    yield lambda: check_size(generation, family.size_multiple)
    if wanted.from_photos:
        yield lambda: check_starts_from_photos(family)
    if wanted.redraws:
        yield lambda: check_redraws(family)
    if generation.guidance_rescale:
        yield lambda: _check_all_rescale(wanted)
    for path in wanted.loras:
        yield partial(_check_worn, path, wanted)
    yield lambda: family.check_clip_skip(choice.clip_skip)
    if choice.quantization or (choice.device, choice.precision, generation.offload) not in _ANYWHERE:
        yield lambda: _check_machine(choice, generation.offload)
    yield lambda: find_base(choice, family)


def _check_all_rescale(wanted: Wanted) -> None:
    """As `check_rescales`, of every pipeline that will make images."""
    import diffusers

    over = [wanted.family.image_pipeline] if wanted.from_photos or wanted.redraws else []
    for name in (wanted.family.pipeline, *filter(None, over)):
        check_rescales(getattr(diffusers, name), wanted.family)


def _check_worn(path: Path, wanted: Wanted) -> None:
    """As `check_lora`, and whether its layers go with the base's weights and can wait in main memory as asked for."""
    check_lora(path, wanted.family)
    if any(f".{HADA}" in name for name in _shapes(path)):
        raise ModelFileError(f"{path}: {NO_LORA}")
    if not holds_lokr(path):
        check_outputs(path, _shapes(path))
    if wanted.generation.offload == "sequential" and holds_lokr(path):
        raise InputError(LOKR_LAYER_BY_LAYER)
    if wanted.generation.offload == "sequential" and holds_dora(path):
        raise InputError(DORA_LAYER_BY_LAYER)
    base = Path(wanted.choice.base).expanduser()
    if base.suffix == SUFFIX and holds_packed_weights(base) and holds_dora(path, denoiser=True):
        raise dora_on_packed(path)


def _check_machine(choice: BaseChoice, offload: str) -> None:
    """Device, precision and where parts wait; the only check that needs PyTorch."""
    from twinloop.adapters.diffusion.compute import choose_compute
    from twinloop.adapters.diffusion.offloading import check_offload

    compute = choose_compute(choice.device, choice.precision, choice.quantization)
    check_offload(offload, compute)


_ANYWHERE = {(device, precision, "none") for device in ("auto", "cpu") for precision in ("auto", "float32")}


LOKR_LAYER_BY_LAYER = (
    "generation.offload: 'sequential' brings layers to the GPU one by one, and a LoKr's matrices are none of them. "
    "Set it to 'blocks', or make the LoKr a LoRA: twinloop lora convert FILE --to lora --rank N --output FILE"
)


DORA_LAYER_BY_LAYER = (
    "generation.offload: 'sequential' brings layers to the GPU one by one, and the magnitudes of a DoRA take the whole"
    " layer at once. Set it to 'blocks'."
)
_ENCODERS = ("lora_te", "text_encoder", "base_model.model.text_encoder")


def holds_lokr(path: Path) -> bool:
    """Whether this is a readable file with LoKr layers."""
    return any(".lokr_" in name for name in _shapes(path))


def holds_dora(path: Path, *, denoiser: bool = False) -> bool:
    """Whether this is a readable file with a DoRA's magnitudes.

    Args:
        denoiser: of the denoiser, not of text encoders alone.
    """
    names = (name for name in _shapes(path) if not (denoiser and name.startswith(_ENCODERS)))
    return any(name.endswith(MAGNITUDES) for name in names)


def _shapes(path: Path) -> Mapping[str, Sequence[int]]:
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


def check_references(asked: int, family: Family) -> None:
    """Whether a family's models look at so many photos for one picture.

    Raises:
        InputError: they look at fewer.
    """
    most = 1 if family.editing is None else max(family.editing.photos.values())
    if asked > most:
        what, then = (
            ("do not look at photos", "Leave it out, or choose a model that edits")
            if family.editing is None
            else (f"look at {plural(most, 'photo')} at most", f"Set it to {most} or less")
        )
        raise InputError(f"generation.references: {asked}, but models of the family '{family.name}' {what}. {then}.")


def check_starts_from_photos(family: Family) -> None:
    """Whether images of the family can start from photos.

    Raises:
        InputError: they cannot.
    """
    if not family.from_photo(family.pipeline):
        raise no_photos(family)


def no_photos(family: Family) -> InputError:
    """What is said where images are to start from photos and no pipeline of the family does."""
    return InputError(
        f"generation.from_photos: the family '{family.name}' cannot start from a photo, because diffusers has no"
        " image-to-image pipeline for it. Set generation.from_photos to 0."
    )


def check_sampler(settings: GenerationSettings, family: Family) -> None:
    """Whether images of the family can be made with this sampler in so many steps.

    Raises:
        InputError: they cannot.
    """
    kind, _ = family.scheduler(settings.scheduler, settings.timestep_spacing)
    most = DISTILLED_SCHEDULERS.get(kind)
    if most is not None and settings.steps > most:
        raise InputError(
            f"generation.num_inference_steps: {settings.steps}, but '{settings.scheduler}' takes {most} steps at most,"
            " and 4 to 8 are usual."
        )


def check_ends_in_noise(name: str, scheduler: type) -> None:
    """Whether a diffusers scheduler can begin at pure noise, as a model with zero terminal SNR wants it.

    Raises:
        InputError: it cannot.
    """
    if "rescale_betas_zero_snr" not in inspect.signature(getattr(scheduler, "__init__")).parameters:  # noqa: B009
        raise InputError(
            f"generation.scheduler: '{name}' cannot begin at pure noise, as this base model was trained to (zero"
            " terminal SNR). Use euler, or leave it out for the model's own."
        )


def check_rescales(pipeline: type, family: Family) -> None:
    """Whether a pipeline brings the guided answer back to the spread of the unguided one.

    Raises:
        InputError: it has no argument for that.
    """
    if "guidance_rescale" not in inspect.signature(getattr(pipeline, "__call__")).parameters:  # noqa: B004, B009
        raise InputError(
            f"generation.guidance_rescale: {pipeline.__name__}, which makes images of the family '{family.name}', has"
            " no such argument. Set it to 0."
        )


def check_redraws(family: Family) -> None:
    """Whether models of a family draw over a picture, as redrawing a face takes.

    Raises:
        InputError: they do not.
    """
    if not family.image_pipeline:
        why = (
            "its models edit photos"
            if family.editing is not None
            else "diffusers has no image-to-image pipeline for it"
        )
        raise InputError(
            f"generation.face_detail: the family '{family.name}' cannot redraw a face, because {why}. "
            "Set generation.face_detail to 0."
        )


def check_size(generation: GenerationSettings, step: int) -> None:
    """Whether width and height are multiples of so many pixels: the family's, or what a loaded model says exactly.

    Raises:
        InputError: they are not; names a size that would do.
    """
    sides = {"width": generation.width, "height": generation.height}
    wrong = {name: value for name, value in sides.items() if value % step}
    if wrong:
        raise InputError(
            f"generation: {' and '.join(f'{name} {value}' for name, value in wrong.items())}: this base model makes"
            f" sizes that are multiples of {step}, such as"
            f" {' and '.join(f'{name} {value // step * step or step}' for name, value in wrong.items())}."
        )


def check_lora(path: Path, family: Family) -> None:
    """Whether a LoRA file can be read and, as far as its header and its layers tell, is one for this family.

    Raises:
        ModelFileError: missing, damaged, cut off, a pickle, or for another family.
    """
    if not path.is_file():
        raise ModelFileError(f"No LoRA at {path}. Correct the path.")
    if path.suffix != ".safetensors":
        raise pickled(path)
    try:
        header = read_header(path)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{path} is damaged or not a safetensors file ({error}). Take it from its source again."
        ) from error
    if header.missing:
        raise ModelFileError(f"{path} is cut off: {header.missing:,} bytes are missing. Take it from its source again.")
    problem = lora_suits(header.shapes, header.texts, family) or of_another_family(path, family)
    if problem:
        raise ModelFileError(wrong_base(path, problem))
