"""The other side of ``bench/training_peer.py``: the SDXL LoRA script of diffusers, its text unchanged, with a clock on
it.

    python diffusers_script.py SCRIPT [--draws FILE] ARGUMENTS OF THE SCRIPT...

Runs in the script's own environment. The last line of standard output is one line of JSON. The clock hangs on what the
script calls: its ``Accelerator``, ``load_dataset``, and ``Accelerator.log`` after each step. With ``--draws`` the
photos' order, noise, times and the LoRA's start come from twinloop's trainer (`our_sdxl.py` writes them) and the
autoencoder answers its mean, so that both programs do the same sums.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, cast

from clock import Clock

CLOCK = Clock()


def hang_clock() -> None:
    """Mark when imports are done, when the model is there, when the photos are listed, and the end of each step."""
    import accelerate
    import datasets

    made, listed, logged = accelerate.Accelerator.__init__, datasets.load_dataset, accelerate.Accelerator.log

    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        CLOCK.mark("imports")
        made(self, *args, **kwargs)

    def list_photos(*args: Any, **kwargs: Any) -> Any:
        CLOCK.mark("model")
        found = listed(*args, **kwargs)
        CLOCK.mark("photos")
        return found

    def log(self: Any, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        if "train_loss" in values:
            CLOCK.step(float(values["train_loss"]))
        logged(self, values, step, **kwargs)

    accelerate.Accelerator.__init__ = begin
    accelerate.Accelerator.log = log
    datasets.load_dataset = list_photos


def feed(path: Path) -> None:
    """Give the script's loop the draws of another program."""
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from safetensors.torch import load_file

    drawn = load_file(path)
    step = iter(range(1, 1 + int(drawn["steps"])))
    now = 0

    def noise(like: Any, **_: Any) -> Any:
        nonlocal now
        now = next(step)
        return drawn[f"noise.{now}"].to(like)

    order = iter(drawn["order"].tolist())

    def epoch(self: Any) -> Any:
        return islice(order, len(self.data_source))

    add = UNet2DConditionModel.add_adapter

    def adapt(self: Any, *args: Any, **kwargs: Any) -> None:
        add(self, *args, **kwargs)
        for name, parameter in self.named_parameters():
            if ".lora_A." in name:
                parameter.data.copy_(drawn[f"start.{name.replace('.default.weight', '')}"])

    UNet2DConditionModel.add_adapter = adapt
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()
    sampler, library = cast(Any, torch.utils.data.RandomSampler), cast(Any, torch)
    sampler.__iter__ = epoch
    library.randn_like = noise
    library.randint = _only_for_loop(torch.randint, lambda: drawn[f"times.{now}"])


def _only_for_loop(usual: Callable[..., Any], given: Callable[[], Any]) -> Callable[..., Any]:
    """`torch.randint` is also what samplers seed themselves with; the loop asks for times under 1000."""
    return lambda *args, **kwargs: given() if args[:2] == (0, 1000) else usual(*args, **kwargs)


def main() -> None:
    script, *arguments = sys.argv[1:]
    draws = ""
    if arguments and arguments[0] == "--draws":
        draws, arguments = arguments[1], arguments[2:]
    hang_clock()
    if draws:
        feed(Path(draws))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    print(CLOCK.report())


if __name__ == "__main__":
    main()
