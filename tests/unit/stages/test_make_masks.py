"""Making masks of photos: which are made, which are kept, and that one bad photo stops nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.things import Recording, face
from twinloop.domain.faces import Face, ImageArray
from twinloop.errors import InputError, MaskFailed, StorageError
from twinloop.ports import SubjectMask
from twinloop.stages.make_masks import MaskMade, MaskState, make_masks, places_of
from twinloop.stages.masks import masks_of
from twinloop.store.atomic import sha256_file
from twinloop.store.pictures.masks import MaskOrigin, mask_png, masks_beside, origin_of, read_mask


class Half:
    """Marks the left half of a picture; fails on pictures of 13 pixels' height."""

    name = "half"

    def __init__(self, fingerprint: str = "half-1", white: int = 255) -> None:
        self.fingerprint, self.white = fingerprint, white
        self.seen: list[int] = []

    def mask(self, image: ImageArray, faces: Sequence[Face]) -> SubjectMask:
        self.seen.append(len(faces))
        if image.shape[0] == 13:
            raise MaskFailed("the network marks nothing in it")
        grey = np.zeros(image.shape[:2], np.uint8)
        grey[:, : image.shape[1] // 2] = self.white
        return SubjectMask(grey, max(0, len(faces) - 1))


def photo(path: Path, width: int = 40, height: int = 30, turned: bool = False, colour: str = "grey") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if turned:
        exif[274] = 6
    Image.new("RGB", (width, height), colour).save(path, exif=exif)
    return path


def made(
    photos: Sequence[Path], home: Path, masker: Half | None = None, again: bool = False, faces: int | None = 1,
    reporter: Recording | None = None,
) -> list[MaskMade]:  # fmt: skip
    places = places_of(photos, home / "photos", home / "masks")
    found = None if faces is None else lambda _: [face()] * faces
    return list(make_masks(places, masker or Half(), found, again, reporter or Recording()))


def states(found: Sequence[MaskMade]) -> list[str]:
    return [one.state.value for one in found]


def test_masks_lie_where_a_training_looks_for_them(tmp_path: Path) -> None:
    photos = [photo(tmp_path / "photos" / name) for name in ("IMG_1.jpg", "trip/IMG_1.jpg", "trip/IMG_2.png")]
    elsewhere = photo(tmp_path / "approved/made_1.png")
    found = made([*photos, elsewhere], tmp_path)
    assert states(found) == ["made"] * 4 and {one.share for one in found} == {0.5}
    told = masks_of(tmp_path / "masks", tmp_path / "photos", [*photos, elsewhere])
    assert [path.mask.relative_to(tmp_path / "masks").as_posix() for path in found] == [
        told[one].path.relative_to(tmp_path / "masks").as_posix() for one in (*photos, elsewhere)
    ]


def test_beside_the_photos_their_names_say_that_they_are_masks(tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a/IMG_1.jpg")
    places = places_of([one], tmp_path / "photos", tmp_path / "photos")
    assert places == {one: tmp_path / "photos/a/IMG_1-masklabel.png"}
    list(make_masks(places, Half(), None, False, Recording()))
    assert masks_of(tmp_path / "photos", tmp_path / "photos", [one])[one].path == places[one]


def test_the_mask_is_as_large_as_the_photo_is_seen(tmp_path: Path) -> None:
    lying = photo(tmp_path / "photos/a.jpg", 60, 40, turned=True)
    made([lying], tmp_path)
    grey, _ = read_mask(tmp_path / "masks/a.png")
    assert grey.shape == (60, 40) and grey[0, 0] == 255 and grey[0, -1] == 0
    with Image.open(tmp_path / "masks/a.png") as image:
        assert image.mode == "L" and image.format == "PNG"


def test_the_same_photos_give_the_same_bytes(tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a.jpg")
    made([one], tmp_path)
    first = (tmp_path / "masks/a.png").read_bytes()
    made([one], tmp_path, again=True)
    assert (tmp_path / "masks/a.png").read_bytes() == first
    assert origin_of(first) == MaskOrigin(sha256_file(one), "half-1")


def test_one_bad_photo_stops_nothing(tmp_path: Path) -> None:
    good, nobody = photo(tmp_path / "photos/a.jpg"), photo(tmp_path / "photos/c.jpg", height=13)
    broken = tmp_path / "photos/b.jpg"
    broken.write_bytes(good.read_bytes()[:200])
    gone = tmp_path / "photos/d.jpg"
    reporter = Recording()
    found = made([broken, nobody, gone, good], tmp_path, reporter=reporter)
    assert states(found) == ["none", "none", "none", "made"]
    assert "cannot be decoded" in found[0].problem and "marks nothing" in found[1].problem
    assert "cannot be read" in found[2].problem
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.png"]


def test_what_is_there_is_kept_and_not_computed_again(tmp_path: Path) -> None:
    photos = [photo(tmp_path / "photos" / name) for name in ("a.jpg", "b.jpg")]
    made(photos[:1], tmp_path)
    masker = Half()
    assert states(made(photos, tmp_path, masker)) == ["kept", "made"] and masker.seen == [1]
    found = made(photos, tmp_path, Half("half-2", white=200))
    assert states(found) == ["kept"] * 2 and all(one.otherwise for one in found)
    assert states(made(photos, tmp_path, Half("half-2", white=200), again=True)) == ["made"] * 2
    assert read_mask(tmp_path / "masks/a.png")[0].max() == 200
    assert not any(one.otherwise for one in made(photos, tmp_path, Half("half-2")))
    assert all(one.otherwise for one in made(photos, tmp_path, Half("half-2"), faces=None)), "of everybody"


def test_a_mask_of_an_earlier_content_is_made_anew(tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a.jpg")
    made([one], tmp_path)
    photo(one, colour="red")
    assert states(made([one], tmp_path)) == ["made"]
    photo(one, height=13)
    assert states(made([one], tmp_path)) == ["none"]
    assert not (tmp_path / "masks/a.png").exists(), "else a training would take the old one"


def test_where_a_new_one_fails_the_old_one_stays(tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a.jpg", height=13)
    place = tmp_path / "masks/a.png"
    place.parent.mkdir()
    old = mask_png(np.full((13, 40), 255, np.uint8), MaskOrigin(sha256_file(one), "another"))
    place.write_bytes(old)
    (found,) = made([one], tmp_path, again=True)
    assert found.state is MaskState.KEPT and found.problem and found.otherwise and place.read_bytes() == old


@pytest.mark.parametrize("again", [False, True])
def test_masks_of_other_programs_stay(again: bool, tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a.jpg")
    made([one], tmp_path)
    place = tmp_path / "masks/a.png"
    painted = io.BytesIO()
    with Image.open(place) as image:
        image.point(lambda value: 255 - value).save(painted, "PNG")  # a painting program keeps no words of others
    place.write_bytes(painted.getvalue())
    assert states(made([one], tmp_path, again=again)) == ["not made here"]
    assert place.read_bytes() == painted.getvalue()


def test_two_photos_of_one_name_have_no_mask(tmp_path: Path) -> None:
    """A training would take the one mask for both."""
    photos = [photo(tmp_path / "photos" / name) for name in ("a.jpg", "a.png", "b.jpg")]
    found = made(photos, tmp_path)
    assert states(found) == ["none", "none", "made"]
    assert found[0].problem == f"its mask would have the name of that of {photos[1]}" and found[0].clash == photos[1]


def test_a_name_that_is_too_long_for_a_mask_stops_nothing(tmp_path: Path) -> None:
    long, other = photo(tmp_path / "photos" / f"{'x' * 250}.jpg"), photo(tmp_path / "photos/y.jpg")
    places = places_of([long, other], tmp_path / "photos", tmp_path / "photos")
    found = list(make_masks(places, Half(), None, False, Recording()))
    assert states(found) == ["none", "made"] and "would be too long" in found[0].problem


def test_faces_are_asked_for_and_what_they_leave_open_is_told(tmp_path: Path) -> None:
    one = photo(tmp_path / "photos/a.jpg")
    masker = Half()
    told = [made([one], tmp_path, masker, again=True, faces=count)[0] for count in (1, 3, 0, None)]
    assert masker.seen == [1, 3, 0, 0]
    assert [(item.beside, item.alone) for item in told] == [(0, False), (2, False), (0, True), (0, False)]


def test_a_folder_in_the_way_and_one_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = photo(tmp_path / "photos/a.jpg")
    (tmp_path / "masks/a.png").mkdir(parents=True)
    with pytest.raises(InputError, match=r"a\.png is in the way"):
        made([one], tmp_path)
    (tmp_path / "masks/a.png").rmdir()

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("twinloop.store.atomic.os.open", refuse)
    with pytest.raises(StorageError, match="No permission"):
        made([one], tmp_path)
    monkeypatch.undo()
    assert list((tmp_path / "masks").iterdir()) == [], "whole files or none"


def test_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert masks_beside(Path("photos")) == Path("photos_masks")
    assert masks_beside(Path("a/photos/")) == Path("a/photos_masks")
    monkeypatch.chdir(tmp_path)
    assert masks_beside(Path()) == tmp_path.with_name(f"{tmp_path.name}_masks")
