"""The stamp of a scan stands for its fingerprint without opening a model; the scanner opens models only when it is entered."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from twinloop import wiring
from twinloop.adapters.scanning.scanners import HereScanner, WorkerScanner
from twinloop.errors import MissingModel
from twinloop.stages.vault.opened import ScanRecord
from twinloop.store.vault import Vault


def test_the_stamp_follows_the_model_files(tmp_path: Path) -> None:
    source = sorted(wiring.nano_detectors_path().glob("*.onnx"))[0]
    model = tmp_path / "face_detection_yunet_1.onnx"
    shutil.copy(source, model)
    before = wiring.scan_stamp(str(tmp_path), 40)
    assert wiring.scan_stamp(str(tmp_path), 40) == before
    (tmp_path / "notes.txt").write_text("no model")
    assert wiring.scan_stamp(str(tmp_path), 40) == before
    assert wiring.scan_stamp(str(tmp_path), 41) != before
    os.utime(model, ns=(1, 1))
    assert wiring.scan_stamp(str(tmp_path), 40) != before


def test_the_embedded_and_fake_packs_have_stamps_of_their_own() -> None:
    assert len({wiring.scan_stamp(name, 40) for name in ("nano", "fake", "no such folder")}) == 3


def test_a_relative_models_folder_is_found_again_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned = {
        given: wiring.scan_plan(Vault(tmp_path / "vault"), models_dir=given).models_dir
        for given in ("m", "onnx:m", "nano", None)
    }
    assert planned == {"m": f"{tmp_path}/m", "onnx:m": f"onnx:{tmp_path}/m", "nano": "nano", None: f"{tmp_path}/models"}
    ScanRecord((), "nano", "f").write(Vault(tmp_path / "vault"))
    assert wiring.scan_plan(Vault(tmp_path / "vault")).models_dir == "nano"


def test_no_models_is_told_when_the_scanner_is_entered_with_and_without_workers(tmp_path: Path) -> None:
    for workers, kind in ((0, HereScanner), (1, WorkerScanner)):
        scanner = wiring.build_scanner(str(tmp_path), 40, workers, 30.0, 512)
        assert isinstance(scanner, kind)
        with pytest.raises(MissingModel, match="no usable face detector"), scanner:
            pass


def test_the_embedded_pack_scans_in_a_worker(tmp_path: Path) -> None:
    with wiring.build_scanner("nano", 40, 1, 30.0, 1024) as scanner:
        assert "nano" in scanner.greeting.fingerprint and scanner.greeting.strangers is not None
        assert list(scanner.scan([], 0, lambda _: True)) == []
