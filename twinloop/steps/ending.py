"""Whether to go on, and what is left behind at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.config import Settings
from twinloop.domain.records import PanelScore
from twinloop.domain.shots import Gap
from twinloop.domain.wording import percent
from twinloop.report import words
from twinloop.report.answer import answer
from twinloop.report.page import write_report
from twinloop.report.reading import read_run
from twinloop.stages import decide
from twinloop.stages.decide import Stop, StopRule
from twinloop.stages.pick import make_final, picked
from twinloop.stages.rounds import Round, RunResult, as_recorded, history_json
from twinloop.steps.gaps import Measured
from twinloop.steps.run import Run
from twinloop.store.atomic import read_json, write_json

SAID = ("on_target", "identity", "overall")
"""Of the figures of a version, those that are said as soon as they are known."""

MORE_ROUNDS = {
    "budget": "raise max_iterations (now {max_iterations})",
    "approval": "raise stop.approval_rounds (now {stop.approval_rounds})",
    "improvement": "raise stop.patience (now {stop.patience})",
    "drift": "raise stop.drift_rounds (now {stop.drift_rounds})",
}
"""What lets a run go on that a rule has ended; after the others there is nothing to go on with."""


def stop_rules(settings: Settings) -> tuple[StopRule, ...]:
    """All rules that can end a run, in the order they are asked."""
    stop = settings.stop
    return (
        decide.NothingApproved(),
        decide.Drifting(stop.drift_rounds),
        decide.HighApproval(stop.approval_rate, stop.approval_rounds),
        decide.SmallImprovement(settings.convergence_threshold, stop.patience),
        decide.Budget(settings.max_iterations),
    )


def decide_on(settings: Settings, rounds: Sequence[Round], gaps: Sequence[Gap], measured: Measured) -> Stop | None:
    """Stop or go on, once the gaps of the next round are known, and what of what is wanted was measured."""
    if not gaps:
        return decide.no_gaps(measured.lacking, measured.facets)
    return decide.decide([entry.facts for entry in rounds], stop_rules(settings)) if rounds else None


def say_round(run: Run, done: Round) -> None:
    """The seed's last line of an iteration, and the drift alarm."""
    gain = done.facts.improvement
    if not done.facts.trained:
        run.say("  - Improvement: not measured (no new LoRA)")
    elif gain is not None:
        threshold = run.settings.convergence_threshold
        limit = percent(threshold)
        against = f"below {limit} threshold" if gain.value < threshold else f"threshold {limit}"
        run.say(f"  ✓ Improvement: {gain.value:.1%} ({against}; 95% interval {gain.low:.1%} to {gain.high:.1%})")
    if done.rolled_back:
        run.toolbox.reporter.warn(
            f"Drift: {', '.join(done.facts.drifted)} got worse beyond the interval; round {done.facts.iteration} is"
            f" rolled back, v{done.started_from} goes on"
        )


def say_score(run: Run, score: PanelScore) -> None:
    """A version's figures on the panel."""
    shown = [
        f"{metric.label.lower()} {words.percent(figure.value, 1) if metric.percent else words.number(figure.value, 3)}"
        for metric in words.METRICS
        if (figure := score.metrics.get(metric.name)) is not None and metric.name in SAID
    ]
    run.say(f"{'  ' if score.version > 1 else ''}✓ Measured: LoRA v{score.version}, {', '.join(shown)}")


def record(run: Run, result: RunResult) -> None:
    """iteration_history.json, after every round; a run that is gone through again loses none of the rounds that it
    holds already.
    """
    if result.stop is None and rounds_on_record(run) > len(result.rounds):
        return
    write_json(run.workspace.history, history_json(result, run.settings.person_name, run.toolbox.base_model))


def rounds_on_record(run: Run) -> int:
    """How many rounds the run had already; none of them is taken back, whatever the rules say today."""
    return len(_recorded_rounds(run))


def _recorded_rounds(run: Run) -> Sequence[Mapping[str, Any]]:
    path = run.workspace.history
    return read_json(path).get("iterations", ()) if path.exists() else ()


def as_decided(run: Run, done: Round) -> Round:
    """A finished round; one that is on record as it was decided then."""
    recorded = {entry.get("iteration"): entry for entry in _recorded_rounds(run)}
    entry = recorded.get(done.facts.iteration)
    return done if entry is None else as_recorded(done, entry)


def finish(run: Run, result: RunResult, stop: Stop, earlier: bool = False) -> None:
    """The final LoRA (a copy of the best version), report.html, and the reason why the loop ends here.

    Args:
        earlier: it had ended before this process began.
    """
    chosen = picked(run.workspace)
    version = result.best if chosen is None else int(chosen["version"])
    make_final(run.workspace, version)
    write_report(run.workspace)
    if earlier:
        run.say("This run finished earlier: nothing to do.")
    else:
        run.say("\n✓ Convergence Achieved!" if stop.converged else "\nStopped.")
    run.say(f"  Reason: {stop.reason}")
    run.say(f"  Gaps left: {result.gaps_left}")
    run.say(f"  Better than v1? {answer(read_run(run.workspace)).against_v1}")
    if chosen is None:
        run.say(f"  Best LoRA: v{version} -> {run.workspace.show(run.workspace.final_lora)}")
    else:
        run.say(
            f"  Best LoRA: v{result.best}; picked by you: v{version} -> {run.workspace.show(run.workspace.final_lora)}"
        )
    if earlier:
        run.say(f"  {_more(run.settings, stop)}")


def _more(settings: Settings, stop: Stop) -> str:
    change = MORE_ROUNDS.get(stop.rule)
    if change is None:
        return "To run anew, with other photos or settings: --restart (this run is kept under a new name)."
    return f"For more rounds {change.format(**dict(settings))} in the configuration and run the same command again."
