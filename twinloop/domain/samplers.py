"""Samplers, which diffusers calls schedulers, in the words of A1111."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "euler": "Euler",
    "euler_a": "Euler a",
    "heun": "Heun",
    "ddim": "DDIM",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "unipc": "UniPC",
    "lcm": "LCM",
    "tcd": "TCD",
}
_SCHEDULES: Mapping[str, str] = {"_karras": "Karras", "_exponential": "Exponential"}


def in_a1111_words(name: str) -> str:
    """The fields ``Sampler`` and, where it is not the sampler's own, ``Schedule type``; a name that A1111 does not know
    stays as it is.
    """
    for ending, schedule in _SCHEDULES.items():
        if (bare := name.removesuffix(ending)) != name and bare in _NAMES:
            return f"Sampler: {_NAMES[bare]}, Schedule type: {schedule}"
    return f"Sampler: {_NAMES.get(name, name)}"
