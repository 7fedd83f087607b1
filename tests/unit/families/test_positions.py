"""Numbers of places, added up in whole numbers: a GPU has no kernel that adds up others in a fixed order."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode  # noqa: E402

from twinloop.families import flux2, parts  # noqa: E402


class OnlyWholeSums(TorchFunctionMode):
    """As CUDA does where it must sum in a fixed order."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cumsum:
            self.sums += 1
            assert not args[0].is_floating_point()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_grid(dtype: Any) -> None:
    with OnlyWholeSums() as mode:
        found = parts.positions(torch.zeros(1, dtype=dtype), 2, 3, 4)
    assert mode.sums == 2 and found.dtype == dtype
    assert found.tolist() == [[0, row, column, 0] for row in range(2) for column in range(3)]


def test_a_text_of_flux_2() -> None:
    given: dict[str, Any] = {}

    def model(**named: Any) -> Any:
        given.update(named)
        return (named["hidden_states"],)

    model.config = type("Config", (), {"guidance_embeds": True})  # type: ignore[attr-defined]
    words = {"prompt_embeds": torch.zeros(2, 5, 8)}
    with OnlyWholeSums() as mode:
        flux2.denoise(model, torch.zeros(2, 4, 3, 2), torch.zeros(2), words, None)
    assert mode.sums == 3
    assert given["txt_ids"].tolist() == [[[0, 0, 0, place] for place in range(5)]] * 2
    assert given["img_ids"][1].tolist() == [[0, row, column, 0] for row in range(3) for column in range(2)]
