"""Flags of ``twinloop generate`` that do nothing beside the others that were given: said once, before images are
made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinloop.config import Settings
    from twinloop.ports import GenerationSettings


def idle_flags(
    args: argparse.Namespace, settings: Settings, generation: GenerationSettings, photo_share: float
) -> Iterator[str]:
    """What to say of each.

    Args:
        generation: what images are made with. photo_share: share of the images that start from a photo.
    """
    if photo_share == 0:
        way_on = "" if args.photo_share == 0 else ". Name some: --from-photos DIR"
        names = ("from_photos", "strength", "references")
        yield from _together(args, names, f"no image starts from a photo{way_on}")
    if args.lora is None:
        yield from _together(args, ("lora_scale",), "no LoRA is given. Name it: --lora FILE")
    if not settings.generation.face_detail:
        yield from _together(args, ("face_detail_below",), "no face is redrawn. Say how much of it: --face-detail X")
    looks_at_photos = photo_share > 0 and args.models_dir is not None
    if not (looks_at_photos or settings.generation.early_reject is not None or settings.generation.face_detail):
        yield from _together(
            args, ("models_dir", "catalog"), "nothing looks at images or photos without --from-photos, --early-reject"
            " or --face-detail",
        )  # fmt: skip
    elif not looks_at_photos:
        yield from _together(args, ("catalog",), "it keeps what was seen on photos, and none is looked at")
    yield from _idle_numbers(args, settings, generation)


def _idle_numbers(args: argparse.Namespace, settings: Settings, generation: GenerationSettings) -> Iterator[str]:
    from twinloop.ports import EarlyLook

    at = settings.generation.early_reject
    if at is not None and EarlyLook(at, lambda *_: True).step(generation.steps) >= generation.steps:
        why = f"no step is left after {at:g} of {generation.steps}"
        yield from _together(args, ("early_reject",), why)
    if generation.guidance_rescale and not generation.negative:
        yield from _together(args, ("guidance_rescale",), "it goes with classifier-free guidance, which is off here")
    if generation.scheduler.startswith("dpmpp") and generation.scheduler.endswith("_karras"):
        yield from _together(args, ("timestep_spacing",), f"'{generation.scheduler}' spreads its steps its own way")


def _together(args: argparse.Namespace, names: tuple[str, ...], why: str) -> Iterator[str]:
    """One line for all of these flags that were given."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None]
    if given:
        yield f"{' and '.join(given)} {'does' if len(given) == 1 else 'do'} nothing here: {why}."
