"""Fakes: every port without a model, instant and deterministic, for dry runs and tests.

A fake picture carries its truth in grey blocks of 8x8 pixels along its top (they survive JPEG), and the fake detectors
read it back. About a fifth of what the fake generator makes misses its target, so that rejections happen; a better LoRA
misses less.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twinloop.domain.faces import Box, Face, FloatArray, HeadPose, ImageArray, Part
from twinloop.domain.likeness import USUAL
from twinloop.domain.records import TrainingSample
from twinloop.domain.shots import Shot, derive_seed
from twinloop.domain.validation_loss import TimeLoss, ValidationLoss
from twinloop.errors import MissingModel
from twinloop.ports import (
    Denoising,
    DetectorPack,
    EarlyLook,
    GenerationSettings,
    Progress,
    Trained,
    TrainingSettings,
    TrainingSize,
    decisive_settings,
)
from twinloop.store.atomic import read_json, write_bytes, write_json
from twinloop.store.models.lora_file import with_texts
from twinloop.store.models.step_saves import StepSaves
from twinloop.store.pictures.images import load_image

BLOCK = 8
PER_ROW = 8
SIZE = 64
_STEP = 16
_MAGIC = (15, 0, 15, 0)
_NAMES = {
    "expression": ("neutral", "smile", "serious", "laughing", "surprised", "angry"),
    "setting": ("indoor", "outdoor", "studio", "casual"),
    "lighting": ("normal", "low_key", "high_key"),
    "framing": ("close_up", "portrait", "half_body"),
}
_FACE_SHARE = {"close_up": 0.68, "portrait": 0.45, "half_body": 0.28}
_YAW = {"front": 0.0, "three_quarter": 35.0, "profile": 75.0}


@dataclass(frozen=True)
class FakeTruth:
    """What a fake picture shows.

    ``likeness`` and ``quality`` count 0..15; ``yaw`` in degrees, kept to the nearest whole one.
    """

    yaw: float = 0.0
    expression: str = "neutral"
    setting: str = "indoor"
    lighting: str = "normal"
    framing: str = "portrait"
    hands: int = 0
    eyes_open: bool = True
    person: int = 0
    likeness: int = 15
    quality: int = 13


def fake_image(truth: FakeTruth, seed: int, size: int = SIZE) -> ImageArray:
    """A picture (size, size, 3) uint8 that carries ``truth``; the seed draws the rest."""
    rng = np.random.default_rng(seed)
    base = {"normal": 120, "low_key": 55, "high_key": 205}[truth.lighting]
    cells = rng.normal(base, 30, (size // BLOCK, size // BLOCK, 3))
    image = np.kron(cells, np.ones((BLOCK, BLOCK, 1))) + rng.normal(0, 8, (size, size, 1))
    for index, code in enumerate(_encode(truth)):
        row, column = divmod(index, PER_ROW)
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = code * _STEP + _STEP // 2
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _encode(truth: FakeTruth) -> list[int]:
    yaw = round(truth.yaw) + 128
    named = [_NAMES[name].index(getattr(truth, name)) for name in _NAMES]
    return [
        *_MAGIC,
        yaw // 16,
        yaw % 16,
        *named,
        truth.hands,
        int(truth.eyes_open),
        truth.person,
        truth.likeness,
        truth.quality,
    ]


def read_truth(image: ImageArray) -> FakeTruth | None:
    """What a fake picture carries, or None for any other picture."""
    if image.shape[0] < 3 * BLOCK or image.shape[1] < PER_ROW * BLOCK:
        return None
    codes = []
    for index in range(len(_MAGIC) + 2 + len(_NAMES) + 5):
        row, column = divmod(index, PER_ROW)
        block = image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
        codes.append(int(np.clip(block.mean() // _STEP, 0, 15)))
    if tuple(codes[:4]) != _MAGIC:
        return None
    named = {
        name: values[min(code, len(values) - 1)]
        for (name, values), code in zip(_NAMES.items(), codes[6:10], strict=True)
    }
    hands, eyes, person, likeness, quality = codes[10:]
    yaw = float(codes[4] * 16 + codes[5] - 128)
    return FakeTruth(yaw, hands=hands, eyes_open=bool(eyes), person=person, likeness=likeness, quality=quality, **named)


LEAST_FACE_QUALITY = 0.4


class FakeDetectors:
    """All detector ports in one: it reads the blocks."""

    fingerprint = "fake-1"
    likeness = USUAL
    kind, forms = "hand", ""
    covers = frozenset({"eyes", "expression", "setting", "lighting", "face_quality"})

    def detect(self, image: ImageArray) -> list[Face]:
        truth = read_truth(image)
        if truth is None:
            return []
        height, width = image.shape[:2]
        tall = _FACE_SHARE[truth.framing] * height
        box = Box(width / 2 - tall * 0.4, height * 0.97 - tall, width / 2 + tall * 0.4, height * 0.97)
        return [Face(box, 0.6 if abs(truth.yaw) > 50 else 0.9)]

    def pose(self, image: ImageArray, face: Face) -> HeadPose | None:
        truth = read_truth(image)
        return None if truth is None else HeadPose(truth.yaw, 0.0, 0.0)

    def parts(self, image: ImageArray, faces: Sequence[Face]) -> list[Part]:
        truth = read_truth(image)
        count = 0 if truth is None else truth.hands
        return [Part("hand", Box(4.0 + 20 * n, 40.0, 20.0 + 20 * n, 56.0), 0.9) for n in range(count)]

    def measure(self, image: ImageArray, face: Face | None) -> Mapping[str, float]:
        truth = read_truth(image)
        if truth is None:
            return {}
        measures = {"eyes_open": float(truth.eyes_open), "face_quality": truth.quality / 15}
        for facet in ("expression", "setting", "lighting"):
            for value in _NAMES[facet]:
                measures[f"{facet}.{value}"] = 0.9 if getattr(truth, facet) == value else 0.02
        return measures

    def embed(self, image: ImageArray, face: Face) -> FloatArray | None:
        """Two photos of one person have a cosine near 0.7; one of low likeness is further away."""
        truth = read_truth(image)
        if truth is None:
            return None
        own = _direction(derive_seed("fake person", truth.person))
        noise = _direction(int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big"))
        vector = own + (0.65 + 0.12 * (15 - truth.likeness)) * noise
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _direction(seed: int) -> FloatArray:
    vector = np.random.default_rng(seed).normal(size=64)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def fake_pack() -> DetectorPack:
    """A pack that fills every port."""
    one = FakeDetectors()
    return DetectorPack(
        "fake", faces=one, pose=one, parts=(one,), measurers=(one,), embedder=one, least_face_quality=LEAST_FACE_QUALITY
    )


class FakeGenerator:
    """Draws what the shot asks for; how often it misses, and how like the person it is, depends on the LoRA."""

    fingerprint = "fake-generator-1"
    own_sampler = ""

    def __init__(self) -> None:
        self._skill = 0.2
        self._person = 15

    def load_lora(self, path: Path | None) -> None:
        self._skill, self._person = 0.2, 15
        if path is not None:
            info = _lora_info(path)
            self._skill, self._person = float(info["fake.skill"]), int(info["fake.person"])

    def check(self, settings: GenerationSettings) -> None:
        """Every size will do."""

    def expect(self, shots: Sequence[Shot], settings: GenerationSettings) -> None:
        """Nothing is worth doing ahead."""

    def generate(
        self,
        shots: Sequence[Shot],
        settings: GenerationSettings,
        look: EarlyLook | None = None,
        told: Denoising | None = None,
    ) -> Iterator[tuple[Shot, ImageArray]]:
        looks = look is not None and look.step(settings.steps) < settings.steps
        for number, shot in enumerate(shots):
            if told is not None:
                told(number + 0.5, settings.steps, settings.steps)
            image = self._image(shot, settings)
            if look is None or not looks or look.worth_finishing(shot, image):
                yield shot, image

    def redraw(
        self, pictures: Sequence[tuple[Shot, ImageArray]], settings: GenerationSettings
    ) -> Iterator[tuple[Shot, ImageArray]]:
        """Grain by the shot's seed, more of it the more is drawn anew."""
        for shot, pixels in pictures:
            grain = np.random.default_rng(shot.seed).normal(0, 60 * settings.strength, (*pixels.shape[:2], 1))
            yield shot, np.asarray(np.clip(pixels + grain, 0, 255), np.uint8)

    def _image(self, shot: Shot, settings: GenerationSettings) -> ImageArray:
        rng = random.Random(shot.seed)
        asked = {**dict(shot.traits), shot.facet: shot.value}
        if rng.random() > 0.65 + 0.3 * self._skill:
            asked = {name: rng.choice(_NAMES.get(name, tuple(_YAW))) for name in asked}
        side = rng.choice((-1, 1))
        shown = {name: asked[name] for name in _NAMES if asked.get(name) in _NAMES[name]}
        truth = FakeTruth(
            yaw=side * _YAW.get(asked.get("face_angle", "front"), 0.0) + rng.randint(-8, 8),
            hands=1 if asked.get("composition") == "hands_visible" else 0,
            person=self._person,
            likeness=min(15, int(11 + 4 * self._skill + rng.random() * 2)),
            quality=min(15, int(8 + 5 * self._skill + rng.random() * 3)),
            expression=shown.get("expression", FakeTruth.expression),
            setting=shown.get("setting", FakeTruth.setting),
            lighting=shown.get("lighting", FakeTruth.lighting),
            framing=shown.get("framing", FakeTruth.framing),
        )
        return fake_image(truth, shot.seed, max(SIZE, min(settings.width, settings.height)))


