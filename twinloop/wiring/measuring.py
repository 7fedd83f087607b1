"""Models folder and facets -> the ruler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinloop import facets as builtin_facets
from twinloop.config import Settings
from twinloop.domain.choices import Subject
from twinloop.domain.facet import Facet
from twinloop.errors import MissingModel
from twinloop.registry import facets as facet_registry
from twinloop.registry import load_plugin
from twinloop.stages.observe import Observer
from twinloop.wiring.detectors import build_pack
from twinloop.wiring.subject import facets_without_faces, for_drawings, without_faces


def chosen_facets(
    plugins: Sequence[str], names: Sequence[str] | None, faces: bool = True
) -> tuple[tuple[Facet, ...], str]:
    """The facets in force and the fingerprint of the plug-ins they came from.

    Args:
        faces: False = only those that need no face.

    Raises:
        InputError: a plug-in fails, a name is unknown (the known ones are listed), or needs a face where none is looked
            for.
    """
    builtin_facets.register_builtin()
    fingerprint = "+".join(load_plugin(Path(path)) for path in plugins)
    wanted = facet_registry.names() if names is None else names
    chosen = tuple(facet_registry.get(name) for name in wanted)
    return chosen if faces else facets_without_faces(chosen, listed=names is not None), fingerprint


def observer_of(settings: Settings) -> Observer:
    """The ruler of these settings. Errors as in `build_observer`."""
    analysis = settings.analysis
    return build_observer(
        settings.models_dir, analysis.plugins, analysis.facets, settings.subject, settings.validation.faces
    )


def build_observer(
    models_dir: str, plugins: Sequence[str] = (), names: Sequence[str] | None = None, subject: Subject = "person",
    faces: bool = True,
) -> Observer:  # fmt: skip
    """The ruler for a models folder and a choice of facets.

    Args:
        subject: what detectors made for photos misread on a drawn one is not measured, unless a facet of ``names``
            needs it. faces: False = the subject has none; all that needs one is left out.

    Raises:
        MissingModel: no face detector, and with it what stays unmeasured. InputError: unknown facet, failing plug-in.
    """
    facets, fingerprint = chosen_facets(plugins, names, faces)
    try:
        pack = build_pack(models_dir) if faces else without_faces(build_pack(models_dir, faceless=True))
        if faces and subject == "character":
            pack = for_drawings(pack, facets if names is not None else ())
        return Observer(pack, facets, fingerprint)
    except MissingModel as error:
        blind = [f"{facet.name} (needs {', '.join(facet.needs)})" for facet in facets if facet.needs]
        raise MissingModel(f"{error}\nNot measured: {'; '.join(blind)}.") from error
