"""Models folder -> what makes masks of photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.domain.choices import BUILT_IN
from twinloop.domain.faces import Face, ImageArray
from twinloop.domain.model_roles import Role, pack_and_folder
from twinloop.domain.segmenters import GET, preference
from twinloop.errors import MissingModel, ModelFileError
from twinloop.ports import Masker
from twinloop.stages.make_masks import FaceFinder
from twinloop.stages.observe import Observer
from twinloop.system import shell
from twinloop.wiring.detectors import build_pack, models_report

if TYPE_CHECKING:
    from twinloop.adapters.segmenters.networks import Segmenter


def build_masker(models_dir: str, model: Path | None, drawn: bool, grow: float, blur: float) -> Masker:
    """What makes masks.

    Args:
        model: file of the network; None = as `chosen_network`. drawn: the subject is a drawing.
        grow, blur: as `Edge` has them.

    Raises:
        InputError: no such file, or a name that says nothing. ModelFileError: the file is another network, or broken.
        MissingModel: as `chosen_network`.
    """
    from twinloop.adapters.segmenters.networks import Segmenter
    from twinloop.adapters.segmenters.subject_masks import Edge, SubjectMasks

    network = chosen_network(models_dir, drawn) if model is None else Segmenter(model)
    return SubjectMasks(network, Edge(grow, blur))


def chosen_network(models_dir: str, drawn: bool = False) -> Segmenter:
    """The best segmentation network of a models folder that can be opened.

    Raises:
        MissingModel: there is none; says what is wrong with those that are there, and which to get. The embedded and
            the fake models have none.
    """
    from twinloop.adapters.segmenters.networks import Segmenter

    report = models_report(models_dir)
    complaints: list[str] = []
    if report is not None:
        ours = [found for found in report.found if found.role is Role.SEGMENTER]
        complaints += [f"{found.path.name}: {found.problem}." for found in ours if found.problem is not None]
        paths = [found.path for found in ours if found.problem is None]
        for path in sorted(paths, key=lambda one: preference(one.name, drawn)):
            try:
                return Segmenter(path)
            except ModelFileError as error:
                complaints.append(str(error))
    if models_dir in BUILT_IN:
        raise MissingModel(
            f"{models_dir} is built in and holds no network that tells a subject from what is behind it. Name one with"
            f" --model FILE, or a folder that holds one with --models-dir. Get {GET}. `twinloop models pull"
            " selfie_segmentation.tflite` fetches the first of them into the folder models."
        )
    folder = pack_and_folder(models_dir)[1]
    at = "" if folder == "models" else f" --models-dir {shell.quote(folder)}"
    raise MissingModel(
        "\n".join(
            (
                f"{folder}: no network that tells a subject from what is behind it.",
                *(f"  - {line}" for line in complaints),
                f"Get {GET}. `twinloop models pull selfie_segmentation.tflite{at}` fetches the first of them, `twinloop"
                f" models add FILE{at}` takes in your own.",
            )
        )
    )


def build_face_finder(models_dir: str) -> FaceFinder:
    """Finds the faces of a picture as a run does that uses this folder: the subject's first.

    Raises:
        as `build_pack`.
    """
    observer = Observer(build_pack(models_dir, scanning=True), ())

    def faces(image: ImageArray) -> Sequence[Face]:
        return observer.faces(image)

    return faces