class FakeTrainer:
    """Writes a small, real safetensors file; more and more varied pictures make a better LoRA.

    Checkpoints after every step.
    """

    fingerprint = "fake-trainer-1"

    def forecast(self, settings: TrainingSettings, size: TrainingSize) -> None:
        """None: it takes nothing worth telling."""

    def notes(self, settings: TrainingSettings, *, prior: bool) -> Sequence[str]:
        """None: it has no way of its own."""
        return ()

    def steps_done(self, work: Path) -> int:
        """The step of the checkpoint in ``work``; 0 where there is none."""
        checkpoint = work / "checkpoint.json"
        return int(read_json(checkpoint)["step"]) if checkpoint.exists() else 0

    def train(
        self,
        samples: Sequence[TrainingSample],
        settings: TrainingSettings,
        output: Path,
        work: Path,
        metadata: Mapping[str, str],
        progress: Progress,
    ) -> Trained:
        held_out = [sample for sample in samples if not sample.weight and not sample.prior]
        samples = [sample for sample in samples if sample.weight > 0]
        truths = [
            truth for truth in (_truth_of(sample.path) for sample in samples if not sample.prior) if truth is not None
        ]
        if not truths:
            raise MissingModel("The fake trainer needs fake photos. Use a real base model for real ones.")
        checkpoint = work / "checkpoint.json"
        decisive = json.dumps(decisive_settings(settings))
        fresh = {"step": 0, "state": hashlib.sha256(decisive.encode()).hexdigest()}
        state: dict[str, Any] = read_json(checkpoint) if checkpoint.exists() else fresh
        if state["step"] > settings.last_step:
            state = fresh
        saves = StepSaves.of(settings, output)
        for step in range(state["step"] + 1, settings.last_step + 1):
            text = f"{state['state']}{step}{samples[step % len(samples)].sha256}"
            state = {"step": step, "state": hashlib.sha256(text.encode()).hexdigest()}
            if (file := saves.at(step)) is not None:
                _write_fake(file, truths, replace(settings, stop_at=step), state["state"], metadata)
                saves.drop_old(step)
            write_json(checkpoint, state)
            progress(step, settings.steps, 1.0 / step)
        _write_fake(output, truths, settings, state["state"], metadata)
        validated = bool(held_out) and (settings.validate_every is None or settings.validates_at(settings.last_step))
        return Trained(settings.last_step, 1.0 / settings.last_step, _fake_validation(settings) if validated else None)


