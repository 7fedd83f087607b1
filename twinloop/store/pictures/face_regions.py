"""Names that photo programs gave to faces: read out of XMP, and out of the JSON files of Google Takeout.

Lightroom, digiKam, Picasa and Apple Photos write regions of the Metadata Working Group (``mwg-rs:Regions``), Windows
Photo Gallery those of Microsoft (``MP:RegionInfo``). Keywords (``Iptc4xmpExt:PersonInImage``, ``digiKam:TagsList``) and
Takeout name people of a photo without saying where they are. What is read is anybody's: it is never trusted.
"""

from __future__ import annotations

import json
import math
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from twinloop.domain.faces import Box
from twinloop.domain.names import JOINER, NON_JOINER, composed
from twinloop.store.pictures.xmp_packets import LARGEST

MOST = 200
"""Names that are read of one packet."""
LONGEST = 120
"""Characters of a name."""
_DEEPEST, _ELEMENTS = 40, 50_000
_LISTS = 4
"""Lists of one kind that are looked at in a packet; programs write one."""
_SAME_ASPECT = 0.03
"""Share by which width / height may differ where regions were drawn on a larger or smaller version of the picture."""
_NOBODY = frozenset(("unknown", "unconfirmed", "ignored"))
"""What digiKam calls faces that nobody named."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_MWG = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_AREA = "{http://ns.adobe.com/xmp/sType/Area#}"
_DIMENSIONS = "{http://ns.adobe.com/xap/1.0/sType/Dimensions#}"
_MPRI = "{http://ns.microsoft.com/photo/1.2/t/RegionInfo#}"
_MPREG = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_PEOPLE = "People/"

_UTF16 = (b"\xff\xfe", b"\xfe\xff")

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class PhotoName:
    """A name that a photo program gave.

    Attributes:
        box: (x0, y0, x1, y1) of the face as shares of width and height of the upright photo; None = the name is the
            photo's as a whole.
    """

    name: str
    box: Corners | None = None


def names_in(packet: bytes, orientation: int | None = 1, size: tuple[int, int] | None = None) -> tuple[PhotoName, ...]:
    """The names in an XMP packet, each once; () for what is none, is damaged or has a document type.

    Regions lie in the picture as the file stores it. One that was drawn on a picture of another shape (it was cropped
    since) loses its box.

    Args:
        orientation: EXIF's, 1 to 8: how the stored picture is turned upright; None = not known, and no region has a
            place. size: (width, height) of the upright photo; None = not known.
    """
    root = _parsed(packet)
    if root is None:
        return ()
    turn = orientation if orientation is None or 1 <= orientation <= 8 else 1
    found = (*_mwg(root, turn, size), *_microsoft(root, turn, size), *map(PhotoName, _keywords(root)))
    return tuple(dict.fromkeys(islice(found, MOST)))


def takeout_names(data: bytes) -> tuple[PhotoName, ...]:
    """The people in the JSON file that Google Takeout puts beside a photo; () for any other file."""
    try:
        people = json.loads(data[: LARGEST + 1])["people"]
        texts = [person["name"] for person in people[:MOST] if isinstance(person, dict) and "name" in person]
    except (ValueError, TypeError, LookupError, RecursionError):
        return ()
    names = (clean_name(text) for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(PhotoName(name) for name in names if name))


def clean_name(text: str) -> str:
    """A name on one line without characters that cannot be seen; "" = it is none."""
    seen = "".join(char for char in composed(text) if char.isspace() or _is_visible(char))
    name = " ".join(seen.split())
    return "" if len(name) > LONGEST or name.casefold() in _NOBODY else name


def _is_visible(char: str) -> bool:
    return char in (JOINER, NON_JOINER) or unicodedata.category(char)[0] != "C"


def agreement(region: Corners, face: Corners) -> float:
    """How well a named region fits a face, 0 = not at all: their overlap (intersection over union); programs draw boxes
    of very different sizes, so it is also enough that each has the other's centre.
    """
    a, b = Box(*region), Box(*face)
    overlap = a.iou(b)
    if overlap >= _OVERLAP:
        return overlap
    ratio = max(a.area, b.area) / max(min(a.area, b.area), 1e-12)
    return max(overlap, 1e-6) if ratio <= _LARGER and _has_centre(a, b) and _has_centre(b, a) else 0.0


_OVERLAP = 0.25
_LARGER = 9.0
"""How many times as large one box may be where only the centres agree."""


def _has_centre(box: Box, of: Box) -> bool:
    x, y = of.center
    return box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1


class _Refused(ValueError):
    """What no photo program writes."""


class _Limited(ET.TreeBuilder):
    """Builds a tree of bounded depth and size, of a document without entities."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _Refused("a document type")

    def start(self, tag: str, attrs: dict[str, str]) -> ET.Element:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEEPEST or self._elements > _ELEMENTS:
            raise _Refused("too deep, or too large")
        return super().start(tag, attrs)

    def end(self, tag: str) -> ET.Element:
        self._depth -= 1
        return super().end(tag)


def _parsed(packet: bytes) -> ET.Element | None:
    """The tree of a packet.

    A document type is refused before the parser sees one: entities could make a small file large.
    """
    if len(packet) > LARGEST or b"<!DOCTYPE" in packet:
        return None
    parser = ET.XMLParser(target=_Limited())
    try:
        parser.feed(packet if packet[:2] in _UTF16 else packet.strip(b"\0 \t\r\n"))
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError, LookupError, TypeError, AssertionError):
        return None
    return root if isinstance(root, ET.Element) else None


