"""The loop, read from top to bottom.

    photos -> v1 -> per round: (a) gaps (b) shots and images (c) verdicts (d) dataset' (e) LoRA' (f) measure (g) decide
    -> the best LoRA

Most steps do a piece of work and write it down, and are done when their artefact is there; some only compute from
artefacts, and some only tell the user something. Kill the process anywhere, run it again: it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from twinloop import steps
from twinloop.config import Settings
from twinloop.domain.records import LoRA
from twinloop.stages import decide
from twinloop.stages.history import read_earlier
from twinloop.stages.rounds import Round, RunResult, standing
from twinloop.stages.toolbox import Toolbox
from twinloop.steps import Run
from twinloop.store.fresh import fresh_folder
from twinloop.store.journal import Journal
from twinloop.store.progress import NotedProgress, progress_cleared
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.in_use import in_use
from twinloop.store.run.workspace import Workspace


def run_loop(settings: Settings, toolbox: Toolbox, workspace: Workspace, config: Path | None = None) -> RunResult:
    """Run or resume the whole loop.

    Args:
        config: the file of the settings, by which the page lets the run go on; None = they come from none.

    Raises:
        NothingToDo: no usable photo. StateError: the folder was started with other settings. Locked: it is in use.
        WaitingForReview: a round waits for a person.
    """
    toolbox = replace(toolbox, reporter=NotedProgress(workspace.root, toolbox.reporter))
    with _in(workspace) as (journal, catalog):
        earlier = read_earlier(workspace)
        reporter = steps.FinishedRunReporter(earlier, toolbox.reporter)
        run = Run(settings, replace(toolbox, reporter=reporter), workspace, journal, catalog, config, earlier)
        over = steps.begin(run)
        if over is not None:
            steps.finish(run, over, earlier=reporter.nothing_new())
            return over
        forecast = steps.look_ahead(run)
        dataset = steps.collect(run)
        # told by the user's own reporter: also where the run had ended, and the run's keeps silent
        steps.look_for_new_photos(settings, workspace, toolbox.reporter)
        steps.look_at_captions(run, dataset, forecast)
        reference = steps.freeze(run)
        loras = [steps.train(run, dataset, version=1)]
        scores = [steps.measure(run, reference, loras[0])]
        rounds: list[Round] = []
        while True:
            iteration = len(rounds) + 1
            gaps = steps.find_gaps(run, dataset, iteration)
            stop = steps.decide_on(run, rounds, dataset, gaps)
            best = decide.best(standing(scores, rounds))
            result = RunResult(stop, best.version, tuple(loras), tuple(scores), tuple(rounds), gaps_left=len(gaps))
            steps.record(run, result)
            if stop is not None:
                steps.finish(run, result, earlier=reporter.nothing_new())
                return result
            reporter.round_begins(iteration)
            steps.say_gaps(run, gaps, rounds)
            start = loras[best.version - 1]
            steps.generate(run, gaps, start, iteration)
            judged = steps.validate(run, reference, dataset, iteration)
            judged = steps.review(run, judged, iteration)
            merged, joined = steps.merge(run, dataset, judged, gaps, iteration)
            lora, score = start, best
            if joined:  # without new images the same LoRA would come out
                lora = steps.train(run, merged, version=len(loras) + 1, best=start)
                score = steps.measure(run, reference, lora)
                loras, scores = [*loras, lora], [*scores, score]
            done = steps.close_round(
                run, iteration, gaps=gaps, judged=judged, joined=joined, before=best, lora=lora, score=score
            )
            dataset = dataset if done.rolled_back else merged
            rounds = [*rounds, done]


def train_first(settings: Settings, toolbox: Toolbox, workspace: Workspace) -> LoRA:
    """The loop up to its first LoRA, lora_v1.safetensors; `run_loop` goes on from there.

    Raises:
        as `run_loop`.
    """
    toolbox = replace(toolbox, reporter=NotedProgress(workspace.root, toolbox.reporter))
    with _in(workspace) as (journal, catalog):
        run = Run(settings, toolbox, workspace, journal, catalog)
        over = steps.begin(run)
        if over is not None:
            return over.loras[0]
        forecast = steps.look_ahead(run)
        dataset = steps.collect(run)
        steps.look_for_new_photos(settings, workspace, toolbox.reporter)
        steps.look_at_captions(run, dataset, forecast)
        steps.freeze(run)
        return steps.train(run, dataset, version=1)


@contextmanager
def _in(workspace: Workspace) -> Iterator[tuple[Journal, Catalog]]:
    """The run's folders, for this process alone: its journal and its catalogue.

    A new folder goes again where not even a dataset came of it.
    """
    steps.check_places(workspace)
    begun = fresh_folder(workspace.root, worth_keeping=lambda _: workspace.dataset(0).exists())
    with begun, in_use(workspace), progress_cleared(workspace.root), Catalog(workspace.catalog) as catalog:
        yield Journal(workspace.journal), catalog
