"""The optimizers: their whole state survives as named tensors, and the scale of the loss leaves no trace."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load, save  # noqa: E402

from tests.contract.makers import TRAINING  # noqa: E402
from tests.helpers.optimizer_ends import ENDS  # noqa: E402
from twinloop.adapters.trainers.memory.demand import STATE_BYTES, state_bytes  # noqa: E402
from twinloop.adapters.trainers.optim.optimizer import OPTIMIZERS, Optimizer, check_optimizer  # noqa: E402
from twinloop.adapters.trainers.records.header import lora_header  # noqa: E402
from twinloop.domain import choices  # noqa: E402
from twinloop.domain.extras import OPTIMIZER_MODULES  # noqa: E402
from twinloop.domain.optimizer_args import TAKEN, Arguments, ordered  # noqa: E402
from twinloop.domain.optimizers import CLASSES  # noqa: E402
from twinloop.errors import InputError, MissingExtra, StateError  # noqa: E402
from twinloop.families import FAMILIES  # noqa: E402

HERE = ("adamw", "prodigy", "adafactor", "lion", "came", "adamw_schedulefree")
"""Those that need no GPU."""
ARGUED: dict[str, Arguments] = {
    "adamw": ordered("adamw", {"betas": [0.5, 0.9], "eps": 1e-4}),
    "prodigy": ordered(
        "prodigy", {"betas": [0.5, 0.9], "d_coef": 2.0, "d0": 1e-3, "slice_p": 2, "safeguard_warmup": False}
    ),
    "adafactor": ordered("adafactor", {"beta1": 0.8, "scale_parameter": True, "clip_threshold": 2.0}),
    "lion": ordered("lion", {"betas": [0.5, 0.9]}),
    "came": ordered("came", {"betas": [0.5, 0.9, 0.99], "clip_threshold": 0.1, "eps1": 1e-2, "eps2": 1e-2}),
    "adamw_schedulefree": ordered(
        "adamw_schedulefree", {"betas": [0.5, 0.9], "eps": 1e-2, "r": 1, "weight_lr_power": 1}
    ),
}


def made(seed: int = 0, name: str = "adamw", **more: Any) -> tuple[dict[str, Any], Optimizer]:
    if name in OPTIMIZER_MODULES:
        pytest.importorskip(OPTIMIZER_MODULES[name][0], reason="the optimizers extra is not installed")
    generator = torch.Generator().manual_seed(seed)
    parameters = {name: torch.nn.Parameter(torch.randn(5, 3, generator=generator)) for name in ("down", "up")}
    parameters["zero"] = torch.nn.Parameter(torch.zeros(4, 2))
    return parameters, Optimizer(parameters, name, **more)


def walk(parameters: dict[str, Any], optimizer: Optimizer, steps: range, scale: float = 1.0) -> None:
    for step in steps:
        loss = sum(((parameter + 0.1) * step).sin().square().sum() for parameter in parameters.values())
        torch.autograd.backward(loss * scale)
        optimizer.step(0.01 * step, scale)


@pytest.mark.parametrize("kind", ["adamw", "lion", "came", "adamw_schedulefree"])
def test_parameters_have_rates_of_their_own(kind: str) -> None:
    """As if each group had an optimizer of its own, also after it was taken up again."""
    parameters, optimizer = made(name=kind, rates={"up": 4.0, "zero": 4.0}, clip=0.0)
    walk(parameters, optimizer, range(1, 4))
    resumed, again = made(seed=9, name=kind, rates={"up": 4.0, "zero": 4.0}, clip=0.0)
    again.restore(optimizer.state())
    for number, ((one, stepped), steps) in enumerate(
        [((parameters, optimizer), range(4, 7)), ((resumed, again), range(4, 7))]
    ):
        walk(one, stepped, steps)
        for name, factor in (("down", 1.0), ("up", 4.0), ("zero", 4.0)):
            alone, own = made(name=kind, clip=0.0)
            for step in range(1, 7):
                torch.autograd.backward(sum(((p + 0.1) * step).sin().square().sum() for p in alone.values()))
                own.step(0.01 * step * factor)
            assert torch.equal(alone[name], one[name]), (number, name)


@pytest.mark.parametrize("arguments", [{}, ARGUED], ids=["usual", "argued"])
@pytest.mark.parametrize("name", HERE)
def test_going_on_from_a_state_is_going_on(name: str, arguments: dict[str, Arguments]) -> None:
    """Through the bytes of a file, as a checkpoint does; also what an optimizer keeps as plain numbers."""
    told: dict[str, Any] = {"arguments": arguments.get(name, ())}
    parameters, optimizer = made(name=name, **told)
    walk(parameters, optimizer, range(1, 6))
    kept = load(save({key: tensor.contiguous() for key, tensor in optimizer.state().items()}))
    walk(parameters, optimizer, range(6, 11))
    others, again = made(seed=9, name=name, **told)
    again.restore(kept)
    walk(others, again, range(6, 11))
    assert all(torch.equal(others[key], parameters[key]) for key in parameters)
    ours, theirs = again.state(), optimizer.state()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(
    ("name", "one"),
    [(name, one) for name, given in ARGUED.items() for one in given if one[0] not in ("slice_p", "weight_lr_power")],
)
def test_every_argument_changes_the_steps(name: str, one: Any) -> None:
    ends = []
    for arguments in ((), (one,)):
        parameters, optimizer = made(name=name, weight_decay=0.0, arguments=arguments)
        for step in range(1, 21):
            loss = sum(((parameter + 0.1) * step).sin().square().sum() for parameter in parameters.values())
            torch.autograd.backward(loss)
            optimizer.step(1.0 if name == "prodigy" else 0.01)
        ends.append(parameters["down"].detach())
    assert not torch.equal(*ends)


@pytest.mark.parametrize("name", HERE)
def test_at_the_ends_of_what_arguments_may_be_weights_stay_numbers(name: str) -> None:
    """Also where a gradient is zero, as a LoRA's first ones are."""
    for key, (fits, _) in ENDS.get(name, {}).items():
        for value in fits:
            parameters, optimizer = made(name=name, arguments=ordered(name, {key: value}))
            for step in range(1, 9):
                torch.autograd.backward(((parameters["down"] @ parameters["up"].T).sum() * step) * (step > 1))
                parameters["zero"].grad = torch.zeros_like(parameters["zero"])
                optimizer.step(1.0 if name == "prodigy" else 1e-3)
            with optimizer.averaged():
                largest = max(float(parameter.detach().abs().max()) for parameter in parameters.values())
            assert largest < 1e3, (key, value)


