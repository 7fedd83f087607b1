"""Settings -> generator, trainer and everything that is known about them before anything long starts."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.config import Settings
from twinloop.domain.choices import FAKE
from twinloop.domain.forecast import Forecast
from twinloop.errors import MissingExtra, MissingModel, TwinLoopError
from twinloop.families import Family, distilled, preset_name
from twinloop.families.base import Guidance, Preset
from twinloop.families.predictions import check_asked, prediction_of
from twinloop.loras.texts import MERGED
from twinloop.ports import GenerationSettings, TrainingSettings, nobody_listens
from twinloop.stages.identity import held_out_of
from twinloop.stages.toolbox import Makers
from twinloop.stages.words import Around, Voice
from twinloop.store.models.base_name import BASE_NAME, base_name
from twinloop.store.models.lora_file import header_texts
from twinloop.store.models.part_hashes import hashes_of_parts, parts_in
from twinloop.store.pictures.images import find_images
from twinloop.wiring.extras import in_one_line, with_extra
from twinloop.wiring.kits import chosen_base, diffusers_kit, fake_kit
from twinloop.wiring.libraries import check_libraries, missing_libraries
from twinloop.wiring.names import base_model_path
from twinloop.wiring.options import generation_settings, training_settings
from twinloop.wiring.photo_sizes import share_of_pixels

if TYPE_CHECKING:
    from twinloop.adapters.diffusion.loras.early_fit import EarlyFit

NO_STRENGTH = "generation.strength does nothing here: this model edits photos, and the prompt says what changes."
UNASSISTED = "A LoRA trained on it tends to lose that, unless training.assistant_lora names a training adapter."
NO_NEGATIVE = "generation.negative_prompt does nothing here: this model reads none, or not at this guidance_scale."
Headers = Mapping[Path, Mapping[str, str]]
"""LoRA files and the texts of their headers."""
CLIP_LAYERS = frozenset(str(number) for number in range(1, 13))
"""Values of ``ss_clip_skip`` that the configuration's ``clip_skip`` has, too."""


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

    def training(images: int) -> TrainingSettings:
        return training_settings(settings, kit.preset.training, kit.preset.repeats, images)

    def forecast(images: int, captions: Sequence[str] = (), sizes: Sequence[tuple[int, int]] = ()) -> Forecast | None:
        held_out = held_out_of(images) if settings.validation.measures_identity else 0
        asked = training(images)
        found = kit.forecast(asked, images, _prior_images(settings), captions, held_out)
        return found and found.of_smaller(share_of_pixels(settings, asked, sizes))

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
        notice=" ".join(text for text in notices if text),
        drawing_notice=" ".join(text for text in notices if text and text not in (kit.preset.distilled, UNASSISTED)),
        forecast=forecast,
        family=kit.family,
        check=functools.partial(_check_makers, settings, kit.family, generation),
        trainer_notes=lambda asked: kit.trainer_notes(asked, _prior_images(settings) > 0),
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
    if settings.training.assistant_lora is not None or settings.training.trainer != "ai-toolkit":
        return settings.training.assistant_lora is not None
    from twinloop.foreign.aitoolkit import OWN_ADAPTERS

    return preset.training.preset in OWN_ADAPTERS


def _prior_images(settings: Settings) -> int:
    """How many pictures of others of the class are learned beside the subject's."""
    folder = settings.training.prior_images
    return len(find_images(Path(folder))) if folder else 0


def _check_makers(
    settings: Settings, family: Family | None, generation: GenerationSettings, loras: Sequence[Path]
) -> None:
    """Everything about the base model that can be known to fail without loading it.

    Raises:
        InputError, MissingModel, ModelFileError, MissingExtra: the first that cannot work, with the next step.
    """
    if family is None:
        return
    check_libraries(settings)
    for look in _maker_checks(settings, family, generation, loras):
        with_extra("Generating images and training", "train", look)


def _maker_checks(
    settings: Settings, family: Family, generation: GenerationSettings, loras: Sequence[Path] = ()
) -> Iterator[Callable[[], object]]:
    """What `_check_makers` looks at, each of which fails alone."""
    from twinloop.adapters.diffusion.preflight import Wanted, checks

    choice = chosen_base(settings)
    yield lambda: check_asked(choice.prediction, prediction_of(choice.base, family), family)
    given = [settings.training.initial_lora, *(path for path, _ in generation.extra_loras)]
    files = (*loras, *(Path(path) for path in given if path))
    yield from checks(
        Wanted(
            choice,
            family,
            generation,
            files,
            settings.generation.from_photos > 0,
            settings.generation.face_detail > 0,
        )
    )


def lora_remarks(settings: Settings, makers: Makers, loras: Sequence[Path]) -> list[str]:
    """What to say before images are made with LoRAs: about the preset, and where one was trained otherwise."""
    # other files than a LoRA's, and those that are not there, are errors later
    headers = {path: header_texts(path) for path in loras if path.suffix == ".safetensors" and path.is_file()}
    remarks = (
        makers.drawing_notice,
        _unlike_prediction(settings, makers.family, headers),
        _unlike_clip_skip(settings, makers.family, headers),
        _unlike_parts(settings, headers),
    )
    return [remark for remark in remarks if remark]


