"""What the LoRAs of a command tell of their base model and trigger words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twinloop.domain.choices import BUILT_IN, SDXL
from twinloop.domain.file_names import is_on_network
from twinloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from twinloop.config import Settings

    Headers = Mapping[Path, Mapping[str, str]]
    """The texts in the headers of LoRAs."""


def headers_of(loras: Sequence[Path]) -> Headers:
    from twinloop.store.models.lora_file import header_texts

    return {lora: header_texts(lora) for lora in loras}


def trigger_of(headers: Headers) -> str | None:
    """The trigger words of the first LoRA that tells them."""
    return next((words for texts in headers.values() if (words := texts.get("modelspec.trigger_phrase"))), None)


def unheard(headers: Headers, prompts: Sequence[str]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """LoRAs whose trigger words, as their headers declare them, stand in no prompt or not in all: (name of the file,
    words, numbers of the prompts without them, from 1).
    """
    from twinloop.domain.captions import holds_trigger
    from twinloop.loras.texts import TRIGGER

    for lora, texts in headers.items():
        trained = texts.get(TRIGGER, "")
        without = tuple(n for n, prompt in enumerate(prompts, 1) if trained and not holds_trigger(prompt, trained))
        if without:
            yield lora.name, trained, without


def base_of(headers: Headers, otherwise: Any = None) -> dict[str, str]:
    """The setting ``base_model``, as the first LoRA tells that was trained on one that can be loaded.

    Args:
        otherwise: a name in a file, for where none does.
    """
    names = [name for lora, texts in headers.items() for name in _bases_of(lora, texts)]
    return next(({"base_model": name} for name in (*names, otherwise) if loads_as_base(name)), {})


def check_base(headers: Headers, settings: Settings) -> None:
    """Whether the LoRAs suit the usual base model, where no other is named.

    Raises:
        InputError: one is for another base model, or was trained here on one that nobody knows the place of.
    """
    if "base_model" in settings.model_fields_set:
        return
    for lora, texts in headers.items():
        _check_usual_base(lora, texts)


def _bases_of(lora: Path, texts: Mapping[str, str]) -> tuple[str, ...]:
    """What a LoRA's base model may be called: as its record has it, whose path is whole, then as its header does."""
    from twinloop.store.models.base_name import BASE_NAME, recorded_base

    return recorded_base(lora, texts), texts.get(BASE_NAME, "")


def _check_usual_base(lora: Path, texts: Mapping[str, str]) -> None:
    from twinloop.families import family_of_preset, preset_for
    from twinloop.loras.whose import base_needed
    from twinloop.store.models.base_name import BASE_NAME, base_name

    if "twinloop.version" in texts and texts.get(BASE_NAME):
        raise InputError(
            f"{lora} was trained on {base_name(texts[BASE_NAME])}, and its record, which says where that lies, is not"
            f" beside it. Name it: --base-model PATH_OF_{base_name(texts[BASE_NAME])}."
        )

    if problem := base_needed(lora, family_of_preset(preset_for(SDXL))):
        raise InputError(problem)


def loads_as_base(name: Any) -> bool:
    """Whether a base model's name in a file can be loaded: LoRAs of other tools often hold a bare file name of another
    machine.
    """
    from twinloop.store.models.base_name import is_hub_id

    # a header may come from anywhere, and none is to have another computer asked
    if not isinstance(name, str) or not name or is_on_network(name):
        return False
    of_hub = is_hub_id(name) and not name.endswith(".safetensors")
    return name in BUILT_IN or of_hub or os.path.exists(os.path.expanduser(name))  # noqa: PTH111 - fails for no name
