"""``twinloop vault scan`` and ``status`` as people type them, with worker processes; and every odd file that the
fixtures have.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.functional.console import ROOT, twinloop
from tests.helpers.fake_photos import fake_photo
from twinloop.domain.faces import ImageArray
from twinloop.stages.pixels import hash_distance
from twinloop.store.pictures.images import decode
from twinloop.store.vault.catalog import VaultCatalog

IMAGES = ROOT / ".." / "shared" / "fixtures" / "images"
FOLDERS = ("pillow_tests", "heif_pillow_heif", "exif_orientation")
MODELS = ("--models-dir", "fake", "--min-face", "20")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        fake_photo(folder / f"{number}.png", seed=number, size=128)
    (folder / "page\nof.jpg").write_text("<html>gone</html>")
    return folder


def children_of(pid: int) -> set[int]:
    """Python processes that a process has started, zombies included."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = re.fullmatch(r"\d+ \((.*)\) (.*)\n?", entry.read_text(), re.DOTALL).groups()  # type: ignore[union-attr]
        except (OSError, AttributeError):
            continue
        if int(fields.split()[1]) == pid and "python" in name:
            found.add(int(entry.parent.name))
    return found


def test_scan_then_scan_again_then_status(capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path) -> None:
    vault, others = tmp_path / "vault", children_of(os.getpid())
    said = twinloop(capsys, "vault", "scan", photos, "--vault", vault, *MODELS, "--workers", 2)
    assert said.code == 0, said.err
    assert "5 photos with 5 faces in 5 files" in said.out
    assert "page\\nof.jpg: is a web page" in said.out
    again = twinloop(capsys, "vault", "scan", "--vault", vault, "--json")
    counted = [again.data[name] for name in ("measured", "recognised", "unchanged", "files")]
    assert counted == [0, 0, 5, 5] and len(again.data["skipped"]) == 1, "a skipped file is not counted as unchanged too"
    status = twinloop(capsys, "vault", "status", "--vault", vault, "--json")
    assert status.data["photos"] == status.data["faces_with_embedding"] == 5
    assert [item["path"] for item in status.data["skipped"]] == [str(photos / "page\nof.jpg")]
    assert status.data["folders"] == [str(photos)] and status.data["people"] is None
    assert "people: not clustered yet" in twinloop(capsys, "vault", "status", "--vault", vault).out
    assert children_of(os.getpid()) <= others


def test_a_pattern_that_matches_nothing_is_told(
    capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path
) -> None:
    def said(*patterns: str) -> str:
        flags = [flag for pattern in patterns for flag in ("--exclude", pattern)]
        return twinloop(
            capsys, "vault", "scan", photos, "--vault", tmp_path / "v", *MODELS, "--no-exclude", *flags
        ).err.replace("\n", " ")

    assert "--exclude none matches nothing. A pattern with a slash" in said("none")
    assert "matches nothing" not in said("1.*", "1.png", "./1.png")
    assert said("[12].png", "none").count("none matches nothing outside of what is passed over anyway.") == 1


def test_the_same_rows_with_and_without_workers(
    capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path
) -> None:
    found = []
    for count in (0, 1, 3):
        vault = tmp_path / f"vault{count}"
        assert twinloop(capsys, "vault", "scan", photos, "--vault", vault, *MODELS, "--workers", count).code == 0
        found.append(content(vault))
    assert found[0] == found[1] == found[2] and len(found[0]) == 5


def content(vault: Path) -> list[object]:
    fingerprint = json.loads((vault / "scan.json").read_text())["fingerprint"]
    with VaultCatalog(vault / "catalog.sqlite") as catalog:
        return [
            (
                photo.sha256,
                photo.paths,
                photo.phash,
                dict(photo.measures),
                catalog.thumbnail(photo.sha256),
                [
                    (
                        face.face.box,
                        face.face.confidence,
                        face.face.pose,
                        face.face.embedding.tobytes() if face.face.embedding is not None else None,
                        face.quality,
                        dict(face.measures),
                    )
                    for face in photo.faces
                ],
            )
            for photo in catalog.photos(fingerprint)
        ]


