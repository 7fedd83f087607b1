"""Ways of executing steps that a training keeps until one of its steps fails so: what it falls back to, and from which
step on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from twinloop.adapters.diffusion.compute import Compute
from twinloop.adapters.diffusion.memory import ran_out_of_memory
from twinloop.adapters.diffusion.messages import first_line
from twinloop.adapters.diffusion.regions import Regions
from twinloop.adapters.diffusion.repeatability import any_order, fixed_order, lacks_fixed_order
from twinloop.errors import StateError
from twinloop.store.atomic import read_json, write_json


class StepSwitch:
    """A way of taking a training's steps that holds for all of them, or up to a step; kept in a file, so that a resumed
    training takes each as it was taken.

    Args:
        path: the file. wanted: whether the first step is taken so, where nothing is kept yet.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, path: Path, wanted: bool) -> None:
        self._path = path
        self._end: int | None = None if wanted else 1
        if path.exists():
            self._end = _kept(path)

    def at(self, step: int) -> bool:
        """Whether a step is taken so."""
        return self._end is None or step < self._end

    def end(self, step: int) -> None:
        """Take ``step`` and those after it otherwise."""
        if self.at(step):
            self._end = step
        self.keep()

    def keep(self) -> None:
        """Write down what holds now, where the next start might decide otherwise."""
        write_json(self._path, {"until": self._end})


def _kept(path: Path) -> int | None:
    kept = read_json(path)
    try:
        until = kept["until"]
        return None if until is None else int(until)
    except (TypeError, KeyError, ValueError) as error:
        raise StateError(f"{path} is damaged ({error}). Delete its folder to train anew.") from error


CHECKPOINTING_FILE = "activations_{}.json"
"""With the number of the process."""


class GradientCheckpointing:
    """Both ways add up the same sums; computing again takes a third longer and a fraction of the memory.

    Args:
        path: where the step is kept from which they are computed again. asked: by the user, for all steps; None = the
            program chooses.
        planned: whether they are computed again from the start, where it does.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, path: Path, asked: bool | None, planned: bool) -> None:
        self._asked = asked
        self._held = StepSwitch(path, wanted=not planned)

    def again_at(self, step: int) -> bool:
        """Whether a step computes them again."""
        return not self._held.at(step) if self._asked is None else self._asked

    def step_back(self, step: int) -> str:
        """Compute them again from ``step`` on, where memory ran out; what the user should know of it, "" where that is
        so, or is not to be.
        """
        if self._asked is not None or self.again_at(step):
            return ""
        self._held.end(step)
        return (
            f"Memory ran out at step {step}: activations are computed again on the way back from now on (gradient"
            " checkpointing), a third slower."
        )


COMPILED_FILE = "compiled_{}.json"
"""With the number of the process."""


class CompiledBlocks:
    """The denoiser's repeated blocks as the steps of a training take them: compiled up to the step at which the
    compiler failed, or never.

    Args:
        path: where that step is kept. wanted: whether to compile, where nothing is kept yet.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, regions: Regions, path: Path, wanted: bool, notice: Callable[[str], None]) -> None:
        self._regions, self._notice = regions, notice
        self._until = StepSwitch(path, wanted=wanted and not regions.training_failure)
        self._until.keep()

    def at(self, step: int) -> bool:
        """Whether they are compiled at a step."""
        return self._until.at(step)

    def ready(self, step: int) -> AbstractContextManager[None]:
        """The blocks as this step takes them, inside."""
        if self._regions.training_failure and self.at(step):  # found out by an earlier training on this base
            self._until.end(step)
        return self._regions.compiled(self.at(step), self._notice, retry=False)

    def stop(self) -> None:
        """Take no step compiled from now on."""
        self._until.end(1)

    def give_up(self, step: int, error: BaseException) -> str:
        """Go on without from ``step``, where that may help; what the user should know of it, "" where it is no matter
        of compiling.
        """
        if not self.at(step) or ran_out_of_memory(error):
            return ""
        self._until.end(step)
        return self._regions.give_up(error, training=True)


KERNELS_FILE = "kernels_{}.json"
"""With the number of the process."""


class DeterministicKernels:
    """Which kernels the steps of a training take: up to the step at which an operation had none, only those that sum in
    a fixed order.

    Args:
        path: where that step is kept.

    Raises:
        StateError: the file is damaged.
    """

    def __init__(self, compute: Compute, path: Path) -> None:
        self._compute = compute
        self._ordered = StepSwitch(path, wanted=True)

    def ready(self, step: int) -> AbstractContextManager[None]:
        """The kernels as this step takes them, inside."""
        return fixed_order(self._compute) if self._ordered.at(step) else any_order(self._compute)

    def give_up(self, step: int, error: BaseException) -> str:
        """Take any kernels from ``step`` on, where that helps; what the user should know of it, "" where the error is
        another.
        """
        if not self._ordered.at(step) or not lacks_fixed_order(error):
            return ""
        self._ordered.end(step)
        return (
            f"This GPU cannot take step {step} with sums in a fixed order ({first_line(error)}). It is taken without:"
            " if this training is interrupted and resumed, its LoRA may differ in the last digits from that of an"
            " undisturbed one."
        )
