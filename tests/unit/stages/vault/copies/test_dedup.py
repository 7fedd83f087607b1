"""Dedup over a scanned vault: groups, ranking, bursts, and that nothing but the photos and decisions counts."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tests.unit.stages.same_picture.sprites import FACE, SPRITES, sprite
from tests.unit.stages.vault.copies.makers import face, picture, save, scanned, vault_of
from tests.unit.things import Recording, unit_vector
from twinloop.domain.faces import Box
from twinloop.errors import InputError, NothingToDo, StateError
from twinloop.stages.same_picture.likeness import Copy, upright_copy
from twinloop.stages.vault.copies import dedup as searching
from twinloop.stages.vault.copies.dedup import DedupOptions, current, dedup, options_for
from twinloop.stages.vault.copies.record import Duplicates, dropped, read_duplicates
from twinloop.stages.vault.opened import ScanRecord
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.status import status
from twinloop.store.vault.folder import Vault

ALICE, BOB = unit_vector(1.0), unit_vector(0.0, 1.0)


def names(found: Duplicates, kind: str) -> list[list[str]]:
    """The groups of a kind as file names, the first one first."""
    return [[Path(file.path).name for file in group.files] for group in found.of_kind(kind)]


def kept(found: Duplicates) -> dict[str, bool]:
    return {Path(file.path).name: file.kept for group in found.groups if group.kind != "exact" for file in group.files}


def messy(folder: Path) -> list[Path]:
    """Two pictures with copies, one without, and two black ones."""
    first, second = picture(1), picture(2)
    return [
        save(first, folder / "first.jpg"),
        save(first, folder / "same.jpg"),
        save(first.resize((160, 120)), folder / "first_small.jpg"),
        save(ImageEnhance.Brightness(second).enhance(1.2), folder / "second_bright.jpg", 60),
        save(second, folder / "second.jpg", 95),
        save(ImageOps.mirror(second), folder / "second_mirrored.jpg", 70),
        save(picture(3), folder / "third.jpg"),
        save(Image.new("RGB", (320, 240)), folder / "black.jpg"),
        save(Image.new("RGB", (320, 240), (0, 0, 4)), folder / "black_too.jpg"),
    ]


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180])
@pytest.mark.parametrize("seen", [True, False])
def test_of_turned_copies_the_one_with_the_surest_face_is_kept_whatever_their_size(
    tmp_path: Path, turn: Image.Transpose, seen: bool
) -> None:
    shown = picture(1, (320, 320))
    files = [
        save(shown.transpose(turn), tmp_path / "a_turned.png"),
        save(shown, tmp_path / "photo.jpg"),
        save(shown, tmp_path / "resaved.jpg", 80),
    ]
    upright = face(ALICE)
    turned = replace(upright, face=replace(upright.face, confidence=0.72, embedding=BOB))
    faces = {"photo.jpg": [upright], "resaved.jpg": [upright], "a_turned.png": [turned] if seen else []}
    with vault_of(tmp_path / "vault", files, faces=faces) as opened:
        found = dedup(opened, DedupOptions(), Recording())
    assert names(found, "near") == [["photo.jpg", "resaved.jpg", "a_turned.png"]]
    assert found.groups[0].files[-1].instead == found.groups[0].files[0].sha256


def test_reasons_name_another_file_and_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    files = [
        save(picture(1), tmp_path / "a" / "IMG_1.jpg", 95),
        save(picture(1), tmp_path / "b" / "IMG_1.jpg", 60),
        save(picture(1), tmp_path / "c" / "IMG_1.jpg", 60),
    ]
    with vault_of(tmp_path / "vault", files) as opened:
        found = dedup(opened, DedupOptions(), Recording())
    (near,) = found.of_kind("near")
    assert [file.reason for file in near.files[1:]] == [
        "the same picture as a/IMG_1.jpg",
        "the same bytes as b/IMG_1.jpg",
    ]
    assert [item.reason for item in dropped(found).values()] == [
        "the same picture as a/IMG_1.jpg (a/IMG_1.jpg is kept)"
    ]


def test_exact_and_near_groups_with_the_best_first(tmp_path: Path) -> None:
    with vault_of(tmp_path / "vault", messy(tmp_path)) as opened:
        found = dedup(opened, DedupOptions(), Recording())
        assert names(found, "exact") == [["first.jpg", "same.jpg"]]
        assert names(found, "near") == [
            ["first.jpg", "same.jpg", "first_small.jpg"],
            ["second.jpg", "second_mirrored.jpg", "second_bright.jpg"],
        ]
        assert (found.files, found.photos, found.kept, found.flat) == (9, 8, 5, 2)
        assert read_duplicates(opened.vault) == found
        modes = {path.name: path.stat().st_mode & 0o077 for path in (opened.vault.duplicates, opened.vault.likeness)}
        reasons = {Path(file.path).name: file.reason for file in found.of_kind("near")[1].files}
    assert modes == {"duplicates.json": 0, "likeness.sqlite": 0}, "they tell what private photos look like"
    assert reasons["second.jpg"] == "the larger file"
    assert reasons["second_mirrored.jpg"] == "the same picture as second.jpg, mirrored"


def test_in_a_crowd_of_look_alikes_copies_are_still_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a patience of a few, each is compared with a few that agree with it; all are near each other."""
    photos = [Image.blend(picture(0), picture(number), 0.25) for number in range(1, 25)]
    files = [save(photo, tmp_path / f"{number:02}.jpg") for number, photo in enumerate(photos)]
    files += [
        save(photos[7].resize((160, 120)), tmp_path / "z_small.jpg"),
        save(photos[11].crop((6, 5, 314, 235)), tmp_path / "z_cut.jpg"),
        save(ImageOps.mirror(photos[14]), tmp_path / "z_mirrored.jpg", 70),
    ]
    compared = 0

    def counted(*given: Any) -> Copy | None:
        nonlocal compared
        compared += 1
        return upright_copy(*given)

    monkeypatch.setattr(searching, "upright_copy", counted)
    monkeypatch.setattr(searching, "PATIENCE", 3)
    with vault_of(tmp_path / "vault", files) as opened:
        said = Recording()
        few = dedup(opened, DedupOptions(), said)
        few_compared, compared = compared, 0
        monkeypatch.setattr(searching, "PATIENCE", 100)
        assert dedup(opened, DedupOptions(), unsaid := Recording()).groups == few.groups
    assert names(few, "near") == [["07.jpg", "z_small.jpg"], ["11.jpg", "z_cut.jpg"], ["14.jpg", "z_mirrored.jpg"]]
    assert few_compared <= 4 * len(files) < 200 < compared
    assert [line for line in said.lines if "more than 3 look-alikes" in line]
    assert not [line for line in unsaid.lines if "look-alikes" in line]