def _mwg(root: ET.Element, turn: int | None, size: tuple[int, int] | None) -> Iterator[PhotoName]:
    for regions in islice(root.iter(f"{_MWG}Regions"), _LISTS):
        applied = _dimensions(next(_values(regions, f"{_MWG}AppliedToDimensions"), None))
        upright = _turn_for(applied, turn, size)
        for region in _items(next(_values(regions, f"{_MWG}RegionList"), None)):
            if _text(next(_values(region, f"{_MWG}Type"), "Face")).strip() == "Face":
                area = next(_values(region, f"{_MWG}Area"), None)
                box = None if upright is None else _turned(_area(area, applied), upright)
                yield from _named(next(_values(region, f"{_MWG}Name"), ""), box)


def _microsoft(root: ET.Element, turn: int | None, size: tuple[int, int] | None) -> Iterator[PhotoName]:
    """Microsoft's regions do not say on what picture they were drawn; a packet that has both kinds says it once."""
    said = next(root.iter(f"{_MWG}Regions"), None)
    upright = _turn_for(_dimensions(next(_values(said, f"{_MWG}AppliedToDimensions"), None)), turn, size)
    for regions in islice(root.iter(f"{_MPRI}Regions"), _LISTS):
        for region in _items(regions):
            name = next(_values(region, f"{_MPREG}PersonDisplayName"), "")
            numbers = _numbers(_text(next(_values(region, f"{_MPREG}Rectangle"), "")).split(","))
            box = None if numbers is None or len(numbers) != 4 else _corners(*numbers)
            yield from _named(name, None if upright is None else _turned(box, upright))


def _keywords(root: ET.Element) -> Iterator[str]:
    for people in islice(root.iter(f"{_IPTC}PersonInImage"), _LISTS):
        yield from filter(None, (clean_name(_text(item)) for item in _items(people)))
    for tags in islice(root.iter(f"{_DIGIKAM}TagsList"), _LISTS):
        paths = (_text(item).strip() for item in _items(tags))
        names = (path.rpartition("/")[2] for path in paths if path.startswith(_PEOPLE))
        yield from filter(None, map(clean_name, names))


def _named(value: ET.Element | str, box: Corners | None) -> Iterator[PhotoName]:
    name = clean_name(_text(value))
    if name:
        yield PhotoName(name, box)


def _values(node: ET.Element | str | None, name: str) -> Iterator[ET.Element | str]:
    """The values of a property: RDF has it as an attribute, as an element, and each of both in a description."""
    if not isinstance(node, ET.Element):
        return
    said = node.get(name)
    if said is not None:
        yield said
    for child in node:
        if child.tag == name:
            yield child
        elif child.tag == f"{_RDF}Description":
            yield from _values(child, name)


def _items(value: ET.Element | str | None) -> Iterator[ET.Element]:
    if isinstance(value, ET.Element):
        for array in value:
            yield from (item for item in array if item.tag == f"{_RDF}li")


def _text(value: ET.Element | str) -> str:
    return value if isinstance(value, str) else "".join(value.itertext())


def _numbers(texts: Sequence[str]) -> list[float] | None:
    try:
        found = [float(text) for text in texts]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


def _fields(value: ET.Element | str | None, *names: str) -> list[float] | None:
    texts = [next(_values(value, name), None) for name in names]
    return _numbers(["" if text is None else _text(text) for text in texts])


def _dimensions(value: ET.Element | str | None) -> tuple[float, float] | None:
    found = _fields(value, f"{_DIMENSIONS}w", f"{_DIMENSIONS}h")
    return (found[0], found[1]) if found is not None and min(found) > 0 else None


def _area(value: ET.Element | str | None, applied: tuple[float, float] | None) -> Corners | None:
    """The corners of an area, which is given by its centre; in pixels where it says so."""
    found = _fields(value, f"{_AREA}x", f"{_AREA}y", f"{_AREA}w", f"{_AREA}h")
    if found is None:
        return None
    x, y, width, height = found
    if _text(next(_values(value, f"{_AREA}unit"), "normalized")).strip() == "pixel":
        if applied is None:
            return None
        x, y, width, height = x / applied[0], y / applied[1], width / applied[0], height / applied[1]
    return _corners(x - width / 2, y - height / 2, width, height)


def _corners(x: float, y: float, width: float, height: float) -> Corners | None:
    """A box within the picture; None = nothing of it is."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, value)) for value in (x, y, x + width, y + height))
    return (x0, y0, x1, y1) if x1 - x0 > 1e-4 and y1 - y0 > 1e-4 else None


def _turn_for(applied: tuple[float, float] | None, turn: int | None, size: tuple[int, int] | None) -> int | None:
    """The orientation to apply to regions that were drawn on a picture of these dimensions.

    Some programs turn the regions with the picture; where it lies on its side, the dimensions tell. None = they are of
    another picture than this one, or nobody knows how it is turned.
    """
    if turn is None or applied is None or size is None or min(size) <= 0:
        return turn
    upright, sideways, drawn = size[0] / size[1], turn >= 5, applied[0] / applied[1]
    if _alike(drawn, 1 / upright if sideways else upright):
        return turn
    return 1 if sideways and _alike(drawn, upright) else None


def _alike(a: float, b: float) -> bool:
    return a > 0 and abs(a / b - 1) <= _SAME_ASPECT


def _turned(box: Corners | None, turn: int) -> Corners | None:
    """A box of the stored picture in the upright one."""
    if box is None:
        return None
    x0, y0, x1, y1 = box
    if turn in (2, 3):
        x0, x1 = 1 - x1, 1 - x0
    if turn in (3, 4):
        y0, y1 = 1 - y1, 1 - y0
    if turn in (6, 7):
        y0, y1 = 1 - y1, 1 - y0
    if turn in (7, 8):
        x0, x1 = 1 - x1, 1 - x0
    return (y0, x0, y1, x1) if turn >= 5 else (x0, y0, x1, y1)
