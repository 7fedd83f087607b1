"""Stars of alike photos as groups of files: who is kept, who is dropped for whom, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from twinloop.stages.same_picture.likeness import Copy
from twinloop.stages.vault.copies.ranking import Ranking, score
from twinloop.stages.vault.copies.record import DuplicateFile, DuplicateGroup
from twinloop.stages.vault.copies.short_names import ShortNames
from twinloop.stages.vault.copies.stars import Star
from twinloop.store.vault.summaries import PhotoSummary


class GroupWriter:
    """Writes groups.

    Args:
        photos: all of them; stars name them by their place. copies: paths by content hash, of contents that several
            paths have, but one of each file; the first stands for the others.
        same_twice: whether of two photos of a burst (places) one says all.
    """

    def __init__(
        self,
        photos: Sequence[PhotoSummary],
        copies: Mapping[str, Sequence[str]],
        ranking: Ranking,
        same_twice: Callable[[int, int], bool],
    ) -> None:
        self._photos, self._copies, self._ranking, self._same_twice = photos, copies, ranking, same_twice
        self._names = ShortNames(path for photo in photos for path in copies.get(photo.sha256, (photo.path,)))

    def exact(self) -> Iterator[DuplicateGroup]:
        """A group for every content that several files have, by content."""
        for photo in self._photos:
            if len(self._copies.get(photo.sha256, ())) > 1:
                files = tuple(self._files(photo, None, "the first path"))
                yield DuplicateGroup("exact", f"{len(files)} files of the same bytes", files)

    def near(self, star: Star[int, Copy]) -> DuplicateGroup:
        best = self._photos[star.best]
        others = [self._photos[place] for place, _ in star.others]
        files = self._files(best, None, self._ranking.why(best, others))
        for photo, (_, copy) in zip(others, star.others, strict=True):
            files += self._files(photo, best.sha256, copy.text(self._names.of(best.path)))
        return DuplicateGroup("near", f"{1 + len(others)} copies of one picture", tuple(files))

    def burst(self, star: Star[int, bool]) -> DuplicateGroup:
        """The best of each pose and expression stays; the others are dropped for the kept one that is like them."""
        places = [star.best, *(place for place, _ in star.others)]
        best = self._photos[star.best]
        kept = [star.best]
        files = self._files(best, None, self._ranking.why(best, [self._photos[place] for place in places[1:]]))
        for place in places[1:]:
            twin = next((other for other in kept if self._same_twice(place, other)), None)
            if twin is None:
                kept.append(place)
                files += self._files(self._photos[place], None, "another pose, expression or view of the same moment")
            else:
                name = self._names.of(self._photos[twin].path)
                files += self._files(
                    self._photos[place],
                    self._photos[twin].sha256,
                    f"the same view, pose and expression as {name}, of the same moment",
                )
        return DuplicateGroup(
            "burst", f"{len(places)} photos of one person within seconds, {len(kept)} of them kept", tuple(files)
        )

    def _files(self, photo: PhotoSummary, instead: str | None, reason: str) -> list[DuplicateFile]:
        """All files of one photo. Of a kept one the first file stands for the others."""
        paths = self._copies.get(photo.sha256, (photo.path,))
        found = [DuplicateFile(paths[0], photo.sha256, instead is None, instead, reason, score(photo))]
        for path in paths[1:]:
            found.append(
                DuplicateFile(
                    path,
                    photo.sha256,
                    False,
                    instead or photo.sha256,
                    f"the same bytes as {self._names.of(paths[0])}",
                    score(photo),
                )
            )
        return found
