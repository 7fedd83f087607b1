"""Reading what phones, scanners and tools write, and refusing the rest with a reason."""

from __future__ import annotations

import hashlib
import io
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.functional.console import ROOT, interpreter
from twinloop.domain.faces import ImageArray
from twinloop.errors import InputError, UnreadableImage
from twinloop.store.pictures import deep_grey, images
from twinloop.store.pictures.images import decode, find_images, load_image, upright_size
from twinloop.store.pictures.photo_file import decode_small

ORIENTATION = 0x0112
WHITE_IS_ZERO = (262, 0)
"""Tag of a TIFF and its value."""
W, H = 48, 32


def picture() -> ImageArray:
    """(32, 48, 3): red, green / blue, white quarters, so that every turn and flip is another picture."""
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[: H // 2, : W // 2], pixels[: H // 2, W // 2 :] = (220, 30, 30), (30, 200, 30)
    pixels[H // 2 :, : W // 2], pixels[H // 2 :, W // 2 :] = (30, 30, 220), (240, 240, 240)
    return pixels


def stored_as(orientation: int, upright: ImageArray) -> ImageArray:
    """How a camera stores the upright picture under an EXIF orientation."""
    turns: dict[int, Callable[[ImageArray], ImageArray]] = {
        1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud, 5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1), 7: lambda p: np.rot90(p, 2).transpose(1, 0, 2), 8: lambda p: np.rot90(p, 3),
    }  # fmt: skip
    return np.ascontiguousarray(turns[orientation](upright))


def written(pixels: ImageArray, kind: str, orientation: int | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif.tobytes()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def near(a: ImageArray, b: ImageArray, tolerance: float = 12) -> bool:
    return a.shape == b.shape and float(np.abs(a.astype(int) - b).mean()) < tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_exactly_once(kind: str, orientation: int) -> None:
    upright = picture()
    data = written(stored_as(orientation, upright), kind, orientation)
    assert near(decode(data), upright)
    assert upright_size(data) == decode(data).shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_not_turned_twice(orientation: int) -> None:
    """HEIC carries the turn in its own box and, as a copy, in EXIF."""
    images._enable_formats()
    upright = picture()
    data = written(stored_as(orientation, upright), "HEIF", orientation, quality=95)
    assert near(decode(data), upright)


def test_heic_is_opened_by_the_product_itself(tmp_path: Path) -> None:
    """In a process of its own: here other tests may have registered the opener."""
    images._enable_formats()
    (tmp_path / "a.heic").write_bytes(written(picture(), "HEIF"))
    code = (
        "import sys, pathlib; from twinloop.store.pictures import images;"
        "print(images.load_image(pathlib.Path(sys.argv[1])).pixels.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.heic")], capture_output=True, text=True)
    assert done.stdout.strip() == str((H, W, 3)), done.stderr


def test_real_photos_of_all_orientations_are_one_picture(fixtures: Path) -> None:
    folder = fixtures / "images" / "exif_orientation"
    seen = [decode((folder / f"Landscape_{n}.jpg").read_bytes()) for n in (1, 3, 6, 8)]
    small = [np.asarray(Image.fromarray(p).resize((32, 32)), np.int16) for p in seen]
    assert all(p.shape == seen[0].shape for p in seen)
    assert all(float(np.abs(p - small[0]).mean()) < 6 for p in small)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_a_nonsense_orientation_means_as_it_is(orientation: int) -> None:
    assert near(decode(written(picture(), "JPEG", orientation)), picture())


def test_broken_exif_does_not_lose_the_picture() -> None:
    data = bytearray(written(picture(), "JPEG", 6))
    start = data.index(b"Exif\0\0") + 6
    data[start + 8 : start + 20] = b"\xff" * 12
    assert near(decode(bytes(data)), picture())


def test_a_phones_mpo_counts_as_its_first_picture() -> None:
    """Portrait and HDR shots of many phones: a JPEG with a second picture, which Pillow calls MPO."""
    first, second = Image.fromarray(picture()), Image.fromarray(np.zeros((H, W, 3), np.uint8))
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    first.save(buffer, "MPO", save_all=True, append_images=[second], exif=exif)
    assert Image.open(io.BytesIO(buffer.getvalue())).format == "MPO"
    assert near(decode(buffer.getvalue()), np.rot90(picture(), 3))


def test_transparency_is_laid_on_white() -> None:
    clear = np.dstack([picture(), np.zeros((H, W), np.uint8)])
    half = np.dstack([picture(), np.full((H, W), 128, np.uint8)])
    assert (decode(written(clear, "PNG")) == 255).all()
    assert near(decode(written(half, "PNG")), (picture().astype(int) + 255) // 2, 2)


def test_transparent_palettes_and_grey_with_alpha() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()).quantize(8).save(buffer, "PNG", transparency=bytes([0] * 8))
    assert (decode(buffer.getvalue()) == 255).all()
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert("LA").save(buffer, "PNG")
    assert decode(buffer.getvalue()).shape == (H, W, 3)


