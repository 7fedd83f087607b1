"""Observing: one decode, every measure, remembered by content and ruler."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.fake_photos import fake_photo
from tests.unit.things import Recording, face, observation, unit_vector
from twinloop.adapters.fakes import fake_pack
from twinloop.domain.faces import Box, Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.domain.observation import Observation
from twinloop.facets import BUILTIN, composition, face_angle
from twinloop.ports import DetectorPack
from twinloop.stages import observe
from twinloop.stages.observe import Observer, Seen, facet_json, observation_line, observe_files
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.images import LoadedImage
from twinloop.store.run.catalog import Catalog


class Counting:
    """Every port, counting its calls; two faces, the second one larger and surer."""

    fingerprint = "counting-1"
    kind, forms = "hand", ""
    covers = frozenset({"eyes"})

    def __init__(self) -> None:
        self.calls: list[str] = []

    def detect(self, image: ImageArray) -> list[Face]:
        self.calls.append("detect")
        return [Face(Box(0, 0, 10, 10), 0.9), Face(Box(10, 10, 50, 50), 0.8), Face(Box(0, 0, 60, 60), 0.1)]

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        self.calls.append("pose")
        return HeadPose(face.box.width, 0, 0)

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        return []

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        assert face is not None
        return {"eyes_open": np.float32(face.box.width)}  # type: ignore[dict-item]

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        self.calls.append("embed")
        return unit_vector(face.box.width)


def counting(**without: None) -> tuple[Counting, Observer]:
    one = Counting()
    ports = {"faces": one, "pose": one, "parts": (one,), "measurers": (one,), "embedder": one, **without}
    return one, Observer(DetectorPack("counting", **ports), BUILTIN)  # type: ignore[arg-type]


class FormsToo(Counting):
    """As a detector of hands of which only what it says of their form is new."""

    forms = "landmarks7"


IMAGE = LoadedImage(Path("x.png"), "ab", np.full((100, 80, 3), 128, np.uint8), "real")


def test_the_subject_is_the_largest_sure_face_and_only_it_is_embedded() -> None:
    one, observer = counting()
    seen = observer.observe(IMAGE)
    assert [f.box.width for f in seen.faces] == [40, 60, 10]
    assert [f.embedding is not None for f in seen.faces] == [True, False, False]
    assert all(f.pose is not None for f in seen.faces)
    assert one.calls.count("embed") == 1
    assert seen.measures["eyes_open"] == 40
    assert (seen.width, seen.height) == (80, 100)
    assert seen.measures["face_share"] == pytest.approx(0.4)


def test_the_face_that_is_meant_is_the_subject() -> None:
    _, observer = counting()
    seen = observer.observe(IMAGE, Face(Box(0, 0, 11, 11), 0.5))
    assert [f.box.width for f in seen.faces] == [10, 40, 60]
    assert [f.embedding is not None for f in seen.faces] == [True, False, False]
    overlooked = observer.observe(IMAGE, Face(Box(60, 80, 75, 95), 0.5)).faces
    assert [f.box.width for f in overlooked] == [15, 40, 60, 10], "as it was given"


def test_measured_says_what_was_looked_for() -> None:
    _, full = counting()
    assert full.measured == {"faces", "pose", "identity", "hands", "eyes"}
    _, blind = counting(faces=None)
    assert blind.measured == {"hands", "eyes"}
    no_faces = blind.pack.measurers
    seen = Observer(DetectorPack("none", measurers=()), BUILTIN).observe(IMAGE)
    assert no_faces and seen.faces == () and seen.measured == frozenset()


def test_numbers_are_plain_so_that_they_can_be_stored() -> None:
    _, observer = counting()
    assert all(type(value) is float for value in observer.observe(IMAGE).measures.values())


class Undecided(Counting):
    """A detector of one's own whose arithmetic fails."""

    def detect(self, image: ImageArray) -> list[Face]:
        whole, *others = super().detect(image)
        return [whole, *(dataclasses.replace(face, confidence=float("nan")) for face in others)]

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        return {**super().measure(image, face), "face_quality": float("nan"), "smile": float("inf")}


def test_what_is_no_number_was_not_measured() -> None:
    one = Undecided()
    seen = Observer(DetectorPack("undecided", faces=one, measurers=(one,)), BUILTIN).observe(IMAGE)
    assert len(seen.faces) == 1 and seen.measure("face_quality") is seen.measure("smile") is None
    json.dumps(dict(seen.measures), allow_nan=False)


def test_a_facet_with_a_measure_of_its_own_is_asked_in_the_same_decode() -> None:
    facet = DefinedFacet(
        "redness", ("red",), {}, {"red": Phrase(("red",), ("red",))}, (), lambda seen: one_of(("red",), "red"),
        measurer=lambda image, seen: {"redness.mean": float(image[..., 0].mean()), "redness.faces": len(seen.faces)},
    )  # fmt: skip
    one = Counting()
    seen = Observer(DetectorPack("counting", faces=one), (facet,)).observe(IMAGE)
    assert (seen.measures["redness.mean"], seen.measures["redness.faces"]) == (128, 3)


def test_the_fingerprint_changes_with_models_and_plugins() -> None:
    _, base = counting()
    _, without = counting(embedder=None)
    prints = {base.fingerprint, without.fingerprint, dataclasses.replace(base, plugins="abc").fingerprint}
    assert len(prints) == 3
    assert base.fingerprint == counting()[1].fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for number, path in enumerate(paths):
        fake_photo(path, seed=number, yaw=30.0 * number)
    return paths


