"""Which embedder of a models folder is opened, and that what another one measured is compared with nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.functional import loops
from tests.helpers.fake_photos import fake_photo
from tests.unit.adapters.detectors.onnx_files import embedder_onnx
from tests.unit.things import Recording
from twinloop.adapters.detectors import real_pack
from twinloop.adapters.embedders.aligned_face import AlignedFaceEmbedder
from twinloop.adapters.fakes import FakeDetectors, fake_pack
from twinloop.domain.embedders import ARCFACE, MOBILEFACENET, SFACE, FaceEmbedder
from twinloop.domain.faces import FloatArray
from twinloop.errors import StateError
from twinloop.ports import DetectorPack
from twinloop.ports.detectors import embedder_in
from twinloop.stages.observe import Observer, observe_files
from twinloop.stages.toolbox import Toolbox
from twinloop.steps import Run, begin, check_same_run
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of
from twinloop.wiring import build_toolbox

R50, GLINT, SMALL = "w600k_r50.onnx", "glintr100.onnx", "w600k_mbf.onnx"
OPENCV, FACENET = "face_recognition_sface_2021dec.onnx", "MobileFaceNet.onnx"


def write(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(embedder_onnx(128 if name in (OPENCV, FACENET) else 512))
    return path


@pytest.fixture(autouse=True)
def faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face detector without a file."""
    monkeypatch.setattr(real_pack, "_faces", lambda *_: FakeDetectors())


def chosen(folder: Path, names: Sequence[str], pack: str = "auto") -> DetectorPack:
    for name in names:
        write(folder, name)
    return real_pack.open_real_pack(folder, pack, scanning=False, faceless=False)


@pytest.mark.parametrize(
    ("names", "taken", "kind"),
    [
        ([R50], R50, ARCFACE),
        ([GLINT], GLINT, ARCFACE),
        ([SMALL], SMALL, ARCFACE),
        ([OPENCV], OPENCV, SFACE),
        ([R50, GLINT, SMALL], R50, ARCFACE),
        ([SMALL, GLINT], GLINT, ARCFACE),
        ([R50, OPENCV], OPENCV, SFACE),
        ([R50, OPENCV, FACENET], FACENET, MOBILEFACENET),
    ],
)
@pytest.mark.parametrize("name", ["auto", "yolo", "onnx", "mediapipe"])
def test_the_best_of_several(tmp_path: Path, names: Sequence[str], taken: str, kind: FaceEmbedder, name: str) -> None:
    pack = chosen(tmp_path, names, name)
    assert pack.embedder is not None and pack.likeness == kind.likeness
    assert f"identity from {taken} ({kind.name})" in pack.spoken
    assert "identity" not in pack.spoken.partition("not measured")[2]


def test_a_broken_one_leaves_the_next_best(tmp_path: Path) -> None:
    (tmp_path / OPENCV).write_text("version https://git-lfs.github.com/spec/v1\n")
    pack = chosen(tmp_path, [R50])
    assert pack.likeness == ARCFACE.likeness and any("Git LFS pointer" in line for line in pack.missing)


def test_an_embedder_is_part_of_the_ruler(tmp_path: Path) -> None:
    """The same photos in the same catalogue with another embedder: every vector is made anew, and both are kept."""
    photos = [tmp_path / f"{number}.png" for number in range(2)]
    for number, path in enumerate(photos):
        fake_photo(path, seed=number, size=256)
    seen: dict[str, list[tuple[str, FloatArray]]] = {}
    with Catalog(None) as catalog:
        for name in (FACENET, R50, FACENET):
            embedder = AlignedFaceEmbedder(write(tmp_path, name))
            observer = Observer(replace(fake_pack(), embedder=embedder), ())
            assert embedder_in(observer.pack.fingerprint) == embedder.fingerprint
            found = [item.observation for item in observe_files(photos, observer, catalog, Recording(), "")]
            made = [item.embedding for item in found if item is not None and item.embedding is not None]
            assert len(made) == 2 and {len(vector) for vector in made} == {embedder.kind.dimensions or 128}
            seen.setdefault(name, []).append((observer.fingerprint, np.stack(made)))
    (first, vectors), (again, same) = seen[FACENET]
    assert first == again != seen[R50][0][0]
    np.testing.assert_array_equal(vectors, same)


def test_the_embedder_is_the_last_of_the_packs_fingerprint(tmp_path: Path) -> None:
    slow = FakeDetectors()
    pack = replace(chosen(tmp_path, [R50]), slow=(slow,))
    assert embedder_in(f"scan|{pack.fingerprint}").startswith("arcface2-") and slow.fingerprint in pack.fingerprint
    assert embedder_in(replace(pack, embedder=None).fingerprint) == "-"


def test_a_run_is_not_gone_on_with_another_embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = loops.settings()
    space, toolbox = workspace_of(settings), build_toolbox(settings, Recording())

    def measured_by(name: str) -> Toolbox:
        embedder = AlignedFaceEmbedder(write(tmp_path, name))
        pack = replace(toolbox.observer.pack, embedder=embedder)
        return replace(toolbox, observer=replace(toolbox.observer, pack=pack))

    with Catalog(None) as catalog:
        begin(Run(settings, measured_by(FACENET), space, Journal(space.journal), catalog))
    check_same_run(settings, measured_by(FACENET), space)
    with pytest.raises(StateError, match="begun with other detectors"):
        check_same_run(settings, measured_by(R50), space)