def _fake_validation(settings: TrainingSettings) -> ValidationLoss:
    """A little more than the loss of the last step, the same at all times."""
    times = settings.validation_times
    middles = [round(1000 * (number + 0.5) / times) for number in range(times)]
    losses = tuple(TimeLoss(time, round(1.1 / settings.last_step, 6)) for time in middles)
    return ValidationLoss(settings.last_step, losses)


def _write_fake(
    output: Path, truths: Sequence[FakeTruth], settings: TrainingSettings, state: str, metadata: Mapping[str, str]
) -> None:
    """A LoRA as it is after the settings' last step."""
    from safetensors.numpy import save

    variety = len({(t.framing, t.setting, t.expression, t.hands, round(abs(t.yaw) / 30)) for t in truths})
    people = [t.person for t in truths]
    info = {
        **metadata,
        "fake.skill": f"{min(1.0, 0.3 + variety / 30 + len(truths) / 200) * _ripeness(settings):.4f}",
        "fake.person": str(max(sorted(set(people)), key=people.count)),
    }
    weights = np.frombuffer(bytes.fromhex(state), np.uint8).astype(np.float32).reshape(4, 8)
    tensors = {"unet.fake.lora_A.weight": weights, "unet.fake.lora_B.weight": weights.T.copy()}
    write_bytes(output, with_texts(save(tensors), info))


def _ripeness(settings: TrainingSettings) -> float:
    """Skill as a share of what the last step has: the fake learns for three quarters of its steps, then it learns by
    heart.
    """
    share = settings.last_step / settings.steps
    return 1.6 * share if share <= 0.75 else 1.2 - 0.8 * (share - 0.75)


def _truth_of(path: Path) -> FakeTruth | None:
    return read_truth(load_image(path).pixels)


def _lora_info(path: Path) -> Mapping[str, str]:
    from safetensors import safe_open

    with safe_open(str(path), "numpy") as file:
        return dict(file.metadata() or {})
