"""How well the face quality tells labelled faces apart, by what the picture shows; and new faces to label."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from twinloop.adapters.detectors.nano import load_nano_pack
from twinloop.domain.faces import Box, Face
from twinloop.nano.evaluation.figures import auc_and_eer
from twinloop.ports import DetectorPack
from workshop.detectors.worn import WornFace, cut_tile, held_out, read_faces, write_faces

GROUPS: dict[str, Callable[[WornFace], bool]] = {
    "all": lambda face: True,
    "low-key": lambda face: face.lighting == "low_key",
    "other light": lambda face: face.lighting != "low_key",
    "to 25 degrees": lambda face: abs(face.yaw) < 25,
    "25 to 60 degrees": lambda face: 25 <= abs(face.yaw) < 60,
    "from 60 degrees": lambda face: abs(face.yaw) >= 60,
}


def qualities(pack: DetectorPack, faces: Sequence[WornFace]) -> NDArray[np.float64]:
    """The face quality of each, as the loop's check sees it."""
    measurer = next(m for m in pack.measurers if "face_quality" in m.covers)
    return np.array([measurer.measure(face.tile, Face(Box(*face.box), 1.0))["face_quality"] for face in faces])


def table(faces: Sequence[WornFace], quality: NDArray[np.float64], limit: float) -> Iterator[str]:
    """Lines of a table: of each group, whole and ruined faces that pass the limit, and the area under the curve."""
    yield f"| labelled faces | whole, passed at {limit:g} | ruined, passed at {limit:g} | area under the curve |"
    yield "|---|---|---|---|"
    for name, belongs in GROUPS.items():
        chosen = np.array([belongs(face) for face in faces])
        whole = chosen & np.array([bool(face.whole) for face in faces])
        ruined, passed = chosen & ~whole, quality >= limit
        area, _ = auc_and_eer(quality[whole], quality[ruined])
        counts = " | ".join(f"{int((passed & group).sum())} of {int(group.sum())}" for group in (whole, ruined))
        yield f"| {name} | {counts} | {area:.2f} |"


def judge_held_out(detectors: Path, limit: float) -> None:
    """Print the table of the people that no training saw."""
    faces = held_out(read_faces())
    for line in table(faces, qualities(load_nano_pack(detectors), faces), limit):
        print(line)


def gather(pictures: Sequence[Path], detectors: Path, out: Path, person: int, count: int, draw: int) -> None:
    """Write ``person_NNN.webp`` and ``.json`` with the faces of ``count`` pictures drawn from folders, to be labelled
    by eye.
    """
    pack = load_nano_pack(detectors)
    assert pack.faces is not None and pack.pose is not None
    paths = sorted(path for folder in pictures for path in folder.glob("*.png"))
    rng = np.random.default_rng([draw, person])
    faces: list[WornFace] = []
    for number in rng.permutation(len(paths)):
        if len(faces) == count:
            break
        face = _face_of(pack, paths[int(number)], person)
        faces += [face] if face else []
    write_faces(out, f"person_{person:03d}", faces)


def _face_of(pack: DetectorPack, path: Path, person: int) -> WornFace | None:
    assert pack.faces is not None and pack.pose is not None
    image = np.asarray(Image.open(path).convert("RGB"))
    face = max(pack.faces.detect(image), key=lambda found: found.box.area, default=None)
    pose = pack.pose.pose(image, face) if face else None
    if face is None or pose is None:
        return None
    shares = {name: value for m in pack.measurers for name, value in m.measure(image, face).items()}
    light = max((name for name in shares if name.startswith("lighting.")), key=lambda name: shares[name])
    x0, y0, x1, y1 = face.box.to_list()
    tile, box = cut_tile(image, (x0, y0, x1, y1))
    source = f"{path.parent.name} {path.stem}"
    return WornFace(tile, box, person, source, light.removeprefix("lighting."), pose.yaw, None)
