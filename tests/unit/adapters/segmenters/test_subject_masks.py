"""Of what a network marks, the subject: one of several people, a little larger, with a soft edge, as large as the
photo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.segmenter_files import red_onnx
from twinloop.adapters.segmenters.networks import Segmenter
from twinloop.adapters.segmenters.subject_masks import Edge, SubjectMasks
from twinloop.domain.faces import Box, Face, ImageArray
from twinloop.domain.segmenters import U2NET
from twinloop.errors import MaskFailed

SHARP = Edge(0.0, 0.0)
ANA, BEN = Box(100, 100, 200, 400), Box(400, 100, 500, 400)
"""Two people of a photo of 640 x 480."""


@pytest.fixture
def network(tmp_path: Path) -> Segmenter:
    path = tmp_path / "u2net.onnx"
    path.write_bytes(red_onnx(U2NET))
    return Segmenter(path)


def photo(*red: Box, width: int = 640, height: int = 480) -> ImageArray:
    pixels = np.zeros((height, width, 3), np.uint8)
    for box in red:
        pixels[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1), 0] = 255
    return pixels


def head_of(person: Box) -> Face:
    return Face(Box(person.x0 + 20, person.y0 + 10, person.x1 - 20, person.y0 + 80), 0.9)


def middle(mask: ImageArray, person: Box) -> int:
    x, y = person.center
    return int(mask[int(y), int(x)])


def test_only_the_subject_stays_of_two_people_apart(network: Segmenter) -> None:
    masks, both = SubjectMasks(network, SHARP), photo(ANA, BEN)
    for subject, other in ((ANA, BEN), (BEN, ANA)):
        made = masks.mask(both, [head_of(subject), head_of(other)])
        assert made.grey.dtype == np.uint8 and made.grey.shape == (480, 640)
        assert middle(made.grey, subject) == 255 and middle(made.grey, other) == 0 and made.beside == 0
    assert middle(masks.mask(both, []).grey, ANA) == middle(masks.mask(both, []).grey, BEN) == 255, "nobody is known"


def test_people_who_touch_are_not_told_apart_and_that_is_said(network: Segmenter) -> None:
    together = photo(ANA, BEN, Box(190, 300, 410, 330))
    made = SubjectMasks(network, SHARP).mask(together, [head_of(ANA), head_of(BEN)])
    assert middle(made.grey, BEN) == 255 and made.beside == 1
    assert middle(made.grey, head_of(BEN).box) == 0, "nobody else's face is learned"
    assert middle(made.grey, head_of(ANA).box) == 255


def test_a_face_that_was_found_twice_is_not_somebody_else(network: Segmenter) -> None:
    twice = [head_of(ANA), Face(Box(125, 115, 185, 185), 0.6)]
    made = SubjectMasks(network, SHARP).mask(photo(ANA), twice)
    assert made.beside == 0 and made.grey[150, 150] == 255


def test_the_head_of_somebody_close_takes_nothing_of_the_subjects_face(network: Segmenter) -> None:
    close = Face(Box(175, 110, 235, 180), 0.8)
    made = SubjectMasks(network, SHARP).mask(photo(ANA, Box(190, 100, 300, 400)), [head_of(ANA), close])
    assert made.beside == 1 and made.grey[145, 170] == 255 and made.grey[145, 205] == 0


def test_a_corner_of_the_face_box_does_not_draw_somebody_else_in(network: Segmenter) -> None:
    near = Box(204, 0, 300, 480)
    face = Face(Box(110, 110, 208, 200), 0.9)
    made = SubjectMasks(network, SHARP).mask(photo(ANA, near), [face])
    assert middle(made.grey, ANA) == 255 and middle(made.grey, near) == 0


def test_what_is_marked_elsewhere_is_not_the_subject(network: Segmenter) -> None:
    with pytest.raises(MaskFailed, match="something else than the face"):
        SubjectMasks(network, SHARP).mask(photo(BEN), [head_of(ANA)])
    speck = photo(Box(300, 200, 320, 220))
    with pytest.raises(MaskFailed, match="marks nothing"):
        SubjectMasks(network, SHARP).mask(speck, [])
    with pytest.raises(MaskFailed, match="marks nothing"):
        SubjectMasks(network, SHARP).mask(photo(), [])


def test_a_face_at_the_border_or_outside_of_the_picture(network: Segmenter) -> None:
    at_border = Box(0, 0, 100, 300)
    made = SubjectMasks(network, SHARP).mask(photo(at_border), [Face(Box(-30, -20, 60, 90), 0.9)])
    assert middle(made.grey, at_border) == 255
    with pytest.raises(MaskFailed):
        SubjectMasks(network, SHARP).mask(photo(ANA), [Face(Box(700, 500, 800, 600), 0.9)])


def test_the_edge_moves_outwards_by_pixels_or_by_a_share(network: Segmenter) -> None:
    one, faces = photo(ANA), [head_of(ANA)]
    plain = SubjectMasks(network, SHARP).mask(one, faces).grey
    by_pixels = SubjectMasks(network, Edge(32, 0)).mask(one, faces).grey
    by_share = SubjectMasks(network, Edge(0.05, 0)).mask(one, faces).grey  # 5 % of 640
    assert np.array_equal(by_pixels, by_share)
    assert plain[250, 75] == 0 and by_pixels[250, 75] == 255 and by_pixels[250, 60] == 0
    assert (by_pixels >= plain).all()


def test_a_pixel_is_one_of_the_photo_also_of_a_large_one(network: Segmenter) -> None:
    """Masks are shaped at 1024 px at most."""
    large = photo(Box(1000, 1000, 2000, 2500), width=3200, height=2800)
    grown = SubjectMasks(network, Edge(100, 0)).mask(large, []).grey
    assert grown.shape == (2800, 3200) and grown[1700, 930] == 255 and grown[1700, 860] == 0


def test_the_edge_is_soft(network: Segmenter) -> None:
    made = SubjectMasks(network, Edge(0.0, 12)).mask(photo(ANA), [head_of(ANA)]).grey
    row = made[250, 60:150].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 0 and row[-1] == 255
    assert 90 < made[250, 100] < 165 and len(set(row)) > 20


def test_the_fingerprint_tells_network_and_edge(network: Segmenter) -> None:
    made = [SubjectMasks(network, edge).fingerprint for edge in (SHARP, Edge(0.01, 0.0), Edge(0.0, 0.01))]
    assert len(set(made)) == 3 and all(network.fingerprint in one for one in made)
    assert SubjectMasks(network, SHARP).name == "u2net.onnx (U-2-Net)"
