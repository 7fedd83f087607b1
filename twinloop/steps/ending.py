"""Whether to go on, and what is left behind at the end."""

from __future__ import annotations

from collections.abc import Sequence

from twinloop.config import Settings
from twinloop.domain.records import Dataset, LoRA, PanelScore
from twinloop.domain.shots import Gap
from twinloop.domain.wording import percent
from twinloop.errors import StateError
from twinloop.report.answer import answer
from twinloop.report.page import write_report
from twinloop.report.reading import read_run
from twinloop.stages.decide import Stop
from twinloop.stages.pick import UNPICK, make_final, picked, record_of
from twinloop.stages.rounds import Round, RunResult, as_recorded, finished_round, history_json
from twinloop.stages.validate import Judged, tally
from twinloop.steps.run import Run
from twinloop.steps.stopping import stop_after
from twinloop.store.atomic import write_json

MORE_ROUNDS = {
    "budget": "raise max_iterations (now {max_iterations})",
    "approval": "raise stop.approval_rounds (now {stop.approval_rounds})",
    "improvement": "raise stop.patience (now {stop.patience})",
    "drift": "raise stop.drift_rounds (now {stop.drift_rounds})",
}
"""What lets a run go on that a rule has ended; after the others there is nothing to go on with."""


def decide_on(run: Run, rounds: Sequence[Round], dataset: Dataset, gaps: Sequence[Gap]) -> Stop | None:
    """Stop, and why, or go on, once the gaps of the next round are known. A run that is gone through again stops in
    none of the rounds that it has on record, whatever the rules say today.
    """
    if len(rounds) < len(run.earlier.rounds):
        return None
    return stop_after(
        run.settings,
        run.workspace,
        [entry.facts for entry in rounds],
        gaps_left=bool(gaps),
        dataset=dataset,
        earlier=run.earlier.stop_after(len(rounds)),
    )


def close_round(
    run: Run,
    iteration: int,
    *,
    gaps: Sequence[Gap],
    judged: Sequence[Judged],
    joined: int,
    before: PanelScore,
    lora: LoRA,
    score: PanelScore,
) -> Round:
    """Put a round together and say what came of it; one that is on record stays as it was decided then.

    Args:
        joined: approved images that the dataset took. before: the score of the LoRA that drew them.
    """
    counts = tally([item.verdict for item in judged])
    done = finished_round(iteration, gaps, counts, merged=joined, lora=lora, before=before, score=score)
    if (kept := run.earlier.round(iteration)) is not None:
        done = as_recorded(done, kept)
    say_round(run, done)
    return done


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


def record(run: Run, result: RunResult) -> None:
    """iteration_history.json, after every round; a run that is gone through again loses none of the rounds that it
    holds already.
    """
    if result.stop is None and len(run.earlier.rounds) > len(result.rounds):
        return
    write_json(run.workspace.history, history_json(result, run.settings.person_name, run.toolbox.makers.base_model))


def finish(run: Run, result: RunResult, earlier: bool) -> None:
    """The final LoRA (a copy of the best version), report.html, and the reason why the loop ends here.

    Args:
        result: of a run that stopped. earlier: it had ended before this process began.

    Raises:
        StateError: the version that a person picked is not there.
    """
    stop = result.stop
    assert stop is not None
    chosen = picked(run.workspace)
    version = result.best if chosen is None else int(chosen["version"])
    if chosen is not None and not run.workspace.lora(version).is_file():
        raise StateError(f"{record_of(run.workspace)} names v{version}, and there is no such LoRA. {UNPICK}")
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
