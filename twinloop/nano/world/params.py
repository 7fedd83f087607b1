"""Who is drawn (``Identity``) and in which situation (``Scene``), with samplers for both.

All people are fictional adults. Angles are degrees: yaw > 0 turns to the viewer's right, pitch > 0 looks up,
roll > 0 tilts the head clockwise as the viewer sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from twinloop.errors import InputError

Person = Literal["woman", "man"]
Skin = Literal["pale", "light", "tan", "brown", "dark"]
HairStyle = Literal["short", "curly", "bob", "long", "ponytail", "bun", "mohawk", "buzz", "bald"]
HairColor = Literal["black", "brown", "blonde", "red", "grey", "white", "blue", "pink"]
EyeColor = Literal["brown", "blue", "green", "grey"]
Glasses = Literal["none", "glasses", "sunglasses"]
Beard = Literal["none", "stubble", "moustache", "beard"]
Marks = Literal["none", "freckles", "mole", "scar"]
Expression = Literal["neutral", "smile", "serious", "laughing", "surprised", "angry"]
Setting = Literal["indoor", "outdoor", "studio", "casual"]
Lighting = Literal["normal", "low_key", "high_key"]
Framing = Literal["close_up", "portrait", "half_body"]
Clothes = Literal["t-shirt", "shirt", "sweater", "jacket"]
ClothesColor = Literal["white", "black", "red", "blue", "green", "yellow", "grey"]

SKINS: tuple[Skin, ...] = get_args(Skin)
HAIR_STYLES: tuple[HairStyle, ...] = get_args(HairStyle)
HAIR_COLORS: tuple[HairColor, ...] = get_args(HairColor)
EYE_COLORS: tuple[EyeColor, ...] = get_args(EyeColor)
GLASSES: tuple[Glasses, ...] = get_args(Glasses)
BEARDS: tuple[Beard, ...] = get_args(Beard)
MARKS: tuple[Marks, ...] = get_args(Marks)
EXPRESSIONS: tuple[Expression, ...] = get_args(Expression)
SETTINGS: tuple[Setting, ...] = get_args(Setting)
LIGHTINGS: tuple[Lighting, ...] = get_args(Lighting)
FRAMINGS: tuple[Framing, ...] = get_args(Framing)
CLOTHES: tuple[Clothes, ...] = get_args(Clothes)
CLOTHES_COLORS: tuple[ClothesColor, ...] = get_args(ClothesColor)

T = TypeVar("T")

FACE_FLOATS = (
    "face_width", "face_length", "jaw", "cheeks", "nose_size", "nose_width", "eye_size", "eye_spacing",
    "eye_tilt", "brow_thickness", "brow_angle", "mouth_width", "lip_fullness", "ear_size",
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """One fictional person. Floats lie in -1..1 with 0 for the average; ``seed`` jitters the colours."""

    seed: int = 0
    person: Person = "woman"
    skin: Skin = "light"
    hair_style: HairStyle = "bob"
    hair_color: HairColor = "brown"
    eye_color: EyeColor = "brown"
    glasses: Glasses = "none"
    beard: Beard = "none"
    marks: Marks = "none"
    face_width: float = 0.0
    face_length: float = 0.0
    jaw: float = 0.0
    cheeks: float = 0.0
    nose_size: float = 0.0
    nose_width: float = 0.0
    eye_size: float = 0.0
    eye_spacing: float = 0.0
    eye_tilt: float = 0.0
    brow_thickness: float = 0.0
    brow_angle: float = 0.0
    mouth_width: float = 0.0
    lip_fullness: float = 0.0
    ear_size: float = 0.0


@dataclass(frozen=True)
class Scene:
    """One situation. ``offset`` moves the head by a share of the frame (x right, y down); ``blur`` is the
    sigma of a Gaussian in pixels of a 256 px image; ``noise`` a sigma in grey levels."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    expression: Expression = "neutral"
    eyes_open: bool = True
    hands: int = 0
    setting: Setting = "studio"
    lighting: Lighting = "normal"
    framing: Framing = "close_up"
    clothes: Clothes = "t-shirt"
    clothes_color: ClothesColor = "blue"
    background_seed: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    blur: float = 0.0
    noise: float = 0.0


