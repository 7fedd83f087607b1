"""What lies in folders, without opening anything: candidates by name, and what is skipped by name or kind."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twinloop.domain.scanned import ListedFile
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.vault.files import Found

NOT_OPENED = {
    ".eps": "EPS is a program, not a photo: it is never opened",
    ".ps": "PostScript is a program, not a photo: it is never opened",
    ".svg": "SVG is a drawing, not a photo",
    ".pdf": "PDF is a document: save its pictures as JPEG or PNG",
    ".psd": "Photoshop document: save it as PNG or TIFF",
    ".xcf": "GIMP document: save it as PNG or TIFF",
    ".kra": "Krita document: save it as PNG or TIFF",
    **dict.fromkeys(
        ".cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .dng .raf .rw2 .orf .pef .srw .x3f .raw".split(),
        "raw photo of a camera: develop it to JPEG or TIFF first",
    ),
    **dict.fromkeys(
        ".ppm .pgm .pbm .pnm .pfm .tga .dds .ico .icns .cur .pcx .sgi .ras .xbm .xpm .jp2 .j2k .jpx .jxl .jxr "
        ".wmf .emf .exr .hdr .fits .dcm".split(),
        "a picture format that this tool does not open",
    ),
}
"""Pictures that stay shut, each with the reason; every other file that is no photo by its name is only counted."""


@dataclass
class Walk:
    """Walks folders.

    Attributes:
        shut_out: folders that are never entered (the vault itself).
        ignored: files that are no pictures by their name, counted by suffix. unread: folders that could not be looked
            into. Both grow as the walk goes on.
    """

    shut_out: frozenset[str] = frozenset()
    ignored: Counter[str] = field(default_factory=Counter)
    unread: list[Path] = field(default_factory=list)

    def found(self, roots: Sequence[Path]) -> Iterator[Found]:
        """Every picture file under the roots (folders or files), hidden ones left out; nothing is opened, links to
        folders are not followed.
        """
        real_roots = tuple(os.path.realpath(root) for root in roots)
        for root in roots:
            if root.is_dir():
                yield from self._folder(os.path.abspath(root), real_roots)
            else:
                yield _of_path(os.path.abspath(root), lambda target: False)

    def _folder(self, top: str, real_roots: tuple[str, ...]) -> Iterator[Found]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        if not entry.is_dir(follow_symlinks=False):
                            yield from self._entry(entry, real_roots)
                        elif os.path.realpath(entry.path) not in self.shut_out:
                            waiting.append(entry.path)
            except OSError as error:
                self.unread.append(Path(folder))
                yield Found(
                    ListedFile(Path(folder), 0, 0), f"this folder cannot be looked into: {error.strerror or error}"
                )

    def _entry(self, entry: os.DirEntry[str], real_roots: tuple[str, ...]) -> Iterator[Found]:
        suffix = Path(entry.name).suffix.lower()
        if suffix in SUFFIXES:
            yield _of_path(entry.path, lambda target: any(self._comes_by(target, root) for root in real_roots))
        elif suffix in NOT_OPENED:
            yield Found(ListedFile(Path(entry.path), 0, 0), NOT_OPENED[suffix])
        elif entry.is_symlink() and entry.is_dir():
            if os.path.realpath(entry.path) not in real_roots:
                yield Found(ListedFile(Path(entry.path), 0, 0), "a link to a folder: scan that folder itself")
        else:
            self.ignored[suffix] += 1

    def _comes_by(self, target: str, root: str) -> bool:
        """Whether the walk of a root finds this file by itself; not where it is no photo by its name, hidden (git-annex
        keeps photos so) or shut out.
        """
        if target == root:
            return True
        top = os.path.join(root, "")
        if not target.startswith(top) or Path(target).suffix.lower() not in SUFFIXES:
            return False
        parts = Path(target[len(top) :]).parts
        folders = (top + os.sep.join(parts[:number]) for number in range(1, len(parts)))
        return not any(part.startswith(".") for part in parts) and self.shut_out.isdisjoint(folders)


def _of_path(path: str, scanned_itself: Callable[[str], bool]) -> Found:
    """One file with its stat, or why it is none."""
    try:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            problem = _link_problem(path, scanned_itself)
            if problem:
                return Found(ListedFile(Path(path), 0, 0), problem)
            seen = Path(path).stat()
    except OSError as error:
        return Found(ListedFile(Path(path), 0, 0), f"cannot be read: {error.strerror or error}")
    listed = ListedFile(Path(path), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return Found(listed, "" if stat.S_ISREG(seen.st_mode) else f"is {_kind(seen.st_mode)}, not a file")


def _link_problem(path: str, scanned_itself: Callable[[str], bool]) -> str:
    """Links to files are followed, unless the file itself is scanned as well: it would look like a copy that could be
    deleted.
    """
    target = os.path.realpath(path)
    if not os.path.exists(target):
        return "a link to nothing, or to itself"
    if Path(target).is_dir():
        return "a link to a folder: scan that folder itself"
    if scanned_itself(target):
        return f"a link to {target}, which is scanned itself"
    return ""


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISDIR, "a folder"),
    )
    return next((name for test, name in kinds if test(mode)), "something else")
