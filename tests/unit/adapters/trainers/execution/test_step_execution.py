"""How steps are taken, and what is changed when one fails: remembered from that step on, equal after a resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.contract.makers import TRAINING, samples  # noqa: E402
from tests.helpers.tiny_families import build_tiny  # noqa: E402
from twinloop.adapters.diffusion.base_choice import BaseChoice  # noqa: E402
from twinloop.adapters.diffusion.base_model import BaseModel, open_base  # noqa: E402
from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.memory import ran_out_of_memory  # noqa: E402
from twinloop.adapters.diffusion.repeatability import repeatable  # noqa: E402
from twinloop.adapters.trainers import training_setup  # noqa: E402
from twinloop.adapters.trainers.diffusers_lora import DiffusersLoraTrainer  # noqa: E402
from twinloop.adapters.trainers.execution import fallbacks  # noqa: E402
from twinloop.adapters.trainers.execution.fallbacks import (  # noqa: E402
    CHECKPOINTING_FILE,
    KERNELS_FILE,
    DeterministicKernels,
    GradientCheckpointing,
    StepSwitch,
)
from twinloop.adapters.trainers.execution.step_execution import StepExecution  # noqa: E402
from twinloop.adapters.trainers.loss.objective import Objective  # noqa: E402
from twinloop.domain.forecast import MemoryPlan  # noqa: E402
from twinloop.domain.quantised import Quantization  # noqa: E402
from twinloop.domain.records import TrainingSample  # noqa: E402
from twinloop.errors import OutOfMemory, StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402
from twinloop.ports import TrainingSettings  # noqa: E402

SDXL = FAMILIES["sdxl"]
SETTINGS = replace(TRAINING, steps=4, tensorboard=False, trigger="ohwx ana", text_encoder=True)
GPU = Compute(torch.device("cuda"), torch.bfloat16, torch.bfloat16)
UNORDERED = RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but you set ...")
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Bench:
    """Trainings on one tiny base, each in a folder of its own."""

    def __init__(self, base: Path, photos: tuple[TrainingSample, ...], home: Path) -> None:
        self._base, self._photos, self._home = base, photos, home
        self.notices: list[str] = []
        self.steps: list[int] = []

    def train(self, name: str, settings: TrainingSettings = SETTINGS) -> bytes:
        """The LoRA file."""
        self.notices.clear()
        self.steps.clear()
        trainer = DiffusersLoraTrainer(BaseChoice(str(self._base), "cpu", "float32"), SDXL, self.notices.append)
        output = self._home / name / "lora.safetensors"
        trainer.train(
            self._photos, settings, output, output.parent / "work", {}, lambda step, *_: self.steps.append(step)
        )
        return output.read_bytes()

    def kept(self, name: str, file: str) -> Any:
        return json.loads((self._home / name / "work" / file.format(0)).read_text())


@pytest.fixture
def bench(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return Bench(tiny_base, samples(tmp_path / "photos", count=2), tmp_path)


def failing(monkeypatch: pytest.MonkeyPatch, when: Callable[[Objective], bool], error: Exception) -> list[int]:
    """Make the loss fail where ``when`` says so; how often it did."""
    failures, real = list[int](), Objective.terms

    def terms(self: Objective, batch: Any, drawn: Any) -> Any:
        if when(self):
            failures.append(1)
            raise error
        return real(self, batch, drawn)

    monkeypatch.setattr(Objective, "terms", terms)
    return failures


def keeps_activations(objective: Objective) -> bool:
    """Of the denoiser or of the text encoders."""
    model = objective._denoiser
    return not (model._base.denoiser.is_gradient_checkpointing and model._encoders and model._encoders.checkpointing)


def test_without_memory_for_one_picture_activations_are_computed_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same LoRA to the byte: the text encoders give back theirs too, and a resumed training need not run out once
    more.
    """
    whole = bench.train("whole", replace(SETTINGS, batch_size=1))
    assert bench.notices == []
    tries = failing(monkeypatch, keeps_activations, FULL)
    bench.train("short", replace(SETTINGS, batch_size=1, stop_at=2))
    (notice,) = bench.notices
    assert "Memory ran out at step 1" in notice and "gradient checkpointing" in notice and len(tries) == 1
    assert bench.kept("short", CHECKPOINTING_FILE) == {"until": 1}
    assert bench.train("short", replace(SETTINGS, batch_size=1)) == whole
    assert bench.steps == [3, 4] and bench.notices == [] and len(tries) == 1


