"""Models folder -> detector pack."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.choices import BUILT_IN, FAKE, NANO
from twinloop.domain.model_roles import pack_and_folder
from twinloop.errors import InputError, MissingModel
from twinloop.ports import DetectorPack
from twinloop.store.models.folder import ModelsReport, resolve_models_dir
from twinloop.wiring.names import nano_detectors_path


def build_pack(models_dir: str, scanning: bool = False, faceless: bool = False) -> DetectorPack:
    """The detectors of a folder (``yolo:folder`` forces a pack), or the embedded pack for the word ``nano``, or the
    fakes for ``fake``.

    Args:
        scanning: for a scan of very many photos: without what takes long at each of them.
        faceless: of a subject without a face: from a folder nothing is opened that looks at faces.

    Raises:
        MissingModel: no such folder, or no face detector in it. UnsafeModelFile: a file there would run code.
    """
    if models_dir == FAKE:
        from twinloop.adapters.fakes import fake_pack

        return fake_pack()
    if models_dir == NANO:
        from twinloop.adapters.detectors.nano import load_nano_pack

        return load_nano_pack(nano_detectors_path())
    from twinloop.adapters.detectors.real_pack import open_real_pack

    try:
        name, folder = pack_and_folder(models_dir)
        return open_real_pack(Path(folder), name, scanning=scanning, faceless=faceless)
    except InputError as error:  # no such folder
        raise MissingModel(str(error)) from error


def models_report(models_dir: str) -> ModelsReport | None:
    """What lies in a models folder; None for the embedded and fake packs and for a folder that does not exist.

    Opens no model.
    """
    folder = Path(pack_and_folder(models_dir)[1])
    return None if models_dir in BUILT_IN or not folder.is_dir() else resolve_models_dir(folder)
