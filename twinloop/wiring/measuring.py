"""Models folder and facets -> the ruler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinloop import facets as builtin_facets
from twinloop.domain.facet import Facet
from twinloop.errors import MissingModel
from twinloop.registry import facets as facet_registry
from twinloop.registry import load_plugin
from twinloop.stages.observe import Observer
from twinloop.wiring.detectors import build_pack


def chosen_facets(plugins: Sequence[str], names: Sequence[str] | None) -> tuple[tuple[Facet, ...], str]:
    """The facets in force and the fingerprint of the plug-ins they came from.

    Raises:
        InputError: a plug-in fails, or a name is unknown (the known ones are listed).
    """
    builtin_facets.register_builtin()
    fingerprint = "+".join(load_plugin(Path(path)) for path in plugins)
    wanted = facet_registry.names() if names is None else names
    return tuple(facet_registry.get(name) for name in wanted), fingerprint


def build_observer(models_dir: str, plugins: Sequence[str] = (), names: Sequence[str] | None = None) -> Observer:
    """The ruler for a models folder and a choice of facets.

    Raises:
        MissingModel: no face detector, and with it what stays unmeasured. InputError: unknown facet, failing plug-in.
    """
    facets, fingerprint = chosen_facets(plugins, names)
    try:
        return Observer(build_pack(models_dir), facets, fingerprint)
    except MissingModel as error:
        blind = [f"{facet.name} (needs {', '.join(facet.needs)})" for facet in facets if facet.needs]
        raise MissingModel(f"{error}\nNot measured: {'; '.join(blind)}.") from error
