"""Name and model -> captioner."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.choices import CAPTIONERS
from twinloop.errors import InputError
from twinloop.ports import Captioner
from twinloop.wiring.extras import with_extra


def build_captioner(name: str, model: str, allow_download: bool = False, device: str = "auto") -> Captioner | None:
    """The captioner of that name, or None for the template alone.

    Args:
        model: its folder, or (not for ``wd14``) a hub id.

    Raises:
        InputError: unknown name, or no model named. MissingExtra, MissingModel, ModelFileError: it cannot be used; says
            why.
    """
    if name == "template":
        return None
    if name not in CAPTIONERS:
        raise InputError(f"Unknown captioner '{name}'. Known: {', '.join(CAPTIONERS)}.")
    if not model:
        raise InputError(f"Which {name} model? Name its folder: --captioner-model PATH")
    if name == "wd14":
        from twinloop.adapters.captioners.wd14 import WdTagger

        return WdTagger(Path(model))

    def load() -> Captioner:
        from twinloop.adapters.captioners import sentences

        return sentences.SentenceCaptioner(
            sentences.BLIP if name == "blip" else sentences.FLORENCE2, model, allow_download, device
        )

    return with_extra(f"Captioning with {name}", "train", load)
