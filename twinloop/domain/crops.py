"""Where to cut a photo for training: one head inside with room above it, other faces outside where that can be, and
never enlarged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from twinloop.domain.faces import Box

STEP = 64
"""Sides of training pictures are multiples of it, in pixels: eight cells of a VAE that shrinks by eight."""
FINE_STEP = 8
"""The same of a picture that is cut from few pixels: one cell of the VAE."""
FINE_BELOW = 512
"""Pixels of a region's shorter side under which `STEP` would take more than an eighth of it, so that the cut keeps its
pixels as they are."""
LONGEST = 2.0
"""Long side over short side of a picture, at most."""
HEIGHTS = {"face": 2.4, "half": 5.0, "full": 9.0}
"""Height of the picture as a multiple of the face box's height, where the photo has so much."""
LEAST_SHARE = 0.1
"""With ``keep``: the face's height over the picture's height, at least; a smaller one teaches nothing of the face."""
SAME_SCALE = 1.03
"""A cut that is larger than its picture by less than this, or by less than `FINE_STEP`, is cut to the picture's size,
so that no pixel is resampled."""
SLACK = 0.03
"""So much of a head's height may lie outside and it still counts as whole: where a head ends is an estimate."""
_HEAD_STEP = 0.04
"""Cuts whose shares of the head differ by less are equally good for it."""
_ABOVE, _BESIDE, _BELOW = 0.45, 0.3, 0.15
"""Hair and skull around a face box, as shares of its height."""


@dataclass(frozen=True)
class Window:
    """One cut.

    Attributes:
        box: (x0, y0, x1, y1) whole pixels of the upright photo. size: (width, height) of the picture, never larger than
            the box; multiples of 64, or of 8 where the photo has less than 512 pixels to cut from.
        head_inside: whether the whole head lies in the box, so far as the photo shows it.
        others: faces of other people that are still in it, by their centres.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    head_inside: bool
    others: int

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the photo, at most 1."""
        return self.size[0] / (self.box[2] - self.box[0])


@cache
def buckets(size: int) -> tuple[tuple[int, int], ...]:
    """All (width, height) of multiples of 64 pixels with an area of at most ``size`` ** 2 and sides of at most 2:1."""
    most = int(size * LONGEST**0.5) // STEP
    return tuple(
        (STEP * across, STEP * down)
        for across in range(1, most + 1)
        for down in range(1, most + 1)
        if STEP * STEP * across * down <= size * size and max(across, down) <= LONGEST * min(across, down)
    )


def head_of(face: Box, width: int, height: int) -> Box:
    """The head around a face box, so far as it lies in a photo of that size: hair above, ears or the back of a turned
    head beside.
    """
    tall = face.height
    return Box(
        face.x0 - _BESIDE * tall, face.y0 - _ABOVE * tall, face.x1 + _BESIDE * tall, face.y1 + _BELOW * tall
    ).clipped(width, height)


def cut(width: int, height: int, face: Box, others: Sequence[Box], framing: str, size: int) -> Window | None:
    """The cut of a photo of ``width`` x ``height`` pixels around ``face``; None = there is less than 64 pixels to cut
    from.

    Args:
        others: other people's faces. framing: one of `choices.FRAMINGS`. size: pixels; the picture's area is at most
            its square.
    """
    head = head_of(face, width, height)
    region = _without_others(_framed(face, head, width, height, framing), head, others)
    found = _fitted(region, face.clipped(width, height), head, size)
    if found is None:
        return None
    box, picture = found
    left = sum(_contains(box, other.center) for other in others)
    return Window(box, picture, _covers(box, head), left)


def whole(width: int, height: int, size: int) -> Window | None:
    """The cut of a picture in which no face is known: all of it, so far as the sides allow; None = there is less than
    64 pixels to cut from.

    Of a picture taller than `LONGEST` the upper part is kept, where the head of a standing figure is; of any other the
    middle.
    """
    region = Box(0, 0, width, height)
    found = _fitted(region, region, region, size)
    if found is None:
        return None
    (x0, y0, x1, y1), picture = found
    across, down = x1 - x0, y1 - y0
    left, top = (width - across) // 2, 0 if height > LONGEST * width else (height - down) // 2
    return Window((left, top, left + across, top + down), picture, True, 0)


def _framed(face: Box, head: Box, width: int, height: int, framing: str) -> Box:
    """The part of the photo that the framing asks for, with the whole head."""
    tall = face.height
    if framing == "keep" and tall >= LEAST_SHARE * height:
        return Box(0, 0, width, height)
    heads = 1 / LEAST_SHARE if framing == "keep" else HEIGHTS[framing]
    down = min(heads * tall, height)
    across = min(width, down * {"face": 1.0, "keep": width / height}.get(framing, 0.8))
    top = (
        head.y0 - 0.1 * tall
        if framing in ("half", "full")
        else face.center[1] - (0.5 if framing == "face" else 0.4) * down
    )
    return _union(_placed(face.center[0] - across / 2, top, across, down, width, height), head)