def test_a_palette_without_transparency_keeps_its_colours() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()).quantize(8).save(buffer, "GIF")
    assert near(decode(buffer.getvalue()), picture(), 3)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.fromarray(picture()), Image.fromarray(np.zeros((H, W, 3), np.uint8))]
    for kind in ("GIF", "WEBP", "PNG"):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=100)
        assert near(decode(buffer.getvalue()), picture())


@pytest.mark.parametrize("level", [0.004, 0.25, 0.5, 1.0])
def test_16_bit_grey_keeps_its_exposure(level: float) -> None:
    """Also an almost black one: scaling by content would turn night into day."""
    grey = np.full((H, W), round(level * 65535), np.uint16)
    for kind in ("PNG", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, kind)
        assert abs(float(decode(buffer.getvalue()).mean()) - 255 * level) <= 1


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_greys_in_both_usual_ranges(top: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.linspace(0, top, H * W, dtype=np.float32).reshape(H, W)).save(buffer, "TIFF")
    values = decode(buffer.getvalue())
    assert values.min() == 0 and values.max() == 255
    assert abs(float(values.mean()) - 127.5) < 1


def _whole(image: Image.Image) -> ImageArray:
    """What a picture becomes, computed at once with all of it."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        limits = {"I": (255.0, 65535.0), "F": (1.0, 255.0, 65535.0)}.get(image.mode, (65535.0,))
        top = next((limit for limit in limits if values.max() <= limit), float(values.max()))
        image = Image.fromarray(np.clip(values / top * 255.0, 0, 255).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, (255, 255, 255, 255)), layered)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", "RGB L 1 CMYK RGBA LA PA P I;16 I;16B I F unit-F huge-I huge-F nan-F".split())
@pytest.mark.parametrize("strip", [1, 3 * W, 1 << 20])
def test_strip_by_strip_a_picture_becomes_what_it_does_at_once(
    kind: str, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one would need many times its memory at once."""
    monkeypatch.setattr(deep_grey, "_STRIP", strip)
    random = np.random.default_rng(0)
    if kind.startswith("I;16"):
        data = random.integers(0, 65536, (H, W)).astype("<u2" if kind == "I;16" else ">u2").tobytes()
        image = Image.frombytes(kind, (W, H), data)
    elif kind[-1] in "IF":
        top = {"unit-F": 1, "huge-I": 1 << 30, "huge-F": 1e9}.get(kind, 255)
        values = random.uniform(-0.1 * top, top, (H, W)).astype(np.float32 if kind[-1] == "F" else np.int32)
        values[-1, -1] = top
        if kind == "nan-F":
            values[0, :3] = np.nan, np.inf, -np.inf
        image = Image.fromarray(values)
    else:
        image = Image.fromarray(random.integers(0, 256, (H, W, 4), dtype=np.uint8))
        if kind == "P":
            image = image.convert("RGB").quantize(8)
            image.info["transparency"] = bytes([0, 64, 255, 128])
        elif kind != "RGBA":
            image = (image.convert("P") if kind == "PA" else image).convert(kind)
    expected, found = _whole(image.copy()), images.decoded(image)
    assert found.dtype == np.uint8 and np.array_equal(found, expected) and len(np.unique(found)) > 1
    assert found.flags.c_contiguous and not found.flags.writeable


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it so")
def test_a_large_picture_needs_no_more_than_a_few_times_its_own_memory(tmp_path: Path) -> None:
    """4000 x 4000: 48 MB as what comes out of it, 64 MB as Pillow holds colours."""
    Image.new("I;16", (4000, 4000)).save(tmp_path / "deep.png")
    Image.new("RGBA", (4000, 4000)).save(tmp_path / "layers.png")
    program = (
        "import sys, pathlib\nfrom twinloop.store.pictures.images import load_image\n"
        # the most memory ever; what `resource` tells is at first that of the process which started this one
        "most = lambda: int(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) >> 10\n"
        "before = most()\nload_image(pathlib.Path(sys.argv[1]))\nprint(most() - before)"
    )
    for name in ("deep.png", "layers.png"):
        done = interpreter("-c", program, tmp_path / name, cwd=ROOT)
        assert 48 <= int(done.out) < 240, name


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_greys_whose_zero_is_white_are_inverted(compression: str, orientation: int) -> None:
    """Scanners write them so; Pillow inverts those of 8 bits only."""
    greys = np.linspace(0, 255, W)[None].repeat(H, 0)
    negative = ((255 - greys) * 257).round().astype(np.uint16)
    buffer = io.BytesIO()
    tags = {ORIENTATION: orientation, WHITE_IS_ZERO[0]: WHITE_IS_ZERO[1]}
    Image.fromarray(negative).save(buffer, "TIFF", tiffinfo=tags, compression=compression)
    seen = decode(buffer.getvalue())
    upright = seen if orientation == 1 else np.rot90(seen)
    assert near(upright, greys.round().astype(np.uint8)[..., None].repeat(3, 2), 1.5)