def test_dropped_photos_name_the_one_that_is_kept(tmp_path: Path) -> None:
    with vault_of(tmp_path / "vault", messy(tmp_path)) as opened:
        gone = dropped(dedup(opened, DedupOptions(), Recording()))
        content = {path: entry.sha256 for path, entry in opened.catalog.files.all().items()}
    small, first = content[str(tmp_path / "first_small.jpg")], content[str(tmp_path / "first.jpg")]
    assert small is not None and first is not None
    assert first not in gone
    assert gone[small].instead == first and gone[small].path == str(tmp_path / "first.jpg")
    assert len(gone) == 3


def test_twice_the_same_bytes_also_in_another_order_and_without_the_cache(tmp_path: Path) -> None:
    files = messy(tmp_path)
    with vault_of(tmp_path / "vault", files) as opened:
        dedup(opened, DedupOptions(), Recording())
        before = opened.vault.duplicates.read_bytes()
        again = Recording()
        dedup(opened, DedupOptions(), again)
        assert opened.vault.duplicates.read_bytes() == before
        assert not any(label == "Looking at thumbnails" for label, _, _ in again.steps)
    random.Random(4).shuffle(files)
    with vault_of(tmp_path / "other", files) as opened:
        dedup(opened, DedupOptions(), Recording())
        assert opened.vault.duplicates.read_bytes() == before


def test_a_chain_of_slowly_changing_pictures_does_not_become_one_group(tmp_path: Path) -> None:
    """Each step is a copy of its neighbour; the ends are two pictures."""
    one, other = np.asarray(picture(1), np.float32), np.asarray(picture(2), np.float32)
    steps = np.linspace(0, 1, 15)
    files = [
        save(Image.fromarray((one * (1 - t) + other * t).astype(np.uint8)), tmp_path / f"{n:02d}.png")
        for n, t in enumerate(steps)
    ]
    with vault_of(tmp_path / "vault", files) as opened:
        groups = names(dedup(opened, DedupOptions(distance=16), Recording()), "near")
    assert len(groups) >= 3
    assert all(abs(int(name[:2]) - int(group[0][:2])) <= 5 for group in groups for name in group)


def test_a_real_photo_a_sharp_face_and_more_pixels_win_in_this_order(tmp_path: Path) -> None:
    shot = picture(1, (640, 480))
    box = face().face.box
    files = [
        save(shot, tmp_path / "large_blurred.jpg"),
        save(shot.resize((320, 240)), tmp_path / "small_sharp.jpg"),
        save(shot, tmp_path / "large.jpg", 80),
    ]
    faces = {
        "large_blurred.jpg": [face(ALICE, 100.0, box=scaled(box, 2))],
        "small_sharp.jpg": [face(ALICE, 210.0)],
        "large.jpg": [face(ALICE, 200.0, box=scaled(box, 2))],
    }
    with vault_of(tmp_path / "vault", files, faces=faces) as opened:
        found = dedup(opened, DedupOptions(), Recording())
    assert names(found, "near") == [["large.jpg", "small_sharp.jpg", "large_blurred.jpg"]]
    assert found.groups[0].files[0].reason == "more pixels"
    assert found.groups[0].files[0].score["face_sharpness"] == 200.0


