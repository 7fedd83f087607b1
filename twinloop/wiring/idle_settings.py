"""Fields of a configuration that do nothing beside the others, or with this kind of base model, and are no mistake:
said once, before anything starts. The flags of ``twinloop generate`` have theirs in `cli.idle_flags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinloop.config import Settings, TrainingConfig
from twinloop.config.generation import GenerationConfig
from twinloop.domain.wording import agree
from twinloop.families import Family
from twinloop.families.predictions import prediction_of
from twinloop.ports import EarlyLook, GenerationSettings
from twinloop.wiring.kits import asked_prediction
from twinloop.wiring.names import base_model_path


def idle_settings(settings: Settings, family: Family | None, generation: GenerationSettings) -> Iterator[str]:
    """What to say of each.

    Args:
        family: of the base model; None for the fakes. generation: what images are made with.
    """
    yield from _of_training(settings.training)
    if family is not None:
        yield from _of_noise(settings, family)
    yield from _of_generation(settings.generation, generation)


def _of_training(asked: TrainingConfig) -> Iterator[str]:
    if asked.steps is not None and asked.epochs is not None:
        yield from _together("training", ["epochs"], f"steps says that there are {asked.steps}")
    if asked.keep_trigger is not None and asked.caption_dropout == 0:
        yield from _together("training", ["keep_trigger"], "no caption is dropped (caption_dropout is 0)")


def _of_noise(settings: Settings, family: Family) -> Iterator[str]:
    asked = settings.training
    if family.flow:
        given = [name for name in ("min_snr_gamma", "noise_offset") if getattr(asked, name)]
        yield from _together("training", given, f"models of the family '{family.name}' are flow models")
    elif (
        asked.noise_offset
        and prediction_of(base_model_path(settings.base_model), family, asked_prediction(settings)).zero_snr
    ):
        yield from _together("training", ["noise_offset"], "with zero terminal SNR a base draws darks without it")


def _of_generation(asked: GenerationConfig, generation: GenerationSettings) -> Iterator[str]:
    if not asked.from_photos:
        names = ("references",) if generation.strength == 0 else ("strength", "references")  # 0: told of, it edits
        yield from _together("generation", _set(asked, *names), "no image starts from a photo (from_photos is 0)")
    if not asked.face_detail:
        yield from _together(
            "generation", _set(asked, "face_detail_below"), "no face is redrawn (face_detail says how much of it)"
        )
    at = asked.early_reject
    if at is not None and EarlyLook(at, lambda *_: True).step(generation.steps) >= generation.steps:
        yield from _together("generation", ["early_reject"], f"no step is left after {at:g} of {generation.steps}")
    if generation.guidance_rescale and not generation.negative:
        yield from _together(
            "generation", ["guidance_rescale"], "it goes with classifier-free guidance, which is off here"
        )
    if generation.scheduler.startswith("dpmpp") and generation.scheduler.endswith("_karras"):
        yield from _together(
            "generation", _set(asked, "timestep_spacing"), f"'{generation.scheduler}' spreads its steps its own way"
        )


def _set(asked: GenerationConfig, *names: str) -> list[str]:
    """Those of the fields that are not as usual."""
    return [name for name in names if getattr(asked, name) != type(asked).model_fields[name].default]


def _together(section: str, names: Sequence[str], why: str) -> Iterator[str]:
    """One sentence for all of these fields; none where there are none."""
    if names:
        given = " and ".join(f"{section}.{name}" for name in names)
        yield f"{given} {agree(len(names), 'does', 'do')} nothing here: {why}."
