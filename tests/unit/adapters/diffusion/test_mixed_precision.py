"""Mixed precision on a CPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.compute import Compute  # noqa: E402
from twinloop.adapters.diffusion.mixed_precision import compute_mixed  # noqa: E402


def test_mixed_products_are_answered_in_float32() -> None:
    class Denoiser(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.layer(x),)

    plain = Denoiser()
    x = torch.randn(8, 64)
    exact = plain(x)[0]
    compute_mixed(plain, Compute(torch.device("cpu"), torch.float32, None))
    assert torch.equal(plain(x)[0], exact)
    compute_mixed(plain, Compute(torch.device("cpu"), torch.float32, torch.bfloat16))
    mixed = plain(x)[0]
    assert mixed.dtype == torch.float32 and not torch.equal(mixed, exact)
    assert torch.allclose(mixed, exact, atol=0.05)