def test_known_content_is_looked_up_under_any_name(folder: list[Path], tmp_path: Path) -> None:
    one, observer = counting()
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        first = list(observe_files(folder, observer, catalog, Recording(), "Observing"))
        shutil.copy(folder[0], tmp_path / "renamed.png")
        again = list(observe_files([*folder, tmp_path / "renamed.png"], observer, catalog, Recording(), "Observing"))
    assert one.calls.count("detect") == 3
    assert [s.observation.sha256 for s in again if s.observation][:3] == [
        s.observation.sha256 for s in first if s.observation
    ]
    assert again[3].observation is not None and again[0].observation is not None
    assert again[3].observation.sha256 == again[0].observation.sha256


def test_another_ruler_measures_again(folder: list[Path]) -> None:
    one, observer = counting()
    with Catalog(None) as catalog:
        list(observe_files(folder, observer, catalog, Recording(), ""))
        list(observe_files(folder, dataclasses.replace(observer, plugins="new"), catalog, Recording(), ""))
    assert one.calls.count("detect") == 6


def test_what_is_told_of_the_form_of_hands_is_remembered_apart_from_what_is_measured(folder: list[Path]) -> None:
    """Of hands that were seen before their form was told, it is told now; figures compare all the same."""
    one, before = counting()
    after = dataclasses.replace(before, pack=dataclasses.replace(before.pack, parts=(FormsToo(),)))
    assert after.fingerprint == before.fingerprint
    with Catalog(None) as catalog:
        for observer in (before, after, after):
            seen = list(observe_files(folder, observer, catalog, Recording(), ""))
            assert {item.observation.forms for item in seen if item.observation} == {observer.forms}
    assert (before.forms, after.forms) == ("", "landmarks7") and one.calls.count("detect") == 6


def test_a_file_that_changed_is_measured_again(folder: list[Path]) -> None:
    observer = Observer(fake_pack(), BUILTIN)
    with Catalog(None) as catalog:
        (before,) = observe_files(folder[:1], observer, catalog, Recording(), "")
        fake_photo(folder[0], seed=99, yaw=80.0)
        (after,) = observe_files(folder[:1], observer, catalog, Recording(), "")
    assert before.observation is not None and after.observation is not None
    assert before.observation.sha256 != after.observation.sha256
    assert facet_json(face_angle.FACET, after.observation) == "profile"


def test_a_file_that_changes_while_it_is_read_is_read_again(
    folder: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync program may be writing into the folder: the new picture must not go by the old one's numbers for ever."""
    one, observer = counting()
    real = observe.load_image

    def slow(path: Path) -> LoadedImage:
        image = real(path)
        fake_photo(path, seed=99)
        return image

    with Catalog(None) as catalog:
        monkeypatch.setattr(observe, "load_image", slow)
        list(observe_files(folder[:1], observer, catalog, Recording(), ""))
        monkeypatch.setattr(observe, "load_image", real)
        (after,) = observe_files(folder[:1], observer, catalog, Recording(), "")
    assert after.observation is not None
    assert after.observation.sha256 == sha256_file(folder[0])
    assert one.calls.count("detect") == 2


def test_one_bad_file_never_stops_a_run(folder: list[Path], tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(folder[0].read_bytes()[:100])
    paths = [folder[0], tmp_path / "torn.png", tmp_path / "gone.png", folder[1]]
    reporter = Recording()
    with Catalog(None) as catalog:
        seen = list(observe_files(paths, Observer(fake_pack(), BUILTIN), catalog, reporter, "Observing"))
    assert [s.path for s in seen] == paths
    assert [s.observation is not None for s in seen] == [True, False, False, True]
    assert seen[1].problem and "No such file" in seen[2].problem
    assert reporter.steps == [("Observing", n, 4) for n in (1, 2, 3, 4)]


def test_each_image_is_kept_before_the_next_is_asked_for(folder: list[Path], tmp_path: Path) -> None:
    one, observer = counting()
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        next(observe_files(folder, observer, catalog, Recording(), ""))
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        list(observe_files(folder, observer, catalog, Recording(), ""))
    assert one.calls.count("detect") == 3


def test_the_exchange_line(folder: list[Path]) -> None:
    with Catalog(None) as catalog:
        (seen,) = observe_files(folder[1:2], Observer(fake_pack(), BUILTIN), catalog, Recording(), "")
    line = json.loads(json.dumps(observation_line(seen, BUILTIN, "photos/1.png")))
    assert set(line) == {"path", "sha256", "faces", "facets", "measures"}
    assert line["faces"][0]["yaw"] == 30.0 and len(line["faces"][0]["box"]) == 4
    assert "embedding" not in json.dumps(line), "a face print is nobody else's business"
    assert line["facets"]["face_angle"] == "three_quarter"
    assert line["facets"]["composition"] == ["eyes_visible"]
    assert observation_line(Seen(Path("x"), None, "is empty"), BUILTIN, "x") == {"path": "x", "error": "is empty"}


@pytest.mark.parametrize(("pose", "told"), [(HeadPose(12.0, -3.0, 4.5), (12.0, -3.0, 4.5)), (None, (None, None, None))])
def test_the_exchange_line_holds_the_whole_pose(pose: HeadPose | None, told: tuple[float | None, ...]) -> None:
    seen = Seen(Path("a.png"), observation(faces=[Face(Box(0, 0, 10, 10), 0.9, pose=pose)]))
    (line,) = observation_line(seen, BUILTIN, "a.png")["faces"]
    assert (line["yaw"], line["pitch"], line["roll"]) == told


def facet_of(facet: DefinedFacet, seen: Observation) -> object:
    return facet_json(facet, seen)


def test_not_measured_is_null_and_none_there_an_empty_list() -> None:
    assert facet_of(face_angle.FACET, observation(faces=[face(None)])) is None
    assert facet_of(composition.FACET, observation(measures={"eyes_open": 0.0})) == []
    assert facet_of(composition.FACET, observation(measured=())) is None
