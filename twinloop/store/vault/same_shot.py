"""Which photos are of one shot: a raw photo and what was used in its place, now or before.

A raw photo and the JPEG or HEIC beside it are one photo (`raw_pairs`), and the latter is used. Where that one comes
later, goes, or is exported again, the shot lies in the vault with another content; what the user said of it, and what
was prepared of it, is of the shot. So each content that a shot had is noted once it has another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from twinloop.domain.scanned import ListedFile
from twinloop.domain.vault import FaceKey
from twinloop.store.journal import Journal
from twinloop.store.pictures.raw_pairs import photo_beside
from twinloop.store.vault.catalog import VaultCatalog
from twinloop.store.vault.listing import Listing

_REMEDY = (
    "Restore it from a copy: by it, what you said of a raw photo holds for the JPEG beside it, too. Without one, move"
    " it away."
)
_Raw = tuple[str, int, int]
"""Path, size and time of modification of a raw photo."""


@dataclass(frozen=True)
class SameShot:
    """The contents (sha256) of each shot that has had more than one.

    ``latest``: those that these shots had when they were noted last.
    """

    together: Mapping[str, frozenset[str]] = field(default_factory=dict)
    latest: frozenset[str] = frozenset()

    def of(self, sha256: str) -> frozenset[str]:
        """All contents of the shot that has this one."""
        return self.together.get(sha256, frozenset((sha256,)))

    def all_of(self, contents: Iterable[str]) -> frozenset[str]:
        """All contents of these shots."""
        return frozenset(one for sha256 in contents for one in self.of(sha256))

    def faces_of(self, keys: Iterable[FaceKey]) -> list[FaceKey]:
        """These faces, at their places in all photos of their shots. A whole picture is there because it was said, so
        that it is only that of the latest photo.
        """
        found: dict[FaceKey, None] = {}
        for key in keys:
            contents = self.of(key.sha256)
            contents = (contents & self.latest or contents) if key.is_whole else contents
            found.update((replace(key, sha256=one), None) for one in sorted(contents))
        return list(found)

    @classmethod
    def read(cls, path: Path) -> SameShot:
        """What is noted; nothing where there is no such file.

        Raises:
            StateError: it is damaged. StorageError: it may not be read.
        """
        return _together(_noted(_journal(path, reading=True)).values())


class SameShotLog:
    """Notes how the contents of shots change from one scan to the next. Paths of photos are private: the file is
    readable by its owner only.

    Raises:
        StateError: it is damaged. StorageError: it may not be read or mended.
    """

    def __init__(self, path: Path, catalog: VaultCatalog) -> None:
        self._journal, self._catalog = _journal(path), catalog
        self._listing = Listing(catalog)
        self._latest = {raw: contents[-1] for raw, contents in _noted(self._journal).items()}

    def note_before(self) -> None:
        """Note the content of each shot that will have another one after this scan; before anything is forgotten that
        is no longer listed.
        """
        for listed, before, now in self._listing.listed_pairs():
            content = self._content(listed.path, before)
            if content is not None and content != self._content_now(listed.path, now):
                self._note(listed, content)

    def note_now(self) -> None:
        """Note the content that these shots have after this scan."""
        for path, *stat in list(self._latest):
            entry = self._catalog.files.at(Path(path))
            if entry is not None and [entry.size, entry.mtime_ns] == stat:
                content = self._content(entry.path, entry.problem)
                if content is not None:
                    self._note(ListedFile(entry.path, entry.size, entry.mtime_ns), content)

    def _content(self, raw_photo: Path, problem: str) -> str | None:
        """As it is known; None = it is not, or is no photo."""
        used = photo_beside(problem)
        entry = self._catalog.files.at(raw_photo if used is None else raw_photo.with_name(used))
        return entry.sha256 if entry is not None and not entry.problem else None

    def _content_now(self, raw_photo: Path, now: str) -> str | None:
        """As the folder has it now; None = it has yet to be read."""
        used = photo_beside(now)
        unchanged = used is not None and self._listing.is_unchanged(raw_photo.with_name(used))
        return self._content(raw_photo, now) if unchanged else None

    def _note(self, raw_photo: ListedFile, content: str) -> None:
        key = (str(raw_photo.path), raw_photo.size, raw_photo.mtime_ns)
        if self._latest.get(key) != content:
            self._journal.record(str(len(self._journal) + 1), [*key, content])
            self._latest[key] = content


def _journal(path: Path, reading: bool = False) -> Journal:
    return Journal(path, mend=not reading, private=True, remedy=_REMEDY)


def _noted(journal: Journal) -> Mapping[_Raw, Sequence[str]]:
    """The contents of each shot, the latest one last."""
    found: dict[_Raw, list[str]] = {}
    for number in range(1, len(journal) + 1):
        path, size, mtime_ns, content = journal.get(str(number))
        found.setdefault((path, size, mtime_ns), []).append(content)
    return found


def _together(shots: Collection[Sequence[str]]) -> SameShot:
    """Shots that share a content are one: of a raw photo that was moved, for example."""
    found: dict[str, frozenset[str]] = {}
    for contents in shots:
        whole = frozenset(contents).union(*(found[one] for one in contents if one in found))
        found.update(dict.fromkeys(whole, whole))
    several = {one: whole for one, whole in found.items() if len(whole) > 1}
    return SameShot(several, frozenset(contents[-1] for contents in shots) & several.keys())
