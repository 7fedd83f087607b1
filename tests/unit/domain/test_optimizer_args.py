"""What optimizers take: any way of writing the same arguments is the same, and every wrong one is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.optimizer_ends import ENDS
from twinloop.domain.optimizer_args import TAKEN, in_python, mistakes, ordered

GOOD: dict[str, Any] = {
    "weight_decay": 0.1,
    "betas": [0.9, 0.99],
    "beta3": 0.5,
    "beta1": 0.9,
    "d0": 1e-5,
    "d_coef": 2,
    "growth_rate": 1.02,
    "slice_p": 11,
    "decouple": False,
    "use_bias_correction": True,
    "safeguard_warmup": True,
    "clip_threshold": 2.0,
    "decay_rate": -0.5,
    "scale_parameter": True,
    "eps1": 1e-30,
    "eps2": 1e-16,
    "r": 0,
    "weight_lr_power": 2,
}


def good(optimizer: str) -> dict[str, Any]:
    eps = [1e-30, 1e-3] if optimizer == "adafactor" else 1e-7
    betas = [0.9, 0.999, 0.9999] if optimizer == "came" else GOOD["betas"]
    return {name: {**GOOD, "eps": eps, "betas": betas}[name] for name in TAKEN[optimizer]}


@given(st.sampled_from(sorted(TAKEN)), st.randoms())
def test_the_order_and_the_kind_of_number_do_not_matter(optimizer: str, random: Any) -> None:
    items = [(name, value) for name, value in good(optimizer).items() if random.random() < 0.7]
    once = ordered(optimizer, dict(items))
    random.shuffle(items)
    assert ordered(optimizer, dict(items)) == once
    # through the JSON of a record, and what is in order already
    assert ordered(optimizer, json.loads(json.dumps(dict(once)))) == once and not mistakes(optimizer, dict(once))
    assert [name for name, _ in once] == [name for name in TAKEN[optimizer] if name in dict(items)]


def test_whole_numbers_are_numbers() -> None:
    ((_, value),) = ordered("prodigy", {"d_coef": 2})
    assert type(value) is float
    ((_, value),) = ordered("prodigy", {"slice_p": 11})
    assert type(value) is int


@pytest.mark.parametrize(
    ("optimizer", "wrong", "says"),
    [
        ("adamw", {"betas": [0.9]}, "betas must be a list of two numbers from 0 to 0.999999, not [0.9]"),
        ("adamw", {"betas": [0.9, True]}, "betas must be a list of two numbers"),
        ("adamw", {"betas": [0.9, 1.0]}, "betas must be a list of two numbers from 0 to 0.999999"),
        ("adamw", {"betas": "0.9,0.99"}, "betas must be a list of two numbers"),
        ("adamw", {"eps": "1e-8"}, "eps must be a number from 1e-30 to 1, not '1e-8'"),
        ("adamw", {"eps": True}, "eps must be a number from 1e-30 to 1, not true"),
        ("adamw", {"eps": float("inf")}, "eps must be a number from 1e-30 to 1"),
        ("prodigy", {"decouple": 1}, "decouple must be true or false, not 1"),
        ("prodigy", {"slice_p": 1.5}, "slice_p must be a whole number from 1 to 1000"),
        ("prodigy", {"slice_p": True}, "slice_p must be a whole number from 1 to 1000, not true"),
        ("adafactor", {"eps": 1e-8}, "eps must be a list of two numbers from 1e-30 to 1, not 1e-08"),
        ("adafactor", {"decay_rate": 0.8}, "decay_rate must be a number from -1 to less than 0"),
        ("adamw", {"eps": 1e-40}, "eps must be a number from 1e-30 to 1, not 1e-40"),
        ("prodigy", {"betas": [0.9999, 0.999]}, "betas must be a list of two numbers, from 0 to 0.999 and from 0 to"),
        ("prodigy", {"growth_rate": 1}, "growth_rate must be a number above 1, not 1"),
        ("adafactor", {"eps": [1e-30, 0.01]}, "the second number of eps is for scale_parameter: true; set it"),
        ("adamw", {"d_coef": 2}, "adamw takes no 'd_coef' here; it takes weight_decay, betas, eps"),
        ("adamw", {"lr": 1e-4}, "adamw takes no 'lr' here: the rate is training.learning_rate; it takes"),
        ("adafactor", {"relative_step": True}, "adafactor runs at training.learning_rate"),
        ("lion", {"eps": 1e-8}, "lion takes no 'eps' here; it takes weight_decay, betas"),
        ("came", {"betas": [0.9, 0.999]}, "betas must be a list of three numbers from 0.01 to 0.999999"),
        (
            "came",
            {"eps": [1e-30, 1e-16]},
            "came takes no 'eps' here; it takes weight_decay, betas, clip_threshold, eps1",
        ),
        ("adamw_schedulefree", {"betas": [0, 0.9]}, "betas must be a list of two numbers from 0.01 to 0.999999"),
        ("adamw_schedulefree", {"r": -1}, "r must be a number from 0 to 10, not -1"),
        ("adamw_schedulefree", {"warmup_steps": 9}, "its warm-up is training.warmup_steps"),
    ],
)
def test_each_mistake_is_said(optimizer: str, wrong: dict[str, Any], says: str) -> None:
    (told,) = mistakes(optimizer, wrong)
    assert says in told
    with pytest.raises(ValueError, match=r".") as caught:
        ordered(optimizer, wrong)
    assert says in str(caught.value)


def test_all_of_them_at_once_and_the_names_once() -> None:
    told = mistakes("adamw", {"lr": 1, "eps": 0, "momentum": 0.9})
    assert len(told) == 3 and sum("it takes weight_decay" in line for line in told) == 1


def test_as_sd_scripts_writes_them() -> None:
    arguments = ordered("adamw", {"betas": [0.9, 0.99], "weight_decay": 0.1})
    assert in_python(arguments) == ["weight_decay=0.1", "betas=(0.9, 0.99)"]


@pytest.mark.parametrize("optimizer", sorted(ENDS))
def test_the_ends_of_ranges(optimizer: str) -> None:
    for name, (fits, beyond) in ENDS[optimizer].items():
        assert [mistakes(optimizer, {name: value}) for value in fits] == [[]] * len(fits), name
        assert all(len(mistakes(optimizer, {name: value})) == 1 for value in beyond), name


def test_adafactors_second_eps_goes_with_its_scale() -> None:
    assert mistakes("adafactor", {"eps": [1e-30, 0.01], "scale_parameter": True}) == []
    assert mistakes("adafactor", {"eps": [1e-30, 0.01], "scale_parameter": False})
