"""The steps of ``python -m twinloop.nano.build`` that make the detectors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DETECTOR_STEPS = ("whole", "face", "identity", "decoded", "generated", "detectors")


def add_detector_steps(steps: Any) -> None:
    """Add the steps to the parser of the build command."""
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument(
        "--out", type=Path, required=True, help="folder for the detectors' checkpoints and further pictures"
    )
    for name, text in (
        ("whole", "train the whole-picture network"),
        ("face", "train the face-crop network"),
        ("identity", "train the identity network"),
    ):
        train = steps.add_parser(name, help=text, parents=[out])
        train.add_argument("--minutes", type=float, required=True, help="processor time of the whole training")
        train.add_argument("--name", default=name, help="name of the checkpoint")
        train.add_argument("--start", default="", help="begin from this checkpoint instead")
        train.add_argument("--lr", type=float, default=2e-3)
        train.add_argument("--share", type=float, default=0.35, help="of decoded pictures, where there are some")
    decoded = steps.add_parser(
        "decoded", help="reconstruct renders with the autoencoder, with noise on the latents", parents=[out]
    )
    decoded.add_argument("--count", type=int, default=3000)
    generated = steps.add_parser(
        "generated", help="pictures of the base model, for the quality of faces", parents=[out]
    )
    generated.add_argument("--name", default="unet")
    generated.add_argument("--count", type=int, default=200)
    generated.add_argument(
        "--draw", type=int, default=1, metavar="N", help="another number, other prompts and pictures"
    )
    generated.add_argument("--label", choices=("bad", "good", "none"), default="none")
    write = steps.add_parser("detectors", help="write the ONNX files", parents=[out])
    write.add_argument("--to", type=Path, required=True)
    for name in ("whole", "face", "identity"):
        write.add_argument(f"--{name}", default=name, help="name of the checkpoint")


def run_detector_step(given: argparse.Namespace) -> None:
    """Run one of `DETECTOR_STEPS`."""
    if given.step == "detectors":
        from twinloop.nano.build.detectors.export import export_detectors

        export_detectors(given.out, given.to, given.whole, given.face, given.identity)
    elif given.step == "decoded":
        from twinloop.nano.build.detectors.decoded import decode_renders

        decode_renders(given.work, given.out, given.count)
    elif given.step == "generated":
        from twinloop.nano.build.detectors.generated import generate_faces

        generate_faces(given.work, given.out, given.name, given.count, label=given.label, seed=given.draw)
    else:
        _train(given)


def _train(given: argparse.Namespace) -> None:
    from twinloop.nano.build.detectors import train
    from twinloop.nano.build.detectors.pool import Pool

    pool = Pool(given.work, given.out, given.share)
    start = given.out / f"{given.start}.safetensors" if given.start else None
    run = train.DetectorRun(given.out / f"{given.name}.safetensors", given.minutes, start, lr=given.lr)
    {"whole": train.train_whole, "face": train.train_face, "identity": train.train_identity}[given.step](run, pool)
