"""``python -m workshop STEP``: makes the embedded base model and detectors. README.md says which step makes what."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from workshop.detectors.steps import DETECTOR_STEPS, add_detector_steps


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one step; ``arguments``: those of the process when left out."""
    given = _parser().parse_args(arguments)
    STEPS[given.step](given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workshop", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("nano_data"), help="folder for shards and checkpoints")
    parser.add_argument("--processes", type=int, default=2)
    steps = parser.add_subparsers(dest="step", required=True)
    render = steps.add_parser("render", help="render the training pictures")
    render.add_argument("--shards", type=int, default=50)
    render.add_argument("--per-shard", type=int, default=200)
    render.add_argument("--seed", type=int, default=7)
    vae = steps.add_parser("vae", help="train the autoencoder")
    vae.add_argument("--minutes", type=float, default=13.0)
    decoder = steps.add_parser("decoder", help="train the decoder alone on latents that the UNet imagines")
    decoder.add_argument("--minutes", type=float, default=8.0)
    decoder.add_argument("--name", default="unet", help="name of the UNet's checkpoint")
    steps.add_parser("latents", help="encode the pictures and their mirror images")
    unet = steps.add_parser("unet", help="train UNet and text encoders")
    unet.add_argument("--minutes", type=float, default=60.0, help="wall clock of the whole training")
    unet.add_argument("--name", default="unet", help="name of the checkpoint")
    unet.add_argument("--start", default="", help="begin from this checkpoint instead")
    adopt = steps.add_parser("adopt", help="make checkpoints of a shipped model folder, to go on from it")
    adopt.add_argument("--folder", type=Path, required=True)
    adopt.add_argument("--name", default="unet")
    export = steps.add_parser("export", help="write the model folder")
    export.add_argument("--to", type=Path, required=True)
    export.add_argument("--name", default="unet")
    add_detector_steps(steps)
    return parser


# each step imports its module itself: --help needs no PyTorch, and only the ONNX export needs onnx


def _render(given: argparse.Namespace) -> None:
    from workshop.render import render_all

    render_all(
        given.work,
        shards=given.shards,
        per_shard=given.per_shard,
        size=256,
        seed=given.seed,
        processes=given.processes,
    )


def _vae(given: argparse.Namespace) -> None:
    from workshop import vae
    from workshop.parallel import run_team

    run = vae.VaeRun(given.work, given.work / "vae.safetensors", minutes=given.minutes)
    run_team(given.processes, 29611, vae.train, run)


def _latents(given: argparse.Namespace) -> None:
    from workshop.latents import encode_all

    encode_all(given.work, processes=given.processes)


def _unet(given: argparse.Namespace) -> None:
    from workshop import unet
    from workshop.parallel import run_team

    run = unet.UnetRun(given.work, given.name, minutes=given.minutes, start=given.start)
    run_team(given.processes, 29612, unet.train, run)


def _decoder(given: argparse.Namespace) -> None:
    from workshop import decoder
    from workshop.parallel import run_team

    run_team(given.processes, 29614, decoder.train, decoder.DecoderRun(given.work, given.name, given.minutes))


def _adopt(given: argparse.Namespace) -> None:
    from workshop.adopt import adopt

    adopt(given.folder, given.work, given.name)


def _export(given: argparse.Namespace) -> None:
    from workshop.export import export

    export(given.work, given.name, given.to)


STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "render": _render,
    "vae": _vae,
    "latents": _latents,
    "unet": _unet,
    "decoder": _decoder,
    "adopt": _adopt,
    "export": _export,
    **DETECTOR_STEPS,
}


if __name__ == "__main__":
    main()
