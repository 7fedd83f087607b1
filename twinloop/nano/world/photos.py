"""A messy folder of photos of one fictional person, as a phone and its owner would leave it.

Mostly smiling, mostly indoors, few profiles, few hands; with near-duplicates, blurred shots, other people, turned
JPEGs and file names of several cameras. It feeds the demo and the tests, which know the truth about every file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from twinloop.errors import InputError
from twinloop.nano.world.params import (
    CLOTHES,
    CLOTHES_COLORS,
    HAIR_COLORS,
    Clothes,
    ClothesColor,
    Identity,
    Scene,
    sample_identity,
    sample_scene,
)
from twinloop.nano.world.render import Truth, render

Kind = Literal["person", "near_duplicate", "blurred", "other"]

Shares = Mapping[str, Mapping[str, float]]
"""What a photo shows -> value -> share of the person's photos."""

# a natural imbalance, with gaps for the loop to find
SHARES: Shares = {
    "angle": {"front": 0.60, "three_quarter": 0.32, "profile": 0.08},
    "hands": {"0": 0.90, "1": 0.06, "2": 0.04},
    "expression": {"smile": 0.52, "neutral": 0.24, "laughing": 0.12, "serious": 0.07, "surprised": 0.05},
    "setting": {"indoor": 0.58, "outdoor": 0.20, "casual": 0.15, "studio": 0.07},
    "lighting": {"normal": 0.88, "low_key": 0.07, "high_key": 0.05},
    "framing": {"portrait": 0.48, "close_up": 0.34, "half_body": 0.18},
    "eyes": {"open": 0.95, "closed": 0.05},
}
_YAW = {"front": (0.0, 13.0), "three_quarter": (25.0, 52.0), "profile": (64.0, 90.0)}
# Exif Orientation -> how the stored pixels are turned away from upright
_TURNED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
_RATIO = {"near_duplicate": 5 / 60, "other": 6 / 60, "blurred": 4 / 60, "turned": 4 / 60}


@dataclass(frozen=True, eq=False)
class PhotoRecord:
    """The truth about one file of the folder.

    ``truth`` counts in pixels of the upright picture, that is after the Exif ``orientation`` has been applied.
    ``duplicate_of`` names the file a near-duplicate repeats. ``taken`` is an ISO time.
    """

    file: str
    kind: Kind
    taken: str
    orientation: int
    duplicate_of: str | None
    truth: Truth

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        fields = {name: getattr(self, name) for name in ("file", "kind", "taken", "orientation", "duplicate_of")}
        return fields | {"truth": self.truth.to_json()}


@dataclass(frozen=True)
class _Plan:
    """One photo before it is drawn; ``same_as`` is the place in the plan that it nearly repeats."""

    identity: Identity
    scene: Scene
    kind: Kind
    same_as: int | None = None
    orientation: int = 1
    recoded: bool = False


def write_photo_set(
    out: Path,
    *,
    seed: int,
    count: int = 60,
    size: int = 640,
    truth: Path | None = None,
    identity: Identity | None = None,
    shares: Shares = SHARES,
) -> list[PhotoRecord]:
    """Write ``count`` photos (JPEG, some PNG) into ``out`` and return what is true about each, oldest first.

    Args:
        out: a folder that is empty or does not exist yet.
        seed: same seed, same person, same files.
        count: number of files, at least 12; the mess (duplicates, blur, others, turned) scales with it.
        size: side of the square pictures in pixels.
        truth: where to write the records as JSON; not inside ``out``.
        identity: the person; drawn from ``seed`` when left out.
        shares: how much of the person's photos shows what.

    Raises:
        InputError: ``out`` is not empty, ``truth`` exists or lies in ``out``, ``count`` is too small.
    """
    _check(out, truth, count)
    rng = np.random.default_rng([seed, 60])
    drawn = _drawn(rng)
    who = identity or drawn
    plans = _plan(rng, who, count, shares)
    times = _times(rng, plans)
    order = sorted(range(len(plans)), key=lambda place: times[place])
    names = _names(rng, plans, times, order)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for place in order:
        plan = plans[place]
        picture = render(plan.identity, plan.scene, size)
        _save(out / names[place], picture.image, plan, times[place])
        twin = None if plan.same_as is None else names[plan.same_as]
        records.append(
            PhotoRecord(names[place], plan.kind, times[place].isoformat(), plan.orientation, twin, picture.truth)
        )
    if truth is not None:
        text = json.dumps({"identity": asdict(who), "photos": [record.to_json() for record in records]}, indent=1)
        truth.parent.mkdir(parents=True, exist_ok=True)
        truth.write_text(text + "\n", encoding="utf-8", newline="\n")
    return records


