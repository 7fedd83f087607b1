r"""SDXL at its real size on this machine's GPU: a training step, memory against the forecast, images, and the diffusers
script on the same card.

    python bench/gpu_sdxl.py [--script train_text_to_image_lora_sdxl.py --python PEER/bin/python] \
        [--home FOLDER] [--peak TFLOPS]

No checkpoint is needed: `real_size.py` writes one with random weights (6.9 GB) into the folder, once. Every row is a
process of its own: ours with the preset's LoRA (rank 32, attention and feed-forward layers), ours with the script's
(rank 16, attention projections), and the script, each at 1024 pixels with 1 and 4 pictures at once, without and with
gradient checkpointing; ours also with compiled blocks. Columns: seconds per step and per picture; TFLOP/s, by 14.2
TFLOP a picture (19.3 with checkpointing), and as a share of the card's bfloat16 peak; the most memory that PyTorch held
in a step that is timed; the forecast's figure over that; the most it held since the start, photos that are encoded
included. A row that does not fit says so. Then seconds per image of 30 steps, ours and a plain pipeline loop.

``--model tiny --resolution 64`` runs the same on any machine, to see that it runs.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from training_peer import PEERS, Report, Task, make_model, make_photos, run, script_side

CONTEXT_MIB = 512
"""Of the forecast, for CUDA itself: PyTorch's own count of memory does not see it."""
TFLOP = {False: 14.2, True: 19.3}
"""Per picture of 1024 pixels, by checkpointing."""
PEAKS = {
    "H100 80GB HBM3": 989.0,
    "H100 PCIe": 756.0,
    "H200": 989.0,
    "A100[- ].*": 312.0,
    "L40S": 362.0,
    "L40": 181.0,
    "L4": 121.0,
    "GeForce RTX 5090": 209.0,
    "GeForce RTX 4090": 165.0,
    "GeForce RTX 3090": 71.0,
}
"""Whole names of cards, but for NVIDIA before them: dense bfloat16 TFLOP/s with float32 sums, as NVIDIA gives them. A
laptop's card of the same number has another peak."""
PHOTOS, WARM, TIMED = 4, 5, 15
FOLDERS = {"preset's LoRA": "preset", "script's LoRA": "same", "diffusers script": "script"}
KINDS = tuple(FOLDERS)
SCRIPT = KINDS[2]


@dataclass(frozen=True)
class Row:
    """One training."""

    kind: str
    batch: int
    checkpointing: bool
    compiled: bool

    @property
    def folder(self) -> str:
        """Where its LoRA goes."""
        extra = f"{'_checkpointing' if self.checkpointing else ''}{'_compiled' if self.compiled else ''}"
        return f"{FOLDERS[self.kind]}_{self.batch}{extra}"

    @property
    def columns(self) -> list[str]:
        """The first of its line: which training it is."""
        with_or_without = {True: "with", False: "without"}
        return [self.kind, str(self.batch), with_or_without[self.checkpointing], with_or_without[self.compiled]]


def rows(kinds: Sequence[str], batches: Sequence[int]) -> list[Row]:
    """Every training; the script compiles nothing."""
    return [
        Row(kind, batch, checkpointing, compiled)
        for kind in kinds
        for batch in batches
        for checkpointing in (False, True)
        for compiled in ((False,) if kind == SCRIPT else (False, True))
    ]


