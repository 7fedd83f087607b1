"""Files through worker processes: the same numbers as in this process, and a file that breaks its worker is skipped
with the reason.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.helpers.fake_photos import fake_photo
from tests.unit.adapters.scanning.jobs import HERE
from twinloop.adapters.fakes import fake_pack
from twinloop.adapters.scanning import codec
from twinloop.adapters.scanning.messages import packed, unpacked
from twinloop.adapters.scanning.scanners import HereScanner, WorkerScanner
from twinloop.adapters.scanning.supervisor import Limits, Supervisor
from twinloop.domain.faces import Box, Face, HeadPose
from twinloop.domain.scanned import ListedFile, ScannedFile
from twinloop.domain.vault import VaultFace, VaultPhoto
from twinloop.stages.vault.measure import PhotoMeasurer

numbers = st.floats(-1e6, 1e6, width=32)
vectors = st.none() | arrays.arrays(np.float32, 8, elements=st.floats(-1, 1, width=32))
faces = st.builds(
    VaultFace,
    st.builds(
        Face,
        st.builds(Box, numbers, numbers, numbers, numbers),
        st.floats(0, 1),
        st.none() | arrays.arrays(np.float32, (5, 2), elements=numbers),
        st.none() | st.builds(HeadPose, numbers, numbers, numbers),
        vectors,
    ),
    st.floats(0, 1),
    st.dictionaries(st.text(max_size=8), numbers, max_size=3),
)
photos = st.builds(
    VaultPhoto,
    st.just("a" * 64),
    st.just(()),
    st.integers(1, 9999),
    st.integers(1, 9999),
    st.just("0" * 16),
    st.none() | st.floats(0, 2e9),
    st.sampled_from(["real", "synthetic"]),
    st.dictionaries(st.text(max_size=8), numbers, max_size=3),
    st.lists(faces, max_size=3).map(tuple),
)


def plain(made: ScannedFile) -> object:
    """Everything that a scanned file says, in a form that can be compared."""

    def blob(values: np.ndarray | None) -> bytes | None:
        return None if values is None else values.tobytes()

    photo = made.photo
    return (
        made.listed,
        made.sha256,
        made.thumbnail,
        made.problem,
        None
        if photo is None
        else (
            photo.sha256,
            photo.width,
            photo.height,
            photo.phash,
            photo.taken,
            photo.origin,
            dict(photo.measures),
            [
                (
                    f.face.box,
                    f.face.confidence,
                    blob(f.face.landmarks),
                    f.face.pose,
                    blob(f.face.embedding),
                    f.quality,
                    dict(f.measures),
                )
                for f in photo.faces
            ],
        ),
    )


@given(photos, st.binary(max_size=20), st.text(max_size=20))
def test_a_scanned_file_survives_the_pipe(photo: VaultPhoto, thumbnail: bytes, problem: str) -> None:
    made = ScannedFile(ListedFile(Path("/a"), 5, 7), "a" * 64, photo, thumbnail, problem)
    assert plain(codec.scanned_from_bytes(Path("/a"), codec.scanned_to_bytes(made))) == plain(made)


@given(
    st.binary(min_size=1, max_size=40).filter(
        lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
    ),
    st.integers(0, 2**62),
)
def test_every_name_survives_the_pipe(name: bytes, mtime: int) -> None:
    listed = ListedFile(Path("/photos") / os.fsdecode(name), 3, mtime)
    assert codec.listed_from_bytes(codec.listed_to_bytes(listed)) == listed


@given(st.lists(st.binary(max_size=30), max_size=4), st.text(alphabet=st.characters(), max_size=10))
def test_packing_keeps_every_byte(blobs: list[bytes], text: str) -> None:
    assert unpacked(packed({"text": text}, blobs)) == ({"text": text}, blobs)


def listed(folder: Path) -> list[ListedFile]:
    return [ListedFile(path, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]


def test_workers_and_this_process_say_the_same(tmp_path: Path) -> None:
    for number in range(3):
        fake_photo(tmp_path / f"{number}.png", seed=number, size=128)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    files = listed(tmp_path)
    known = hashlib.sha256((tmp_path / "1.png").read_bytes()).hexdigest()
    here = HereScanner(PhotoMeasurer(fake_pack(), 20))
    mine = {made.listed.path: plain(made) for made in here.scan(files, len(files), lambda sha256: sha256 != known)}
    fake = {"models_dir": "fake", "min_face": 20}
    with Supervisor[ListedFile]("twinloop.wiring.scanning:scan_worker", fake, 2, Limits()) as supervisor:
        workers = WorkerScanner(supervisor)
        theirs = {
            made.listed.path: plain(made) for made in workers.scan(files, len(files), lambda sha256: sha256 != known)
        }
        assert workers.greeting == here.greeting
    assert mine == theirs and len(mine) == 4


@pytest.mark.parametrize(
    ("person", "words"), [(7, "the decoder crashed (signal 11, SIGSEGV)"), (8, "took longer than 1 s")]
)
def test_a_file_that_breaks_its_worker_is_skipped_and_its_content_is_known(
    tmp_path: Path, person: int, words: str
) -> None:
    for number in range(4):
        fake_photo(tmp_path / f"{number}.png", seed=number, size=128, person=person if number == 1 else 0)
    with Supervisor[ListedFile](f"{HERE}:fragile_scanner", {}, 1, Limits(timeout=1.0)) as supervisor:
        scanned = WorkerScanner(supervisor).scan(listed(tmp_path), 4, lambda _: True)
        done = {made.listed.path.name: made for made in scanned}
    assert done["1.png"].problem == words and done["1.png"].undecided
    assert done["1.png"].sha256 == hashlib.sha256((tmp_path / "1.png").read_bytes()).hexdigest()
    assert all(done[name].photo is not None for name in ("0.png", "2.png", "3.png"))
