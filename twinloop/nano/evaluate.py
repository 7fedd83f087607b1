"""How good the embedded models are: detectors on fresh renders, the base model on prompts, a LoRA on a fresh person.

Renderer, base and detectors come from one house: these figures say nothing about real photos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.adapters.detectors.nano import load_nano_pack
from twinloop.facets import BUILTIN
from twinloop.nano.evaluation.base import measure_base
from twinloop.nano.evaluation.lora import People, measure_lora
from twinloop.nano.evaluation.renders import measure_detectors
from twinloop.ports import Reporter
from twinloop.stages.observe import Observer


def evaluate(
    base: Path, detectors: Path, *, renders: int, images: int, seed: int, reporter: Reporter
) -> dict[str, Any]:
    """Measure the models of the embedded world with the product's own ruler.

    Args:
        base: model folder. detectors: folder of the nano detectors.
        renders: fresh pictures to measure the detectors on. images: to generate, half as many again with a LoRA and
            half as many for comparison; 0 = none.
        seed: of people, scenes and images; the training pictures are drawn from other streams.

    Returns:
        sections of figures by name; shares and means with their 95 % intervals (``value``, ``low``, ``high``, ``n``).

    Raises:
        MissingModel, ModelFileError: a model is missing or broken.
    """
    observer = Observer(load_nano_pack(detectors), BUILTIN)
    found: dict[str, Any] = {"detectors": observer.pack.fingerprint}
    if renders:
        found |= measure_detectors(observer, renders, seed, reporter)
    if images:
        from twinloop.adapters.diffusion.base_choice import BaseChoice
        from twinloop.adapters.generators.diffusers_generator import DiffusersGenerator
        from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer
        from twinloop.families import family_of_preset

        family, choice = family_of_preset("nano"), BaseChoice(str(base))
        generator = DiffusersGenerator(choice, family)
        found["base"] = measure_base(generator, family, observer, images, seed, reporter)
        trainer, people = DiffusersLoraTrainer(choice, family), People.rendered(seed)
        found["lora"] = measure_lora(trainer, generator, family, observer, people, max(4, images // 2), seed, reporter)
    return found
