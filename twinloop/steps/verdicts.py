"""Images -> verdicts_iterN.json, and a person's word over them."""

from __future__ import annotations

from pathlib import Path

from twinloop.domain.records import Dataset
from twinloop.domain.verdicts import Outcome, Verdict
from twinloop.domain.wording import plural
from twinloop.errors import StateError, WaitingForReview
from twinloop.stages import review as reviewing
from twinloop.stages import validate as validating
from twinloop.stages.identity import IdentityReference
from twinloop.stages.validate import Judged
from twinloop.steps.photos import observations
from twinloop.steps.run import Run, sign
from twinloop.steps.stage_options import limits_of, settings_fingerprint
from twinloop.store.atomic import read_as, read_object, sha256_file
from twinloop.store.run.workspace import Workspace
from twinloop.system import shell


def validate(run: Run, reference: IdentityReference | None, dataset: Dataset, iteration: int) -> list[Judged]:
    """verdicts_iterN.json and the folders approved, rejected and unsure."""
    space = run.workspace
    photos = observations(run, dataset)
    limits = limits_of(run.settings, run.toolbox.observer, reference, photos)
    hashes = [validating.known_image(Path(m.path).name, seen) for m, seen in zip(dataset.members, photos, strict=True)]
    asked = validating.asked_images(space.synthetic(iteration), run.toolbox.observer.facets)
    judged = validating.judge(
        asked,
        run.toolbox.observer,
        run.catalog,
        limits,
        reference=reference,
        known=hashes,
        reporter=run.toolbox.reporter,
    )
    judged += validating.given_up(space.synthetic(iteration))
    if is_judged(run, iteration):
        recorded = read_as(
            space.verdicts(iteration), lambda data: [Verdict.from_json(item) for item in data["verdicts"]]
        )
        judged = validating.as_recorded(judged, recorded, space.synthetic(iteration))
    if run.settings.validation.auto_filter:
        validating.sort_into(judged, folders(space, iteration))
    verdicts = [item.verdict for item in judged]
    run.artefact(
        f"iter{iteration}.verdicts",
        space.verdicts(iteration),
        lambda: validating.verdicts_json(verdicts, limits, settings_fingerprint(run.settings)),
        editable=True,
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
        WaitingForReview: it is not finished yet. StateError: it is another one than the run has gone on with.
    """
    if not reviewing.wanted(run.settings.review, iteration):
        return judged
    path = run.workspace.review(iteration)
    _check_same_review(run, path, iteration)
    said = reviewing.Review.read(path, iteration)
    if not said.finished:
        images = plural(sum(item.verdict.early is None for item in judged), "image")
        root = shell.quote(str(run.workspace.show(run.workspace.root)))
        raise WaitingForReview(
            f"Round {iteration} waits for your review: {images} in"
            f" {run.workspace.show(run.workspace.synthetic(iteration))}.\nLook at them with: twinloop ui --run {root}\n"
            f"or without a browser: twinloop review {root} --help."
        )
    run.mark(_review_key(iteration), path, anew=True)
    final = reviewing.overruled(judged, said)
    if run.settings.validation.auto_filter:
        validating.sort_into(final, folders(run.workspace, iteration))
    approved = validating.tally([item.verdict for item in final]).approved
    decisions = plural(len(said.opinions), "decision")
    run.say(f"  {sign(approved)} Review: {decisions} by a person, {approved} approved")
    return final


def _review_key(iteration: int) -> str:
    return f"iter{iteration}.review"


def _check_same_review(run: Run, path: Path, iteration: int) -> None:
    """Take a review that was changed after it had been used, as far as nothing came of the old one but the dataset,
    which is made anew.

    Raises:
        StateError: the run has gone on from that dataset.
    """
    space, used = run.workspace, run.journal.get(_review_key(iteration))
    if used is None or (path.exists() and sha256_file(path) == used) or not space.dataset(iteration).exists():
        return
    if _gone_on(space, iteration):
        raise StateError(
            f"{space.show(path)} is not the review that round {iteration} went on with, and its dataset has been used"
            " since. Put the old review back from a copy, or start anew with --restart (the old folders are kept under"
            " new names)."
        )
    space.dataset(iteration).unlink()


def _gone_on(space: Workspace, iteration: int) -> bool:
    """Whether a LoRA was trained on the dataset of a round, or is being trained, or the next round has begun."""
    if space.gaps(iteration + 1).exists():
        return True
    dataset, version = read_as(space.dataset(iteration), Dataset.from_json), 1
    while space.lora_record(version).exists():
        if read_object(space.lora_record(version)).get("dataset_id") == dataset.id:
            return True
        version += 1
    return space.training_work(version).exists()


def folders(space: Workspace, iteration: int) -> dict[Outcome, Path]:
    return {
        Outcome.APPROVED: space.approved(iteration),
        Outcome.REJECTED: space.rejected(iteration),
        Outcome.UNSURE: space.unsure(iteration),
    }
