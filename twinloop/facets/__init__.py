"""The built-in facets, one small file each."""

from __future__ import annotations

from twinloop.facets import composition, expression, face_angle, framing, lighting, setting
from twinloop.registry import register_facet

BUILTIN = (
    face_angle.FACET,
    composition.FACET,
    expression.FACET,
    setting.FACET,
    framing.FACET,
    lighting.FACET,
)


def register_builtin() -> None:
    """Register the built-in facets, in the order of reports."""
    for facet in BUILTIN:
        register_facet(facet)
