"""What detectors are asked of a drawn subject, and of one without a face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from twinloop.adapters.fakes import FakeDetectors, FakeTruth, fake_image, fake_pack
from twinloop.domain.model_roles import NEEDS, missing_line
from twinloop.errors import InputError, MissingModel
from twinloop.facets import BUILTIN, expression, lighting, setting
from twinloop.ports import DetectorPack, FilledPort
from twinloop.stages.observe import Observer
from twinloop.store.pictures.images import LoadedImage
from twinloop.wiring import build_observer
from twinloop.wiring.subject import facets_without_faces, for_drawings, without_faces

PICTURE = fake_image(FakeTruth(), 0)


@dataclass(frozen=True)
class Mesh:
    """As a face mesh covers it."""

    covers: frozenset[str] = frozenset({"eyes", "expression"})
    fingerprint: str = "mesh"

    def measure(self, image: object, face: object) -> dict[str, float]:
        return {"eyes_open": 1.0, "expression.smile": 0.9, "smile": 0.5, "jaw_open": 0.1}


def pack() -> DetectorPack:
    one = FakeDetectors()
    eyes = next(missing_line(need) for need in NEEDS if need.port == "eyes and expression")
    return DetectorPack(
        "models", faces=one, pose=one, measurers=(Mesh(),), embedder=one, missing=(eyes, "hands: none"),
        choices=(FilledPort("faces", "f"), FilledPort("eyes", "m"), FilledPort("expression", "m")),
    )  # fmt: skip


def test_eyes_and_expression_of_drawings_are_left_to_detectors_made_for_them() -> None:
    drawn = for_drawings(pack(), ())
    assert drawn.measurers == () and drawn.unread == {"eyes", "expression"}
    assert drawn.missing == ("hands: none",) and [choice.port for choice in drawn.choices] == ["faces"]
    assert drawn.fingerprint != pack().fingerprint, "figures with and without do not compare"


def test_a_tagger_that_tells_the_expression_is_asked() -> None:
    tagger = Mesh(frozenset({"setting", "expression"}), "tagger")
    both = DetectorPack("models", measurers=(Mesh(),), slow=(tagger,))
    drawn = for_drawings(both, ())
    assert drawn.unread == {"eyes"} and drawn.slow == (tagger,)


def test_a_facet_that_was_named_is_measured_with_all_that_it_needs() -> None:
    drawn = for_drawings(pack(), (expression.FACET,))
    (mesh,) = drawn.measurers
    assert drawn.unread == {"eyes"} and mesh.covers == {"expression"} and mesh.fingerprint == "mesh(expression)"
    assert mesh.measure(PICTURE, None) == {"expression.smile": 0.9, "smile": 0.5, "jaw_open": 0.1}


def test_without_a_face_nothing_of_one_is_measured() -> None:
    observer = Observer(without_faces(fake_pack()), BUILTIN)
    assert observer.measured == {"setting", "lighting"}
    one = observer.observe(LoadedImage(Path("a.png"), "hash", PICTURE, "real"))
    assert not one.faces and not one.parts
    assert {name.split(".")[0] for name in one.measures} & {"eyes_open", "face_quality", "expression"} == set()


def test_a_subject_without_a_face_needs_no_face_detector(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="not for photos and not for anime"):
        build_observer(str(tmp_path))
    observer = build_observer(str(tmp_path), faces=False)
    assert observer.measured == set() and not observer.pack.missing
    assert [facet.name for facet in observer.facets] == ["setting", "lighting"]


def test_facets_that_need_a_face_are_out_of_force_or_refused() -> None:
    assert facets_without_faces(BUILTIN, listed=False) == (setting.FACET, lighting.FACET)
    assert facets_without_faces((lighting.FACET,), listed=True) == (lighting.FACET,)
    with pytest.raises(InputError, match=r"expression cannot be told without a face, and validation\.faces is false"):
        facets_without_faces((expression.FACET, lighting.FACET), listed=True)
