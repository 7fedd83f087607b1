"""Raw photos beside the JPEG or HEIC of the same shot: the two are one photo, and the latter is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from twinloop.store.pictures import raw
from twinloop.store.pictures.capture_time import capture_time

PARTNERS = (".jpg", ".jpeg", ".jpe", ".heic", ".heif")
"""What cameras write beside a raw photo, first choice first."""
_SAME_SHOT = 2.0
"""Seconds; one of the two files may leave out fractions."""
_BESIDE = "lies beside "


def beside(photo: str) -> str:
    """The reason for which a raw photo is not used."""
    return f"{_BESIDE}{photo}, the same shot, which is used"


def is_beside(reason: str) -> bool:
    return reason.startswith(_BESIDE)


def is_raw_name(name: str) -> bool:
    return Path(name).suffix.lower() in raw.SUFFIXES


def partners(raws: Iterable[str], names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Raw photo -> the JPEGs and HEICs among the names of its folder that are called as it is, best first."""
    found: dict[str, list[str]] = {}
    for name in raws:
        found.setdefault(Path(name).stem.casefold(), [])
    for name in names:
        path = Path(name)
        if path.suffix.lower() in PARTNERS and path.stem.casefold() in found:
            found[path.stem.casefold()].append(name)
    for called in found.values():
        called.sort(key=lambda name: (PARTNERS.index(Path(name).suffix.lower()), name))
    return {name: found[Path(name).stem.casefold()] for name in raws}


def same_shot(raw_photo: Path, photo: Path) -> bool:
    """Whether two files of one name were taken at the same time; where one does not say when, the name counts."""
    one, other = capture_time(raw_photo), capture_time(photo)
    return one is None or other is None or abs(one - other) <= _SAME_SHOT


def without_pairs(folder: Path, names: Sequence[str]) -> list[str]:
    """The names of a folder's pictures without raw photos that lie beside a JPEG or HEIC of the same shot."""
    raws = [name for name in names if is_raw_name(name)]
    if not raws:
        return list(names)
    beside_it = partners(raws, names)
    paired = {name for name in raws if any(_pair(folder / name, folder / other) for other in beside_it[name])}
    return [name for name in names if name not in paired]


def _pair(raw_photo: Path, photo: Path) -> bool:
    # an empty one holds no photo that could be used
    return photo.is_file() and photo.stat().st_size > 0 and same_shot(raw_photo, photo)
