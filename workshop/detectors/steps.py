"""The steps of ``python -m workshop`` that make the detectors."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def add_detector_steps(steps: Any) -> None:
    """Add the steps to the parser of the command."""
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
        train.add_argument("--judged", type=float, default=0.18, help="share of labelled faces among the face crops")
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
    worn = steps.add_parser("worn", help="faces of pictures made with a LoRA, to be labelled", parents=[out])
    worn.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of PNGs")
    worn.add_argument("--detectors", type=Path, required=True, help="folder of the ONNX files")
    worn.add_argument("--person", type=int, required=True, help="seed of the person that the LoRA is of")
    worn.add_argument("--count", type=int, default=80)
    worn.add_argument("--draw", type=int, default=1, metavar="N", help="another number, other pictures")
    judge = steps.add_parser("judge", help="figures of the face quality on people that no training saw")
    judge.add_argument("--detectors", type=Path, required=True, help="folder of the ONNX files")
    judge.add_argument("--limit", type=float, default=0.7)
    write = steps.add_parser("detectors", help="write the ONNX files", parents=[out])
    write.add_argument("--to", type=Path, required=True)
    for name in ("whole", "face", "identity"):
        write.add_argument(f"--{name}", default=name, help="name of the checkpoint")


def _train(given: argparse.Namespace) -> None:
    from workshop.detectors import train
    from workshop.detectors.pool import Pool

    pool = Pool(given.work, given.out, given.share, given.judged)
    start = given.out / f"{given.start}.safetensors" if given.start else None
    run = train.DetectorRun(given.out / f"{given.name}.safetensors", given.minutes, start, lr=given.lr)
    {"whole": train.train_whole, "face": train.train_face, "identity": train.train_identity}[given.step](run, pool)


def _decoded(given: argparse.Namespace) -> None:
    from workshop.detectors.decoded import decode_renders

    decode_renders(given.work, given.out, given.count)


def _generated(given: argparse.Namespace) -> None:
    from workshop.detectors.generated import generate_faces

    generate_faces(given.work, given.out, given.name, given.count, label=given.label, seed=given.draw)


def _worn(given: argparse.Namespace) -> None:
    from workshop.detectors.judge import gather

    gather(given.pictures, given.detectors, given.out, given.person, given.count, given.draw)


def _judge(given: argparse.Namespace) -> None:
    from workshop.detectors.judge import judge_held_out

    judge_held_out(given.detectors, given.limit)


def _detectors(given: argparse.Namespace) -> None:
    from workshop.detectors.export import export_detectors

    export_detectors(given.out, given.to, given.whole, given.face, given.identity)


DETECTOR_STEPS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "whole": _train,
    "face": _train,
    "identity": _train,
    "decoded": _decoded,
    "generated": _generated,
    "worn": _worn,
    "judge": _judge,
    "detectors": _detectors,
}