def test_a_scan_in_cmyk_keeps_light_and_dark() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(buffer, "JPEG", quality=95)
    assert near(decode(buffer.getvalue()), picture(), 25)


def test_inks_as_photoshop_writes_them_keep_their_colours() -> None:
    """YCCK: luma and chroma of the inverted inks, which Adobe's marker tells."""
    inks = Image.fromarray(255 - picture()).convert("YCbCr")
    stored = np.dstack([np.asarray(inks), np.full((H, W), 255, np.uint8)])  # no black
    buffer = io.BytesIO()
    Image.frombytes("CMYK", (W, H), (255 - stored).tobytes()).save(buffer, "JPEG", quality=98)
    data = bytearray(buffer.getvalue())
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    assert near(decode(bytes(data)), picture(), 3)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_thumbnail_in_the_file_turns_nothing(orientation: int) -> None:
    """It has an orientation of its own, and may show what the picture was before it was edited."""
    stored = stored_as(orientation, picture())
    buffer = io.BytesIO()
    Image.fromarray(255 - stored).resize((16, 16)).save(buffer, "JPEG")
    small, (begin, after) = buffer.getvalue(), (26, 68)
    short, long = "<HHIHH", "<HHII"
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + struct.pack(short, ORIENTATION, 3, 1, orientation, 0)
    exif += struct.pack("<IH", begin, 3) + struct.pack(short, ORIENTATION, 3, 1, 1, 0)
    exif += struct.pack(long, 0x201, 4, 1, after) + struct.pack(long, 0x202, 4, 1, len(small)) + bytes(4) + small
    data = written(stored, "JPEG", quality=98)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    with Image.open(io.BytesIO(data)) as opened:
        thumbnail = opened.getexif().get_ifd(ExifTags.IFD.IFD1)
        assert thumbnail[0x202] == len(small) and exif[6 + after :] == small
    for seen in (decode(data), decode_small(data, 1280).small):
        assert near(seen, picture())


def test_every_fixture_is_read_or_refused_with_a_reason(fixtures: Path) -> None:
    """Nothing else may come out of it, whatever is in the file; and a reason never holds a memory address."""
    read, refused = 0, 0
    for path in sorted(
        p for p in (fixtures / "images").rglob("*") if p.is_file() and p.suffix != ".md" and p.stat().st_size < 100_000
    ):
        try:
            pixels = load_image(path).pixels
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.c_contiguous
            read += 1
        except UnreadableImage as error:
            assert str(error) and "0x" not in str(error) and "\n" not in str(error)
            refused += 1
    assert read > 180
    assert refused >= 12


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("p_16.png", (128, 128)),
        ("tiff_strip_cmyk_jpeg.tif", (100, 100)),
        ("lab-green.tif", (10, 10)),
        ("hopper_orientation_6.jpg", (128, 128)),
        ("g4_orientation_7.tif", (88, 590)),
    ],
)
def test_odd_fixtures_have_their_size(fixtures: Path, name: str, size: tuple[int, int]) -> None:
    assert decode((fixtures / "images" / "pillow_tests" / name).read_bytes()).shape[:2] == size


def test_the_same_picture_as_png_and_as_heif(fixtures: Path) -> None:
    folder = fixtures / "images" / "heif_pillow_heif"
    for name in ("RGB_8__128x128", "RGBA_8__29x100", "L_8__29x100"):
        assert near(
            decode((folder / "heif" / f"{name}.heif").read_bytes()),
            decode((folder / "non_heif" / f"{name}.png").read_bytes()),
        )


