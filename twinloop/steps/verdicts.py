"""Images -> verdicts_iterN.json, and a person's word over them."""

from __future__ import annotations

from pathlib import Path

from twinloop.checks.base import Limits
from twinloop.config import Settings
from twinloop.domain.records import Dataset
from twinloop.domain.verdicts import Outcome as Judgement
from twinloop.domain.verdicts import Verdict
from twinloop.domain.wording import plural
from twinloop.errors import WaitingForReview
from twinloop.stages import review as reviewing
from twinloop.stages import validate as validating
from twinloop.stages.identity import IdentityReference
from twinloop.stages.observe import Observer
from twinloop.stages.validate import Judged
from twinloop.steps.photos import observations
from twinloop.steps.run import Run, settings_fingerprint, sign
from twinloop.store.atomic import read_json
from twinloop.store.workspace import Workspace


def limits_of(settings: Settings, observer: Observer, reference: IdentityReference | None) -> Limits:
    """The checks' limits from the settings, from what the detectors know of their scales, and from what the real photos
    taught.
    """
    wanted, pack = settings.validation, observer.pack
    share = wanted.sharpness_share
    if share is None:
        share = pack.least_sharpness
    quality = wanted.min_face_quality
    if quality is None:
        quality = pack.least_face_quality
    learned = {}
    if quality is None and reference is not None:
        by_angle = reference.quality.limits
        learned = {angle: (round(least, 4), round(usual, 4)) for angle, (least, usual) in by_angle.items()}
    return Limits(
        blur_threshold=wanted.blur_threshold,
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


def validate(run: Run, reference: IdentityReference | None, dataset: Dataset, iteration: int) -> list[Judged]:
    """verdicts_iterN.json and the folders approved, rejected and unsure."""
    space = run.workspace
    limits = limits_of(run.settings, run.toolbox.observer, reference)
    hashes = [
        validating.known_image(Path(m.path).name, o)
        for m, o in zip(dataset.members, observations(run, dataset), strict=True)
    ]
    asked = validating.asked_images(space.synthetic(iteration), run.toolbox.observer.facets)
    judged = validating.judge(asked, run.toolbox.observer, run.catalog, limits, reference, hashes, run.toolbox.reporter)
    judged += validating.given_up(space.synthetic(iteration))
    if is_judged(run, iteration):
        recorded = [Verdict.from_json(item) for item in read_json(space.verdicts(iteration))["verdicts"]]
        judged = validating.as_recorded(judged, recorded, space.synthetic(iteration))
    if run.settings.validation.auto_filter:
        validating.sort_into(judged, folders(space, iteration))
    verdicts = [item.verdict for item in judged]
    run.artefact(
        f"iter{iteration}.verdicts",
        space.verdicts(iteration),
        lambda: validating.verdicts_json(verdicts, limits, settings_fingerprint(run.settings)),
    )
    counts = validating.tally(verdicts)
    unsure = f", {counts.unsure} unsure" if counts.unsure else ""
    run.say(f"  {sign(counts.approved)} Validation: {counts.approved} approved ({counts.approval:.0%}){unsure}")
    for line in validating.reason_lines(verdicts):
        run.say(f"    {line}")
    return judged


def is_judged(run: Run, iteration: int) -> bool:
    """Whether a round's images were judged already: they all were made, and what was said of them stays."""
    return run.workspace.verdicts(iteration).exists()


def review(run: Run, judged: list[Judged], iteration: int) -> list[Judged]:
    """review_iterN.json, where the settings ask for one: a person's word goes over the checks'.

    Raises:
        WaitingForReview: it is not finished yet.
    """
    if not reviewing.wanted(run.settings.review, iteration):
        return judged
    path = run.workspace.review(iteration)
    said = reviewing.Review.read(path, iteration)
    if not said.finished:
        raise WaitingForReview(
            f"Round {iteration} waits for your review: {sum(item.verdict.early is None for item in judged)} images in"
            f" {run.workspace.show(run.workspace.synthetic(iteration))}.\nLook at them with: twinloop ui --run"
            f" {run.workspace.show(run.workspace.root)}\nor without a browser: twinloop review"
            f" {run.workspace.show(run.workspace.root)} --help."
        )
    run.mark(f"iter{iteration}.review", path)
    final = reviewing.overruled(judged, said)
    if run.settings.validation.auto_filter:
        validating.sort_into(final, folders(run.workspace, iteration))
    approved = validating.tally([item.verdict for item in final]).approved
    decisions = plural(len(said.opinions), "decision")
    run.say(f"  {sign(approved)} Review: {decisions} by a person, {approved} approved")
    return final


def folders(space: Workspace, iteration: int) -> dict[Judgement, Path]:
    return {
        Judgement.APPROVED: space.approved(iteration),
        Judgement.REJECTED: space.rejected(iteration),
        Judgement.UNSURE: space.unsure(iteration),
    }