def test_what_changes_no_sum_comes_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Computing activations again is enough here: the pictures still go through at once, and the LoRA is the same to
    the byte.
    """
    whole = bench.train("whole")
    failing(monkeypatch, keeps_activations, FULL)
    assert bench.train("short") == whole
    (notice,) = bench.notices
    assert "gradient checkpointing" in notice


def test_then_smaller_micro_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, lambda objective: len(tries) < 2, FULL)
    bench.train("short")
    assert ["1 at a time" in notice for notice in bench.notices] == [False, True]


def test_who_forbids_it_is_told_to_allow_it_and_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that decides no weight: nothing that was trained is lost with it."""
    settings = replace(SETTINGS, batch_size=1, gradient_checkpointing=False)
    bench.train("stopped", replace(settings, stop_at=2))
    failing(monkeypatch, keeps_activations, FULL)
    with pytest.raises(OutOfMemory, match=r"Set training\.gradient_checkpointing to null or true: .* goes on"):
        bench.train("stopped", settings)
    bench.train("stopped", replace(settings, gradient_checkpointing=True))
    assert bench.steps == [3, 4] and bench.notices == []


def test_a_training_of_other_settings_says_that_it_begins_anew(bench: Bench) -> None:
    bench.train("one", replace(SETTINGS, stop_at=2))
    bench.train("one", replace(SETTINGS, rank=2, steps=2))
    assert bench.steps == [1, 2] and ["begins at step 1" in notice for notice in bench.notices] == [True]


@pytest.mark.parametrize(
    ("asked", "planned", "found"),
    [
        (None, False, [False, True, True]),
        (None, True, [True, True, True]),
        (True, False, [True, True, True]),
        (False, True, [False, False, False]),
    ],
)
def test_when_activations_are_computed_again(
    asked: bool | None, planned: bool, found: list[bool], tmp_path: Path
) -> None:
    kept = GradientCheckpointing(tmp_path / "a.json", asked, planned)
    said = kept.step_back(2)
    assert bool(said) == (asked is None and not planned) and kept.step_back(2) == ""
    for one in (kept, GradientCheckpointing(tmp_path / "a.json", asked, planned)):
        assert [one.again_at(step) for step in (1, 2, 9)] == found


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Holds something while only ordered kernels are to be taken, on a CPU too."""
    inside = list[int]()

    @contextmanager
    def order(compute: Compute) -> Iterator[None]:
        inside.append(1)
        try:
            yield
        finally:
            inside.pop()

    monkeypatch.setattr(fallbacks, "fixed_order", order)
    return inside


def test_steps_take_ordered_kernels(bench: Bench, ordered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[bool]()
    failing(monkeypatch, lambda objective: bool(seen.append(bool(ordered))), UNORDERED)
    bench.train("ordered")
    assert seen and all(seen) and bench.notices == []


def test_an_operation_without_an_ordered_kernel_is_said_once_and_remembered(
    bench: Bench, ordered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bench.train("whole")
    tries = failing(monkeypatch, lambda objective: bool(ordered), UNORDERED)
    bench.train("without", replace(SETTINGS, stop_at=2))
    (notice,) = bench.notices
    assert "step 1" in notice and "cumsum_cuda_kernel" in notice and "last digits" in notice
    assert bench.kept("without", KERNELS_FILE) == {"until": 1} and len(tries) == 1
    assert bench.train("without") == whole  # a CPU sums in the same order anyway
    assert bench.notices == [] and len(tries) == 1


def test_a_gpus_switches_are_those_of_the_step(tmp_path: Path) -> None:
    kept = DeterministicKernels(GPU, tmp_path / "k.json")
    assert kept.give_up(3, RuntimeError("shapes do not match")) == ""
    assert "step 3" in kept.give_up(3, UNORDERED) and kept.give_up(3, UNORDERED) == ""
    for one in (kept, DeterministicKernels(GPU, tmp_path / "k.json")):
        for step, ordered in ((2, True), (3, False)):
            with repeatable(GPU), one.ready(step):
                assert torch.are_deterministic_algorithms_enabled() == ordered
                assert not torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize(("free", "remedied"), [(40, True), (1, False)])
def test_a_convolution_without_an_engine_lacks_order_or_memory_by_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, remedied: bool
) -> None:
    """cuDNN has one sentence for both; taken for a want of memory it would leave the training slow for nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80))
    error = RuntimeError("GET was unable to find an engine to execute this computation")
    kept = DeterministicKernels(GPU, tmp_path / "k.json")
    assert bool(kept.give_up(3, error)) == remedied
    assert ran_out_of_memory(error), "what is tried next"


