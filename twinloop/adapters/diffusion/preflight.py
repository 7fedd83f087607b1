"""What can be known to fail before photos are looked at or a model is loaded: one clear error at once, not after an
hour.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twinloop.adapters.diffusion.base_choice import BaseChoice
from twinloop.adapters.diffusion.base_files import find_base
from twinloop.adapters.diffusion.loras.given_lora import check_lora, dora_on_packed, holds_dora, holds_lokr, shapes_in
from twinloop.adapters.diffusion.messages import DORA_LAYER_BY_LAYER, LOKR_LAYER_BY_LAYER
from twinloop.domain.wording import plural
from twinloop.errors import InputError, ModelFileError
from twinloop.families.base import DISTILLED_SCHEDULERS, Family
from twinloop.families.gguf_files import SUFFIX, holds_packed_weights
from twinloop.loras.dora import check_outputs
from twinloop.loras.lora import HADA, NO_LORA
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
    if not 1 < generation.steps <= _ANY_SAMPLER_TAKES:
        yield lambda: _check_steps(generation, choice, family)
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


_ANY_SAMPLER_TAKES = min(DISTILLED_SCHEDULERS.values())
"""So many steps need no look at the sampler, for which the large libraries are imported."""


def _check_steps(generation: GenerationSettings, choice: BaseChoice, family: Family) -> None:
    """Whether the base's sampler, or the one that is asked for, can take so few or so many steps."""
    from twinloop.adapters.diffusion.sampler_steps import check_steps_early

    try:
        check_sampler(generation, family)
    except InputError:  # told by itself
        return
    check_steps_early(generation, choice, family)


def _check_all_rescale(wanted: Wanted) -> None:
    """As `check_rescales`, of every pipeline that will make images."""
    import diffusers

    over = [wanted.family.image_pipeline] if wanted.from_photos or wanted.redraws else []
    for name in (wanted.family.pipeline, *filter(None, over)):
        check_rescales(getattr(diffusers, name), wanted.family)


def _check_worn(path: Path, wanted: Wanted) -> None:
    """As `check_lora`, and whether its layers go with the base's weights and can wait in main memory as asked for."""
    check_lora(path, wanted.family)
    if any(f".{HADA}" in name for name in shapes_in(path)):
        raise ModelFileError(f"{path}: {NO_LORA}")
    if not holds_lokr(path):
        check_outputs(path, shapes_in(path))
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