def test_prodigys_statistics_can_be_thinned() -> None:
    parameters, optimizer = made(name="prodigy", arguments=(("slice_p", 4),))
    walk(parameters, optimizer, range(1, 3))
    assert optimizer.state()["down/s"].numel() == 4  # of 15


def test_weight_decay_may_be_among_the_arguments() -> None:
    ends = []
    for told in ({"weight_decay": 0.5}, {"arguments": (("weight_decay", 0.5),)}):
        parameters, optimizer = made(**told)
        walk(parameters, optimizer, range(1, 4))
        ends.append(parameters["down"].detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_the_libraries_take_what_the_table_says(name: str) -> None:
    module, _, kind = CLASSES[name].rpartition(".")
    library = pytest.importorskip(module.removesuffix(".adamw") if name == "adamw8bit" else module)
    known = inspect.signature(getattr(library, kind).__init__).parameters
    assert TAKEN[name].keys() <= known.keys()


def test_wrong_arguments_are_one_error() -> None:
    wrong: Arguments = (("momentum", 0.9), ("eps", -1.0))
    with pytest.raises(InputError, match=r"training\.optimizer_args: eps must be .* adamw takes no 'momentum' here"):
        check_optimizer("adamw", torch.device("cpu"), wrong)
    with pytest.raises(InputError, match="adamw takes no 'momentum'"):
        made(arguments=wrong)


def test_the_header_names_what_is_not_as_usual() -> None:
    def header(**settings: Any) -> str:
        made = replace(TRAINING, **settings)
        return lora_header(made, FAMILIES["sdxl"], "epsilon", 10, "2026-01-01T00:00:00Z", {})["ss_optimizer"]

    assert header() == "torch.optim.adamw.AdamW"
    both = header(weight_decay=0.1, optimizer_args=ordered("adamw", {"betas": [0.9, 0.99]}))
    assert both == "torch.optim.adamw.AdamW(weight_decay=0.1,betas=(0.9, 0.99))"
    argued = header(optimizer="prodigy", optimizer_args=ordered("prodigy", {"d_coef": 2, "decouple": False}))
    assert argued == "prodigyopt.prodigy.Prodigy(decouple=False,d_coef=2.0)"


def test_arguments_that_change_the_memory_are_counted() -> None:
    assert state_bytes(TRAINING) == STATE_BYTES["adamw"]
    assert state_bytes(replace(TRAINING, optimizer="prodigy")) == STATE_BYTES["prodigy"]
    thinned = replace(TRAINING, optimizer="prodigy", optimizer_args=(("slice_p", 4),))
    held = replace(TRAINING, optimizer="adafactor", optimizer_args=(("beta1", 0.9),))
    assert (state_bytes(thinned), state_bytes(held)) == (9.5, STATE_BYTES["adafactor"] + 4)


@pytest.mark.parametrize("name", ["adamw", "lion", "came", "adamw_schedulefree"])
def test_the_state_is_as_large_as_the_forecast_says(name: str) -> None:
    """At rank 16, of a layer of 1280."""
    made(name=name)
    pair = {"down": torch.nn.Parameter(torch.ones(16, 1280)), "up": torch.nn.Parameter(torch.zeros(1280, 16))}
    optimizer = Optimizer(pair, name)
    for parameter in pair.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1e-4)
    count = sum(parameter.numel() for parameter in pair.values())
    kept = [tensor for key, tensor in optimizer.state().items() if "/" in key and "#" not in key]
    assert sum(tensor.nbytes for tensor in kept) / count == pytest.approx(STATE_BYTES[name], rel=0.01)