def test_a_switch_that_ends_earlier_ends_there(tmp_path: Path) -> None:
    kept = StepSwitch(tmp_path / "u.json", wanted=True)
    assert kept.at(10**6)
    for end in (7, 3, 9):
        kept.end(end)
    for one in (kept, StepSwitch(tmp_path / "u.json", wanted=True)):
        assert one.at(2) and not one.at(3)
    assert not StepSwitch(tmp_path / "other.json", wanted=False).at(1)
    (tmp_path / "u.json").write_text("{}")
    with pytest.raises(StateError, match="is damaged"):
        StepSwitch(tmp_path / "u.json", wanted=True)


def test_blocks_are_not_compiled_while_some_are_swapped(tiny_base: Path, tmp_path: Path) -> None:
    """Nor where the training began compiled and goes on swapped."""
    base = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL)
    asked, said = replace(SETTINGS, compile="regional", text_encoder=False), list[str]()
    for name, before in (("new", False), ("begun", True)):
        work = tmp_path / name
        if before:
            assert StepExecution.open(base, asked, MemoryPlan(1, False, 0), work, 0, pytest.fail).blocks.at(5)
        plan = MemoryPlan(1, True, 0, blocks_to_swap=1)
        assert not StepExecution.open(base, asked, plan, work, 0, said.append).blocks.at(5)
        assert "not compiled while some of them are swapped" in said.pop() and not said
        quiet = StepExecution.open(base, replace(asked, compile=None), plan, work, 0, pytest.fail)
        assert not quiet.blocks.at(5)


def test_activations_are_computed_again_while_blocks_are_swapped(tiny_base: Path, tmp_path: Path) -> None:
    """Also at a step before the one at which memory ran out."""
    base = open_base(BaseChoice(str(tiny_base), "cpu", "float32"), SDXL)
    plain = StepExecution.open(base, SETTINGS, MemoryPlan(1, False, 0), tmp_path, 0, pytest.fail)
    assert plain.checkpointing.step_back(5) and not plain.checkpointing.again_at(4)
    plan = MemoryPlan(1, True, 0, blocks_to_swap=1)
    swapped = StepExecution.open(base, SETTINGS, plan, tmp_path, 0, pytest.fail)
    assert all(swapped.checkpointing.again_at(step) for step in (1, 4, 5))


@pytest.mark.parametrize(("planned", "more"), [(0, True), (3, True), (4, False)])
def test_more_swapped_blocks_are_advised_only_where_there_are_more(
    planned: int, more: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_setup, "can_swap", lambda base: True)
    monkeypatch.setattr(BaseModel, "swapping", lambda self, count: nullcontext())
    plan = MemoryPlan(1, True, 0, blocks_to_swap=planned)
    monkeypatch.setattr(training_setup, "memory_plan", lambda *_, **__: plan)
    failing(monkeypatch, lambda objective: True, FULL)
    with pytest.raises(OutOfMemory) as told:
        bench.train("short", replace(SETTINGS, batch_size=1))
    assert ("blocks_to_swap" in str(told.value)) == more and "resolution" in str(told.value)


@pytest.mark.parametrize(("how", "compiled"), [("int8", False), ("nf4", True), (None, True)])
def test_flux_is_not_compiled_for_a_training_on_8_bit_weights(
    how: Quantization | None, compiled: bool, tmp_path: Path
) -> None:
    """PyTorch refuses its blocks there, and generation goes on being compiled."""
    base = open_base(BaseChoice(str(build_tiny("flux", tmp_path / "base")), "cpu", "float32"), FAMILIES["flux"])
    base = replace(base, compute=replace(base.compute, quantization=how))
    said: list[str] = []
    asked = replace(SETTINGS, compile="regional", text_encoder=False)
    made = StepExecution.open(base, asked, MemoryPlan(1, False, 0), tmp_path, 0, said.append)
    assert made.blocks.at(1) == compiled
    assert [how in text for text in said if how] == [True] * (not compiled)
    assert base.regions.failure == ""