def test_formats_that_can_run_programs_or_hide_surprises_stay_shut() -> None:
    """EPS starts Ghostscript; the others are no photos. They are refused whatever their name says."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    ppm = b"P6 2 2 255\n" + bytes(12)
    pcx, ico = io.BytesIO(), io.BytesIO()
    Image.fromarray(picture()).save(pcx, "PCX")
    Image.fromarray(picture()).save(ico, "ICO")
    for data in (pcx.getvalue(), ico.getvalue(), b"not an image"):
        with pytest.raises(UnreadableImage, match="damaged, or no picture"):
            decode(data)
    named = {
        "EPS": eps,
        "PNM": ppm,
        "PDF": b"%PDF-1.7",
        "SVG": b"<svg/>",
        "ZIP": b"PK\x03\x04",
        "web page": b"<!DOCTYPE html><html>",
        "zeros": bytes(64),
    }
    for name, data in named.items():
        with pytest.raises(UnreadableImage, match=name):
            decode(data)


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [13_400, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    with pytest.raises(UnreadableImage, match="more than this tool opens"):
        decode(png_claiming(side, side))


def test_our_own_limit_holds_where_pillows_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(UnreadableImage, match="60000 x 60000 pixels"):
        decode(png_claiming(60_000, 60_000))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    (tmp_path / "big.png").write_bytes(bytes(11))
    with pytest.raises(UnreadableImage, match="larger than"):
        load_image(tmp_path / "big.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_truncated_files_are_refused_whatever_is_left(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = written(rng.integers(0, 255, (H, W, 3), dtype=np.uint8), kind)
    for share in (0.0, 0.01, 0.3, 0.6):
        with pytest.raises(UnreadableImage) as caught:
            decode(data[: int(len(data) * share)])
        assert str(caught.value)


def test_nothing_at_all_is_called_empty() -> None:
    with pytest.raises(UnreadableImage, match=r"^is empty$"):
        decode(b"")


def test_damaged_files_never_raise_anything_else() -> None:
    """Random damage to every format, the same every time; AVIF and EXIF parsers are known to raise what they should
    not.
    """
    rng = random.Random(5)
    sources = [written(picture(), kind, 6) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "MPO")]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(600):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data) if rng.random() < 0.3 else min(300, len(data)))] = rng.randrange(256)
        try:
            assert decode(bytes(data)).shape[2] == 3
            outcomes["read"] += 1
        except UnreadableImage:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 60


def test_identity_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    data = written(picture(), "PNG")
    for name in ("a.png", "renamed to jpg.jpg", "wide … ünïcode 写真.PNG"):
        (tmp_path / name).write_bytes(data)
        loaded = load_image(tmp_path / name)
        assert loaded.sha256 == hashlib.sha256(data).hexdigest()
        assert loaded.path == tmp_path / name


def test_a_missing_file_is_a_reason_too(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="cannot be read: No such file"):
        load_image(tmp_path / "gone.png")


def test_images_are_found_by_suffix_in_a_fixed_order(tmp_path: Path) -> None:
    wanted = ["B.JPG", "a/1.heic", "a/b/2.webp", "sp ace.jpeg", "ü.png", "z.mpo"]
    others = ["notes.txt", ".hidden.png", "._B.JPG", ".git/x.png", "a/Thumbs.db", "clip.mp4", "raw.eps"]
    for name in (*wanted, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == sorted(wanted)


def test_only_beside_its_photo_a_picture_is_taken_for_a_mask(tmp_path: Path) -> None:
    for name in ("a.jpg", "a-masklabel.png", "b-masklabel.png", "c/a-masklabel.png", "a-masklabel.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    photos = ["a-masklabel.jpg", "a.jpg", "b-masklabel.png", "c/a-masklabel.png"]
    assert [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)] == photos
    assert len(find_images(tmp_path, masks=True)) == 5


def test_names_that_are_no_text_are_found(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(written(picture(), "PNG"))
    (path,) = find_images(tmp_path)
    assert near(load_image(path).pixels, picture())


def test_links_to_folders_are_not_followed_and_dead_links_skipped(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    assert [p.name for p in find_images(tmp_path)] == ["a.png"]


def test_one_file_is_a_folder_of_one_and_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert find_images(tmp_path / "a.png") == [tmp_path / "a.png"]
    with pytest.raises(InputError, match="Folder not found"):
        find_images(tmp_path / "nothing")


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"Cannot look into the folder .*Permission denied"):
        find_images(tmp_path)


@pytest.mark.parametrize(("mode", "colour", "key"), [("RGB", (255, 0, 255), (255, 0, 255)), ("L", 0, 0)])
def test_the_one_colour_that_stands_for_nothing_is_laid_on_white(mode: str, colour: object, key: object) -> None:
    picture = Image.new(mode, (8, 8), colour)  # type: ignore[arg-type]
    picture.paste(Image.new(mode, (4, 8), (10, 20, 30) if mode == "RGB" else 20), (4, 0))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=key)
    pixels = decode(buffer.getvalue())
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 7].tolist() == ([10, 20, 30] if mode == "RGB" else [20, 20, 20])


def test_heif_of_cameras_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "DSC0001.HIF").write_bytes(b"x")
    assert [path.name for path in find_images(tmp_path)] == ["DSC0001.HIF"]