def person_of(seed: int) -> Identity:
    """The person of the photo set of a seed."""
    return _drawn(np.random.default_rng([seed, 60]))


def _drawn(rng: np.random.Generator) -> Identity:
    return sample_identity(rng, glasses="none", hair_color=HAIR_COLORS[int(rng.integers(4))])


def _check(out: Path, truth: Path | None, count: int) -> None:
    if count < 12:
        raise InputError(f"a photo set of {count} files is too small for its mess; ask for at least 12")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; name a new one, nothing is ever overwritten")
    if truth is not None and truth.exists():
        raise InputError(f"{truth} exists; name a new file for the truth, nothing is ever overwritten")
    if truth is not None and out.resolve() in truth.resolve().parents:
        raise InputError(f"{truth} lies among the photos; put the truth outside {out}")


def _plan(rng: np.random.Generator, who: Identity, count: int, shares: Shares) -> list[_Plan]:
    """The person's photos, then near-duplicates of some, then other people; some are blurred or stored turned."""
    doubles, others, blurred, turned = (
        max(1, round(_RATIO[name] * count)) for name in ("near_duplicate", "other", "blurred", "turned")
    )
    own = count - doubles - others
    scenes = _scenes(rng, own, shares)
    places = rng.permutation(own)
    soft, rotated, doubled = places[:blurred], places[blurred : blurred + turned], places[-doubles:]
    plans = [_Plan(who, scene, "person") for scene in scenes]
    for place in soft:
        blur = float(rng.uniform(4.5, 7.5))
        plans[place] = replace(plans[place], kind="blurred", scene=replace(plans[place].scene, blur=blur))
    for number, place in enumerate(rotated):
        plans[place] = replace(plans[place], orientation=(6, 8, 3, 6)[number % 4])
    for number, place in enumerate(doubled):
        again = number % 3 == 2
        scene = scenes[place] if again else _nudged(rng, scenes[place])
        plans.append(_Plan(who, scene, "near_duplicate", same_as=int(place), recoded=again))
    for _ in range(others):
        plans.append(_Plan(_stranger(rng, who), _scenes(rng, 1, shares)[0], "other"))
    return plans


def _stranger(rng: np.random.Generator, who: Identity) -> Identity:
    """Somebody who cannot be taken for ``who``: another skin or hair, or another hair style."""
    while True:
        other = sample_identity(rng)
        different = (
            (other.skin != who.skin) + (other.hair_style != who.hair_style) + (other.hair_color != who.hair_color)
        )
        if different >= 2:
            return other


def _nudged(rng: np.random.Generator, scene: Scene) -> Scene:
    """The same moment a second later."""
    dx, dy = scene.offset
    return replace(
        scene,
        yaw=scene.yaw + float(rng.uniform(0.8, 2.0)),
        pitch=scene.pitch + float(rng.uniform(-1.0, 1.0)),
        offset=(dx + float(rng.uniform(0.004, 0.010)), dy),
        zoom=scene.zoom * 1.01,
    )


def _quota(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> list[str]:
    """``count`` values with these shares, as exactly as whole numbers allow, shuffled."""
    exact = np.array(list(shares.values())) * count
    whole = np.floor(exact).astype(int)
    rest = np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]
    whole[rest] += 1
    values = [value for value, many in zip(shares, whole, strict=True) for _ in range(many)]
    return [values[place] for place in rng.permutation(count)]


