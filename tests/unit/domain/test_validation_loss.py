"""The validation loss: what records keep of it, and when it speaks of overfitting."""

from __future__ import annotations

import pytest

from twinloop.domain.records import LoRA
from twinloop.domain.validation_loss import (
    TimeLoss,
    ValidationLoss,
    begins_to_overfit,
    validation_json,
    validation_of,
)

MEASURED = ValidationLoss(300, (TimeLoss(125, 0.5), TimeLoss(875, 0.1)))


def test_the_mean_is_over_the_times_and_comes_back() -> None:
    assert MEASURED.loss == 0.3
    data = validation_json(MEASURED)
    assert data["validation_loss"] == 0.3 and data["validation_losses"][1] == {"time": 875, "loss": 0.1}
    assert validation_of(300, data) == MEASURED
    assert validation_of(300, validation_json(None)) is None is validation_of(300, {})


def test_a_version_keeps_it_and_one_without_is_read() -> None:
    lora = LoRA("a", 1, "0", "base", "id", "sdxl", 300, 7, 0.1, "lora", 4, 2.0, MEASURED)
    assert LoRA.from_json(lora.to_json()) == lora
    data = lora.to_json()
    del data["validation_loss"], data["validation_losses"]
    assert LoRA.from_json(data).validation is None


@pytest.mark.parametrize(
    ("losses", "begins"),
    [
        ((), False),
        ((0.3, 0.2), False),
        ((0.3, 0.2, 0.21, 0.22), False),
        ((0.3, 0.2, 0.21, 0.22, 0.23), True),
        ((0.3, 0.2, 0.21, 0.21, 0.22, 0.23), False),
        ((0.2, 0.21, 0.22, 0.23, 0.24), False),  # told a validation before
        ((0.2, 0.21, 0.22, 0.23, 0.1, 0.2, 0.3, 0.4), False),
    ],
)
def test_three_rises_in_a_row_are_told_the_first_time(losses: tuple[float, ...], begins: bool) -> None:
    assert begins_to_overfit(losses) is begins
