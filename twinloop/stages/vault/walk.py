"""What lies in folders: candidates by name, and what is skipped by name or kind. Nothing is opened, except raw photos
and the JPEGs beside them, to see when they were taken.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twinloop.domain.scanned import ListedFile
from twinloop.stages.vault.passed_over import MADE_HERE, Exclusions, made_here, passed_name
from twinloop.store.pictures import raw
from twinloop.store.pictures.images import SUFFIXES
from twinloop.store.pictures.raw_pairs import beside, is_raw_name, partners, same_shot
from twinloop.store.vault.files import FileEntry
from twinloop.store.vault.listing import Found

NOT_OPENED = {
    ".eps": "EPS is a program, not a photo: it is never opened",
    ".ps": "PostScript is a program, not a photo: it is never opened",
    ".svg": "SVG is a drawing, not a photo",
    ".pdf": "PDF is a document: save its pictures as JPEG or PNG",
    ".psd": "Photoshop document: save it as PNG or TIFF",
    ".xcf": "GIMP document: save it as PNG or TIFF",
    ".kra": "Krita document: save it as PNG or TIFF",
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
        known: what the last scan noted of a file, so that no pair is opened to learn again that it is one.
        ignored: files that are no pictures by their name, counted by suffix. unread: folders that could not be looked
            into. passed: files and folders that were passed over, counted by what they are. excluded: the same, by
            pattern. All grow as the walk goes on.
        exclusions: what is not scanned below the roots.
    """

    shut_out: frozenset[str] = frozenset()
    known: Callable[[Path], FileEntry | None] = lambda path: None
    ignored: Counter[str] = field(default_factory=Counter)
    unread: list[Path] = field(default_factory=list)
    exclusions: Exclusions = field(default_factory=Exclusions)
    passed: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)

    def found(self, roots: Sequence[Path]) -> Iterator[Found]:
        """Every picture file under the roots (folders or files), hidden ones left out; links to folders are not
        followed.
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
            raws = list[str]()
            try:
                with os.scandir(folder) as listed:
                    entries = list(listed)
                if folder != top and made_here(folder, (entry.name for entry in entries)):
                    self.passed[MADE_HERE] += 1
                    continue
                entries = [entry for entry in entries if self._is_taken(entry, folder, top)]
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        if is_raw_name(entry.name):
                            raws.append(entry.name)
                        else:
                            yield from self._entry(entry, real_roots)
                    elif os.path.realpath(entry.path) not in self.shut_out:
                        waiting.append(entry.path)
                if raws:
                    yield from self._raws(folder, raws, [entry.name for entry in entries], real_roots)
            except OSError as error:
                self.unread.append(Path(folder))
                yield Found(
                    ListedFile(Path(folder), 0, 0), f"this folder cannot be looked into: {error.strerror or error}"
                )

    def _is_taken(self, entry: os.DirEntry[str], folder: str, top: str) -> bool:
        """Whether an entry of a folder is looked at; one that is not hidden and passed over all the same is counted."""
        if entry.name.startswith("."):
            return False
        kind = passed_name(entry.name, folder)
        if kind is not None:
            self.passed[kind] += 1
            return False
        patterns = self.exclusions.matches(entry.path, top, folder=entry.is_dir(follow_symlinks=False))
        self.excluded.update(patterns)
        return not patterns

    def _entry(self, entry: os.DirEntry[str], real_roots: tuple[str, ...]) -> Iterator[Found]:
        suffix = Path(entry.name).suffix.lower()
        if suffix in SUFFIXES:
            yield self._photo(entry.path, real_roots)
        elif suffix in NOT_OPENED:
            yield Found(ListedFile(Path(entry.path), 0, 0), NOT_OPENED[suffix])
        elif entry.is_symlink() and entry.is_dir():
            target = os.path.realpath(entry.path)
            if not any(self.comes_to(target, root) for root in real_roots):
                yield Found(ListedFile(Path(entry.path), 0, 0), "a link to a folder: scan that folder itself")
        else:
            self.ignored[suffix] += 1

    def _photo(self, path: str, real_roots: tuple[str, ...]) -> Found:
        return _of_path(path, lambda target: any(self._comes_by(target, root) for root in real_roots))

    def _raws(
        self, folder: str, names: Sequence[str], others: Sequence[str], real_roots: tuple[str, ...]
    ) -> Iterator[Found]:
        """The raw photos of a folder, of which those beside a JPEG or HEIC of the same shot are skipped.

        Args:
            others: all that is looked at of the folder.
        """
        readable = raw.available()
        for name, called in partners(names, others).items():
            found = self._photo(os.path.join(folder, name), real_roots)
            if found.problem:
                yield found
                continue
            photos = (self._photo(os.path.join(folder, other), real_roots) for other in called)
            used = next((photo for photo in photos if self._pair(found.listed, photo)), None)
            why = "" if readable else raw.MISSING
            yield Found(found.listed, why if used is None else beside(used.listed.path.name))

    def _pair(self, raw_photo: ListedFile, photo: Found) -> bool:
        """Whether a raw photo and the photo that is called as it is are one shot."""
        if photo.problem or not photo.listed.size:
            return False
        before, other = self._unchanged(raw_photo), self._unchanged(photo.listed)
        if other is not None and other.problem:  # it holds no photo that could be used
            return False
        if before is not None and other is not None and before.problem == beside(photo.listed.path.name):
            return True
        return same_shot(raw_photo.path, photo.listed.path)

    def _unchanged(self, listed: ListedFile) -> FileEntry | None:
        entry = self.known(listed.path)
        if entry is None:
            return None
        stat = (entry.size, entry.mtime_ns, entry.ctime_ns)
        return entry if stat == (listed.size, listed.mtime_ns, listed.ctime_ns) else None

    def _comes_by(self, target: str, root: str) -> bool:
        """Whether the walk of a root finds this file by itself; not where it is no photo by its name."""
        return target == root or (Path(target).suffix.lower() in SUFFIXES and self.comes_to(target, root))

    def comes_to(self, target: str, root: str) -> bool:
        """Whether the walk of a root comes to this file or folder, which no link leads to; not where it is hidden
        (git-annex keeps photos so), passed over or shut out.
        """
        if target == root:
            return True
        top = os.path.join(root, "")
        if not target.startswith(top):
            return False
        parts = Path(target[len(top) :]).parts
        places = [root, *(top + os.sep.join(parts[:number]) for number in range(1, len(parts) + 1))]
        return (
            not any(part.startswith(".") for part in parts)
            and self.shut_out.isdisjoint(map(os.path.realpath, places[1:]))
            and not any(passed_name(part, place) for part, place in zip(parts, places, strict=False))
            and not any(self.exclusions.matches(place, root, folder=Path(place).is_dir()) for place in places[1:])
            and not any(made_here(place, _names(place)) for place in places[1:])
        )


def _names(folder: str) -> list[str]:
    try:
        return [path.name for path in Path(folder).iterdir()]
    except OSError:
        return []


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
