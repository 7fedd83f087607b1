"""The stamp of a scan stands for its fingerprint without opening a model; the scanner opens models only when it is
entered.
"""

from __future__ import annotations

import ast
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from twinloop import wiring
from twinloop.adapters.scanning.scanners import HereScanner, WorkerScanner
from twinloop.adapters.videos.takers import HereTaker
from twinloop.errors import MissingModel
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.scan import ScanPlan
from twinloop.store.vault.folder import Vault
from twinloop.wiring import scanning
from twinloop.wiring.workers import worker_count

VERSIONS = {
    "aligned_face._VERSION": 2,
    "blaze_face._VERSION": 2,
    "fsanet._VERSION": 1,
    "landmark_pose._VERSION": 1,
    "mediapipe_face._VERSION": 3,
    "mediapipe_hands._VERSION": 1,
    "nano_networks.VERSION": 1,
    "yolov5_face._VERSION": 2,
    "yolov8._VERSION": 2,
    "yolov8._EYES_VERSION": 3,
    "yunet._VERSION": 1,
    "place_tags._VERSION": 1,
    "face_quality._VERSION": 2,
}


def planned(vault: Vault, models_dir: str | None = None, min_face: int | None = None) -> ScanPlan:
    measured = wiring.ScanSettings(models_dir=models_dir, min_face=min_face, timeout=30, memory=2048)
    return wiring.scan_plan(vault, (), measured)


def test_the_stamp_follows_the_model_files(tmp_path: Path) -> None:
    source = sorted(wiring.nano_detectors_path().glob("*.onnx"))[0]
    model = tmp_path / "face_detection_yunet_1.onnx"
    shutil.copy(source, model)
    before = scanning.scan_stamp(str(tmp_path), 40)
    assert scanning.scan_stamp(str(tmp_path), 40) == before
    (tmp_path / "notes.txt").write_text("no model")
    assert scanning.scan_stamp(str(tmp_path), 40) == before
    assert scanning.scan_stamp(str(tmp_path), 41) != before
    os.utime(model, ns=(1, 1))
    assert scanning.scan_stamp(str(tmp_path), 40) != before


def test_the_embedded_and_fake_packs_have_stamps_of_their_own() -> None:
    assert len({scanning.scan_stamp(name, 40) for name in ("nano", "fake", "no such folder")}) == 3


def test_a_relative_models_folder_is_found_again_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {given: planned(Vault(tmp_path / "vault"), given).models_dir for given in ("m", "onnx:m", "nano", None)}
    assert found == {"m": f"{tmp_path}/m", "onnx:m": f"onnx:{tmp_path}/m", "nano": "nano", None: f"{tmp_path}/models"}
    ScanRecord(folders=(), models_dir="nano", fingerprint="f").write(Vault(tmp_path / "vault"))
    assert planned(Vault(tmp_path / "vault")).models_dir == "nano"


def test_a_scan_that_was_interrupted_goes_on_with_what_it_was_begun_with(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    last = ScanRecord(folders=(), models_dir="fake", fingerprint="f", min_face=40)
    replace(last, unfinished=True, begun_models="nano", begun_min_face=25).write(vault)
    again = planned(vault)
    assert (again.models_dir, again.min_face) == ("nano", 25)
    assert again.stamp == scanning.scan_stamp("nano", 25)
    other = planned(vault, "fake", min_face=50)
    assert (other.models_dir, other.min_face) == ("fake", 50)


def test_the_stamp_rises_with_the_versions_of_the_detectors() -> None:
    """Whoever raises one of these versions raises `_DETECTORS` too: else vaults keep what the older one measured."""
    adapters = Path(wiring.__file__).parents[1] / "adapters"
    found = {
        f"{path.stem}.{target.id}": statement.value.value
        for folder in ("detectors", "embedders")
        for path in sorted((adapters / folder).glob("*.py"))
        for statement in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in ("VERSION", "_VERSION", "_EYES_VERSION")
    }
    assert (scanning._DETECTORS, found) == (5, VERSIONS)


def test_no_models_is_told_when_the_scanner_is_entered_with_and_without_workers(tmp_path: Path) -> None:
    for workers in (0, 1):
        scanner = wiring.build_scanner(str(tmp_path), 40, workers, 30.0, 512)
        with pytest.raises(MissingModel, match="no usable face detector"), scanner:
            pass


def test_without_workers_all_is_done_in_this_process() -> None:
    with wiring.build_scanner("fake", 40, 0, 30.0, 512) as scanner:
        assert isinstance(scanner, HereScanner)
    with wiring.build_frame_taker("", 0) as taker:
        assert isinstance(taker, HereTaker)


def test_there_are_as_many_workers_as_asked_for_else_one_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinloop.adapters.cores.usable_cores", lambda: 8)
    assert [worker_count(asked, 4) for asked in (0, 1, 32, None)] == [0, 1, 32, 4]
    assert worker_count(None, 16) == 8


def test_the_embedded_pack_scans_in_a_worker(tmp_path: Path) -> None:
    with wiring.build_scanner("nano", 40, 1, 30.0, 1024) as scanner:
        assert isinstance(scanner, WorkerScanner)
        assert "nano" in scanner.greeting.fingerprint and scanner.greeting.likeness.strangers is not None
        assert list(scanner.scan([], 0, lambda _: True)) == []