FREE = "adamw_schedulefree"


def test_schedule_free_writes_the_average_of_the_paper() -> None:
    """arXiv 2405.15682, algorithm 1: gradients at y, steps of z, x is the average of the z."""
    parameters, optimizer = made(name=FREE, clip=0.0, weight_decay=0.1)
    ours = parameters["down"]
    z = ours.detach().double()
    x, moment, total = z.clone(), torch.zeros_like(z), 0.0
    for step in range(1, 31):
        rate = 0.01 * min(1.0, step / 10)
        y = 0.1 * z + 0.9 * x
        assert torch.allclose(ours.double(), y, atol=1e-5)
        torch.autograd.backward(sum(((p + 0.1) * step).sin().square().sum() for p in parameters.values()))
        assert ours.grad is not None
        gradient = ours.grad.double()
        optimizer.step(rate)
        moment = 0.999 * moment + 0.001 * gradient**2
        z = z - rate * (gradient / ((moment / (1 - 0.999**step)).sqrt() + 1e-8) + 0.1 * y)
        total += rate**2
        x = (1 - rate**2 / total) * x + rate**2 / total * z
    with optimizer.averaged():
        assert torch.allclose(ours.double(), x, atol=1e-5) and not torch.allclose(ours.double(), y, atol=1e-3)


def test_looking_at_the_average_changes_no_bit() -> None:
    """Also where it fails inside; before the second step the average is the weights as they are."""
    parameters, optimizer = made(name=FREE)
    others, unseen = made(name=FREE)
    for step in range(1, 8):
        with pytest.raises(KeyboardInterrupt), optimizer.averaged():
            seen = {name: parameter.detach().clone() for name, parameter in parameters.items()}
            raise KeyboardInterrupt
        assert all(torch.equal(seen[name], one) for name, one in parameters.items()) == (step <= 2)
        walk(parameters, optimizer, range(step, step + 1))
        walk(others, unseen, range(step, step + 1))
    ours, theirs = optimizer.state(), unseen.state()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_rising_rate_is_the_warm_up_that_schedule_free_has_itself() -> None:
    from pytorch_optimizer import ScheduleFreeAdamW

    parameters, optimizer = made(name=FREE, clip=0.0, weight_decay=0.0)
    others, _ = made(name=FREE)
    own = ScheduleFreeAdamW(list(others.values()), lr=0.01, warmup_steps=5)
    for step in range(1, 12):
        for some in (parameters, others):
            torch.autograd.backward(sum(((p + 0.1) * step).sin().square().sum() for p in some.values()))
        optimizer.step(0.01 * min(1.0, step / 5))
        own.step()
        own.zero_grad()
    assert all(torch.allclose(others[name], parameters[name], atol=1e-6) for name in parameters)


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_other_optimizers_write_the_weights_as_they_are(name: str) -> None:
    parameters, optimizer = made(name=name)
    walk(parameters, optimizer, range(1, 4))
    before = {key: parameter.detach().clone() for key, parameter in parameters.items()}
    with optimizer.averaged():
        assert all(torch.equal(before[key], parameters[key]) for key in before)


def test_a_power_of_the_rate_weighs_the_average() -> None:
    ends = []
    for arguments in ((), (("weight_lr_power", 1.0),)):
        parameters, optimizer = made(name=FREE, arguments=arguments)
        walk(parameters, optimizer, range(1, 11))
        ends.append(parameters["down"].detach())
    assert not torch.equal(*ends)


def test_prodigys_estimate_is_part_of_its_state() -> None:
    parameters, optimizer = made(name="prodigy")
    for _ in range(100):
        torch.autograd.backward(sum(parameter.square().sum() for parameter in parameters.values()))
        optimizer.step(1.0)
    state = optimizer.state()
    assert state["group/d#float"] > 2e-6  # it starts at 1e-6
    assert state["group/k#int"] == state["down/step#int"] == 100


