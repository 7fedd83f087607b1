"""Downloads against a server of our own: whole or not at all, going on where they stopped, never from elsewhere than
was allowed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.http_files import Site, serving
from twinloop.errors import DownloadError, StorageError
from twinloop.store.download import Wanted, check_address, download, part_of

DATA = bytes(range(256)) * 3000


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({"/model.onnx": DATA})) as made:
        yield made


def wanted(site: Site, path: str = "/model.onnx", data: bytes = DATA) -> Wanted:
    return Wanted(f"{site.url}{path}", len(data), hashlib.sha256(data).hexdigest())


def fetch(what: Wanted, target: Path) -> list[int]:
    seen: list[int] = []
    download(what, target, lambda done, total: seen.append(done), pause=lambda _: None)
    return seen


def test_a_whole_file_with_progress(site: Site, tmp_path: Path) -> None:
    seen = fetch(wanted(site), tmp_path / "new" / "model.onnx")
    assert (tmp_path / "new" / "model.onnx").read_bytes() == DATA
    assert seen[0] == 0 and seen[-1] == len(DATA) and seen == sorted(seen) and len(seen) > 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.onnx"]


def test_goes_on_where_an_earlier_call_stopped(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    site.cut = [100_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"100,000 of 768,000 bytes are kept; the same command goes on there"):
        fetch(wanted(site), target)
    assert not target.exists() and part_of(target, wanted(site)).stat().st_size == 100_000
    seen = fetch(wanted(site), target)
    assert target.read_bytes() == DATA and seen[0] == 100_000
    assert site.asked[-1] == ("/model.onnx", "bytes=100000-")


def test_a_broken_connection_is_tried_again_after_longer_and_longer_pauses(site: Site, tmp_path: Path) -> None:
    site.cut = [300_000, 200_000]
    pauses: list[float] = []
    download(wanted(site), tmp_path / "model.onnx", lambda *_: None, pause=pauses.append)
    assert pauses == [2.0, 4.0]
    assert (tmp_path / "model.onnx").read_bytes() == DATA
    assert [asked for _, asked in site.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_server_that_cannot_go_on_sends_everything_again(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cut = False, [300_000]
    fetch(wanted(site), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == DATA


def test_a_server_that_goes_on_elsewhere_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.cut, site.shift = [300_000], 5
    with pytest.raises(DownloadError, match="at another place"):
        fetch(wanted(site), tmp_path / "model.onnx")
    assert part_of(tmp_path / "model.onnx", wanted(site)).read_bytes() == DATA[:300_000]


@pytest.mark.parametrize("given", [DATA[:-1] + b"!", DATA[::-1]])
def test_another_file_is_not_kept(given: bytes, site: Site, tmp_path: Path) -> None:
    site.files["/model.onnx"] = given
    with pytest.raises(DownloadError, match="sha256 differs"):
        fetch(wanted(site), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("silent", [False, True])
def test_more_than_was_expected_stops_at_once(silent: bool, site: Site, tmp_path: Path) -> None:
    site.files["/model.onnx"] = DATA * 20
    site.silent = silent
    with pytest.raises(DownloadError, match=r"more than the 768,000 bytes" if silent else "gives 15,360,000 bytes"):
        fetch(wanted(site), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_less_than_was_expected(site: Site, tmp_path: Path) -> None:
    site.files["/model.onnx"] = DATA[:1000]
    with pytest.raises(DownloadError, match="gives 1,000 bytes, the known file has 768,000"):
        fetch(wanted(site), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_too_long_is_begun_again(site: Site, tmp_path: Path) -> None:
    part_of(tmp_path / "model.onnx", wanted(site)).write_bytes(b"x" * (len(DATA) + 1))
    fetch(wanted(site), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == DATA


def test_a_part_that_is_damaged_is_thrown_away(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    part_of(target, wanted(site)).write_bytes(b"x" * 1000)
    with pytest.raises(DownloadError, match="sha256 differs"):
        fetch(wanted(site), target)
    fetch(wanted(site), target)
    assert target.read_bytes() == DATA


def test_servers_in_trouble(site: Site, tmp_path: Path) -> None:
    site.failures = [503, 500]
    fetch(wanted(site), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == DATA
    with pytest.raises(DownloadError, match=r"answers 404.*twinloop models add"):
        fetch(wanted(site, "/gone.onnx"), tmp_path / "gone.onnx")
    assert [path for path, _ in site.asked].count("/gone.onnx") == 1


def test_nobody_there(tmp_path: Path) -> None:
    with serving(Site()) as site:
        url = site.url
    with pytest.raises(DownloadError, match="refused"):
        fetch(Wanted(f"{url}/x", 1, "0" * 64), tmp_path / "x")


def test_redirects(site: Site, tmp_path: Path) -> None:
    site.redirects = {
        "/moved": f"{site.url}/model.onnx",
        "/plain": "http://example.org/model.onnx",
        "/file": "file:///etc/passwd",
    }
    fetch(wanted(site, "/moved"), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == DATA
    with pytest.raises(DownloadError, match=r"http://example\.org/model\.onnx: only https"):
        fetch(wanted(site, "/plain"), tmp_path / "plain.onnx")
    with pytest.raises(DownloadError):
        fetch(wanted(site, "/file"), tmp_path / "file.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://localhost/x", "file:///etc/passwd", "x", "http://localhost.example.org/x"]
)
def test_addresses_that_are_not_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only https"):
        fetch(Wanted(url, 1, "0" * 64), tmp_path / "x")


@pytest.mark.parametrize("url", ["https://example.org/x", "http://localhost:8000/x", "http://127.0.0.1/x"])
def test_addresses_that_are(url: str) -> None:
    check_address(url)


def test_a_full_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "model.onnx"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="disk is full"):
            fetch(wanted(site), target)
    assert not target.exists()
    before = len(site.asked)
    fetch(wanted(site), target)
    assert target.read_bytes() == DATA and len(site.asked) == before, "what was there already is not fetched again"