def scaled(box: Box, factor: float) -> Box:
    return Box(*(factor * value for value in (box.x0, box.y0, box.x1, box.y1)))


def test_pictures_of_different_people_are_never_copies(tmp_path: Path) -> None:
    files = [save(picture(1), tmp_path / "alice.jpg"), save(picture(1), tmp_path / "bob.jpg", 70)]
    with vault_of(tmp_path / "vault", files, faces={"alice.jpg": [face(ALICE)], "bob.jpg": [face(BOB)]}) as opened:
        assert dedup(opened, DedupOptions(), Recording()).groups == ()


@pytest.mark.parametrize("degrees", [90, 180, 270, 0, 20])
def test_a_face_that_lies_on_its_side_says_nothing_of_who_it_is(tmp_path: Path, degrees: int) -> None:
    """Embedders know upright faces; one that is turned far looks like somebody else to them."""
    turned = ImageOps.mirror(picture(1)).rotate(degrees, expand=degrees % 90 == 0)
    files = [save(picture(1), tmp_path / "a.jpg"), save(turned, tmp_path / "turned.jpg")]
    faces = {"a.jpg": [face(ALICE)], "turned.jpg": [face(BOB)]}
    with vault_of(tmp_path / "vault", files, faces=faces) as opened:
        found = names(dedup(opened, DedupOptions(), Recording()), "near")
    assert [sorted(group) for group in found] == ([["a.jpg", "turned.jpg"]] if degrees >= 90 else [])


def burst(folder: Path) -> tuple[list[Path], dict[str, float]]:
    """Five frames of one second: the view hardly changes. A sixth a minute later."""
    frames = []
    for number in range(6):
        image = Image.blend(picture(1), picture(10 + number), 0.22)
        frames.append(save(image, folder / f"frame_{number}.jpg"))
    return frames, {path.name: 1000.0 + (0.2 * number if number < 5 else 60.0) for number, path in enumerate(frames)}


def test_of_a_burst_one_of_each_pose_and_expression_is_kept(tmp_path: Path) -> None:
    frames, taken = burst(tmp_path)
    faces = {path.name: [face(ALICE, smile=0.1)] for path in frames}
    faces["frame_1.jpg"] = [face(ALICE, sharpness=400.0, smile=0.1)]
    faces["frame_3.jpg"] = [face(ALICE, smile=0.9)]
    faces["frame_0.jpg"] = [face(ALICE, smile=0.2)]
    faces["frame_4.jpg"] = [face(ALICE, yaw=30.0, smile=0.1)]
    with vault_of(tmp_path / "vault", frames, faces=faces, taken=taken) as opened:
        found = dedup(opened, DedupOptions(), Recording())
        assert names(found, "near") == []
        assert names(found, "burst")[0][0] == "frame_1.jpg"
        assert sorted(names(found, "burst")[0]) == [f"frame_{number}.jpg" for number in range(5)]
        assert kept(found) == {
            "frame_0.jpg": False,
            "frame_1.jpg": True,
            "frame_2.jpg": False,
            "frame_3.jpg": True,
            "frame_4.jpg": True,
        }
        assert dedup(opened, DedupOptions(burst_seconds=0), Recording()).of_kind("burst") == []


def test_strangers_in_one_second_are_no_burst(tmp_path: Path) -> None:
    frames, taken = burst(tmp_path)
    faces = {path.name: [face(unit_vector(*np.eye(6)[number]))] for number, path in enumerate(frames)}
    with vault_of(tmp_path / "vault", frames, faces=faces, taken=taken) as opened:
        assert dedup(opened, DedupOptions(), Recording()).groups == ()


def test_the_groups_follow_when_photos_come_and_go(tmp_path: Path) -> None:
    files = messy(tmp_path)
    with vault_of(tmp_path / "vault", files[:1]) as opened:
        assert dedup(opened, DedupOptions(distance=4), Recording()).groups == ()
    scanned(tmp_path / "vault", files[:3])
    with open_vault(tmp_path / "vault") as opened:
        found = current(opened, Recording())
        assert len(names(found, "near")) == 1 and found.distance == 4
        assert current(opened, Recording()) == found