@pytest.mark.parametrize("name", HERE)
def test_every_optimizer_goes_downhill(name: str) -> None:
    parameters, optimizer = made(name=name)
    losses = []
    for _ in range(300):
        loss = sum(parameter.square().sum() for parameter in parameters.values())
        torch.autograd.backward(loss)
        losses.append(float(loss.detach()))
        optimizer.step(1.0 if name == "prodigy" else 0.05)
    assert losses[-1] < 0.7 * losses[0]


def test_the_library_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    made(name="prodigy")
    assert capsys.readouterr().out == ""


def test_a_scaled_loss_gives_the_same_steps() -> None:
    results = []
    for scale in (1.0, 1024.0):
        parameters, optimizer = made()
        walk(parameters, optimizer, range(1, 6), scale)
        results.append(parameters)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize(("clip", "moment"), [(1.0, 0.1), (2.0, 0.2), (0.0, 2e5)])
def test_large_gradients_are_clipped(clip: float, moment: float) -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    optimizer = Optimizer({"only": parameter}, "adamw", clip=clip)
    (parameter * 1e6).sum().backward()
    assert optimizer.step(0.01) == pytest.approx(2e6)  # the norm before it is clipped
    assert optimizer.state()["only/exp_avg"].norm() == pytest.approx(moment, rel=1e-3)  # (1 - beta) x norm


def test_weight_decay_pulls_towards_zero() -> None:
    ends = []
    for decay in (0.0, 0.5):
        parameters, optimizer = made(weight_decay=decay)
        for parameter in parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(0.1)
        ends.append(float(parameters["down"].detach().norm()))
    assert ends[1] == pytest.approx(0.95 * ends[0])


def test_a_state_of_another_lora_is_refused() -> None:
    parameters, optimizer = made()
    with pytest.raises(StateError, match="does not fit"):
        optimizer.restore({"down": torch.zeros(2, 2)})
    with pytest.raises(StateError, match="does not fit"):  # weights without what the optimizer remembers
        optimizer.restore({name: parameter.detach() for name, parameter in parameters.items()})


@pytest.mark.parametrize("name", HERE)
def test_a_training_whose_first_gradients_all_overflowed_goes_on(name: str) -> None:
    """float16's loss scale begins too high on purpose; a checkpoint may come before the first step that counts."""
    parameters, optimizer = made(name=name)
    for parameter in parameters.values():
        parameter.grad = torch.full_like(parameter, float("inf"))
    optimizer.step(0.01)
    kept = load(save({key: tensor.contiguous() for key, tensor in optimizer.state().items()}))
    others, again = made(seed=9, name=name)
    again.restore(kept)
    for some, one in ((parameters, optimizer), (others, again)):
        walk(some, one, range(2, 5))
    assert all(torch.equal(others[key], parameters[key]) for key in parameters)


def test_an_unknown_optimizer_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown optimizer 'sgd'.*adamw, adamw8bit, prodigy, adafactor"):
        check_optimizer("sgd", torch.device("cpu"))
    assert OPTIMIZERS.keys() == CLASSES.keys() == STATE_BYTES.keys() == set(choices.OPTIMIZERS)


def test_eight_bits_need_a_gpu() -> None:
    with pytest.raises(InputError, match='"adamw8bit" needs a CUDA GPU, but this training computes on cpu'):
        check_optimizer("adamw8bit", torch.device("cpu"))


@pytest.mark.parametrize(
    ("name", "module", "extra", "device"),
    [
        ("prodigy", "prodigyopt", "optimizers", "cpu"),
        ("lion", "pytorch_optimizer", "optimizers", "cpu"),
        ("came", "pytorch_optimizer", "optimizers", "cpu"),
        ("adamw_schedulefree", "pytorch_optimizer", "optimizers", "cpu"),
        ("adamw8bit", "bitsandbytes", "optimizers-gpu", "cuda"),
    ],
)
def test_a_missing_library_names_the_line(
    name: str, module: str, extra: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf'pip install .*-e "\.\[{extra}\]"'):
        check_optimizer(name, torch.device(device))


@pytest.mark.parametrize("name", HERE)
def test_gradients_that_overflowed_change_nothing(name: str) -> None:
    parameters, optimizer = made(name=name)
    walk(parameters, optimizer, range(1, 4))
    before = {key: tensor.clone() for key, tensor in optimizer.state().items()}
    for wrong in (float("inf"), float("nan")):
        for parameter in parameters.values():
            parameter.grad = torch.full_like(parameter, wrong)
        assert not optimizer.step(0.01) < float("inf")
    after = optimizer.state()
    assert all(torch.equal(before[key], after[key]) for key in before if not key.startswith("group/lr"))
    assert all(parameter.grad is None for parameter in parameters.values())
