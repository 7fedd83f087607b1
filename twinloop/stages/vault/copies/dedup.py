"""Dedup: which photos show the same thing, and which of them is kept.

Nothing is deleted; every decision is listed, and can be changed.

Exact: files of the same bytes. Near: copies of one picture, resized, recompressed, brightened, cut by a few percent,
marked, mirrored or turned; hashes bring them together, thumbnails decide. Burst: photos of one person taken within
seconds that look alike; they stay together, and of those that show the same view, pose and expression one is kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from twinloop.domain.wording import plural
from twinloop.errors import InputError, NothingToDo
from twinloop.ports import Reporter
from twinloop.stages.same_picture.likeness import Copy, turned_copy, upright_copy
from twinloop.stages.vault.copies import moment, signing
from twinloop.stages.vault.copies.candidates import Candidates, Numbers
from twinloop.stages.vault.copies.crowd import Crowd
from twinloop.stages.vault.copies.edits import apart, chosen
from twinloop.stages.vault.copies.group_writer import GroupWriter
from twinloop.stages.vault.copies.ranking import Ranking
from twinloop.stages.vault.copies.record import Duplicates, last_duplicates, read_duplicates
from twinloop.stages.vault.copies.stars import Star, stars
from twinloop.stages.vault.copies.views import Views, read_thumbnail
from twinloop.stages.vault.offline_folders import is_offline, online_and_offline
from twinloop.stages.vault.opened import OpenVault
from twinloop.stages.vault.second_names import one_name_each
from twinloop.store.atomic import write_json
from twinloop.store.vault.folder import Vault
from twinloop.store.vault.likeness_cache import Signature
from twinloop.store.vault.summaries import PhotoSummary, paths_of_copies, summaries

VERSION = "dedup-3"
LARGEST_DISTANCE = 16
"""Beyond it unrelated pictures meet by the thousand, and looking at their thumbnails takes longer than it finds."""
TURNED_DISTANCE = 8
"""Bits by which the disc hashes of a picture and its mirrored or turned copy may differ."""
STILL_UPRIGHT = 20
"""Bits of the perceptual hash by which two pictures with near disc hashes may differ and still be copies with the same
side up (cut ones)."""
PATIENCE = 100
"""Look-alikes that may turn out to be no copies of a photo before no others are compared with it: of a fixed camera's
thousand photos each is near each other, and a comparison takes milliseconds."""
RECOGNISABLE = 45.0
"""Degrees from which a picture is turned so far that its faces say nothing: embedders know upright ones, and one that
lies on its side, or is upside down, looks like somebody else to them."""
R = TypeVar("R")


@dataclass(frozen=True)
class DedupOptions:
    """What counts as a duplicate.

    Attributes:
        distance: bits of 64 by which perceptual hashes of copies may differ. burst_seconds: between photos of one
            burst; 0 = no bursts.
    """

    distance: int = 10
    burst_seconds: float = 5.0

    def check(self) -> None:
        """Raises InputError: a distance or time that cannot be."""
        if not 0 <= self.distance <= LARGEST_DISTANCE:
            raise InputError(
                f"A distance of {self.distance} bits: choose one from 0 (hardly changed) to {LARGEST_DISTANCE}."
            )
        if not 0 <= self.burst_seconds <= 3600:
            raise InputError(f"Bursts within {self.burst_seconds:g} seconds: choose from 0 (no bursts) to 3600.")


def options_for(vault: Vault, distance: int | None, burst_seconds: float | None) -> DedupOptions:
    """The options that were asked for; None = as in the last search, or the usual one."""
    last = last_duplicates(vault)
    usual = DedupOptions() if last is None else DedupOptions(last.distance, last.burst_seconds)
    return DedupOptions(
        usual.distance if distance is None else distance,
        usual.burst_seconds if burst_seconds is None else burst_seconds,
    )


def dedup(opened: OpenVault, options: DedupOptions, reporter: Reporter) -> Duplicates:
    """Search all photos that are there, and write ``duplicates.json``.

    Raises:
        InputError: an option that cannot be. NothingToDo: the catalogue has no photo.
    """
    options.check()
    photos = list(summaries(opened.catalog, opened.fingerprint))
    if not photos:
        raise NothingToDo(
            f"The catalogue has no photo to compare. Scan a folder first: {opened.vault.command('scan FOLDER')}"
        )
    found = _Search(opened, photos, options, opened.noting(reporter)).run()
    write_json(opened.vault.duplicates, found.to_json(), private=True)
    return found


def current(opened: OpenVault, reporter: Reporter) -> Duplicates:
    """The groups as they are now: as the last search left them, or searched again with its options when photos or
    decisions changed since.

    Raises:
        NothingToDo: there was no search yet, or no photo is left.
    """
    last = read_duplicates(opened.vault)
    if _is_current(last, opened):
        return last
    return dedup(opened, DedupOptions(last.distance, last.burst_seconds), reporter)


def known(opened: OpenVault) -> Duplicates | None:
    """The groups as the last search left them; None where they are to be searched again. Nothing is written.

    Raises:
        NothingToDo: there was no search yet.
    """
    last = read_duplicates(opened.vault)
    return last if _is_current(last, opened) else None


def _is_current(last: Duplicates, opened: OpenVault) -> bool:
    photos = list(summaries(opened.catalog, opened.fingerprint))
    return last.inputs == _inputs(opened, photos, _copies(opened, _away(opened)))


def _inputs(opened: OpenVault, photos: Sequence[PhotoSummary], copies: Mapping[str, Sequence[str]]) -> str:
    """What the groups follow from, beside the options."""
    decisions = opened.decisions
    said = [chosen(decisions), {sha256: sorted(others) for sha256, others in apart(decisions).items()}]
    away = map(os.fspath, _away(opened))
    known = [VERSION, signing.VERSION, opened.fingerprint, said, *sorted(away)]
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
    for photo in photos:
        paths = copies.get(photo.sha256, [photo.path])
        digest.update(photo.sha256.encode() + b"\0".join(os.fsencode(path) for path in paths) + b"\0\0")
    return digest.hexdigest()


def _away(opened: OpenVault) -> frozenset[Path]:
    return frozenset(online_and_offline(opened.record.folders, opened.catalog.files)[1])


class _Search:
    """One run over all photos. Photos are known by their place in ``photos`` here."""

    def __init__(
        self, opened: OpenVault, photos: Sequence[PhotoSummary], options: DedupOptions, reporter: Reporter
    ) -> None:
        self._opened, self._options, self._reporter = opened, options, reporter
        away = _away(opened)
        self._copies = _copies(opened, away)
        self._photos = [replace(photo, path=self._copies.get(photo.sha256, [photo.path])[0]) for photo in photos]
        self._views = Views(opened.catalog, opened.fingerprint)
        self._same_person = opened.record.same_person
        self._lying: set[str] = set()
        self._ranking = Ranking(chosen(opened.decisions), away, self._lying)
        self._apart = apart(opened.decisions)
        self._discs: dict[int, int] = {}

    def run(self) -> Duplicates:
        all_signs = signing.signatures(self._opened, self._photos, self._reporter)
        signs = {
            place: all_signs[photo.sha256] for place, photo in enumerate(self._photos) if photo.sha256 in all_signs
        }
        near = self._near(signs)
        gone = {place for star in near for place, _ in star.others}
        bursts = self._bursts([place for place in signs if place not in gone and self._photos[place].face])
        copies = self._copies
        writer = GroupWriter(self._photos, copies, self._ranking, self._same_twice)
        withheld = self._opened.decisions.forgotten_photos()  # no scan gives these a thumbnail
        files = sum(len(copies.get(photo.sha256, (photo.path,))) for photo in self._photos)
        return Duplicates(
            (*writer.exact(), *map(writer.near, near), *map(writer.burst, bursts)),
            self._options.distance,
            self._options.burst_seconds,
            len(self._photos),
            files,
            sum(photo.sha256 not in all_signs and photo.sha256 not in withheld for photo in self._photos),
            sum(sign.flat for sign in signs.values()),
            _inputs(self._opened, self._photos, copies),
        )

    def _near(self, signs: dict[int, Signature]) -> list[Star[int, Copy]]:
        """Copies of one picture. Flat pictures take no part: all of them look alike."""
        clear = [place for place, sign in signs.items() if not sign.flat]
        hashes = np.array([self._photos[place].phash for place in clear], np.uint64)
        discs = {place: disc for place in clear if (disc := signs[place].disc) is not None}
        self._discs = discs
        upright = Candidates(hashes, self._options.distance, _numbers(clear))
        turned = Candidates(np.array(list(discs.values()), np.uint64), TURNED_DISTANCE, _numbers(discs))
        crowd = Crowd(lambda place: read_thumbnail(self._opened.catalog, self._photos[place].sha256))
        crowded: set[int] = set()

        def near(place: int) -> list[int]:
            found = {*upright.of(place), *turned.of(place)}
            if len(found) <= PATIENCE:
                return sorted(found)
            crowded.add(place)
            # of what is mirrored or turned, details as they lie say nothing
            only_turned = found.difference(upright.of(place))
            by_disc = sorted(only_turned, key=lambda other: ((discs[other] ^ discs[place]).bit_count(), other))
            return [*by_disc, *crowd.nearest_first(place, found - only_turned)]

        things = self._ordered(place for place in clear if upright.any(place) or turned.any(place))
        found = self._stars(things, near, self._copy, "Comparing look-alikes", PATIENCE)
        if crowded:
            self._reporter.line(
                f"{plural(len(crowded), 'photo has', 'photos have')} more than {PATIENCE} look-alikes. Each is compared"
                f" with those that agree most with it, until {PATIENCE} were no copies."
            )
        return found

    def _bursts(self, places: Sequence[int]) -> list[Star[int, bool]]:
        """Photos of one moment, in the order of time; only those with a face."""
        if not self._options.burst_seconds:
            return []
        near = moment.moments({place: self._photos[place].taken for place in places}, self._options.burst_seconds)
        return self._stars(list(near), lambda place: near[place], self._moment, "Comparing bursts")

    def _stars(
        self,
        places: Sequence[int],
        near: Callable[[int], Iterable[int]],
        alike: Callable[[int, int], R | None],
        label: str,
        patience: float = math.inf,
    ) -> list[Star[int, R]]:
        """Groups, in the order of their best photo's path."""
        found = stars(
            places, near, lambda a, b: alike(min(a, b), max(a, b)), self._ordered,
            lambda done: self._reporter.progress(label, done, len(places)), patience,
        )  # fmt: skip
        self._reporter.progress(label, len(places), len(places))
        return sorted(found, key=lambda star: (self._photos[star.best].path, star.best))

    def _ordered(self, places: Iterable[int]) -> list[int]:
        """Best first. Photos are sorted by content, so a content's place is found again."""
        numbers = {self._photos[place].sha256: place for place in places}
        return [
            numbers[photo.sha256] for photo in self._ranking.ordered(self._photos[place] for place in numbers.values())
        ]

    def _kept_apart(self, a: int, b: int) -> bool:
        return self._photos[b].sha256 in self._apart.get(self._photos[a].sha256, ())

    def _copy(self, a: int, b: int) -> Copy | None:
        if self._kept_apart(a, b):
            return None
        one, other = self._views.get(self._photos[a].sha256), self._views.get(self._photos[b].sha256)
        if one is None or other is None:
            return None
        others = moment.other_people(one.faces, other.faces, self._same_person)
        differing = (self._photos[a].phash ^ self._photos[b].phash).bit_count()
        round_about = (
            a in self._discs and b in self._discs and (self._discs[a] ^ self._discs[b]).bit_count() <= TURNED_DISTANCE
        )
        found = None
        if not others and (differing <= self._options.distance or (round_about and differing <= STILL_UPRIGHT)):
            found = upright_copy(one.thumbnail, other.thumbnail, one.places, other.places)
        found = found or (turned_copy(one.thumbnail, other.thumbnail) if round_about else None)
        if found is None or abs(found.turned) < RECOGNISABLE:
            return None if others else found
        self._tell_upright(self._photos[a], self._photos[b])
        return found

    def _tell_upright(self, one: PhotoSummary, other: PhotoSummary) -> None:
        """Of two copies that differ in which side is up, the detector is surer of the face in the upright one.

        Landmarks do not tell: detectors that know upright faces only put them as on one of those.
        """
        if one.confidence != other.confidence:
            self._lying.add(min(one, other, key=lambda photo: photo.confidence).sha256)

    def _moment(self, a: int, b: int) -> bool | None:
        if self._kept_apart(a, b):
            return None
        one, other = self._views.get(self._photos[a].sha256), self._views.get(self._photos[b].sha256)
        alike = one is not None and other is not None and moment.same_moment(one, other, self._same_person)
        return True if alike else None

    def _same_twice(self, a: int, b: int) -> bool:
        one, other = self._views.get(self._photos[a].sha256), self._views.get(self._photos[b].sha256)
        return one is not None and other is not None and not self._kept_apart(a, b) and moment.same_twice(one, other)


def _copies(opened: OpenVault, away: Set[Path]) -> dict[str, list[str]]:
    """Paths by content hash, of contents that several paths have. Files that are not there now, deleted or on a disk
    that is away, are not among them where another one is there: else the user would be told to do without the only one.
    A file of several names has one here: else the user would be told to do without itself.
    """

    def there(paths: Sequence[str]) -> list[str]:
        return [path for path in paths if not is_offline(path, away) and os.path.exists(path)] or list(paths)

    return {sha256: one_name_each(there(paths)) for sha256, paths in paths_of_copies(opened.catalog).items()}


def _numbers(places: Iterable[int]) -> Numbers:
    return np.array(list(places), np.int32)
