"""The answer at the head of the page: which LoRA to use, why the loop stopped, and whether it beats v1. It never claims more than the intervals do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import plural
from twinloop.report import charts
from twinloop.report.model import RunRecord
from twinloop.report.words import METRICS, Metric, change_with_interval, listed, words
from twinloop.stages import decide
from twinloop.stages.assess import compare

RESULTS = ("better", "worse", "open")
JUDGED = ("on_target", "identity")
"""What "better than v1" is decided on; the other metrics are shown beside them."""


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
        use: the sentence that names the LoRA. verdict: yes, mixed, open, no, or none. against_v1: the sentence behind it.
        stop: why the loop ended, or how far it is. compared: the version that the findings hold against v1: the best one, or
            where that is v1 itself, the best of the later ones. cautions: what a reader must know before acting on it.
    """

    use: str
    file: str | None
    finished: bool
    stop: str
    verdict: str
    against_v1: str
    compared: int | None
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]


def answer(run: RunRecord) -> Answer:
    """Judge a run by what it recorded."""
    compared, changes = _compared(run)
    verdict, sentence = _against_v1(run, changes)
    return Answer(
        use=_use(run), file=_file(run), finished=run.stop is not None, stop=_stop(run), verdict=verdict, against_v1=sentence,
        compared=compared, findings=_findings(changes), cautions=tuple(_cautions(run, changes if compared == run.best else {})),
    )  # fmt: skip


def _use(run: RunRecord) -> str:
    if run.best is None:
        return "No LoRA has been measured yet"
    if run.stop is None:
        return f"v{run.best} measures best so far"
    return f"Use LoRA v{run.best}"


def _file(run: RunRecord) -> str | None:
    if run.best is None:
        return None
    return f"lora_v{run.best}.safetensors" if run.stop is None else "lora.safetensors"


def _stop(run: RunRecord) -> str:
    if run.stop is None:
        done = f"{plural(len(run.rounds), 'round')} finished" if run.rounds else _stage(run)
        return f"The run is not finished ({done}). Run the same command again to go on."
    kind = "The loop converged" if run.stop.converged else "The loop stopped without converging"
    left = "" if run.gaps_left is None else f" {plural(run.gaps_left, 'gap')} left."
    return f"{kind}: {run.stop.reason}.{left}"


def _stage(run: RunRecord) -> str:
    if run.verdicts:
        return "the images of round 1 are judged"
    if run.surveys:
        return "the gaps of round 1 are known"
    if run.scores:
        return "v1 is trained and measured"
    return "the photos are selected" if run.photos is not None else "no photo is observed yet"


def _result(change: Estimate) -> str:
    return "better" if change.low > 0 else "worse" if change.high < 0 else "open"


def _compared(run: RunRecord) -> tuple[int | None, Mapping[str, Estimate]]:
    """The version to hold against v1 and the paired changes: as recorded, else worked out from the panel's samples."""
    if run.best is not None and run.best > 1 and run.against_v1:
        return run.best, run.against_v1
    measured = [score for score in run.scores if "overall" in score.metrics]
    later = [score for score in measured if score.version > 1 and run.best in (1, score.version)]
    if not later or measured[0].version != 1:
        return None, {}
    first, closest = measured[0], decide.best(later)
    names = [metric.name for metric in METRICS if _comparable(first, closest, metric.name)]
    changes = {name: compare(first, closest, name) for name in names}
    return closest.version, {name: change for name, change in changes.items() if change is not None}


def _comparable(before: PanelScore, after: PanelScore, metric: str) -> bool:
    return len(before.samples.get(metric, ())) == len(after.samples.get(metric, ())) > 0


def _findings(changes: Mapping[str, Estimate]) -> tuple[Finding, ...]:
    known = [(metric, changes[metric.name]) for metric in METRICS if metric.name in changes]
    reach = max((abs(bound) for _, change in known for bound in (change.low, change.high, change.value)), default=1.0)
    return tuple(
        Finding(
            metric,
            _result(change),
            change_with_interval(metric, change),
            charts.difference_bar(change, reach, _said(metric, change)),
        )
        for metric, change in known
    )


def _said(metric: Metric, change: Estimate) -> str:
    return f"{metric.label}, change against v1: {change_with_interval(metric, change)}"


def _against_v1(run: RunRecord, changes: Mapping[str, Estimate]) -> tuple[str, str]:
    """The verdict in a word and in a sentence."""
    if run.best is None:
        return "none", "Nothing has been measured yet, so nothing can be compared."
    if run.best == 1:
        return _best_is_v1(run)
    name = f"v{run.best}"
    judged = [(m.label.lower(), changes[m.name]) for m in METRICS if m.name in JUDGED and m.name in changes]
    better, worse, still_open = ([label for label, change in judged if _result(change) == kind] for kind in RESULTS)
    if not judged:
        return "none", f"{name} and v1 share neither on-target rate nor identity, so it is not known which is better."
    if worse:
        return _in_part(name, better, worse)
    if not better:
        return (
            "open",
            f"Not shown: on {listed(still_open)} the interval of the change from v1 to {name} includes zero, so the difference may be chance.",
        )
    rest = f" On {listed(still_open)} the two cannot be told apart." if still_open else ""
    return "yes", f"Yes: {name} is above v1 on {listed(better)}, beyond the interval.{rest}"


def _in_part(name: str, better: list[str], worse: list[str]) -> tuple[str, str]:
    if better:
        return (
            "mixed",
            f"Only in part: {name} is above v1 on {listed(better)} and below it on {listed(worse)}, each beyond the interval.",
        )
    return "no", f"No: {name} is below v1 on {listed(worse)}, beyond the interval."


def _best_is_v1(run: RunRecord) -> tuple[str, str]:
    if len(run.scores) < 2:
        return "none", "v1 is the only LoRA that was measured, so there is nothing to compare it with."
    later = len(run.scores) - 1
    ones = "the one later version does not have" if later == 1 else f"none of the {later} later versions has"
    return "no", f"No: {ones} a higher overall score than v1. The loop did not make the LoRA better."


def _cautions(run: RunRecord, changes: Mapping[str, Estimate]) -> list[str]:
    notes = []
    for name in ("quality", "diversity"):
        change = changes.get(name)
        metric = next(metric for metric in METRICS if metric.name == name)
        if change is not None and change.high < 0:
            notes.append(f"{metric.label} is lower than v1's: {change_with_interval(metric, change)}.")
    if run.best is not None and (entry := run.round_of(run.best)) is not None and entry.rolled_back:
        notes.append(
            f"Round {entry.iteration}, which made v{run.best}, was rolled back because of {listed([words(d) for d in entry.drifted])}: "
            "its images did not stay in the dataset."
        )
    if run.scores and "identity" not in run.scores[0].metrics:
        why = f": {run.identity.why}" if run.identity is not None and run.identity.why else ""
        notes.append(f"Identity was not measured{why}.")
    panel = run.scores[0].metrics["overall"].n if run.scores and "overall" in run.scores[0].metrics else 0
    if 0 < panel < 12:
        notes.append(f"The panel has only {plural(panel, 'image')}: small differences cannot be seen with so few.")
    return notes
