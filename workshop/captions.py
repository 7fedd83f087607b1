"""Words for a rendered picture: what the tiny base model learned to read.

The facets' phrases in prose are the product's own, word for word, so that a prompt of the loop means to the base model
what the facet means. Everything else (hair, skin, clothes, the shape of the face) is there so that little is left to
chance when the model learns.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from twinloop.nano.world.params import Identity, Scene

FRONT_BELOW, THREE_QUARTER_TO, PROFILE_FROM = 20.0, 46.0, 56.0
"""Degrees of |yaw|: the words of a view. Between three-quarter and profile no word is said: the facet's border lies
there (50), and a base model that draws a few degrees off would draw the neighbour."""

TRIGGERS = ("ohwx", "sks", "zwx", "vxz", "qwt", "mrk", "jdq", "xyv", "kzt", "bnw", "tok", "lora")
"""Rare words that mean nothing, so that a LoRA can take one over."""

QUALITY = {
    "prose": ("professional photography", "high quality", "detailed", "sharp focus", "4k"),
    "tags": ("masterpiece", "best quality", "detailed"),
}
FRAMING = {
    "close_up": "close-up portrait",
    "portrait": "head and shoulders portrait",
    "half_body": "half-body shot, from the waist up",
}
EXPRESSION = {
    "neutral": "neutral expression",
    "smile": "smiling",
    "serious": "serious expression",
    "laughing": "laughing, open mouth",
    "surprised": "surprised expression, raised eyebrows",
    "angry": "angry expression, frowning",
}
SETTING = {
    "indoor": "indoors, in a living room",
    "outdoor": "outdoors, in a park",
    "studio": "studio portrait, plain backdrop",
    "casual": "casual street setting, brick wall",
}
LIGHTING = {
    "normal": "soft even lighting",
    "low_key": "low-key lighting, dark, moody",
    "high_key": "high-key lighting, bright, airy",
}
HAIR = {
    "short": "short {} hair",
    "curly": "curly {} hair",
    "bob": "{} bob haircut",
    "long": "long {} hair",
    "ponytail": "{} hair in a ponytail",
    "bun": "{} hair in a bun",
    "mohawk": "{} mohawk",
    "buzz": "{} buzz cut",
    "bald": "bald",
}
SHAPES = {
    "face_width": ("narrow face", "wide face"),
    "face_length": ("short face", "long face"),
    "jaw": ("soft jaw", "strong jaw"),
    "cheeks": ("hollow cheeks", "round cheeks"),
    "nose_size": ("small nose", "big nose"),
    "eye_size": ("small eyes", "big eyes"),
    "eye_spacing": ("close-set eyes", "wide-set eyes"),
    "eye_tilt": ("drooping eyes", "slanted eyes"),
    "brow_thickness": ("thin eyebrows", "thick eyebrows"),
    "mouth_width": ("narrow mouth", "wide mouth"),
    "lip_fullness": ("thin lips", "full lips"),
}
SHAPE_FROM = 0.4
NEGATIVE = (
    "blurry", "low quality", "deformed", "extra fingers", "bad anatomy", "watermark", "text", "worst quality",
    "sunglasses", "eyes closed", "cropped", "jpeg artifacts", "ugly", "out of frame", "mutated hands", "bad hands",
)  # fmt: skip
TENS = tuple(str(number) for number in range(0, 100, 10))


def mirrored(scene: Scene) -> Scene:
    """The scene of the picture flipped left to right."""
    return replace(scene, yaw=-scene.yaw, roll=-scene.roll, offset=(-scene.offset[0], scene.offset[1]))


def view_words(yaw: float, style: str) -> str:
    """The words of a head turned by ``yaw`` degrees (> 0 to the image's right); "" between
    three-quarter and profile.
    """
    turned, side = abs(yaw), "right" if yaw > 0 else "left"
    if turned < FRONT_BELOW:
        return "front view, looking at viewer" if style == "tags" else "front view, facing the camera"
    if turned < THREE_QUARTER_TO:
        return "three-quarter view, from side" if style == "tags" else f"three-quarter view, head turned to the {side}"
    if turned < PROFILE_FROM:
        return ""
    return "profile, from side" if style == "tags" else f"side profile view, facing {side}"


def _person(identity: Identity, style: str, rng: random.Random) -> str:
    woman = identity.person == "woman"
    if style == "tags":
        word = "1girl" if woman else "1boy"
        return word if rng.random() < 0.7 else ("girl" if woman else "boy")
    word = "person" if rng.random() < 0.08 else identity.person
    return word if rng.random() < 0.6 else f"a {word}"


def _attributes(identity: Identity, rng: random.Random) -> list[str]:
    words = [HAIR[identity.hair_style].format(identity.hair_color), f"{identity.skin} skin"]
    words.append(f"{identity.eye_color} eyes")
    words += [value for value in (identity.glasses, identity.beard) if value != "none"]
    if identity.marks != "none":
        words.append("freckles" if identity.marks == "freckles" else f"a {identity.marks}")
    words = [word for word in words if rng.random() > 0.1]
    for name, (low, high) in SHAPES.items():
        value = getattr(identity, name)
        if abs(value) >= SHAPE_FROM and rng.random() < 0.4:
            words.append(high if value > 0 else low)
    return words


def _composition(scene: Scene, rng: random.Random) -> list[str]:
    words = []
    if scene.hands == 2 and rng.random() < 0.6:
        words.append("both hands visible")
    elif scene.hands:
        words.append("hands visible, raised hand")
    if not scene.eyes_open:
        words.append("eyes closed")
    elif rng.random() < 0.3:
        words.append("eyes open")
    return words


def _fine(scene: Scene, rng: random.Random) -> list[str]:
    words = []
    if rng.random() < 0.35:
        tens = min(9, round(abs(scene.yaw) / 10)) * 10
        words.append(f"turned {tens} degrees " + ("right" if scene.yaw > 0 else "left"))
    if abs(scene.pitch) > 7 and rng.random() < 0.7:
        words.append("looking up" if scene.pitch > 0 else "looking down")
    if abs(scene.roll) > 5 and rng.random() < 0.7:
        words.append("head tilted " + ("right" if scene.roll > 0 else "left"))
    return words


def _faults(scene: Scene) -> list[str]:
    return (["blurry"] if scene.blur > 0.8 else []) + (["grainy"] if scene.noise > 3 else [])


def caption(identity: Identity, scene: Scene, rng: random.Random) -> str:
    """One caption of a picture; another draw of ``rng`` gives another choice of style, parts and order."""
    style = "tags" if rng.random() < 0.25 else "prose"
    lead = _person(identity, style, rng)
    if rng.random() < 0.25:
        lead = f"{_trigger(rng)} {lead}"
    clothes = f"{scene.clothes_color} {scene.clothes}"
    scene_parts = [
        FRAMING[scene.framing],
        view_words(scene.yaw, style),
        EXPRESSION[scene.expression],
        *_composition(scene, rng),
        SETTING[scene.setting],
        LIGHTING[scene.lighting],
    ]
    scene_parts = [part for part in scene_parts if rng.random() > 0.1 and part] + _fine(scene, rng) + _faults(scene)
    person_parts = _attributes(identity, rng) if rng.random() > 0.12 else []
    if rng.random() < 0.7:
        person_parts.append(f"wearing a {clothes}")
    if rng.random() < 0.3:
        rng.shuffle(scene_parts)
    parts = scene_parts + person_parts if rng.random() < 0.5 else person_parts + scene_parts
    if rng.random() < 0.5 and scene.blur <= 0.8 and scene.noise <= 3:
        parts += [word for word in QUALITY[style] if rng.random() > 0.3]
    return ", ".join([lead, *parts])


def _trigger(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(TRIGGERS)
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 5)))


def vocabulary() -> list[str]:
    """Every word of the captions, most basic first; each becomes one token."""
    lines: list[str] = ["a the and with wearing person woman man girl boy 1girl 1boy photo of"]
    lines += [*FRAMING.values(), *EXPRESSION.values(), *SETTING.values(), *LIGHTING.values()]
    lines += [view_words(yaw, style) for yaw in (0, 40, -40, 80, -80) for style in ("prose", "tags")]
    lines += ["hands visible, raised hand, both hands visible, eyes open, eyes closed"]
    lines += [hair.format("black brown blonde red grey white blue pink green yellow") for hair in HAIR.values()]
    lines += ["pale light tan brown dark skin eyes glasses sunglasses stubble moustache beard freckles mole scar"]
    lines += [word for pair in SHAPES.values() for word in pair]
    lines += ["t-shirt shirt sweater jacket turned degrees looking up down head tilted blurry grainy", " ".join(TENS)]
    lines += [" ".join(words) for words in QUALITY.values()] + [*NEGATIVE, *TRIGGERS]
    lines += ["old young happy sad face hair nose mouth lips smile camera picture image character solo upper body"]
    return list(dict.fromkeys(split_words(lines)))


def split_words(lines: Sequence[str]) -> list[str]:
    """The words of the lines as the tokenizer sees them: lower case, letters together, digits and marks alone."""
    import re

    return [word for line in lines for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", line.lower())]
