"""The answer at the head of the page: which LoRA to use, why the loop stopped, and whether it beats v1.

It never claims more than the intervals do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import plural
from twinloop.report import charts
from twinloop.report.against_v1 import compared, result, rolled_back_later, shown, verdict
from twinloop.report.model import Compared, RunRecord
from twinloop.report.words import METRICS, Metric, change_with_interval, listed, number, words
from twinloop.stages.decide import NONE_APPROVED, NOTHING_APPROVED, Stop
from twinloop.stages.validate import reason_lines


@dataclass(frozen=True)
class Finding:
    """One metric against v1. ``result``: better, worse, or open (the interval includes zero)."""

    metric: Metric
    result: str
    text: str
    chart: Markup


@dataclass(frozen=True)
class Answer:
    """The head of the page.

    Attributes:
        use: the sentence that names the LoRA. file: its name; None = there is none. copy_of: the version that the file
            is a copy of; None = it is the version's own. verdict: yes, mixed, open, no, or none. against_v1: the
            sentence behind it.
        stop: why the loop ended, or how far it is. compared: the version that the findings hold against v1: the best
            one, or where that is v1 itself, the best of the later ones. cautions: what a reader must know before acting
            on it.
    """

    use: str
    file: str | None
    copy_of: int | None
    finished: bool
    stop: str
    verdict: str
    against_v1: str
    compared: int | None
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]


def answer(run: RunRecord) -> Answer:
    """Judge a run by what it recorded."""
    held, changes = compared(run)
    word, sentence = verdict(run, held, changes)
    return Answer(
        use=_use(run),
        file=_file(run),
        copy_of=run.chosen if run.final else None,
        finished=run.stop is not None,
        stop=_stop(run),
        verdict=word,
        against_v1=sentence,
        compared=held,
        findings=_findings(changes),
        cautions=tuple(_cautions(run, changes if held == run.best else {})),
    )


def better_than_v1(run: Compared) -> str:
    """The sentence alone."""
    return verdict(run, *compared(run))[1]


def _use(run: RunRecord) -> str:
    if run.picked is not None:
        return f"Picked by a person: v{run.picked}{_measured_best(run)}"
    if run.best is None:
        return "No LoRA has been measured yet"
    if run.stop is None:
        return f"v{run.best} measures best so far"
    if _score_of(run, run.best).faceless:
        return f"LoRA v{run.best} measures best, but none of its panel images shows a face"
    return f"Use LoRA v{run.best}"


def _score_of(run: RunRecord, version: int) -> PanelScore:
    """The score of a version; an empty one where its record is gone."""
    return next((score for score in run.scores if score.version == version), PanelScore(version, {}))


def _measured_best(run: RunRecord) -> str:
    """What the measurement says of the version that a person picked."""
    if run.best is None:
        return ""
    so_far = "" if run.stop is not None else " so far"
    return f" (measured best{so_far}, too)" if run.best == run.picked else f" (v{run.best} measured best{so_far})"


def _file(run: RunRecord) -> str | None:
    if run.chosen is None:
        return None
    return "lora.safetensors" if run.final else f"lora_v{run.chosen}.safetensors"


def _stop(run: RunRecord) -> str:
    if run.stop is None:
        done = f"{plural(len(run.rounds), 'round')} finished" if run.rounds else _stage(run)
        return f"The run is not finished ({done}). The same command, without --restart, goes on."
    kind = "The loop converged" if run.stop.converged else "The loop stopped without converging"
    left = "" if run.gaps_left is None else f" {plural(run.gaps_left, 'gap')} left."
    return f"{kind}: {_reason(run, run.stop)}.{left}"


def _reason(run: RunRecord, stop: Stop) -> str:
    """Why it stopped; what is recorded sends its reader here for what stood in the way, so here it is said."""
    if stop.rule != NOTHING_APPROVED or not run.verdicts:
        return stop.reason
    lines = reason_lines(run.verdicts[-1])
    return "; ".join([NONE_APPROVED, *(f"{line[:1].lower()}{line[1:]}" for line in lines)])


def _stage(run: RunRecord) -> str:
    if run.verdicts:
        return "the images of round 1 are judged"
    if run.surveys:
        return "the gaps of round 1 are known"
    if run.scores:
        return "v1 is trained and measured"
    if run.loras:
        return "v1 is given, not measured yet" if run.given else "v1 is trained, not measured yet"
    return "the photos are selected" if run.photos is not None else "no photo is observed yet"


def _findings(changes: Mapping[str, Estimate]) -> tuple[Finding, ...]:
    known = [(metric, changes[metric.name]) for metric in METRICS if metric.name in changes]
    reach = max((abs(bound) for _, change in known for bound in (change.low, change.high, change.value)), default=1.0)
    return tuple(
        Finding(
            metric,
            result(change),
            change_with_interval(metric, change),
            charts.difference_bar(change, reach, _said(metric, change)),
        )
        for metric, change in known
    )


def _said(metric: Metric, change: Estimate) -> str:
    return f"{metric.label}, change against v1: {change_with_interval(metric, change)}"


def _cautions(run: RunRecord, changes: Mapping[str, Estimate]) -> list[str]:
    notes = []
    for name in ("quality", "diversity"):
        change = changes.get(name)
        metric = next(metric for metric in METRICS if metric.name == name)
        if change is not None and change.high < 0:
            seed = "" if shown(run, name, change) else " Another training seed alone could give as much."
            notes.append(f"{metric.label} is lower than v1's: {change_with_interval(metric, change)}.{seed}")
    notes += _rolled_back_notes(run)
    notes += _no_face_notes(run)
    if run.scores and "identity" not in run.scores[0].metrics:
        why = f": {run.identity.why}" if run.identity is not None and run.identity.why else ""
        notes.append(f"Identity was not measured{why}.")
    if run.scores and "quality" not in run.scores[0].metrics:
        notes.append(
            "Face quality is no part of the overall score: the detectors do not measure it, or the photos show too few"
            " heads of some angle to compare with."
        )
    panel = run.scores[0].metrics["overall"].n if run.scores and "overall" in run.scores[0].metrics else 0
    if 0 < panel < 12:
        notes.append(f"The panel has only {plural(panel, 'image')}: small differences cannot be seen with so few.")
    return notes


def _no_face_notes(run: RunRecord) -> Iterator[str]:
    """The versions whose likeness says nothing, and how far that of the chosen one is lowered by images without a
    face.
    """
    for score in run.scores:
        if score.faceless:
            yield f"The panel of v{score.version}: {score.no_face_text}; likeness was not measured."
        elif score.version == run.chosen and score.no_face_text:
            yield (f"The panel of v{score.version}: {score.no_face_text}; identity and face quality count as 0 there.")


def _rolled_back_notes(run: RunRecord) -> Iterator[str]:
    """The version to use, if its round was rolled back (a person can pick one), and those that score higher than the
    best but are out.
    """
    overall = {score.version: score.metrics["overall"].value for score in run.scores if "overall" in score.metrics}
    for score in rolled_back_later(run):
        entry = run.round_of(score.version)
        if entry is None:
            continue
        why = f"was rolled back because of {listed([words(name) for name in entry.drifted])}"
        if score.version == run.chosen:
            yield (
                f"Round {entry.iteration}, which made v{score.version}, {why}: its images did not stay in the dataset."
            )
        elif run.best in overall and overall.get(score.version, 0.0) > overall[run.best]:
            higher = (
                f"v{score.version} has a higher overall score than v{run.best} ({number(overall[score.version], 3)}"
                f" against {number(overall[run.best], 3)})"
            )
            yield f"{higher}, but its round {why}, so it was left out of the choice."