def _scenes(rng: np.random.Generator, count: int, shares: Shares) -> list[Scene]:
    drawn = {name: _quota(rng, values, count) for name, values in shares.items()}
    wardrobe: list[tuple[Clothes, ClothesColor]] = [
        (CLOTHES[int(rng.integers(len(CLOTHES)))], CLOTHES_COLORS[int(rng.integers(len(CLOTHES_COLORS)))])
        for _ in range(9)
    ]
    rooms = rng.integers(2**31, size=max(4, count // 3))
    scenes = []
    for place in range(count):
        low, high = _YAW[drawn["angle"][place]]
        clothes, color = wardrobe[int(rng.integers(len(wardrobe)))]
        scenes.append(
            sample_scene(
                rng,
                yaw=float(rng.uniform(low, high)) * (1.0 if rng.random() < 0.5 else -1.0),
                pitch=float(np.clip(rng.normal(0.0, 5.0), -12.0, 12.0)),
                expression=drawn["expression"][place],
                hands=int(drawn["hands"][place]),
                setting=drawn["setting"][place],
                lighting=drawn["lighting"][place],
                framing=drawn["framing"][place],
                eyes_open=drawn["eyes"][place] == "open",
                clothes=clothes,
                clothes_color=color,
                background_seed=int(rooms[int(rng.integers(len(rooms)))]),
                offset=(float(rng.normal(0.0, 0.03)), float(rng.normal(0.0, 0.015))),
                blur=0.0,
                noise=float(rng.uniform(0.0, 2.5)),
            )
        )
    return scenes


def _times(rng: np.random.Generator, plans: list[_Plan]) -> list[datetime]:
    """When each photo was taken, over two years, by day; a near-duplicate a few seconds after its twin."""
    start = datetime(2023, 3, 4)
    times: list[datetime] = []
    for plan in plans:
        if plan.same_as is not None:
            times.append(times[plan.same_as] + timedelta(seconds=int(rng.integers(1, 5))))
            continue
        day, second = int(rng.integers(730)), int(rng.integers(8 * 3600, 22 * 3600))
        times.append(start + timedelta(days=day, seconds=second))
    return times


def _names(rng: np.random.Generator, plans: list[_Plan], times: list[datetime], order: list[int]) -> list[str]:
    """File names of a phone, a camera, a messenger and a screenshot tool, rising with time."""
    kinds: tuple[tuple[float, Callable[[int, datetime], str]], ...] = (
        (0.58, lambda number, _: f"IMG_{1180 + number * 7:04d}.jpg"),
        (0.18, lambda number, _: f"DSC{2300 + number * 3:05d}.JPG"),
        (0.14, lambda number, when: f"IMG-{when:%Y%m%d}-WA{number:04d}.jpg"),
        (0.06, lambda _, when: f"Screenshot_{when:%Y-%m-%d-%H-%M-%S}.png"),
        (0.04, lambda number, _: f"photo ({number + 1}).png"),
    )
    shares = [share for share, _ in kinds]
    names = [""] * len(plans)
    for number, place in enumerate(order):
        kind = 0 if plans[place].orientation != 1 else int(rng.choice(len(kinds), p=shares))
        names[place] = kinds[2 if plans[place].recoded else kind][1](number, times[place])
    return names


def _save(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]], plan: _Plan, when: datetime) -> None:
    picture = Image.fromarray(pixels)
    if plan.orientation != 1:
        picture = picture.transpose(_TURNED[plan.orientation])
    if path.suffix == ".png":
        picture.save(path)
        return
    if "-WA" in path.name:  # messengers strip Exif and compress
        picture.save(path, quality=66)
        return
    exif = Image.Exif()
    stamp = when.strftime("%Y:%m:%d %H:%M:%S")
    maker, model = ("Lumen", "LX-20") if path.name.startswith("DSC") else ("Pocketline", "P7")
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x0131] = (
        maker,
        model,
        plan.orientation,
        "twinloop renderer",
    )
    exif[0x0132] = stamp
    exif.get_ifd(0x8769)[0x9003] = stamp
    picture.save(path, quality=90, exif=exif)
