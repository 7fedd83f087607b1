"""What the settings say to each stage: its options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from twinloop.checks.base import CheckLimits
from twinloop.config import Settings
from twinloop.domain.likeness import Likeness
from twinloop.domain.observation import Observation
from twinloop.stages import decide
from twinloop.stages.decide import StopRule
from twinloop.stages.early import EarlyJudge
from twinloop.stages.face_detail import FaceDetail
from twinloop.stages.identity import IdentityReference
from twinloop.stages.merge import MergeLimits
from twinloop.stages.observe import Observer
from twinloop.stages.plan import PlanSettings
from twinloop.stages.select import Reading
from twinloop.stages.selection_rules import READABLE_ONLY, UNMEASURED, dataset_rules
from twinloop.stages.sources import Source
from twinloop.stages.toolbox import Makers
from twinloop.store.models.part_hashes import hashes_of_parts

BASE = ("base_prediction", "zero_terminal_snr")
"""What the user may say of the base model; in the record of a LoRA where it is said."""


def settings_fingerprint(settings: Settings) -> str:
    """Of everything in the settings that decides results."""
    return hashlib.sha256(json.dumps(settings.identity_fields(), sort_keys=True).encode()).hexdigest()[:16]


def reading(settings: Settings, likeness: Likeness | None) -> Reading:
    """How a folder of photos is understood.

    Args:
        likeness: of the embedder that measures the photos; None = no detector looks at them.
    """
    character = settings.subject == "character"
    if settings.analysis.keep_all:
        rules = READABLE_ONLY
    elif likeness is None:
        rules = UNMEASURED
    else:
        rules = dataset_rules(likeness, character=character)
    return Reading(rules, character, settings.training.prior_images, settings.training.masks)


def merge_limits(settings: Settings) -> MergeLimits:
    """How many made images join a dataset, and what they weigh."""
    wanted = settings.merge
    return MergeLimits(wanted.max_synthetic_share, wanted.real_to_synthetic_weight, wanted.decay)


def trained_with(settings: Settings) -> dict[str, Any]:
    """What decides the weights beside the settings of the training: how the base model computes, and what trains."""
    wanted = settings.training
    return {
        "precision": settings.precision,
        "quantization": settings.quantization,
        "trainer": wanted.trainer,
        "extra_args": list(wanted.extra_args),
        **{name: value for name in BASE if (value := getattr(settings, name)) is not None},
        **({"base_parts": parts} if (parts := hashes_of_parts(settings.base_parts.given)) else {}),
    }


def plan_settings(
    settings: Settings,
    makers: Makers,
    iteration: int,
    photos: tuple[Source, ...],
) -> PlanSettings:
    """How gaps become shots."""
    return PlanSettings(
        voice=makers.voice,
        seed=settings.seed,
        iteration=iteration,
        num_per_gap=settings.generation.num_per_gap,
        from_photos=settings.generation.from_photos,
        photos=photos,
        references=makers.generation.references,
        faces=settings.generation.face_detail > 0,
        shares=settings.analysis.shares,
    )


def early_judge(settings: Settings, observer: Observer) -> EarlyJudge | None:
    """Who judges unfinished images; None where the settings want all of them finished."""
    at = settings.generation.early_reject
    return None if at is None else EarlyJudge(at, observer, limits_of(settings, observer, None))


def face_detail(
    settings: Settings, observer: Observer, below: float, reference: IdentityReference | None = None
) -> FaceDetail | None:
    """Who redraws small faces; None where the settings want all of them as they are.

    Args:
        below: height of a face as a share of the picture's, under which it is small. reference: knows what real photos
            taught of face quality.
    """
    strength = settings.generation.face_detail
    return FaceDetail(strength, below, observer, limits_of(settings, observer, reference)) if strength else None


def limits_of(
    settings: Settings, observer: Observer, reference: IdentityReference | None, photos: Sequence[Observation] = ()
) -> CheckLimits:
    """The checks' limits from the settings, from what the detectors know of their scales, and from what the real photos
    taught.

    Args:
        photos: whose sharpness as a whole teaches the limit where there are no faces to compare.
    """
    wanted, pack = settings.validation, observer.pack
    share = wanted.sharpness_share
    if share is None:
        share = pack.least_sharpness
    blur = wanted.blur_threshold
    sharp = [seen.measures["sharpness"] for seen in photos if seen.origin == "real"]
    if pack.faceless and wanted.sharpness == "face" and sharp:
        blur = round(share * float(np.median(sharp)), 2)
    quality = wanted.min_face_quality
    if quality is None:
        quality = pack.least_face_quality
    learned = {}
    if quality is None and reference is not None:
        by_angle = reference.quality.limits
        learned = {angle: (round(least, 4), round(usual, 4)) for angle, (least, usual) in by_angle.items()}
    return CheckLimits(
        blur_threshold=blur,
        min_brightness=wanted.min_brightness,
        max_brightness=wanted.max_brightness,
        min_face_confidence=wanted.min_face_confidence,
        min_face_quality=quality,
        novelty_distance=wanted.novelty_distance,
        sharpness=wanted.sharpness,
        real_sharpness=reference.sharpness if reference is not None else None,
        sharpness_share=share,
        identity_tolerance=wanted.identity_tolerance,
        real_face_quality=learned,
    )


def stop_rules(settings: Settings, *later: StopRule) -> tuple[StopRule, ...]:
    """All rules that can end a run, in the order they are asked; the budget is asked last, after ``later``."""
    stop = settings.stop
    return (
        decide.NothingApproved(),
        decide.Drifting(stop.drift_rounds),
        decide.HighApproval(stop.approval_rate, stop.approval_rounds),
        decide.SmallImprovement(settings.convergence_threshold, stop.patience),
        *later,
        decide.Budget(settings.max_iterations),
    )
