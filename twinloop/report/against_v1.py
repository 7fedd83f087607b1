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
widened for every figure that could have given one, and for what another training seed would have given
(`decide.beyond_a_seed`): more images lessen the first, not the second. A no asks for the same: what another seed gives
is as little a loss as it is a gain."""


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


def verdict(run: Compared, held: int | None, changes: Mapping[str, Estimate]) -> tuple[str, str]:
    """The verdict in a word and in a sentence.

    Args:
        held, changes: the version held against v1 and what changed, as `compared` tells.
    """
    if run.best is None:
        return "none", "Nothing has been measured yet, so nothing can be compared."
    if run.best == 1:
        return _best_is_v1(run, held, changes.get("overall"))
    name = f"v{run.best}"
    judged = [(m, changes[m.name]) for m in METRICS if m.name in JUDGED and m.name in changes]
    looks = len(judged) * len(_kept_later(run))
    kinds = [(m.label.lower(), _kind(change, looks, _of_v1(run, m.name))) for m, change in judged]
    better, worse, gained, lost, chance, still_open = (
        [label for label, kind in kinds if kind == one]
        for one in ("better", "worse", "better by seed", "worse by seed", "chance", "open")
    )
    if not judged:
        return "none", f"{name} and v1 share neither on-target rate nor identity, so it is not known which is better."
    rest = f" On {listed(still_open + chance)} the two cannot be told apart." if still_open or chance else ""
    if better or worse:
        word, sentence = _shown(name, better, worse)
        return word, f"{sentence}{_widened(looks)}{_by_seed(gained, lost)}{rest}"
    if gained or lost:
        return (
            "open",
            (
                f"Not shown: {name} is {_sides(gained, lost)}, beyond the interval, but another training seed"
                f" alone could give as much (by what was measured on the embedded base).{_widened(looks)}{rest}"
            ),
        )
    if chance:
        return "open", _may_be_chance(name, chance, len(judged), len(_kept_later(run)))
    return (
        "open",
        (
            f"Not shown: on {listed(still_open)} the interval of the change from v1 to {name} includes zero, so the"
            " difference may be chance."
        ),
    )


def _kind(change: Estimate, looks: int, before: float) -> str:
    """What may be said of one of so many figures: as `result`, with differences that are none.

    ``better by seed``, ``worse by seed``: another training seed could give as much; ``chance``: beyond its own
    interval, not beyond one of several.
    """
    plain, among = result(change), change.among(looks)
    if plain == "open":
        return plain
    if result(among) == "open":
        return "chance"
    return plain if result(decide.beyond_a_seed(among, before)) == plain else f"{plain} by seed"


def shown(run: Compared, metric: str, change: Estimate) -> bool:
    """Whether a metric's change from v1, looked at alone, is beyond what another training seed would have given."""
    return not _kind(change, 1, _of_v1(run, metric)).endswith("by seed")


def _of_v1(run: Compared, metric: str) -> float:
    """What v1 has of a metric; 0 where that is not on record."""
    known = (score.metrics[metric].value for score in run.scores if score.version == 1 and metric in score.metrics)
    return next(known, 0.0)


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


def _shown(name: str, better: list[str], worse: list[str]) -> tuple[str, str]:
    """The verdict on differences beyond chance."""
    where = f"{name} is {_sides(better, worse)}"
    if better and worse:
        return "mixed", f"Only in part: {where}, each beyond the interval."
    return ("yes", f"Yes: {where}, beyond the interval.") if better else ("no", f"No: {where}, beyond the interval.")


def _sides(above: list[str], below: list[str]) -> str:
    parts = [f"above v1 on {listed(above)}"] * bool(above)
    parts += [f"below {'it' if above else 'v1'} on {listed(below)}"] * bool(below)
    return " and ".join(parts)


def _by_seed(gained: list[str], lost: list[str]) -> str:
    """Of the other figures, what is beyond the interval and not beyond another training seed."""
    gain = f" On {listed(gained)} another training seed alone could give as much." if gained else ""
    loss = f" On {listed(lost)} it is below v1, but another training seed alone could give as much." if lost else ""
    return gain + loss


def _best_is_v1(run: Compared, held: int | None, change: Estimate | None) -> tuple[str, str]:
    if len(run.scores) < 2:
        return "none", "v1 is the only LoRA that was measured, so there is nothing to compare it with."
    kept, out = len(_kept_later(run)), rolled_back_later(run)
    rolled_back = f"{listed([f'v{score.version}' for score in out])} {agree(len(out), 'was', 'were')} rolled back"
    if not kept:
        measured = "" if change is None else f" ({_measured(run, held, change)})"
        return "no", f"No: {rolled_back}, so v1 stays{measured}."
    ones = agree(kept, "the one later version", f"none of the {kept} later versions")
    stayed = f" that {agree(kept, 'was', 'were')} kept" if out else ""
    has = agree(kept, "does not have", "has")
    than = f"a higher overall score than v1{f' ({rolled_back})' if out else ''}"
    measured = "" if change is None else f": {_measured(run, held, change)}"
    return "no", f"No: {ones}{stayed} {has} {than}. The loop did not make the LoRA better{measured}."


def _measured(run: Compared, held: int | None, change: Estimate) -> str:
    """The change of the overall score to the version held against v1, and whether it says anything."""
    kind = _kind(change, 1, _of_v1(run, "overall"))
    doubt = ", so it may be chance" if kind == "open" else ""
    if kind.endswith("by seed"):
        doubt = ", which another training seed alone could give"
    return f"from v1 to v{held} the overall score changed by {change_with_interval(_OVERALL, change)}{doubt}"


def _kept_later(run: Compared) -> list[PanelScore]:
    """The later versions that the best one was chosen from; at least one, itself."""
    return [score for score in run.scores if score.version > 1 and not run.rolled_back(score.version)]


def rolled_back_later(run: Compared) -> list[PanelScore]:
    """The later versions that are out of the choice, however high they score."""
    return [score for score in run.scores if score.version > 1 and run.rolled_back(score.version)]
