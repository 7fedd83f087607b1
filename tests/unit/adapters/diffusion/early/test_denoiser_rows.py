"""A denoiser for some rows of a batch: what it is given, what comes back, and that it is itself again afterwards."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from twinloop.adapters.diffusion.early.denoiser_rows import DenoiserRows  # noqa: E402


class Recorder(torch.nn.Module):  # type: ignore[name-defined, misc]
    """Ten times what it is given, and a note of every argument."""

    def forward(self, latents: Any, **named: Any) -> tuple[Any, ...]:
        self.seen = {"latents": latents, **named}
        return ([10 * row for row in latents] if isinstance(latents, list) else 10 * latents,)


def rows_of(values: Any) -> list[float]:
    return [float(row.flatten()[0]) for row in values]


def test_every_argument_with_an_axis_of_the_batch_is_cut() -> None:
    module, latents = Recorder(), torch.arange(6.0).reshape(6, 1)
    with DenoiserRows(module, 3) as rows:
        rows.keep([0, 2])
        module(
            latents,
            timestep=torch.tensor(7),
            times=torch.arange(6),
            words={"pooled": latents, "scale": 2.0},
            shapes=["a", "b", "c", "d", "e", "f"],
            img_ids=torch.zeros(6, 3),
            txt_ids=torch.arange(6.0).reshape(6, 1, 1),
            none=None,
        )
    seen = module.seen
    assert rows_of(seen["latents"]) == [0, 2, 3, 5]  # each picture is there twice, as with guidance
    assert seen["times"].tolist() == [0, 2, 3, 5] and rows_of(seen["words"]["pooled"]) == [0, 2, 3, 5]
    assert seen["shapes"] == ["a", "c", "d", "f"] and rows_of(seen["txt_ids"]) == [0, 2, 3, 5]
    assert seen["timestep"].item() == 7 and seen["words"]["scale"] == 2.0 and seen["none"] is None
    assert seen["img_ids"].shape == (6, 3)  # positions of tokens, the same for all: six of them by chance


def test_answers_come_back_in_their_places() -> None:
    module, latents = Recorder(), torch.arange(1.0, 5.0).reshape(4, 1)
    with DenoiserRows(module, 4) as rows:
        rows.keep([1, 3])
        assert rows_of(module(latents)[0]) == [0, 20, 0, 40]
        assert rows_of(module(list(latents))[0]) == [0, 20, 0, 40]


def test_all_rows_pass_untouched() -> None:
    module, latents = Recorder(), torch.ones(2, 1)
    with DenoiserRows(module, 2) as rows:
        module(latents)
        assert module.seen["latents"] is latents
        rows.keep([0, 1])
        module(latents)
        assert module.seen["latents"] is latents


def test_nothing_stays_behind() -> None:
    module = Recorder()
    with pytest.raises(RuntimeError, match="full"), DenoiserRows(module, 2) as rows:
        rows.keep([0])
        raise RuntimeError("the disk is full")
    assert rows_of(module(torch.ones(2, 1))[0]) == [10, 10]
    assert not module._forward_hooks and not module._forward_pre_hooks
