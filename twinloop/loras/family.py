"""Which family of base models a LoRA was trained for, told by the names and sizes of its layers and by its header."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinloop.families.base import Family
from twinloop.families.lora_layers import Fit, LoraLayers, Sized
from twinloop.families.recognise import likely_family_of_lora
from twinloop.families.registered import families_of_loras


def family_of(denoiser: Mapping[str, Sized], encoders: Iterable[str], texts: Mapping[str, str]) -> str:
    """The family by the denoiser's layers (original or diffusers' paths), by its header where these fit several; "" =
    cannot be told.

    Args:
        encoders: names of the text encoders that the file adapts: ``text_encoder``, ``text_encoder_2``,
            ``text_encoder_3``.
    """
    said = likely_family_of_lora(texts)
    # of such a family no layers are known, and another may have the same
    if said is not None and (not denoiser or said.lora_names.fit is None):
        return said.name
    layers = LoraLayers(denoiser, frozenset(encoders))
    fits = {family.name: _fit(family, layers) for family in families_of_loras()} if denoiser else {}
    sure, likely = (next((name for name, fit in fits.items() if fit is how), "") for how in (Fit.YES, Fit.LIKELY))
    if sure:
        return sure
    return said.name if said is not None and fits[said.name] is not Fit.NO else likely


def shares_layers(family: Family, denoiser: Mapping[str, Sized]) -> bool:
    """Whether such layers are the family's as well as those of one that is seen more often."""
    return bool(denoiser) and _fit(family, LoraLayers(denoiser)) is Fit.SHARED


def _fit(family: Family, layers: LoraLayers) -> Fit:
    return Fit.OPEN if family.lora_names.fit is None else family.lora_names.fit(layers)
