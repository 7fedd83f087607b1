"""Raw photos: told by their content, the picture in them in its colours, upright once; damaged, they are a reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from tests.helpers.raw_files import HEIGHT, WIDTH, Light, dng, jpeg, scene
from twinloop.domain.faces import ImageArray
from twinloop.errors import UnreadableImage
from twinloop.store.pictures import images, raw
from twinloop.store.pictures.images import decode, load_image, stored_orientation, upright_size
from twinloop.store.pictures.photo_file import decode_small
from twinloop.store.pictures.signatures import DAMAGED

MAY_1 = 1714557600.0


def turned(picture: ImageArray, orientation: int) -> ImageArray:
    image = Image.fromarray(picture)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def apart(a: ImageArray, b: ImageArray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_developed_photo_has_its_colours_and_is_turned_once(orientation: int) -> None:
    data, whole = dng(scene(), orientation), turned(scene(), orientation)
    made = decode(data)
    assert made.shape == whole.shape and np.abs(made.astype(int) - whole).max() <= 4
    assert upright_size(data) == (whole.shape[1], whole.shape[0])


def test_a_linear_photo_as_phones_make_it() -> None:
    data = dng(scene(), 6, linear=True)
    assert raw.is_raw(data) and np.abs(decode(data).astype(int) - turned(scene(), 6)).max() <= 2
    made = decode_small(data, 60)
    assert (made.width, made.height) == (HEIGHT, WIDTH)
    assert apart(made.small, np.asarray(Image.fromarray(turned(scene(), 6)).reduce(4))) < 2.0


@pytest.mark.parametrize("light", [Light(), Light(1.0, 1.0, 1.0), Light(0.9, 1.0, 0.4)])
def test_the_cameras_white_balance_takes_the_light_out(light: Light) -> None:
    assert np.abs(decode(dng(scene(), light=light)).astype(int) - scene()).max() <= 6


def test_a_dark_photo_stays_dark() -> None:
    dark = (scene() // 4).astype(np.uint8)
    assert np.abs(decode(dng(dark)).astype(int) - dark).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_half_a_photo_is_the_same_picture_and_the_whole_one_can_be_had(orientation: int) -> None:
    data, whole = dng(scene(), orientation), turned(scene(), orientation)
    made = decode_small(data, 60)
    assert (made.height, made.width) == whole.shape[:2]
    factor = made.width // made.small.shape[1]
    assert factor in (2, 4) and max(made.small.shape) >= 60
    assert apart(made.small, np.asarray(Image.fromarray(whole).reduce(factor))) < 2.0
    assert np.array_equal(made.full(), decode(data))


def test_a_photo_of_which_half_is_too_little_is_developed_whole() -> None:
    made = decode_small(dng(scene()), WIDTH)
    assert made.small.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("told", ["by the raw photo", "by itself"])
def test_the_cameras_own_large_picture_is_taken_and_turned_once(orientation: int, told: str) -> None:
    shown = scene(2400, 1600)
    preview = jpeg(255 - shown, orientation if told == "by itself" else 0)  # another picture, so that it shows
    data, whole = dng(scene(), orientation, preview), turned(255 - shown, orientation)
    made = decode_small(data, 500)
    assert (made.height, made.width) == whole.shape[:2]
    assert max(made.small.shape) == 600  # drafted: three quarters of the pixels were never made
    assert apart(made.small, np.asarray(Image.fromarray(whole).reduce(4))) < 2.0
    assert upright_size(data) == (whole.shape[1], whole.shape[0])
    assert apart(decode(data), whole) < 2.0


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_preview_that_is_upright_already_is_not_turned_again(orientation: int) -> None:
    shown = turned(scene(2400, 1600), orientation)
    assert shown.shape[0] > shown.shape[1]
    assert apart(decode(dng(scene(), orientation, jpeg(shown))), shown) < 2.0


def test_a_small_preview_is_not_the_photo() -> None:
    preview = jpeg(255 - scene(raw.PREVIEW_SIDE - 8, 1000))
    assert np.abs(decode(dng(scene(), preview=preview)).astype(int) - scene()).max() <= 4


def test_when_it_was_taken_is_read_from_the_raw_photo_or_its_preview() -> None:
    taken, other = "2024:05:01 10:00:00", "2024:05:01 10:00:01"
    large = scene(2048, 1024)
    assert decode_small(dng(scene(), taken=taken), 60).taken == MAY_1
    assert decode_small(dng(scene(), taken=taken), 5000).taken == MAY_1
    assert decode_small(dng(scene(), preview=jpeg(large), taken=taken), 60).taken == MAY_1
    assert decode_small(dng(scene(), preview=jpeg(large, taken=other), taken=taken), 60).taken == MAY_1 + 1
    assert decode_small(dng(scene()), 60).taken is None


@pytest.mark.parametrize("version", [True, False])
def test_a_tiff_that_is_a_raw_photo_is_not_its_thumbnail_whatever_it_is_called(version: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(dng(scene(), dng_version=version))
    with Image.open(path) as image:
        assert image.size == (12, 8)  # what it is to Pillow
    assert raw.is_raw(path.read_bytes())
    if version:
        assert load_image(path).pixels.shape == (HEIGHT, WIDTH, 3)


def test_a_dng_that_is_a_jpeg_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    path.write_bytes(jpeg(scene()))
    assert not raw.is_raw(path.read_bytes()) and apart(load_image(path).pixels, scene()) < 2.0


def tiff(order: str, tags: dict[int, int], behind: bytes = b"") -> bytes:
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind


@pytest.mark.parametrize(
    "data",
    [
        tiff("<", {259: 34713}),
        tiff(">", {254: 1, 330: 8}),
        tiff(">", {259: 65535}),
        tiff("<", {262: 34892}),
        b"II*\0\x10\0\0\0CR\x02\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1",
        b"FUJIFILMCCD-RAW 0201FF",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"FOVb\x03\0\2\0",
    ],
    ids=["nikon", "sony", "pentax", "linear", "cr2", "cr3", "raf", "orf", "rw2", "crw", "x3f"],
)
def test_raw_photos_are_known_by_their_content(data: bytes) -> None:
    assert raw.is_raw(data)
    with pytest.raises(UnreadableImage) as caught:  # of which there is only the beginning
        decode(data)
    assert str(caught.value) == raw.DAMAGED


def test_tiffs_that_are_none() -> None:
    for mode, options in (("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("RGB", {"compression": "jpeg"})):
        buffer = io.BytesIO()
        picture = Image.fromarray(scene()).convert(mode)
        picture.save(buffer, "TIFF", save_all=True, append_images=[picture], **options)
        assert not raw.is_raw(buffer.getvalue())
    assert not raw.is_raw(tiff("<", {259: 1}, b"\0" * 100)) and not raw.is_raw(b"II*\0") and not raw.is_raw(b"")


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b""]))
def test_asking_never_fails(data: bytes, start: bytes) -> None:
    raw.is_raw(start + data)


def test_directories_in_a_circle_end() -> None:
    assert not raw.is_raw(tiff("<", {259: 1}).replace(bytes(4), struct.pack("<I", 8)))


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_what_is_cut_off_is_one_reason(share: float) -> None:
    data = dng(scene(), taken="2024:05:01 10:00:00")
    with pytest.raises(UnreadableImage) as caught:
        decode(data[: int(len(data) * share)])
    assert str(caught.value) in (raw.DAMAGED, DAMAGED)


def test_a_whole_preview_in_a_file_that_was_cut_off_behind_it_is_a_photo_and_half_a_one_is_none() -> None:
    preview = jpeg(scene(2048, 1024))
    data = dng(scene(), preview=preview)
    behind = data.index(preview) + len(preview)
    assert np.array_equal(decode(data[: behind + 500]), decode(preview))
    for use in (decode, lambda given: decode_small(given, 60)):
        # also after the whole one was read, and may still lie in memory
        with pytest.raises(UnreadableImage, match="damaged"):
            use(data[: behind - 500])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=40))
def test_damage_anywhere_is_a_picture_or_a_reason(changes: list[tuple[int, int]]) -> None:
    data = bytearray(dng(scene(24, 16), taken="2024:05:01 10:00:00"))
    for place, value in changes:
        data[place % min(len(data), 1200)] = value  # the directories among them
    for use in (decode, lambda given: decode_small(given, 4)):
        try:
            use(bytes(data))
        except UnreadableImage as error:
            assert str(error)


def test_nothing_but_zeros_and_garbage_under_a_cameras_name(tmp_path: Path) -> None:
    reasons = []
    for number, data in enumerate((b"", bytes(5000), np.random.default_rng(1).bytes(5000), b"II*\0" + bytes(50))):
        path = tmp_path / f"{number}.CR2"
        path.write_bytes(data)
        with pytest.raises(UnreadableImage) as caught:
            load_image(path)
        reasons.append(str(caught.value))
    assert reasons[0] == "is empty" and "zeros" in reasons[1] and "damaged" in reasons[2]


def test_more_pixels_than_are_opened_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(UnreadableImage, match=f"has {WIDTH} x {HEIGHT} pixels, more than this tool opens"):
        decode(dng(scene()))


def test_without_the_library_the_reason_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(dng(scene()))
    data = path.read_bytes()
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert not raw.available() and raw.library_version() == ""
    for use in (lambda: load_image(path), lambda: decode(data), lambda: decode_small(data, 60)):
        with pytest.raises(UnreadableImage) as caught:
            use()
        assert str(caught.value) == raw.MISSING and 'pip install -c constraints.txt -e ".[raw]"' in raw.MISSING


def test_libraw_writes_nothing_to_the_terminal_which_is_there_again_afterwards(tmp_path: Path) -> None:
    cut_off = tmp_path / "a.dng"
    cut_off.write_bytes(dng(scene())[:-500])
    program = (
        "import io, os, sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path\n"
        "from twinloop.errors import UnreadableImage; from twinloop.store.pictures.images import decode\n"
        f"data = Path({str(cut_off)!r}).read_bytes()\n"
        "def read(number):\n"
        "    try: decode(data)\n"
        "    except UnreadableImage: return 1\n"
        "with ThreadPoolExecutor(4) as pool: assert sum(pool.map(read, range(20))) == 20\n"
        "os.write(2, b'we speak;')\n"
        "if sys.argv[1:]:\n"
        "    import rawpy\n"
        "    try: rawpy.imread(io.BytesIO(data)).postprocess()\n"
        "    except rawpy.LibRawError: pass\n"
    )

    def told(*argv: str) -> bytes:
        done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, check=True, timeout=60)
        return done.stdout + done.stderr

    assert told() == b"we speak;"
    assert told("by itself").startswith(b"we speak;unknown file: ")  # what would be there


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("head", [b"II*\0", b"IIRO", b"IIU\0"])
def test_how_the_sensors_picture_is_turned(head: bytes, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow opens no photo of Olympus or Panasonic, and of others the thumbnail."""
    file = io.BytesIO(head + dng(scene(), orientation)[4:])
    assert stored_orientation(file) == orientation
    monkeypatch.setattr(raw, "_library", lambda: None)
    assert stored_orientation(file) is None


def test_how_a_tiff_that_is_no_raw_photo_is_turned() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "TIFF", exif=exif)
    assert stored_orientation(file) == 6
