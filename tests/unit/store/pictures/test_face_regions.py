"""Names out of XMP and out of Takeout's JSON: as programs write them, and as nobody should."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from tests.helpers import xmp
from twinloop.store.pictures.face_regions import PhotoName, agreement, clean_name, names_in, takeout_names

ANNA, BEN = ("Anna Maier", (0.25, 0.4, 0.1, 0.2)), ("Ben & Co", (0.7, 0.5, 0.2, 0.2))
BOXES = {"Anna Maier": (0.2, 0.3, 0.3, 0.5), "Ben & Co": (0.6, 0.4, 0.8, 0.6)}


def read(body: str, orientation: int = 1, size: tuple[int, int] | None = (400, 300)) -> dict[str, object]:
    found = names_in(xmp.packet(body), orientation, size)
    return {said.name: said.box and tuple(round(value, 6) for value in said.box) for said in found}


@pytest.mark.parametrize("body", [xmp.lightroom([ANNA, BEN]), xmp.picasa([ANNA, BEN])])
def test_regions_of_the_metadata_working_group(body: str) -> None:
    assert read(body) == BOXES


@pytest.mark.parametrize("written", [xmp.windows, xmp.digikam_regions])
def test_regions_of_microsoft(written: object) -> None:
    boxes = {"Anna Maier": "0.2, 0.3, 0.1, 0.2", "Ben & Co": "0.6,0.4,0.2,0.2", "Without": "", "Odd": "0.1, x, 1, 1"}
    assert read(written(boxes)) == {**BOXES, "Without": None, "Odd": None}  # type: ignore[operator]


def test_names_of_the_whole_photo() -> None:
    body = xmp.keywords(
        ["Anna Maier", " "], ["People/Family/Ben", "Places/Rome", "People/Anna Maier", "People/Unknown"]
    )
    assert read(body) == {"Anna Maier": None, "Ben": None}


def test_pets_and_faces_without_a_name_are_nobody() -> None:
    assert read(xmp.picasa([("Rex", ANNA[1])], kind="Pet")) == {}
    assert read(xmp.picasa([("", ANNA[1]), ("Unknown", BEN[1])])) == {}


def test_areas_in_pixels() -> None:
    body = xmp.picasa([("Anna", (100, 120, 40, 60))]).replace("normalized", "pixel")
    assert read(body) == {"Anna": None}
    dimensions = '<mwg-rs:AppliedToDimensions stDim:w="400" stDim:h="300" stDim:unit="pixel"/><mwg-rs:RegionList>'
    assert read(body.replace("<mwg-rs:RegionList>", dimensions)) == {"Anna": (0.2, 0.3, 0.3, 0.5)}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_turns_with_the_picture(orientation: int) -> None:
    """What Pillow makes of a stored picture is where the region must be."""
    stored = np.zeros((300, 400), np.uint8)
    stored[90:150, 80:120] = 255
    image = Image.fromarray(stored)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    height, width = upright.shape
    rows, columns = np.nonzero(upright)
    expected = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
    for body in (xmp.lightroom([ANNA]), xmp.windows({"Anna Maier": "0.2, 0.3, 0.1, 0.2"})):
        assert read(body, orientation, (width, height)) == {"Anna Maier": pytest.approx(expected)}


def test_the_dimensions_tell_regions_of_another_picture() -> None:
    upright = xmp.lightroom([ANNA], applied=(600, 800))
    assert read(upright, 6, (300, 400)) == {"Anna Maier": (0.2, 0.3, 0.3, 0.5)}  # turned by the program already
    assert read(xmp.lightroom([ANNA], applied=(800, 600)), 1) == {"Anna Maier": (0.2, 0.3, 0.3, 0.5)}  # made smaller
    assert read(xmp.lightroom([ANNA], applied=(500, 300)), 1) == {"Anna Maier": None}  # cropped since
    assert read(upright, 1) == {"Anna Maier": None}  # turned since


def test_the_dimensions_of_a_packet_count_for_microsofts_regions_too() -> None:
    windows = xmp.windows({"Anna Maier": "0.2, 0.3, 0.1, 0.2"})

    def both(applied: tuple[int, int]) -> str:
        return xmp.lightroom([BEN], applied) + windows

    assert read(both((600, 800)), 6, (300, 400)) == BOXES  # turned by the program already
    assert read(both((500, 300)), 1) == dict.fromkeys(BOXES)  # cropped since
    assert read(both((400, 300)), 1) == BOXES


def test_where_nobody_knows_how_the_picture_is_turned_no_region_has_a_place() -> None:
    packet = xmp.packet(xmp.lightroom([BEN]) + xmp.windows({"Anna": "0.2, 0.3, 0.1, 0.2"}))
    assert set(names_in(packet, None, (400, 300))) == {PhotoName("Ben & Co"), PhotoName("Anna")}


def test_boxes_are_cut_to_the_picture_and_those_outside_are_none() -> None:
    regions = [("Edge", (0.0, 0.5, 0.2, 0.2)), ("Out", (2.0, 0.5, 0.2, 0.2)), ("Flat", (0.5, 0.5, 0.0, 0.2))]
    assert read(xmp.picasa(regions)) == {"Edge": (0.0, 0.4, 0.1, 0.6), "Out": None, "Flat": None}
    assert read(xmp.picasa([("N", (float("nan"), 0.5, 0.2, 0.2)), ("I", (0.5, 0.5, 0.2, float("inf")))])) == {
        "N": None,
        "I": None,
    }


HOSTILE = [
    b"",
    b"\0" * 100,
    b"<a>",
    b"<a/>" * 2,
    b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>',
    b"<a>" * 100_000,
    b"<a>" + b"<b/>" * 100_000 + b"</a>",
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b'<?xml version="1.0" encoding="utf-7"?><a/>',
    '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'.encode("utf-16"),
    b"<a>" + b" " * (5 << 20) + b"</a>",
    b"<a>&#xD800;</a>",
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[:20].decode("latin-1"))
def test_what_is_no_packet_has_no_names(data: bytes) -> None:
    assert names_in(data) == ()


def test_a_document_type_is_refused_however_it_is_encoded() -> None:
    good = xmp.packet(xmp.keywords(["Anna"])).decode()
    typed = good.replace("<x:xmpmeta", "<!DOCTYPE x:xmpmeta [<!ENTITY e 'Eve'>]><x:xmpmeta").replace("Anna", "&e;")
    for encoding in ("utf-8", "utf-16"):
        assert names_in(typed.replace("\ufeff", "").encode(encoding)) == ()
    assert names_in(good.replace("\ufeff", "").encode("utf-16")) == (PhotoName("Anna"),)


def test_lists_without_end_are_cut() -> None:
    assert len(names_in(xmp.packet(xmp.keywords([f"name {number}" for number in range(5000)])))) == 200


def test_a_packet_is_of_bounded_depth_and_size() -> None:
    named = xmp.keywords(["Anna"])
    for deep in (20, 5000):
        nested = "<rdf:Description>" * deep + named + "</rdf:Description>" * deep
        assert names_in(xmp.packet(nested)) == ((PhotoName("Anna"),) if deep < 40 else ()), deep
    for many in (10_000, 60_000):
        listed = named.replace("<rdf:Bag>", "<rdf:Bag>" + "<rdf:x/>" * many)
        assert names_in(xmp.packet(listed)) == ((PhotoName("Anna"),) if many < 50_000 else ()), many


def check(found: tuple[PhotoName, ...]) -> None:
    for said in found:
        assert said.name == clean_name(said.name) != ""
        said.name.encode()
        assert said.box is None or (0 <= said.box[0] < said.box[2] <= 1 and 0 <= said.box[1] < said.box[3] <= 1)


GOOD = xmp.packet(xmp.lightroom([ANNA, BEN]) + xmp.windows({"Cid": "0.1, 0.1, 0.2, 0.2"}) + xmp.keywords(["Dora"]))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(max_size=6)), max_size=6), st.integers(-2, 12))
def test_damaged_packets_never_raise(damage: list[tuple[int, bytes]], orientation: int) -> None:
    data = bytearray(GOOD)
    for place, piece in damage:
        data[place : place + len(piece)] = piece
    check(names_in(bytes(data), orientation, (400, 300)))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    check(names_in(data))
    check(takeout_names(data))


@settings(deadline=None, max_examples=100)
@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
    st.tuples(*(st.floats(allow_nan=True, allow_infinity=True),) * 4),
    st.integers(1, 8),
)
def test_any_name_and_any_area(name: str, area: tuple[float, float, float, float], orientation: int) -> None:
    found = names_in(xmp.packet(xmp.picasa([(name, area)])), orientation, (40, 30))
    check(found)
    assert [said.name for said in found] == ([clean_name(name)] if clean_name(name) else [])


def test_names_are_on_one_line_and_can_be_seen() -> None:
    assert clean_name("  Anna\n\tMaier\u202e\x1b[31m ") == "Anna Maier[31m"
    assert clean_name("Zoe\u0308") == "Zo\u00eb"
    assert clean_name("x" * 121) == ""


def test_takeout() -> None:
    data = {
        "title": "a.jpg",
        "people": [{"name": "Anna Maier"}, {"name": ""}, {"id": 1}, "x", {"name": 5}, {"name": "\ud800B"}],
    }
    assert takeout_names(json.dumps(data).encode()) == (PhotoName("Anna Maier"), PhotoName("B"))
    for other in (b"[]", b"{}", b'{"people": {"a": 1}}', b"[" * 100_000, b'{"people": 1}', b"\xff"):
        assert takeout_names(other) == ()


def test_regions_and_faces_agree_by_overlap_or_by_their_centres() -> None:
    face = (0.4, 0.4, 0.5, 0.5)
    assert agreement((0.41, 0.4, 0.51, 0.5), face) > 0.5
    assert 0 < agreement((0.35, 0.33, 0.55, 0.57), face) < 0.25  # a head with its hair
    assert agreement((0.5, 0.4, 0.6, 0.5), face) == 0  # the neighbour
    assert agreement((0.0, 0.0, 0.9, 0.9), face) == 0  # the whole photo
