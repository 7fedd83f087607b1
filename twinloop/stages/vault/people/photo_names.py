"""Reading the names that photo programs gave: in photos, and in files beside them. Photos are only read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import BinaryIO

from twinloop.domain.vault import FaceKey
from twinloop.ports import Reporter
from twinloop.store.pictures.face_regions import PhotoName, names_in, takeout_names
from twinloop.store.pictures.images import stored_orientation
from twinloop.store.pictures.names_beside import JSON, Beside, Folder, contents
from twinloop.store.pictures.xmp_packets import xmp_packets
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.listing import Listing
from twinloop.store.vault.photo_names import ListedPhoto, PhotoNames, kept
from twinloop.system.files import BINARY, NO_WAIT

VERSION = "names-2"
BATCH = 512


def read_names(
    catalog: VaultCatalog,
    forgotten: Mapping[str, Sequence[FaceKey]],
    is_forgotten: Callable[[str], bool],
    reporter: Reporter,
) -> int:
    """Bring the names of the listed photos up to date; returns how many photos of the vault have one.

    The content of a photo is read once, and of its file only the parts around the pixels; a file beside it whenever it
    changed.

    Args:
        forgotten: faces by photo, whose names are not kept. is_forgotten: whether a name is kept nowhere.
    """
    return _Reading(PhotoNames(catalog), forgotten, is_forgotten).run(catalog, reporter)


class _Reading:
    def __init__(
        self, names: PhotoNames, forgotten: Mapping[str, Sequence[FaceKey]], is_forgotten: Callable[[str], bool]
    ) -> None:
        self._names, self._forgotten, self._is_forgotten = names, forgotten, is_forgotten
        self._folder = lru_cache(maxsize=64)(Folder)

    def run(self, catalog: VaultCatalog, reporter: Reporter) -> int:
        names, last, done = self._names, None, 0
        names.make()
        total = Listing(catalog).listed_photos()
        while photos := names.listed(last, BATCH):
            with catalog.batch():
                self._take(photos)
            last, done = photos[-1].path, done + len(photos)
            if len(photos) == BATCH:
                reporter.progress("Reading names", done, total)
        with catalog.batch():
            names.drop_without_photo()
        return names.count()

    def _take(self, photos: Sequence[ListedPhoto]) -> None:
        read: set[str] = set()
        known = self._names.stamps(photos)
        for photo in photos:
            if photo.stamp != VERSION and photo.sha256 not in read:
                self._read_content(photo)
                read.add(photo.sha256)
            for beside in self._folder(photo.path.parent).beside(photo.path.name):
                source = photo.beside(beside.path)
                stamp = f"{VERSION} {photo.sha256} {beside.stamp}"
                if known.pop(source, None) != stamp:
                    self._read_beside(photo, beside, source, stamp)
        for source in known:
            self._names.drop(source)

    def _read_content(self, photo: ListedPhoto) -> None:
        try:
            with _opened(photo) as file:
                found = _placed(photo, xmp_packets(file), file)
        except (OSError, MemoryError):  # it is read by the next scan
            return
        self._put(photo.content, photo, VERSION, found)

    def _read_beside(self, photo: ListedPhoto, beside: Beside, source: bytes, stamp: str) -> None:
        data = contents(beside.path)
        if data is None:
            return
        try:
            if beside.path.suffix.lower() == JSON:
                found: Iterable[PhotoName] = takeout_names(data)
            else:
                with _opened(photo) as file:
                    found = _placed(photo, (data,), file)
        except (OSError, MemoryError):
            return
        self._put(source, photo, stamp, found)

    def _put(self, source: bytes, photo: ListedPhoto, stamp: str, found: Iterable[PhotoName]) -> None:
        names = kept(found, self._forgotten.get(photo.sha256, ()))
        self._names.put(source, photo.sha256, stamp, (said for said in names if not self._is_forgotten(said.name)))


@contextmanager
def _opened(photo: ListedPhoto) -> Iterator[BinaryIO]:
    """The file of a photo.

    Raises:
        OSError: it cannot be read, or is not the one any more that was scanned.
    """
    handle = os.open(photo.path, os.O_RDONLY | NO_WAIT | BINARY)
    with open(handle, "rb", closefd=True) as file:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or (seen.st_size, seen.st_mtime_ns) != (photo.size, photo.mtime_ns):
            raise OSError(f"{photo.path} changed since it was scanned")
        yield file


def _placed(photo: ListedPhoto, packets: Iterable[bytes], file: BinaryIO) -> list[PhotoName]:
    """The names in packets; how the picture lies is looked up only where that matters."""
    found: list[PhotoName] = []
    for packet in packets:
        names = names_in(packet)
        if any(said.box is not None for said in names):
            names = names_in(packet, stored_orientation(file), (photo.width, photo.height))
        found += names
    return found