def sample_identity(rng: np.random.Generator, **fixed: Any) -> Identity:
    """A random adult person; ``fixed`` overrides any field of ``Identity`` (hair and beard follow a fixed person).

    Raises:
        InputError: a name in ``fixed`` is not a field.
    """
    person: Person = "woman" if rng.random() < 0.5 else "man"
    woman = fixed.get("person", person) == "woman"
    drawn: dict[str, Any] = {
        "seed": int(rng.integers(2**31)),
        "person": person,
        "skin": _pick(rng, SKINS, (0.18, 0.27, 0.2, 0.2, 0.15)),
        "hair_style": _pick(
            rng,
            HAIR_STYLES,
            (0.08, 0.14, 0.2, 0.24, 0.14, 0.12, 0.03, 0.03, 0.02)
            if woman
            else (0.36, 0.16, 0.03, 0.08, 0.03, 0.04, 0.09, 0.12, 0.09),
        ),
        "hair_color": _pick(rng, HAIR_COLORS, (0.22, 0.22, 0.17, 0.12, 0.08, 0.05, 0.07, 0.07)),
        "eye_color": _pick(rng, EYE_COLORS, (0.34, 0.26, 0.24, 0.16)),
        "glasses": _pick(rng, GLASSES, (0.76, 0.19, 0.05)),
        "beard": "none" if woman else _pick(rng, BEARDS, (0.46, 0.16, 0.14, 0.24)),
        "marks": _pick(rng, MARKS, (0.68, 0.14, 0.1, 0.08)),
    }
    for name in FACE_FLOATS:
        drawn[name] = float(np.clip(rng.normal(0.0, 0.55), -1.0, 1.0))
    return Identity(**_merged(drawn, fixed, Identity))


def sample_scene(rng: np.random.Generator, **fixed: Any) -> Scene:
    """A random situation with the mixture the tiny models are trained on; ``fixed`` overrides any field.

    Every draw is made before ``fixed`` is applied, so fixing one field leaves the others as they were.

    Raises:
        InputError: a name in ``fixed`` is not a field.
    """
    drawn: dict[str, Any] = {
        "yaw": _sample_yaw(rng),
        "pitch": float(np.clip(rng.normal(0.0, 8.0), -22.0, 22.0)),
        "roll": float(np.clip(rng.normal(0.0, 5.0), -18.0, 18.0)),
        "expression": _pick(rng, EXPRESSIONS),
        "eyes_open": bool(rng.random() < 0.94),
        "hands": int(rng.choice(3, p=(0.7, 0.16, 0.14))),
        "setting": _pick(rng, SETTINGS),
        "lighting": _pick(rng, LIGHTINGS, (0.6, 0.2, 0.2)),
        "framing": _pick(rng, FRAMINGS, (0.45, 0.4, 0.15)),
        "clothes": _pick(rng, CLOTHES),
        "clothes_color": _pick(rng, CLOTHES_COLORS),
        "background_seed": int(rng.integers(2**31)),
        "offset": (float(rng.normal(0.0, 0.012)), float(rng.normal(0.0, 0.01))),
        "zoom": float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1)),
        "blur": float(rng.uniform(0.5, 2.5)) if rng.random() < 0.04 else 0.0,
        "noise": float(rng.uniform(2.0, 8.0)) if rng.random() < 0.04 else 0.0,
    }
    return Scene(**_merged(drawn, fixed, Scene))


def _sample_yaw(rng: np.random.Generator) -> float:
    kind = int(rng.integers(3))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    low, high = ((0.0, 15.0), (25.0, 55.0), (60.0, 95.0))[kind]
    return sign * float(rng.uniform(low, high))


def _pick(rng: np.random.Generator, values: tuple[T, ...], shares: tuple[float, ...] | None = None) -> T:
    return values[int(rng.choice(len(values), p=shares))]


def _merged(drawn: dict[str, Any], fixed: dict[str, Any], kind: type[Identity | Scene]) -> dict[str, Any]:
    unknown = set(fixed) - {field.name for field in fields(kind)}
    if unknown:
        raise InputError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}; see its dataclass for the names")
    return drawn | fixed
