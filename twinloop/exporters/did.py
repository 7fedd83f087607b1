"""D-ID: presenter pictures within its limits, best first, and request bodies for its API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from twinloop.domain.faces import Box, ImageArray
from twinloop.domain.wording import plural
from twinloop.exporters import wishes
from twinloop.exporters.candidates import Candidate, Candidates
from twinloop.exporters.choose import Choice, Missing, Policy, ranked, why_missing
from twinloop.exporters.encode import jpeg
from twinloop.exporters.manifest import item, manifest, readme, warnings_of
from twinloop.exporters.package import File, Package, require_pictures
from twinloop.exporters.slots import ANGLES, FIRST, Slot
from twinloop.exporters.wishes import NOTE, shown_expression, wish

LONGEST = 1280
MOST_BYTES = 10_000_000
FACE_PIXELS = 200
"""D-ID's documented limits of a picture (1280 x 1280, 10 MB), and the height of a face below which results suffer."""
EXPRESSIONS = ("neutral", "happy", "surprise", "serious")
"""What D-ID's ``driver_expressions`` knows; it animates them from one neutral picture."""
PLACEHOLDER = "https://example.com/presenter.jpg"
_FACES_WIDE = 3.4
_EYES_AT = 0.38
"""The medium shot: so many face heights wide and high, the eyes at this share of its height."""
_SIZE_WANTED = LONGEST / _FACES_WIDE * 2 / 3
"""Head size in pixels of the photo that fills D-ID's limit: a head is about two thirds of a face box."""
ABOUT = "Presenter pictures for D-ID talking avatars."
HONEST = (
    "D-ID animates one picture, best a frontal, neutral one with closed mouth and even light. presenter.jpg comes"
    " nearest to that, the others are alternatives in order. Limits kept: JPEG, at most 10 MB and 1280 x 1280 pixels;"
    " nothing is enlarged. Expressions need no pictures of their own: D-ID makes neutral, happy, surprise and serious"
    " from this one.",
    "requests/*.json are bodies for POST https://api.d-id.com/talks. Upload the picture first (POST /images), put the"
    f" URL that comes back in the place of {PLACEHOLDER}, and your text into script.input. Nothing was sent anywhere:"
    " this program makes no request to D-ID.",
)


@dataclass(frozen=True, eq=False)
class Presenter:
    """One picture, its size and its face's height in pixels of it."""

    choice: Choice
    file: str
    picture: Image.Image
    face_pixels: float
    scale: float


def presenter_slot() -> Slot:
    """A frontal, neutral, closed-mouthed face."""
    front = ANGLES["front"]
    return Slot(
        "presenter",
        front.words,
        f"{FIRST}: facing the camera, neutral, mouth closed, even light, head and shoulders.",
        admits=lambda c: c.yaw is None or front.holds(c.yaw),
        fit=lambda c: front.fit(c.yaw or 0.0),
        wishes=(
            wishes.pose_known,
            wishes.neutral,
            wishes.expression_known,
            wishes.mouth_closed,
            wishes.eyes_open,
            wishes.straight,
            wishes.upright,
            wishes.evenly_lit,
            wishes.no_hands,
            wishes.alone,
            _large_enough,
        ),
    )


@wish(NOTE)
def _large_enough(candidate: Candidate) -> str:
    height = candidate.face.box.height * shot_scale(shot_of(candidate))
    return f"the face is {height:.0f} pixels high, at least {FACE_PIXELS} are advised" if height < FACE_PIXELS else ""


def shot_of(candidate: Candidate) -> Box:
    """The medium shot, inside the photo: whole pixels, square where the photo has the room."""
    width, height = candidate.seen.width, candidate.seen.height
    side = _FACES_WIDE * candidate.face.box.height
    wide, high = min(round(side), width), min(round(side), height)
    x, y = candidate.head.eyes
    left = min(max(round(x - wide / 2), 0), width - wide)
    top = min(max(round(y - _EYES_AT * high), 0), height - high)
    return Box(left, top, left + wide, top + high)


def shot_scale(shot: Box) -> float:
    """How much it is made smaller to fit D-ID's limit; never larger."""
    return min(1.0, LONGEST / max(shot.width, shot.height))


def export_did(candidates: Candidates, count: int, prefer_real: bool) -> Package:
    """The best presenter picture and ``count`` - 1 alternatives, as far as there are photos.

    Raises:
        NothingToDo: no frontal face in the dataset.
    """
    slot = presenter_slot()
    policy = Policy(prefer_real, _SIZE_WANTED, None)
    ordered = ranked(slot, candidates.items, policy)
    chosen = [*ordered[:1], *filter(_alternative, ordered[1:])][:count]
    gap = Missing(slot, why_missing(slot, candidates))
    require_pictures(chosen, [f"{slot.name}: {gap.why} (wanted: {slot.wanted}). {slot.remedy}"])
    shots = [_presenter(choice, number) for number, choice in enumerate(chosen, 1)]
    files = [File(s.file, jpeg(s.picture, not s.choice.candidate.real, MOST_BYTES)) for s in shots]
    files += [File(f"requests/talk_{name}.json", _talk(name)) for name in EXPRESSIONS]
    files.append(
        File(
            "README.txt", readme("D-ID presenter", HONEST, [(s.choice, s.file) for s in shots], (), candidates.consent)
        )
    )
    return Package(
        tuple(files),
        "manifest.json",
        manifest("did", ABOUT, candidates, [_item(s) for s in shots], (), limits=_limits()),
        _warnings(chosen, count),
    )


def _alternative(choice: Choice) -> bool:
    """One may be less sharp or less straight than the best.

    Shut eyes or another person in it are no choice, another expression is another picture.
    """
    return not choice.spoilt and shown_expression(choice.candidate) in (None, "neutral")


def _warnings(chosen: Sequence[Choice], count: int) -> tuple[str, ...]:
    few = (
        f"only {len(chosen)} of {plural(count, 'picture')}: no more frontal, neutral photos with open eyes in the"
        " dataset"
    )
    return (*warnings_of(chosen, ()), *([few] if len(chosen) < count else []))


def _limits() -> dict[str, Any]:
    return {"longest_side": LONGEST, "most_bytes": MOST_BYTES, "least_face_pixels": FACE_PIXELS}


def _presenter(choice: Choice, number: int) -> Presenter:
    shot = shot_of(choice.candidate)
    scale = shot_scale(shot)
    file = "presenter.jpg" if number == 1 else f"presenter_{number}.jpg"
    return Presenter(
        choice, file, _cut(choice.candidate.pixels(), shot, scale), scale * choice.candidate.face.box.height, scale
    )


def _cut(pixels: ImageArray, shot: Box, scale: float) -> Image.Image:
    picture = Image.fromarray(pixels[int(shot.y0) : int(shot.y1), int(shot.x0) : int(shot.x1)])
    if scale == 1.0:
        return picture
    size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _item(shot: Presenter) -> dict[str, Any]:
    width, height = shot.picture.size
    return item(
        shot.choice,
        shot.file,
        width=width,
        height=height,
        face_height=round(shot.face_pixels, 1),
        scale=round(shot.scale, 4),
    )


def _talk(expression: str) -> bytes:
    """A body for ``POST /talks`` (D-ID's reference, "Facial expressions"), the expression through the whole video."""
    body = {
        "source_url": PLACEHOLDER,
        "script": {"type": "text", "input": "Hello world!"},
        "config": {
            "driver_expressions": {"expressions": [{"start_frame": 0, "expression": expression, "intensity": 1.0}]}
        },
    }
    return (json.dumps(body, indent=2) + "\n").encode()
