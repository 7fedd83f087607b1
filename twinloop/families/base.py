"""A family: all that differs between base models, as frozen data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twinloop.errors import InputError
from twinloop.ports import GenerationSettings, TrainingSettings


@dataclass(frozen=True)
class Preset:
    """Defaults for one kind of checkpoint of a family.

    Attributes:
        style: of prompts, ``prose`` or ``tags``. repeats: how often each photo counts in an epoch (kohya's repeats).
        aspect_buckets: train on the photos' own aspect ratios; False = all are cropped square, for a base that knows only squares.
        true_sizes: tell the denoiser each photo's real size and crop; False = always those of a whole picture, for a base that knows only one size.
    """

    generation: GenerationSettings
    training: TrainingSettings
    style: str = "prose"
    repeats: int = 1
    notice: str = ""
    aspect_buckets: bool = True
    true_sizes: bool = True


@dataclass(frozen=True)
class Family:
    """One family of base models.

    Attributes:
        pipeline: diffusers class name, as ``model_index.json`` of a model folder names it. image_pipeline: its image-to-image sibling.
        reference: hub id of a model whose configuration and tokenizers fit every single-file checkpoint of the family.
        targets: names of the denoiser's layers that a LoRA adapts (PEFT ``target_modules``).
        architecture: ``modelspec.architecture`` of the base; a LoRA for it adds ``/lora``. base_version: what kohya's tools call it.
        size_multiple: width and height must be multiples of so many pixels.
        licence: what users should know about the usual checkpoints' licence.
    """

    name: str
    pipeline: str
    image_pipeline: str
    reference: str
    targets: tuple[str, ...]
    architecture: str
    base_version: str
    size_multiple: int
    licence: str
    presets: Mapping[str, Preset]
    hints: tuple[str, ...] = field(default=())

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            InputError: unknown; the message lists the known ones.
        """
        try:
            return self.presets[name]
        except KeyError:
            raise InputError(f"training.preset: unknown preset '{name}'. Known for {self.name}: {', '.join(self.presets)}.") from None

    def generation(self, preset: str) -> GenerationSettings:
        return self.preset(preset).generation

    def training(self, preset: str) -> TrainingSettings:
        return self.preset(preset).training

    def repeats(self, preset: str) -> int:
        return self.preset(preset).repeats

    def prompt_style(self, preset: str) -> str:
        return self.preset(preset).style
