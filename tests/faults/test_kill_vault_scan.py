"""kill -9 in the middle of a scan, and the same command again: the catalogue is that of an undisturbed scan, and no
worker is left.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.fake_photos import fake_photo
from twinloop.stages.vault import scan as stage
from twinloop.stages.vault.opened import ScanRecord
from twinloop.store.vault.folder import Vault

PHOTOS = 5 * stage.BATCH


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        fake_photo(folder / f"{number:04d}.jpg", seed=number, size=128)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return folder


def command(photos: Path, vault: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "twinloop",
        "vault",
        "scan",
        str(photos),
        "--vault",
        str(vault),
        "--models-dir",
        "fake",
        "--workers",
        "2",
    ]


def measured(vault: Path) -> int:
    try:
        with sqlite3.connect(f"file:{vault / 'catalog.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM photo").fetchone()[0])
    except sqlite3.Error:
        return 0


def content(vault: Path) -> list[list[tuple[object, ...]]]:
    with sqlite3.connect(vault / "catalog.sqlite") as db:
        return [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in ("file", "photo", "face")]


def workers(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if "twinloop.adapters.scanning.worker" in line and str(parent) in line:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_killed_twice_and_run_again_is_as_undisturbed(photos: Path, tmp_path: Path) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.iterdir()}
    plain, vault = tmp_path / "plain", tmp_path / "vault"
    subprocess.run(command(photos, plain), check=True, capture_output=True, timeout=120)
    for goal in (stage.BATCH, 2 * stage.BATCH):
        process = subprocess.Popen(command(photos, vault), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while measured(vault) < goal and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        children = workers(process.pid)
        assert children
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert measured(vault) >= goal
        while any(
            Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children
        ):
            assert time.monotonic() < end, "a worker is left"
            time.sleep(0.02)
    assert ScanRecord.read(Vault(vault)).unfinished, "it was not killed in the middle"
    again_without_folder = [word for word in command(photos, vault) if word != str(photos)]
    done = subprocess.run(again_without_folder, check=True, capture_output=True, timeout=120, text=True)
    again = int(re.search(r"measured (\d+)", done.stdout)[1])  # type: ignore[index]
    assert 0 < again <= PHOTOS - 2 * stage.BATCH
    assert content(vault) == content(plain)
    assert (vault / "scan.json").read_bytes() == (plain / "scan.json").read_bytes()
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.iterdir()} == before


@pytest.mark.parametrize("of_a_page", [False, True])
def test_ctrl_c_is_one_sentence_and_keeps_what_is_done(photos: Path, tmp_path: Path, of_a_page: bool) -> None:
    """Also as the page starts it, where SIGINT was ignored by whoever started that: it is how the page asks to stop."""
    vault = tmp_path / "vault"
    ignored = signal.SIG_IGN if of_a_page else signal.SIG_DFL
    process = subprocess.Popen(
        command(photos, vault),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **({"TWINLOOP_PROGRESS": "json"} if of_a_page else {})},
        preexec_fn=lambda: signal.signal(signal.SIGINT, ignored),
    )
    while measured(vault) < stage.BATCH:
        assert process.poll() is None
        time.sleep(0.002)
    children = workers(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in out + err
    assert "the same command goes on" in out + err and "twinloop vault scan" in out + err
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert stage.BATCH <= measured(vault) < PHOTOS