def test_what_is_wrong_is_told(capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    said = twinloop(capsys, "vault", "status", "--vault", vault)
    assert said.code == 2 and "twinloop vault scan FOLDER" in said.err
    said = twinloop(capsys, "vault", "scan", "--vault", vault)
    assert said.code == 2 and "Which folder?" in said.err
    said = twinloop(capsys, "vault", "scan", photos / "nowhere", "--vault", vault)
    assert said.code == 2 and "Folder not found" in said.err
    said = twinloop(
        capsys, "vault", "scan", photos, "--vault", vault, "--models-dir", tmp_path / "no models", "--workers", 1
    )
    assert said.code == 2 and "no such models folder" in said.err and "nano" in said.err


def test_a_folder_is_taken_out_and_forgotten(capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    twinloop(capsys, "vault", "scan", photos, "--vault", vault, *MODELS, "--workers", 0)
    said = twinloop(capsys, "vault", "scan", "--remove", photos, "--vault", vault, "--json")
    assert (said.data["folders"], said.data["photos"], said.data["gone"]) == ([], 0, 6)


def test_everything_can_be_forgotten_after_a_look_at_what_that_is(
    capsys: pytest.CaptureFixture[str], photos: Path, tmp_path: Path
) -> None:
    vault = tmp_path / "vault"
    twinloop(capsys, "vault", "scan", photos, "--vault", vault, *MODELS, "--workers", 0)
    assert twinloop(capsys, "vault", "forget", "--vault", vault).code == 2
    said = twinloop(capsys, "vault", "forget", "--all", "--vault", vault)
    assert (
        "Nothing was removed" in said.out
        and str(vault / "catalog.sqlite") in said.out
        and (vault / "catalog.sqlite").exists()
    )
    assert twinloop(capsys, "vault", "forget", "--all", "--yes", "--vault", vault, "--json").data["done"] is True
    assert sorted(path.name for path in vault.iterdir()) == [".lock"] and len(list(photos.iterdir())) == 6


# every odd file of the fixtures

Thumbnail = Callable[[str], ImageArray]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], VaultCatalog, dict[str, str]]]:
    """(file -> content hash of what was scanned, the catalogue, file -> reason of what was skipped), names relative to
    the fixtures.
    """
    if not IMAGES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    from twinloop.cli.app import main

    vault, others = tmp_path_factory.mktemp("odd") / "vault", children_of(os.getpid())
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in IMAGES.rglob("*")}
    assert (
        main(
            [
                "vault",
                "scan",
                *(str(IMAGES / name) for name in FOLDERS),
                "--vault",
                str(vault),
                *MODELS,
                "--workers",
                "2",
                "--timeout",
                "20",
            ]
        )
        == 0
    )
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in IMAGES.rglob("*")} == before
    assert children_of(os.getpid()) <= others
    base = os.path.abspath(IMAGES) + "/"
    with VaultCatalog(vault / "catalog.sqlite") as catalog:
        entries = {path.removeprefix(base): entry for path, entry in catalog.files.all().items()}
        yield (
            {name: entry.sha256 for name, entry in entries.items() if not entry.problem and entry.sha256},
            catalog,
            {name: entry.problem for name, entry in entries.items() if entry.problem},
        )


@pytest.fixture
def thumbnail(odd: tuple[dict[str, str], VaultCatalog, dict[str, str]]) -> Thumbnail:
    def read(name: str) -> ImageArray:
        data = odd[1].thumbnail(odd[0][name])
        assert data is not None
        with Image.open(io.BytesIO(data)) as image:
            assert not image.getexif() and "icc_profile" not in image.info and not image.info.get("comment")
            return np.asarray(image.convert("RGB"))

    return read


def near(a: ImageArray, b: ImageArray, limit: float = 12.0) -> bool:
    """Whether two thumbnails show the same: the mean difference of grey levels at the first one's size."""
    size = (a.shape[1], a.shape[0])
    other = np.asarray(Image.fromarray(b).resize(size, Image.Resampling.LANCZOS))
    return (
        abs(a.shape[1] / a.shape[0] - b.shape[1] / b.shape[0]) < 0.05
        and float(np.abs(a.astype(float) - other).mean()) < limit
    )


def test_every_file_is_a_photo_or_skipped_with_a_reason(
    odd: tuple[dict[str, str], VaultCatalog, dict[str, str]],
) -> None:
    photos, _, skipped = odd
    pictures = {
        os.path.relpath(path, IMAGES)
        for name in FOLDERS
        for path in (IMAGES / name).rglob("*")
        if path.is_file() and path.suffix != ".md"
    }
    assert photos.keys() | skipped.keys() == pictures and not photos.keys() & skipped.keys()
    assert len(pictures) > 200 and 10 <= len(skipped) <= 20
    assert all(skipped.values()) and not any("failed on it" in reason for reason in skipped.values())
    broken = (
        "crash-2020-10-test.tif",
        "png_decompression_dos.png",
        "unknown_compression_method.png",
        "zero_width.gif",
        "broken_data_stream.png",
        "hopper.ppm",
    )
    assert {f"pillow_tests/{name}" for name in broken} <= skipped.keys()
    assert "heif_pillow_heif/heif_corrupted/corrupted.heic" in skipped


def test_every_orientation_is_applied_exactly_once(thumbnail: Thumbnail) -> None:
    for number in (3, 6, 8):
        assert near(
            thumbnail(f"exif_orientation/Landscape_{number}.jpg"), thumbnail("exif_orientation/Landscape_1.jpg")
        )
    for name in (
        "hopper_orientation_3.jpg",
        "hopper_orientation_4.webp",
        "hopper_orientation_6.jpg",
        "hopper_orientation_7.webp",
    ):
        assert near(thumbnail(f"pillow_tests/{name}"), thumbnail("pillow_tests/hopper.bmp")), name
    for number in (4, 7):
        assert near(
            thumbnail(f"pillow_tests/g4_orientation_{number}.tif"), thumbnail("pillow_tests/g4_orientation_1.tif")
        )


