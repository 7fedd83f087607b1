"""``python -m twinloop.nano.build <step>``: render, vae, latents, unet, export; detectors and their steps; see
README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from twinloop.nano.build.detectors.steps import DETECTOR_STEPS, add_detector_steps, run_detector_step


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m twinloop.nano.build", description=__doc__)
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
    return parser.parse_args()


def main() -> None:
    """Run one step."""
    given = _arguments()
    work: Path = given.work
    if given.step in DETECTOR_STEPS:
        run_detector_step(given)
    elif given.step == "render":
        from twinloop.nano.build.render import render_all

        render_all(
            work, shards=given.shards, per_shard=given.per_shard, size=256, seed=given.seed, processes=given.processes
        )
    elif given.step == "vae":
        from twinloop.nano.build import vae
        from twinloop.nano.build.parallel import run_team

        run_team(given.processes, 29611, vae.train, vae.VaeRun(work, work / "vae.safetensors", minutes=given.minutes))
    elif given.step == "decoder":
        from twinloop.nano.build import decoder
        from twinloop.nano.build.parallel import run_team

        run_team(given.processes, 29614, decoder.train, decoder.DecoderRun(work, given.name, given.minutes))
    elif given.step == "latents":
        from twinloop.nano.build.latents import encode_all

        encode_all(work, processes=given.processes)
    elif given.step == "unet":
        from twinloop.nano.build import unet
        from twinloop.nano.build.parallel import run_team

        unet_run = unet.UnetRun(work, given.name, minutes=given.minutes, start=given.start)
        run_team(given.processes, 29612, unet.train, unet_run)
    elif given.step == "adopt":
        from twinloop.nano.build.adopt import adopt

        adopt(given.folder, work, given.name)
    else:
        from twinloop.nano.build.export import export

        export(work, given.name, given.to)


if __name__ == "__main__":
    main()
