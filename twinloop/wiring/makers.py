"""Settings -> generator, trainer and what is known of both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from twinloop.config import Settings
from twinloop.domain.choices import FAKE
from twinloop.domain.forecast import Forecast
from twinloop.families import distilled, preset_name
from twinloop.families.base import Guidance, Preset
from twinloop.ports import GenerationSettings, TrainingSettings, TrainingSize, nobody_listens
from twinloop.stages.identity import held_out_of
from twinloop.stages.toolbox import Makers
from twinloop.stages.words import Around, Voice
from twinloop.store.pictures.images import find_images
from twinloop.wiring.idle_settings import idle_settings
from twinloop.wiring.kits import diffusers_kit, fake_kit
from twinloop.wiring.obstacles import check_makers
from twinloop.wiring.options import generation_settings, training_settings
from twinloop.wiring.photo_sizes import share_of_pixels

NO_STRENGTH = "generation.strength does nothing here: this model edits photos, and the prompt says what changes."
UNASSISTED = "A LoRA trained on it tends to lose that, unless training.assistant_lora names a training adapter."
NO_NEGATIVE = "generation.negative_prompt does nothing here: this model reads none, or not at this guidance_scale."


def build_makers(settings: Settings, notice: Callable[[str], None] = nobody_listens) -> Makers:
    """Generator and trainer for the settings' base model.

    Args:
        notice: told what the user should know while a training goes on.

    Raises:
        InputError: unknown preset (the known ones are listed). Calling the makers: MissingExtra, MissingModel.
    """
    kit = fake_kit() if settings.base_model == FAKE else diffusers_kit(settings, notice)
    generation = _told_apart(generation_settings(settings, kit.preset.generation), kit.guidance)
    assisted = _assisted(settings, kit.preset)
    notices = [preset_name(settings.training.preset or "")[1]]
    if not (kit.edits and settings.generation.from_photos):
        notices.append(kit.preset.notice)
    notices += [] if assisted else [kit.preset.distilled]
    if kit.edits:
        generation = replace(generation, strength=0.0)
        notices += [NO_STRENGTH] * ("strength" in settings.generation.model_fields_set)
    if None in (settings.generation.num_inference_steps, settings.generation.guidance_scale):
        by_name = distilled(settings.base_model, kit.preset)
        notices += [by_name, UNASSISTED if by_name and not assisted else ""]
    notices += [NO_NEGATIVE] * (bool(settings.generation.negative_prompt) and not generation.negative)
    idle = list(idle_settings(settings, kit.family, generation))

    def training(images: int) -> TrainingSettings:
        return training_settings(settings, kit.preset.training, kit.preset.repeats, images)

    def forecast(images: int, captions: Sequence[str] = (), sizes: Sequence[tuple[int, int]] = ()) -> Forecast | None:
        held_out = held_out_of(images) if settings.validation.measures_identity else 0
        asked = training(images)
        found = kit.trainer().forecast(asked, TrainingSize(images, _prior_images(settings), held_out, tuple(captions)))
        return found and found.of_smaller(share_of_pixels(settings, asked, sizes))

    def notes(asked: TrainingSettings) -> Sequence[str]:
        if settings.training.trainer == "builtin":  # it follows all settings, and making it loads the base
            return ()
        return kit.trainer().notes(asked, prior=_prior_images(settings) > 0)

    return Makers(
        generator=kit.generator,
        trainer=kit.trainer,
        generation=generation,
        training=training,
        usual_steps=kit.preset.training.steps,
        voice=Voice(
            settings.person_trigger,
            settings.generation.prompt_style or kit.preset.style,
            _around(settings, kit.preset),
        ),
        base_model=settings.base_model,
        small_face=settings.generation.face_detail_below or kit.preset.small_face,
        notice=" ".join(text for text in (*notices, *idle) if text),
        drawing_notice=" ".join(text for text in notices if text and text not in (kit.preset.distilled, UNASSISTED)),
        forecast=forecast,
        family=kit.family,
        check=functools.partial(check_makers, settings, kit.family, generation),
        trainer_notes=notes,
    )


def _around(settings: Settings, preset: Preset) -> Around:
    """The user's words over the preset's; those of a preset are of its own style."""
    asked = settings.generation
    own = preset.style == (asked.prompt_style or preset.style)

    def first(theirs: str | None, ours: str | None) -> str | None:
        return ours if theirs is None and own else theirs

    return Around(
        first(asked.prompt_prefix, preset.prefix),
        first(asked.prompt_suffix, preset.suffix),
        first(asked.negative_prompt, preset.negative),
        settings.training.class_word,
    )


def _told_apart(generation: GenerationSettings, guidance: Guidance) -> GenerationSettings:
    """What ``guidance`` means to this kind of model, so that every image's record says it rightly."""
    negative = guidance.reads_negative(generation.guidance)
    return replace(generation, negative=negative, distilled=not guidance.negative)


def _assisted(settings: Settings, preset: Preset) -> bool:
    """Whether a training adapter is worn by who trains: the one that is named, or that the program brings along."""
    asked = settings.training
    if asked.assistant_lora is not None or asked.trainer == "builtin":
        return asked.assistant_lora is not None
    from twinloop.foreign.programs import PROGRAMS

    return preset.training.preset in PROGRAMS[asked.trainer].own_adapters


def _prior_images(settings: Settings) -> int:
    """How many pictures of others of the class are learned beside the subject's."""
    folder = settings.training.prior_images
    return len(find_images(Path(folder))) if folder else 0