def test_upright_size_and_hash_are_those_of_the_turned_picture(
    odd: tuple[dict[str, str], VaultCatalog, dict[str, str]],
) -> None:
    photos, catalog, _ = odd
    seen = [
        catalog.run(
            "SELECT width, height, phash FROM photo WHERE sha256 = ?", (photos[f"exif_orientation/Landscape_{n}.jpg"],)
        )[0]
        for n in (1, 3, 6, 8)
    ]
    assert {row[:2] for row in seen} == {seen[0][:2]} and seen[0][0] > seen[0][1]
    assert max(hash_distance(seen[0][2], row[2]) for row in seen) <= 6  # the digit in the middle differs


def test_heif_of_every_depth_looks_like_the_png(
    thumbnail: Thumbnail, odd: tuple[dict[str, str], VaultCatalog, dict[str, str]]
) -> None:
    compared = 0
    for name in odd[0]:
        match = re.fullmatch(r"heif_pillow_heif/heif/(L|LA|RGB|RGBA)_(8|10|12)__(128x128|29x100)\.heif", name)
        if match is not None:
            depth = 16 if match[2] != "8" and "RGB" in match[1] else 8  # the deep grey PNGs show something else
            assert near(thumbnail(name), thumbnail(f"heif_pillow_heif/non_heif/{match[1]}_{depth}__{match[3]}.png")), (
                name
            )
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize(
    ("name", "place", "colour"),
    [
        ("tiff_strip_cmyk_jpeg.tif", (0, 5), (250, 0, 20)),
        ("tiff_tiled_cmyk_jpeg.tif", (0, 5), (250, 0, 20)),
        ("p_16.png", (60, 4), (255, 0, 0)),
        ("transparent.webp", (2, 2), (255, 255, 255)),
        ("dispose_bgnd_rgba.gif", (3, 3), (135, 206, 235)),
        ("lab-green.tif", (5, 5), (2, 150, 130)),
        ("hopper_gray.jpg", (64, 64), None),
        ("rgb_trns.png", (32, 32), (255, 255, 255)),  # green is the colour that stands for nothing
    ],
)
def test_colours_are_what_a_person_sees(
    thumbnail: Thumbnail, name: str, place: tuple[int, int], colour: tuple[int, int, int] | None
) -> None:
    pixel = thumbnail(f"pillow_tests/{name}")[place].astype(int)
    if colour is None:
        assert np.ptp(pixel) <= 3
    else:
        assert np.abs(pixel - colour).max() <= 40, pixel


def test_every_thumbnail_is_the_small_picture_of_a_full_decode(
    thumbnail: Thumbnail, odd: tuple[dict[str, str], VaultCatalog, dict[str, str]]
) -> None:
    """Scaled JPEG decoding and early shrinking change nothing that a person would see."""
    for name in odd[0]:
        if name.endswith((".jpg", ".jpeg", ".webp", ".heic", ".gif")):
            full = decode((IMAGES / name).read_bytes())
            assert min(full.shape[:2]) < 16 or near(thumbnail(name), full, 8.0), name


def test_real_faces_of_a_portrait_and_of_a_group(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """29 people on the Solvay photo of 1927; an iPhone-like enlargement of it is seen in quarters, and its faces are
    cut at full size.
    """
    source = IMAGES.parent / "photos" / "human_samples"
    if not source.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    folder, vault = tmp_path / "photos", tmp_path / "vault"
    folder.mkdir()
    with Image.open(source / "solvay1927.jpg") as group, Image.open(source / "stock-emotions-a-2.jpg") as portrait:
        group.convert("RGB").resize((4096, 1844), Image.Resampling.BICUBIC).save(folder / "group.jpg", quality=90)
        portrait.convert("RGB").save(folder / "portrait.jpg", quality=90)
    said = twinloop(
        capsys,
        "vault",
        "scan",
        folder,
        "--vault",
        vault,
        "--models-dir",
        IMAGES.parent / "weights",
        "--workers",
        1,
        "--json",
    )
    assert said.code == 0, said.err
    with VaultCatalog(vault / "catalog.sqlite") as catalog:
        group_photo, portrait_photo = sorted(catalog.photos(said.data["fingerprint"]), key=lambda photo: -photo.width)
    assert 27 <= len(group_photo.faces) <= 31 and len(portrait_photo.faces) == 1
    for photo in (group_photo, portrait_photo):
        for face in photo.faces:
            box, embedding = face.face.box, face.face.embedding
            assert embedding is not None and abs(float(np.linalg.norm(embedding)) - 1.0) < 1e-4
            assert 0 <= box.x0 < box.x1 <= photo.width and 0 <= box.y0 < box.y1 <= photo.height
            assert 0 < face.quality <= 1 and face.face.pose is not None and face.face.landmarks is not None
    assert portrait_photo.faces[0].measures["eyes_open"] > 0.5
    assert 90 < np.median([face.face.box.height for face in group_photo.faces]) < 260