def _placed(left: float, top: float, across: float, down: float, width: int, height: int) -> Box:
    """A rectangle of that size as near to (left, top) as the photo allows."""
    x, y = min(max(left, 0.0), width - across), min(max(top, 0.0), height - down)
    return Box(x, y, x + across, y + down)


def _union(a: Box, b: Box) -> Box:
    return Box(min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1))


def _without_others(region: Box, head: Box, others: Sequence[Box]) -> Box:
    """The region with other faces cut off at the edge that costs least; one that overlaps the head's own room stays."""
    for other in sorted(others, key=lambda box: -box.area):
        grown = other.expanded(0.1)
        if grown.x0 >= region.x1 or grown.x1 <= region.x0 or grown.y0 >= region.y1 or grown.y1 <= region.y0:
            continue
        sides = (
            Box(max(region.x0, grown.x1), region.y0, region.x1, region.y1),
            Box(region.x0, region.y0, min(region.x1, grown.x0), region.y1),
            Box(region.x0, max(region.y0, grown.y1), region.x1, region.y1),
            Box(region.x0, region.y0, region.x1, min(region.y1, grown.y0)),
        )
        free = [
            side
            for side in sides
            if _inside(head, side) and max(side.width, side.height) <= 2 * LONGEST * min(side.width, side.height)
        ]
        if free:
            region = max(free, key=lambda side: side.area)
    return region


def _inside(inner: Box, outer: Box) -> bool:
    return inner.x0 >= outer.x0 and inner.y0 >= outer.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def _fitted(region: Box, face: Box, head: Box, size: int) -> tuple[tuple[int, int, int, int], tuple[int, int]] | None:
    """The picture that keeps most of the region at most pixels, the face's wholeness first, then the head's; and where
    it is cut.
    """
    best: tuple[tuple[bool, int, float], tuple[int, int, int, int], tuple[int, int]] | None = None
    whole = Box(-(-region.x0 // 1), -(-region.y0 // 1), region.x1 // 1, region.y1 // 1)  # whole pixels only
    for picture in (*buckets(size), *_own_sizes(whole, size)):
        box = _largest(whole, picture, head)
        if box is None:
            continue
        kept = (box[2] - box[0]) * (box[3] - box[1]) / max(whole.area, 1.0)
        share = 1.0 if _covers(box, head) else _common(box, head) / head.area
        score = (_covers(box, face), int(share / _HEAD_STEP), kept * (picture[0] * picture[1] / size**2) ** 0.5)
        if best is None or score > best[0]:
            best = (score, box, picture)
    return None if best is None else (best[1], best[2])


def _own_sizes(region: Box, size: int) -> Iterator[tuple[int, int]]:
    """The size of a small region itself, in multiples of 8 pixels, where it is not over the area: nothing of it is made
    smaller.
    """
    short, long = sorted(int(side) // FINE_STEP * FINE_STEP for side in (region.width, region.height))
    long = min(long, int(LONGEST * short))
    if STEP <= short < FINE_BELOW and short * long <= size * size:
        yield (long, short) if region.width > region.height else (short, long)


def _common(box: tuple[int, int, int, int], other: Box) -> float:
    """Area that both have, in pixels."""
    return max(0.0, min(box[2], other.x1) - max(box[0], other.x0)) * max(
        0.0, min(box[3], other.y1) - max(box[1], other.y0)
    )


def _largest(region: Box, picture: tuple[int, int], head: Box) -> tuple[int, int, int, int] | None:
    """The largest box of the picture's shape in the region, around the head; None where it would need enlarging."""
    scale = min(region.width / picture[0], region.height / picture[1])
    if scale < 1:
        return None
    if scale < SAME_SCALE or min(region.width - picture[0], region.height - picture[1]) < FINE_STEP:
        scale = 1.0
    across, down = int(picture[0] * scale), int(picture[1] * scale)
    x = start_around(region.x0, region.x1, across, head.x0, head.x1)
    y = start_around(region.y0, region.y1, down, head.y0, head.y1)
    return x, y, x + across, y + down


def start_around(low: float, high: float, length: int, first: float, last: float) -> int:
    """Where a stretch of ``length`` pixels of low..high begins: in the middle, moved no further than until first..last
    is in it, or is cut off alike at both ends where it is longer.
    """
    if last - first > length:
        return int(min(max((first + last - length) // 2, low), high - length))
    start = min(max((low + high - length) / 2, last - length), first)
    whole = first // 1 if start >= first else -(-start // 1) if start < last - length + 1e-9 else start // 1
    return int(min(max(whole, low), high - length))


def _covers(box: tuple[int, int, int, int], inner: Box) -> bool:
    """Whether the box holds all of ``inner``, but for a hair's breadth at its edges."""
    slack = 1 + SLACK * inner.height
    return (
        box[0] <= inner.x0 + slack
        and box[1] <= inner.y0 + slack
        and box[2] >= inner.x1 - slack
        and box[3] >= inner.y1 - slack
    )


def _contains(box: tuple[int, int, int, int], point: tuple[float, float]) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]