def _unlike_prediction(settings: Settings, family: Family | None, headers: Headers) -> str:
    """What to say where LoRAs were trained with v prediction, and the base's files, which may not tell, say epsilon;
    "" = nothing, as where the settings say what it predicts, or the base is not here.
    """
    if family is None or settings.base_prediction is not None:
        return ""
    base = base_model_path(settings.base_model)
    if not Path(base).expanduser().exists() or prediction_of(base, family).kind != "epsilon":
        return ""
    trained = [path for path, texts in headers.items() if texts.get("modelspec.prediction_type") == "v"]
    if not trained:
        return ""
    return f"{trained[0].name}: this LoRA was trained with v prediction; add --base-prediction v_prediction"


def _unlike_clip_skip(settings: Settings, family: Family | None, headers: Headers) -> str:
    """What to say where a LoRA was trained with another layer of CLIP; "" = nothing, as where models of the family are
    always read from the same one.
    """
    if family is None or not family.takes_clip_skip:
        return ""
    for path, texts in headers.items():
        trained = _clip_skip_of(texts)
        if trained is not None and trained != settings.clip_skip:
            return (
                f"{path.name}: this LoRA was trained with clip_skip {trained}, and prompts are read with"
                f" {settings.clip_skip}; set --clip-skip {trained}"
            )
    return ""


def _clip_skip_of(texts: Mapping[str, str]) -> int | None:
    """None = unknown: the header is of a program that does not write it, was taken out, or is of several LoRAs."""
    text = texts.get("ss_clip_skip")
    if text is None:
        return 1 if "twinloop.version" in texts and MERGED not in texts else None
    if text == "None":  # sd-scripts', where it was not told
        return 1
    return int(text) if text in CLIP_LAYERS else None


def _unlike_parts(settings: Settings, headers: Headers) -> str:
    """What to say where a LoRA was trained on this base model with other files in the place of its parts; "" =
    nothing.
    """
    in_use = hashes_of_parts(settings.base_parts.given)
    for path, texts in headers.items():
        trained = parts_in(texts)
        other = sorted(name for name in {*trained, *in_use} if trained.get(name) != in_use.get(name))
        if trained and other and base_name(settings.base_model) == base_name(texts.get(BASE_NAME, "")):
            fields = ", ".join(f"base_parts.{name}" for name in other)
            return (
                f"{path.name}: this LoRA was trained with other files in the place of the base model's parts ({fields})"
                "; name those with --base-part NAME=FILE"
            )
    return ""


NOT_HERE = (MissingModel, MissingExtra)
"""Obstacles that gaps and prompts do not need away: they may be fetched and installed later."""


def without_downloads(settings: Settings) -> Settings:
    """The same settings, but nothing is fetched while obstacles are looked for."""
    return settings.model_copy(update={"allow_download": False})


def obstacles(settings: Settings, makers: Makers) -> Iterator[TwinLoopError]:
    """All that cannot work of trainer, base model, machine and training: one error each, with its next step, and one
    for all libraries that are not installed. No model is loaded.
    """
    if makers.family is None:
        return
    yield from in_one_line(_found(settings, makers, makers.family))


def _found(settings: Settings, makers: Makers, family: Family) -> Iterator[TwinLoopError]:
    yield from missing_libraries(settings)
    external = settings.training.trainer != "builtin"
    looks: Iterator[Callable[[], object]] = itertools.chain(
        [makers.trainer] if external else [],
        _maker_checks(settings, family, makers.generation),
        _training_checks(settings, family, makers.training(1)),
        _size_checks(settings, family),
    )
    for look in looks:
        try:
            with_extra("Generating images and training", "train", look)
        except TwinLoopError as error:
            yield error


def _training_checks(settings: Settings, family: Family, training: TrainingSettings) -> Iterator[Callable[[], object]]:
    """As `_maker_checks`, about the training itself; other programs' trainers look after theirs."""
    if training.text_encoder:
        yield family.text_encoders
    if training.assistant_lora:
        from twinloop.adapters.trainers.lora.assistant_lora_file import check_assistant

        yield lambda: check_assistant(training, family)
    if settings.training.trainer != "builtin":
        return
    from twinloop.adapters.trainers.preflight import check_begins, misfits, training_checks

    for problem in misfits(training, family):
        yield functools.partial(_fail, problem)
    choice, processes, asked = chosen_base(settings), settings.training.processes, settings.training
    yield from training_checks(training, family, choice, processes)
    if asked.warm_start and asked.initial_lora:
        warm = replace(training, start_from=asked.initial_lora, start_sha256="")
        yield lambda: check_begins(warm, family, choice)


def _size_checks(settings: Settings, family: Family) -> Iterator[Callable[[], object]]:
    """Whether the LoRAs that images are made with have the sizes of the base model, which is told without loading it:
    they are worn hours after the beginning.
    """
    asked = settings.training
    given = [asked.initial_lora] if asked.initial_lora and not asked.warm_start else []  # else as one to begin from
    worn = dict.fromkeys([*given, *(lora.path for lora in settings.generation.extra_loras)])
    if not worn:
        return

    @functools.cache
    def fit() -> EarlyFit:
        from twinloop.adapters.diffusion.loras.early_fit import EarlyFit

        return EarlyFit(chosen_base(settings), family)

    yield from (functools.partial(lambda path: fit().check(path), Path(path)) for path in worn)


def _fail(error: TwinLoopError) -> None:
    raise error