def card() -> tuple[str, float]:
    """Name of the GPU and its peak, 0 = not known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return name, peak_of(name)


def peak_of(name: str) -> float:
    """Of a card by the name that its driver gives, 0 = not known."""
    return next((peak for known, peak in PEAKS.items() if re.fullmatch(rf"(?:NVIDIA )?{known}", name)), 0.0)


def trained(row: Row, task: Task, home: Path, args: argparse.Namespace) -> Report:
    if row.kind == SCRIPT:
        return script_side(args.python, args.script)(task, home, checkpointing=row.checkpointing)
    options: list[object] = [
        "--checkpointing",
        "on" if row.checkpointing else "off",
        # told either way: so few steps would not be compiled by themselves
        "--compile",
        "regional" if row.compiled else "off",
        *(["--preset-lora"] if row.kind == KINDS[0] else []),
    ]
    given = [task.model, task.photos, task.steps, task.batch, task.resolution, task.precision, home]
    return run([sys.executable, PEERS / "our_sdxl.py", "train", *given, *options], home)


def line(row: Row, report: Report, peak: float, real: bool) -> str:
    moments = [wall for wall, _ in report["steps"]]
    step = statistics.median(after - before for before, after in pairwise(moments[WARM:]))
    speed = TFLOP[row.checkpointing] * row.batch / step if real else 0.0
    held, most = max(report["gpu_peaks"][WARM:], default=0.0), max(report["gpu_peaks"], default=0.0)
    predicted = report.get("predicted", 0)
    share = f"{speed / peak:.0%}" if peak and real else "-"
    ratio = f"{(predicted / 2**20 - CONTEXT_MIB) / held:.3f}" if held and predicted else "-"
    columns = [
        *row.columns, f"{step:.3f}", f"{step / row.batch:.3f}", f"{speed:.0f}" if real else "-", share,
        f"{held / 1024:.2f}" if held else "-", ratio, f"{most / 1024:.2f}" if most else "-",
    ]  # fmt: skip
    return f"| {' | '.join(columns)} |"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", type=Path, help="train_text_to_image_lora_sdxl.py; left out: no rows of it")
    parser.add_argument("--python", default=sys.executable, help="of the script's environment")
    parser.add_argument(
        "--home", type=Path, default=Path("outputs/gpu_sdxl"), help="where the base and what is trained goes"
    )
    parser.add_argument("--model", default="real", help="real, tiny, small, or an SDXL folder")
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--batches", default="1,4", help="pictures at once")
    parser.add_argument("--images", default="30,2,4", help="denoising steps, prompts and seeds of the generation")
    parser.add_argument("--peak", type=float, default=0.0, help="the card's bfloat16 TFLOP/s (default: by its name)")
    return parser.parse_args()


def base(name: str, home: Path) -> Path:
    """The model's folder, made where it is not there."""
    folder = home / "model" if name in ("real", "tiny", "small") else Path(name)
    if folder.is_dir():
        return folder.resolve()
    if name != "real":
        return make_model(name, home).resolve()
    from real_size import build

    build(folder)
    return folder.resolve()


def main() -> None:
    args = parsed()
    home = args.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "photos").is_dir():
        make_photos(home / "photos", PHOTOS, (args.resolution, args.resolution), "jpg")
    model, (name, peak) = base(args.model, home), card()
    print(f"{name}, PyTorch {torch.__version__}\n", flush=True)
    print(
        "| training | pictures at once | checkpointing | compiling | s a step | s a picture | TFLOP/s | of the peak |"
        " GiB in a step | forecast over that | GiB at most |\n" + "|---" * 11 + "|"
    )
    for row in rows(KINDS if args.script else KINDS[:2], [int(batch) for batch in args.batches.split(",")]):
        task = Task(model, home / "photos", WARM + TIMED, row.batch, args.resolution, "auto")
        folder = home / row.folder
        shutil.rmtree(folder, ignore_errors=True)  # a training that is done already would have no step to time
        folder.mkdir()
        try:
            report = trained(row, task, folder, args)
            print(line(row, report, args.peak or peak, args.resolution == 1024), flush=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1]
            print(f"| {' | '.join(row.columns)} | failed: {reason} |" + " |" * 6, flush=True)
    images(model, home, args)


def images(model: Path, home: Path, args: argparse.Namespace) -> None:
    """The table of both sides' images, with a LoRA of the rows above."""
    lora = next(home.glob("same_*/lora.safetensors"), None) or next(home.glob("preset_*/lora.safetensors"), None)
    if lora is None:
        print("\nNo images: they are made with a LoRA of a row above, and none of ours was trained.", flush=True)
        return
    print("\n| images | s an image | texts encoded | exchange of a LoRA, s |\n|---|---|---|---|")
    for side, program in (("twinloop", "our_sdxl.py"), ("plain pipeline loop", "plain_sdxl.py")):
        given = [model, args.resolution, "auto", lora, "--images", args.images]
        figures = run([sys.executable, PEERS / program, "generate", *given], home)["figures"]
        print(
            f"| {side} | {figures['s an image']:.2f} | {figures['texts encoded']:.0f} |"
            f" {figures['exchange of a LoRA, s']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
