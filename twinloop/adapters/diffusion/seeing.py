"""Pictures for text encoders that see (Qwen2.5-VL): what reads them, and where they stand in the text."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, BatchFeature

from twinloop.errors import ModelFileError

PICTURE = "<|image_pad|>"
"""Stands for a picture in the text; one of them for each patch that the encoder sees."""


class SeeingProcessor:
    """Text with pictures -> what the text encoder takes, as transformers' own processor for these models makes it.

    That one reads videos too and cannot even be created without torchvision, which these pipelines need for nothing
    else.
    """

    def __init__(self, pictures: Any, tokenizer: Any) -> None:
        self._pictures, self._tokenizer = pictures, tokenizer

    def __call__(self, text: Sequence[str], images: Any | None = None, **how: Any) -> BatchFeature:
        """Texts, each with `PICTURE` once per picture, and all their pictures in order."""
        if images is None:
            return BatchFeature(dict(self._tokenizer(list(text), **how)))
        seen = self._pictures(images=images, return_tensors=how.get("return_tensors"))
        patches = iter(int(grid.prod()) // self._pictures.merge_size**2 for grid in seen["image_grid_thw"])
        spread = ["".join(_spread(part, patches) for part in _parts(one)) for one in text]
        return BatchFeature({**self._tokenizer(spread, **how), **seen})


def _parts(text: str) -> list[str]:
    """The text, cut before every picture."""
    first, *others = text.split(PICTURE)
    return [first, *(PICTURE + other for other in others)]


def _spread(part: str, patches: Any) -> str:
    return PICTURE * next(patches) + part.removeprefix(PICTURE) if part.startswith(PICTURE) else part


def seeing_processor(folder: Path, tokenizer: Any) -> SeeingProcessor:
    """The processor of a diffusers folder.

    Raises:
        ModelFileError: the folder holds none.
    """
    home = folder / "processor"
    try:
        # untold, transformers asks at the terminal whether to run code that lies in the folder
        pictures = AutoImageProcessor.from_pretrained(home, local_files_only=True, trust_remote_code=False)
        return SeeingProcessor(pictures, tokenizer)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"base_model: {home} holds no image processor, which reads the photos for the text encoder. Fetch the model"
            " again."
        ) from error


def place_pictures(encoder: Any) -> None:
    """Have a text encoder told which of its tokens are patches of a picture, where its caller forgets to.

    transformers 5 needs that to place them in rows and columns and silently counts them as words without it; the
    editing pipelines of diffusers 0.42 do not say it (huggingface/diffusers#14194).
    """
    if "mm_token_type_ids" not in inspect.signature(encoder.forward).parameters:
        return

    def tell(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if named.get("pixel_values") is not None and named.get("mm_token_type_ids") is None:
            named["mm_token_type_ids"] = (named["input_ids"] == module.config.image_token_id).int()
        return args, named

    encoder.register_forward_pre_hook(tell, with_kwargs=True)
