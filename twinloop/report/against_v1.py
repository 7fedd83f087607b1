"""Whether a later version beats v1: which one is held against it, and what may be said of the changes.

Never more than the intervals do.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinloop.domain.records import PanelScore
from twinloop.domain.statistics import Estimate
from twinloop.domain.wording import agree
from twinloop.report.model import Compared
from twinloop.report.words import METRICS, change_with_interval, listed
from twinloop.stages import decide
from twinloop.stages.assess import compare

JUDGED = ("on_target", "identity")
"""What "better than v1" is decided on; the other metrics are shown beside them.

The version held against v1 was chosen because it scores best, on one of two metrics: a yes asks for an interval that is
widened for every figure that could have given one. A loss is not what a version is chosen for, and is told from its
plain interval."""


_OVERALL = next(metric for metric in METRICS if metric.name == "overall")


def result(change: Estimate) -> str:
    """better, worse, or open: the interval includes zero."""
    return "better" if change.low > 0 else "worse" if change.high < 0 else "open"


def compared(run: Compared) -> tuple[int | None, Mapping[str, Estimate]]:
    """The version to hold against v1 and the paired changes: as recorded, else worked out from the panel's samples."""
    if run.best is not None and run.best > 1 and run.against_v1:
        return run.best, run.against_v1
    measured = [score for score in run.scores if "overall" in score.metrics]
    later = [score for score in measured if score.version > 1 and run.best in (1, score.version)]
    later = [score for score in later if not run.rolled_back(score.version)] or later
    if not later or measured[0].version != 1:
        return None, {}
    first, closest = measured[0], decide.best(later)
    names = [metric.name for metric in METRICS if _comparable(first, closest, metric.name)]
    changes = {name: compare(first, closest, name) for name in names}
    return closest.version, {name: change for name, change in changes.items() if change is not None}


def _comparable(before: PanelScore, after: PanelScore, metric: str) -> bool:
    return len(before.samples.get(metric, ())) == len(after.samples.get(metric, ())) > 0


def verdict(run: Compared, changes: Mapping[str, Estimate]) -> tuple[str, str]:
    """The verdict in a word and in a sentence."""
    if run.best is None:
        return "none", "Nothing has been measured yet, so nothing can be compared."
    if run.best == 1:
        return _best_is_v1(run, changes.get("overall"))
    name = f"v{run.best}"
    judged = [(m.label.lower(), changes[m.name]) for m in METRICS if m.name in JUDGED and m.name in changes]
    looks = len(judged) * len(_kept_later(run))
    better = [label for label, change in judged if result(change.among(looks)) == "better"]
    chance = [label for label, change in judged if label not in better and result(change) == "better"]
    worse, still_open = ([label for label, change in judged if result(change) == kind] for kind in ("worse", "open"))
    if not judged:
        return "none", f"{name} and v1 share neither on-target rate nor identity, so it is not known which is better."
    if worse:
        return _in_part(name, better, worse)
    if not better and chance:
        return "open", _may_be_chance(name, chance, len(judged), len(_kept_later(run)))
    if not better:
        return (
            "open",
            (
                f"Not shown: on {listed(still_open)} the interval of the change from v1 to {name} includes zero, so the"
                " difference may be chance."
            ),
        )
    rest = f" On {listed(still_open + chance)} the two cannot be told apart." if still_open or chance else ""
    return "yes", f"Yes: {name} is above v1 on {listed(better)}, beyond the interval.{_widened(looks)}{rest}"


def _may_be_chance(name: str, labels: list[str], metrics: int, versions: int) -> str:
    looked = f"it is the best of {versions} later versions" if versions > 1 else ""
    asked = f"{metrics} metrics were looked at" if metrics > 1 else ""
    return (
        f"Not shown: on {listed(labels)} the change from v1 to {name} lies beyond its own 95% interval, but"
        f" {listed([part for part in (looked, asked) if part])}; with an interval widened for that (Bonferroni) the"
        " difference may be chance."
    )


def _widened(looks: int) -> str:
    """How many figures could have made the answer a yes."""
    return (
        f" The interval is widened for the {looks} figures that could have said so (Bonferroni)." if looks > 1 else ""
    )


def _in_part(name: str, better: list[str], worse: list[str]) -> tuple[str, str]:
    if better:
        return (
            "mixed",
            (
                f"Only in part: {name} is above v1 on {listed(better)} and below it on {listed(worse)}, each beyond the"
                " interval."
            ),
        )
    return "no", f"No: {name} is below v1 on {listed(worse)}, beyond the interval."


def _best_is_v1(run: Compared, change: Estimate | None) -> tuple[str, str]:
    if len(run.scores) < 2:
        return "none", "v1 is the only LoRA that was measured, so there is nothing to compare it with."
    kept, out = len(_kept_later(run)), rolled_back_later(run)
    rolled_back = f"{listed([f'v{score.version}' for score in out])} {agree(len(out), 'was', 'were')} rolled back"
    if not kept:
        return "no", f"No: {rolled_back}, so v1 stays. The loop did not make the LoRA better."
    ones = agree(kept, "the one later version", f"none of the {kept} later versions")
    stayed = f" that {agree(kept, 'was', 'were')} kept" if out else ""
    has = agree(kept, "does not have", "has")
    than = f"a higher overall score than v1{f' ({rolled_back})' if out else ''}"
    return "no", f"No: {ones}{stayed} {has} {than}. The loop did not make the LoRA better{_measured(change)}."


def _measured(change: Estimate | None) -> str:
    """The change of the overall score, and whether it says anything."""
    if change is None:
        return ""
    chance = ", so it may be chance" if result(change) == "open" else ""
    return f": the score changed by {change_with_interval(_OVERALL, change)}{chance}"


def _kept_later(run: Compared) -> list[PanelScore]:
    """The later versions that the best one was chosen from; at least one, itself."""
    return [score for score in run.scores if score.version > 1 and not run.rolled_back(score.version)]


def rolled_back_later(run: Compared) -> list[PanelScore]:
    """The later versions that are out of the choice, however high they score."""
    return [score for score in run.scores if score.version > 1 and run.rolled_back(score.version)]
