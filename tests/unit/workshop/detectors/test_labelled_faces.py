"""Faces that the base drew while it wore LoRAs, labelled by eye: their files, and how well the shipped face quality
tells them apart.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twinloop import wiring
from twinloop.adapters.detectors import nano_layout as layout
from twinloop.adapters.detectors.nano import load_nano_pack
from twinloop.adapters.detectors.nano_crops import cut_square, face_square

pytest.importorskip("numba")

from twinloop.nano.evaluation.figures import auc_and_eer
from workshop.detectors.judge import GROUPS, gather, qualities, table
from workshop.detectors.worn import (
    HELD_OUT,
    TILE,
    WornFace,
    cut_tile,
    for_training,
    held_out,
    read_faces,
    write_faces,
)

SHIPPED = wiring.nano_detectors_path()
LIMIT = 0.7
"""The demo's."""


@pytest.fixture(scope="module")
def faces() -> list[WornFace]:
    return held_out(read_faces())


@pytest.fixture(scope="module")
def quality(faces: list[WornFace]) -> dict[str, float]:
    found = qualities(load_nano_pack(SHIPPED), faces)
    return dict(zip((_name(face) for face in faces), found.tolist(), strict=True))


def _name(face: WornFace) -> str:
    return f"{face.person}: {face.source}"


def passed(faces: list[WornFace], quality: dict[str, float], whole: bool) -> float:
    """Share of the whole or of the ruined ones that the limit lets through."""
    return float(np.mean([quality[_name(face)] >= LIMIT for face in faces if face.whole == whole]))


class TestTheShippedQuality:
    def test_people_that_no_training_saw(self, faces: list[WornFace], quality: dict[str, float]) -> None:
        assert (sum(bool(face.whole) for face in faces), len(faces)) == (65, 169)
        whole, ruined = ([quality[_name(face)] for face in faces if face.whole == kind] for kind in (True, False))
        assert auc_and_eer(np.array(whole), np.array(ruined))[0] >= 0.83
        assert passed(faces, quality, True) >= 0.73
        assert passed(faces, quality, False) <= 0.25

    @pytest.mark.parametrize(("group", "whole", "ruined"), [("low-key", 0.7, 0.2), ("25 to 60 degrees", 0.6, 0.2)])
    def test_dark_and_turned_faces(
        self, faces: list[WornFace], quality: dict[str, float], group: str, whole: float, ruined: float
    ) -> None:
        chosen = [face for face in faces if GROUPS[group](face)]
        assert passed(chosen, quality, True) >= whole
        assert passed(chosen, quality, False) <= ruined

    @pytest.mark.parametrize("shot", ["lighting_low_key_008", "lighting_low_key_004", "composition_hands_visible_006"])
    def test_faces_that_the_demo_once_approved(self, quality: dict[str, float], shot: str) -> None:
        assert quality[f"7: demo round 1 {shot}"] < LIMIT

    def test_the_table_counts_them(self, faces: list[WornFace], quality: dict[str, float]) -> None:
        lines = list(table(faces, np.array([quality[_name(face)] for face in faces]), 0.0))
        assert lines[2].startswith("| all | 65 of 65 | 104 of 104 | 0.")
        assert len(lines) == 2 + len(GROUPS)


class TestFiles:
    def test_training_and_test_share_no_person(self) -> None:
        found = read_faces()
        people = [{face.person for face in part} for part in (for_training(found), held_out(found))]
        assert people == [{100, 101, 102, 104, 105, 106, 107}, set(HELD_OUT)]
        assert len(for_training(found)) + len(held_out(found)) == len(found)

    def test_faces_are_in_the_middle_of_their_tiles(self) -> None:
        for face in read_faces():
            x0, y0, x1, y1 = face.box
            assert (x0 + x1) / 2 == pytest.approx(TILE / 2, abs=0.2) == (y0 + y1) / 2
            assert face.tile.shape == (TILE, TILE, 3)

    def test_a_tile_holds_what_the_network_sees(self) -> None:
        rows, columns = np.mgrid[0:256, 0:256]
        image = np.stack([rows, columns, (rows + columns) // 2], axis=2).astype(np.uint8)
        box = (80.0, 70.0, 170.0, 190.0)
        tile, moved = cut_tile(image, box)
        wanted = cut_square(image, *face_square(*box), layout.FACE_SIZE).astype(int)
        assert np.abs(cut_square(tile, *face_square(*moved), layout.FACE_SIZE) - wanted).max() <= 3

    def test_written_and_read(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(3)
        shades = rng.integers(0, 255, 23)
        first = WornFace(
            np.zeros((TILE, TILE, 3), np.uint8), (30.0, 20.0, 98.0, 108.0), 5, "shot", "normal", -3.0, True
        )
        made = [
            replace(first, tile=np.full_like(first.tile, shade), source=f"shot {n}", whole=(True, False, None)[n % 3])
            for n, shade in enumerate(shades)
        ]
        write_faces(tmp_path, "person_005", made)
        back = read_faces(tmp_path)
        assert [face.source for face in back] == [face.source for face in made if face.whole is not None]
        for face in back:
            wanted = made[int(face.source.split()[1])]
            assert np.abs(face.tile.astype(int) - wanted.tile)[8:-8, 8:-8].max() <= 3  # neighbours bleed over the edge
            assert (face.box, face.whole, face.person) == (wanted.box, wanted.whole, 5)

    def test_new_faces_wait_for_their_label(self, tmp_path: Path) -> None:
        from PIL import Image

        from twinloop.nano.world.params import Scene, sample_identity
        from twinloop.nano.world.render import render

        drawn = render(sample_identity(np.random.default_rng(4)), Scene(framing="close_up"))
        Image.fromarray(drawn.image).save(tmp_path / "shot_001.png")
        gather([tmp_path], SHIPPED, tmp_path / "out", person=9, count=5, draw=1)
        assert read_faces(tmp_path / "out") == []
        label = tmp_path / "out" / "person_009.json"
        label.write_text(label.read_text().replace("null", "1"))
        (face,) = read_faces(tmp_path / "out")
        assert (face.person, face.whole, face.lighting) == (9, True, "normal") and face.source.endswith("shot_001")


def test_the_quality_of_a_mirror_image_is_the_same(faces: list[WornFace]) -> None:
    pack = load_nano_pack(SHIPPED)
    flipped = []
    for face in faces[:20]:
        x0, y0, x1, y1 = face.box
        flipped.append(replace(face, tile=face.tile[:, ::-1].copy(), box=(TILE - x1, y0, TILE - x0, y1)))
    both = qualities(pack, faces[:20]), qualities(pack, flipped)
    assert np.abs(both[0] - both[1]).max() < 0.08
    assert np.ptp(both[0]) > 0.5
