"""The tagger as a detector of the setting: opened once, only where it lies, part of the ruler's fingerprint, and no
part of a scan.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from PIL import Image

from tests.helpers.captioner_models import build_place_tagger, build_tagger
from tests.helpers.fake_photos import fake_photo
from tests.unit.adapters.coloured import coloured
from tests.unit.things import Recording
from twinloop.adapters import fakes
from twinloop.adapters.captioners import wd14
from twinloop.adapters.captioners.wd14 import WdTagger
from twinloop.adapters.detectors.onnx_model import OnnxModel
from twinloop.adapters.detectors.place_tags import PlaceTags
from twinloop.adapters.detectors.real_pack import open_real_pack
from twinloop.domain.model_roles import AUTO, Role, role_at
from twinloop.errors import MissingModel, ModelFileError
from twinloop.facets import setting
from twinloop.stages.observe import Observer, observe_files
from twinloop.store.models.folder import resolve_models_dir
from twinloop.store.pictures.images import load_image
from twinloop.store.run.catalog import Catalog
from twinloop.wiring.detectors import build_pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_place_tagger(tmp_path / "wd14")


def test_raw_probabilities_of_places_alone(folder: Path) -> None:
    tags = PlaceTags(folder)
    red, blue = (tags.measure(coloured(*rgb), None) for rgb in ((255, 0, 0), (0, 0, 255)))
    assert set(red) == {"tag.indoors", "tag.outdoors"}
    assert red["tag.indoors"] > 0.99 > 0.01 > red["tag.outdoors"]
    assert blue["tag.outdoors"] > 0.99 > 0.01 > blue["tag.indoors"]


def test_one_network_for_a_process_captioner_included(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(OnnxModel):
        def __init__(self, data: bytes, source: str) -> None:
            opened.append(source)
            super().__init__(data, source)

    monkeypatch.setattr(wd14, "OnnxModel", Counted)
    for _ in range(2):
        PlaceTags(folder).measure(coloured(1, 2, 3), None)
    WdTagger(folder).caption(coloured(1, 2, 3))
    assert len(opened) == 1


def test_another_network_under_the_same_name_is_opened_anew(folder: Path) -> None:
    before = PlaceTags(folder).fingerprint
    build_tagger(folder, side=32)
    assert PlaceTags(build_place_tagger(folder, blue="street")).fingerprint != before


def test_what_is_no_such_tagger(tmp_path: Path) -> None:
    with pytest.raises(MissingModel):
        PlaceTags(tmp_path)
    with pytest.raises(ModelFileError, match="no tag of a place"):
        PlaceTags(build_tagger(tmp_path / "people"))
    other = build_place_tagger(tmp_path / "other")
    (other / "selected_tags.csv").write_text("tag_id,name,category,count\n1,indoors,0,1\n")
    with pytest.raises(ModelFileError, match=r"6 scores, but .* 1 tags"):
        PlaceTags(other)


def test_the_name_alone_makes_no_tagger(folder: Path, tmp_path: Path) -> None:
    assert role_at(folder / "model.onnx") is Role.TAGGER
    assert resolve_models_dir(tmp_path).usable(Role.TAGGER) == (folder / "model.onnx",)
    (folder / "selected_tags.csv").unlink()
    assert role_at(folder / "model.onnx") is None and resolve_models_dir(tmp_path).found == ()


def test_photos_and_made_images_have_one_ruler_and_an_old_catalogue_is_measured_again(
    folder: Path, tmp_path: Path
) -> None:
    """Without the tagger the fingerprint is what it was before there was one."""
    plain = fakes.fake_pack()
    assert plain.fingerprint == "fake+fake-1+fake-1+fake-1+fake-1+fake-1"
    blind = dataclasses.replace(plain, measurers=())
    without = Observer(blind, (setting.FACET,))
    seeing = Observer(dataclasses.replace(blind, slow=(PlaceTags(folder),)), (setting.FACET,))
    assert "setting" not in without.measured and "setting" in seeing.measured
    path = tmp_path / "a.png"
    fake_photo(path, seed=1)
    with Catalog(None) as catalog:
        first, second, third = (
            next(observe_files([path], observer, catalog, Recording(), "x")).observation
            for observer in (without, seeing, seeing)
        )
    assert first is not None and second is not None and third is not None
    assert "tag.indoors" not in first.measures and second.measures["tag.indoors"] == third.measures["tag.indoors"]
    assert seeing.observe(load_image(path)).measures["tag.indoors"] == second.measures["tag.indoors"]


def test_a_red_picture_is_indoors(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.fromarray(np.asarray(coloured(255, 0, 0))).save(path)
    pack = dataclasses.replace(fakes.fake_pack(), measurers=(), slow=(PlaceTags(folder),))
    seen = Observer(pack, (setting.FACET,)).observe(load_image(path))
    assert setting.FACET.classify(seen).present == ("indoor",)


def test_a_scan_does_without_it(weights: Path, tmp_path: Path) -> None:
    """It takes a second for every photo: a scan neither opens it, nor is one made anew when it comes."""
    copy(weights / "yunet/face_detection_yunet_2026may.onnx", tmp_path)
    before = open_real_pack(tmp_path, AUTO, scanning=True, faceless=False)
    build_place_tagger(tmp_path / "wd14")
    after = open_real_pack(tmp_path, AUTO, scanning=True, faceless=False)
    assert after.slow == () and after.fingerprint == before.fingerprint
    assert not any("setting" in line for line in (*after.missing, *after.optional))
    pack = build_pack(str(tmp_path))
    assert len(pack.slow) == 1 and pack.fingerprint.startswith(f"{before.fingerprint.removesuffix('+-')}+place-tags1-")
    assert "setting from model.onnx + selected_tags.csv (WD14-type tagger)" in pack.spoken


def test_a_broken_tagger_is_told_and_stops_nothing(weights: Path, tmp_path: Path) -> None:
    copy(weights / "yunet/face_detection_yunet_2026may.onnx", tmp_path)
    build_tagger(tmp_path / "wd14")
    pack = open_real_pack(tmp_path, AUTO, scanning=False, faceless=False)
    assert pack.slow == () and any("no tag of a place" in line for line in pack.missing)
    assert any("setting (indoors, outdoors, studio, street) is not measured" in line for line in pack.optional)
