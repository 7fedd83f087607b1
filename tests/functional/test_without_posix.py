"""Commands where what POSIX adds is taken away, as under Windows: see `without_posix/sitecustomize.py`."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.console import ROOT, Said, configuration
from tests.functional.vaults import write_photos

HERE = Path(__file__).parent / "without_posix"


def said(folder: Path, *argv: object) -> Said:
    """``python ARGV`` in that folder, with stdout and stderr as Western European Windows has them."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (HERE, ROOT))),
        "PYTHONIOENCODING": "cp1252",
        "PYTHONWARNDEFAULTENCODING": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, *map(str, argv)], cwd=folder, env=environment, capture_output=True, encoding="cp1252",
        timeout=120, check=False,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def twinloop(folder: Path, *argv: object) -> Said:
    return said(folder, "-m", "twinloop", *argv)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_photos(folder / "photos")
    (folder / "photos" / "torn.jpg").write_bytes(b"no picture")
    return folder


FORBIDDEN = {
    "a module": "import resource",
    "a function": "os.fork",
    "a signal": "signal.SIGKILL",
    "opening a folder": "os.open('.', os.O_RDONLY)",
    "asking for a process by a signal": "os.kill(os.getpid(), 0)",
    "renaming onto a file": "Path('a').touch(); Path('b').touch(); Path('a').rename('b')",
    "deleting an open file": "file = open('c', 'wb'); Path('c').unlink()",
    "deleting a folder of an open file": "Path('f').mkdir(); held = open('f/g', 'wb'); shutil.rmtree('f')",
    "moving a folder of an open file": "Path('h').mkdir(); other = open('h/i', 'wb'); Path('h').rename('k')",
    "moving a folder onto one": "Path('l').mkdir(); Path('m').mkdir(); os.replace('l', 'm')",
    "moving a mapped file": "Path('n').write_bytes(b'x'); number = os.open('n', os.O_RDONLY); "
    "ctypes.CDLL(None).mmap(None, 1, 1, 1, number, 0); os.close(number); os.replace('n', 'o')",
    "a file of another name in other case": "Path('p').touch(); Path('P').touch(exist_ok=False)",
    "a file of another name without its dots": "Path('q').touch(); Path('q. .').touch(exist_ok=False)",
    "a text file in no encoding": "Path('d').write_text('x')",
    "syncing what is only read": "Path('e').touch(); os.fsync(os.open('e', os.O_RDONLY))",
}


def test_what_windows_lacks_is_gone(tmp_path: Path) -> None:
    """The guard guards: each of these works on this machine, and none of them here."""
    lines = [
        f"try:\n    {code}\nexcept BaseException as error:\n    print({name!r}, type(error).__name__)"
        for name, code in FORBIDDEN.items()
    ]
    script = tmp_path / "probe.py"
    text = "import ctypes, os, shutil, signal\nfrom pathlib import Path\n" + "\n".join(lines)
    script.write_text(f"exec(compile({text!r}, 'probe', 'exec'), {{'__name__': 'twinloop.probe'}})")
    found = said(tmp_path, script)
    assert found.code == 0, found.err
    told = dict(line.rpartition(" ")[::2] for line in found.out.splitlines())
    assert list(told) == list(FORBIDDEN)
    assert {kind for name, kind in told.items() if "moving" in name or "deleting" in name} == {"PermissionError"}


def test_help_and_doctor(home: Path) -> None:
    found = twinloop(home, "--help")
    assert found.code == 0 and "vault" in found.out
    found = twinloop(home, "doctor", "--models-dir", "nano", "--json")
    assert found.code == 0, found.err


def test_photos_are_scanned_by_workers_and_become_a_training_set(home: Path) -> None:
    """Two processes read the photos, one of which is no picture; what comes of them is written, and written again."""
    call = ("vault", "run", "photos", "--person", "ana", "--class", "woman", "--consent", "fictional")
    for _ in range(2):
        found = twinloop(home, *call, "--models-dir", "fake", "--workers", 2, "--json")
        assert found.code == 0, found.err
    folder = home / "outputs" / "facevault" / "organized" / "ana"
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.txt"))) == 10
    assert not [path for path in folder.iterdir() if b"\r" in path.read_bytes() and path.suffix != ".png"]
    found = twinloop(home, "vault", "status", "--json")
    assert "torn.jpg" in found.out
    found = twinloop(home, "analyze", folder, "--models-dir", "fake", "--output", "gaps.json")
    assert found.code == 0, found.err
    assert json.loads((home / "gaps.json").read_bytes())["recommendations"]


def test_a_training_set_follows_a_name_of_other_case_and_with_a_dot_at_its_end(home: Path) -> None:
    assert twinloop(home, "vault", "name", "ana", "ANA.").code == 0
    found = twinloop(home, "vault", "prep", "ana.")
    assert found.code == 0, found.err
    assert "Moved here, as the name changed" in found.out and "Delete it" not in found.out
    assert [path.name for path in (home / "outputs/facevault/organized").iterdir()] == ["ANA"]


@pytest.mark.slow
def test_a_run_goes_through_and_is_read_again(home: Path) -> None:
    config = configuration(home, max_iterations=1)
    for flags in (["--dry-run"], [], [], ["--restart"]):
        found = said(home, ROOT / "bootstrap_loop.py", "--config", config, *flags)
        assert found.code == 0, found.err
    assert "Best LoRA: v1" in found.out and "Kept: out is now out.old1" in found.out
    assert (home / "out.old1" / "journal.jsonl").exists() and (home / "loras.old1").is_dir()
    assert b"\r" not in (home / "out" / "journal.jsonl").read_bytes()


def test_a_printed_configuration_can_be_read_whatever_code_page_it_went_through(home: Path) -> None:
    found = twinloop(home, "init", "--person-name", "zoë", "--models-dir", "fake", "--dataset-dir", "photos")
    assert found.code == 0, found.err
    assert json.loads(found.out.encode())["person_name"] == "zoë" and found.out.isascii()


def test_a_pickle_is_looked_into(home: Path) -> None:
    (home / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    found = said(home, ROOT / "inspect_pkl.py", "list.pkl")
    assert found.code == 0 and "SAFE" in found.out, found.err