def test_a_second_file_of_known_bytes_is_a_change(tmp_path: Path) -> None:
    first = save(picture(1), tmp_path / "p" / "b.jpg")
    with vault_of(tmp_path / "vault", [first]) as opened:
        assert dedup(opened, DedupOptions(), Recording()).groups == ()
    second = first.with_name("c.jpg")
    second.write_bytes(first.read_bytes())
    scanned(tmp_path / "vault", [first, second])
    with open_vault(tmp_path / "vault") as opened:
        assert names(current(opened, Recording()), "exact") == [["b.jpg", "c.jpg"]]


def test_what_is_away_is_no_copy_of_what_is_there(tmp_path: Path) -> None:
    """Else the user would be told to do without the only one that is there."""
    files = messy(tmp_path / "disk")
    copy = save(picture(1), tmp_path / "here/z.jpg")
    small = save(picture(2).resize((200, 150)), tmp_path / "here/small.jpg")
    folders = (str(tmp_path / "disk"), str(tmp_path / "here"))
    replace(ScanRecord.read(scanned(tmp_path / "vault", [*files, copy, small])), folders=folders).write(
        Vault(tmp_path / "vault")
    )
    with open_vault(tmp_path / "vault") as opened:
        plugged_in = dedup(opened, DedupOptions(), Recording())
        assert names(plugged_in, "exact") == [["first.jpg", "same.jpg", "z.jpg"]]
        (tmp_path / "disk").rename(tmp_path / "unplugged")
        found = current(opened, Recording())
        assert names(found, "exact") == [] and status(opened).duplicate_groups == len(found.groups)
        best = {group.files[0].path: group.files[0].reason for group in found.of_kind("near")}
        assert best[str(small)] == "the others are not there now" and str(copy) in best
        (tmp_path / "unplugged").rename(tmp_path / "disk")
        assert current(opened, Recording()) == plugged_in


def test_a_copy_that_was_deleted_is_none_before_any_scan(tmp_path: Path) -> None:
    files = messy(tmp_path / "disk")
    with vault_of(tmp_path / "vault", files) as opened:
        assert names(dedup(opened, DedupOptions(), Recording()), "exact") == [["first.jpg", "same.jpg"]]
        groups = status(opened).duplicate_groups
        assert groups is not None
        (tmp_path / "disk/same.jpg").unlink()
        assert status(opened).duplicate_groups == groups - 1
        assert names(current(opened, Recording()), "exact") == []
        opened.catalog.run("DELETE FROM file WHERE path NOT LIKE '%first.jpg'")
        assert status(opened).duplicate_groups == 0


def test_what_cannot_be(tmp_path: Path) -> None:
    with vault_of(tmp_path / "vault", messy(tmp_path)[:1]) as opened:
        with pytest.raises(NothingToDo, match="vault dedup"):
            current(opened, Recording())
        for options in (DedupOptions(distance=17), DedupOptions(burst_seconds=-1.0)):
            with pytest.raises(InputError, match="choose"):
                dedup(opened, options, Recording())
    with vault_of(tmp_path / "empty", []) as opened, pytest.raises(NothingToDo, match="vault scan"):
        dedup(opened, DedupOptions(), Recording())


def test_a_photo_without_a_thumbnail_is_compared_by_its_bytes_only(tmp_path: Path) -> None:
    with vault_of(tmp_path / "vault", messy(tmp_path)) as opened:
        opened.catalog.run("UPDATE photo SET thumbnail = NULL")
        found = dedup(opened, DedupOptions(), Recording())
        assert [group.kind for group in found.groups] == ["exact"]
        assert found.without_thumbnail == 8
        known = [{"sha256": photo.sha256, "box": [0, 0, 1, 1]} for photo in opened.catalog.photos(opened.fingerprint)]
        opened.decisions.add("forget", {"person": "p009", "faces": known[:6], "kept": True})
        assert dedup(opened, DedupOptions(), Recording()).without_thumbnail == 2, "no scan gives the others one"


def test_sprites_of_one_character_are_all_kept(tmp_path: Path) -> None:
    files = [save(sprite(*state), tmp_path / "p" / f"{n}.png") for n, state in enumerate(SPRITES)]
    faces = {path.name: [face(box=FACE)] for path in files}
    with vault_of(tmp_path / "v", files, faces=faces) as opened:
        found = dedup(opened, DedupOptions(), Recording())
    assert found.kept == len(SPRITES) and found.of_kind("near") == []


@pytest.mark.parametrize("damaged", ['{"groups": []}', "[]", "not JSON"])
def test_a_damaged_list_is_named_and_written_anew(tmp_path: Path, damaged: str) -> None:
    with vault_of(tmp_path / "vault", [save(picture(1), tmp_path / "a.jpg")]) as opened:
        opened.vault.duplicates.write_text(damaged)
        with pytest.raises(StateError, match=r"duplicates\.json"):
            current(opened, Recording())
        options = options_for(opened.vault, None, None)
        assert options == DedupOptions()
        dedup(opened, options, Recording())
        assert current(opened, Recording()).photos == 1
