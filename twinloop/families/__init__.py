"""Base-model families, one small file each.

A module of this package that has a ``FAMILY`` is known; so is one that is registered.
"""

from __future__ import annotations

import importlib
import pkgutil

from twinloop.families.base import Family, Preset
from twinloop.families.recognise import distilled, preset_for
from twinloop.families.registered import FAMILIES, family_of_preset, know_family, preset_name, register_family

for _module in sorted(pkgutil.iter_modules(__path__), key=lambda entry: entry.name):
    _found = getattr(importlib.import_module(f"{__name__}.{_module.name}"), "FAMILY", None)
    if isinstance(_found, Family):
        know_family(_found)
