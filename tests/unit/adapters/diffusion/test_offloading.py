"""What is said where images do not fit into memory."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.offloading import less_memory  # noqa: E402
from twinloop.domain.quantised import Quantization  # noqa: E402
from twinloop.ports import GenerationSettings  # noqa: E402

LATER = ", which costs time and may be changed in a run that was begun. "


def advice(
    offload: str = "none",
    batch: int = 1,
    device: str = "cuda",
    weights: Quantization | None = None,
    whole_layers: bool = False,
) -> str:
    settings = GenerationSettings(30, 7.5, 1024, 1024, batch_size=batch, offload=offload)
    compute = Compute(torch.device(device), torch.bfloat16, None, quantization=weights)
    return less_memory(settings, compute, whole_layers)


@pytest.mark.parametrize(
    ("offload", "said"),
    [
        ("none", 'Set generation.offload to "model", then "blocks", then "sequential"'),
        ("model", 'Set generation.offload to "blocks", then "sequential"'),
        ("blocks", 'Set generation.offload to "sequential"'),
    ],
)
def test_what_a_begun_run_may_change_comes_first(offload: str, said: str) -> None:
    assert advice(offload).startswith(f"{said}{LATER}Lower generation.width and height: ")
    assert advice(offload).endswith("another output folder, or --restart.")


def test_what_makes_another_run_is_called_so() -> None:
    for said in (advice("sequential"), advice(device="cpu")):
        assert (
            said == "Lower generation.width and height: in a run that was begun that takes another output folder, or"
            " --restart."
        )


def test_a_batch_of_one_cannot_be_smaller() -> None:
    assert "batch_size" not in advice(batch=1)
    assert "Lower generation.batch_size (1 needs least) or generation.width and height" in advice(batch=2)


@pytest.mark.parametrize("kept", [{"weights": "nf4"}, {"whole_layers": True}])
def test_layers_that_cannot_come_one_by_one_are_not_told_to(kept: dict[str, object]) -> None:
    assert advice(**kept).startswith(f'Set generation.offload to "model", then "blocks"{LATER}')  # type: ignore[arg-type]
    assert "offload" not in advice("blocks", **kept)  # type: ignore[arg-type]
