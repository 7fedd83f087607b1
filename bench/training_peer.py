r"""LoRA training and generation, side by side with the SDXL LoRA script of diffusers.

    python bench/training_peer.py --script train_text_to_image_lora_sdxl.py --python PEER/bin/python [--launch] \
        [--model small] [--steps 40] [--repeat 3]
    python bench/training_peer.py --script ... --python ... --same-draws

The script is in neither the wheel nor the source archive of diffusers: clone it (`git clone
https://github.com/huggingface/diffusers`, then ``examples/text_to_image/train_text_to_image_lora_sdxl.py``) and give it
an environment of its own with what ``requirements_sdxl.txt`` beside it asks for. Its text stays as it is;
`peers/diffusers_script.py` hangs a clock on what it calls. Without ``--script`` the other side of the training is
`peers/plain_sdxl.py`, the loop that the documentation of diffusers leads to. Generation is always compared with a plain
pipeline loop.

Both sides: the same base, photos, caption, steps, batch, rank 16 on the attention projections, AdamW at 1e-4, clipping
at 1, event files for TensorBoard. Every measurement is a process of its own; the sides take turns, and medians of the
turns and the median of each turn's ratio are printed. Times are of the clock and, less disturbed by other programs on
the machine, of the processor. Models: ``tiny`` (all widths tiny: what is measured is mostly what the programs add to
the arithmetic), ``small`` (SDXL's layout with an eighth of its widths), or an SDXL folder.

``--same-draws`` gives the script the photos' order, noise, times and first weights that ours draws, and compares the
losses step by step: ours computes latents and embeddings once, the script in every step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from clock import BEGUN, LAUNCHED  # noqa: E402

CAPTION = "photo of ohwx ana"
WALL, PROCESSOR = 0, 1
Report = Mapping[str, Any]
Figures = dict[str, float]


@dataclass(frozen=True)
class Task:
    """What both sides do."""

    model: Path
    photos: Path
    steps: int
    batch: int
    resolution: int
    precision: str

    @property
    def epoch(self) -> int:
        """Steps until every photo was seen."""
        return -(-len(list(self.photos.glob("*.[jp][pn]g"))) // self.batch)


def make_photos(folder: Path, count: int, size: tuple[int, int], kind: str) -> None:
    """Photos of noise, what they show does not matter; with their caption as an image folder of `datasets` has it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        small = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        name = f"{number:02d}.{kind}"
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(folder / name, quality=92)
        lines.append(json.dumps({"file_name": name, "text": CAPTION}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def make_model(name: str, home: Path) -> Path:
    """``tiny``, ``small``, or the folder of that name."""
    if name == "tiny":
        from tests.helpers.tiny_models import build_tiny_sdxl

        return build_tiny_sdxl(home / "model", full_vae=True)
    if name == "small":
        from small_sdxl import build_small_sdxl

        return build_small_sdxl(home / "model")
    return Path(name).resolve()


def run(command: list[object], home: Path, more: Mapping[str, str] | None = None) -> Report:
    """What a side prints as its last line. Modules are compiled on both sides, nobody asks a network.

    Args:
        more: further variables of its environment.

    Raises:
        RuntimeError: it failed; ends with its last words.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hub"),
        "TOKENIZERS_PARALLELISM": "false",
        BEGUN: repr(time.time()),
        **(more or {}),
    }
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=home, env=env, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[1]} failed:\n{done.stderr[-3000:]}")
    found: Report = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def a_training(side: str, task: Task, home: Path, *options: object) -> Report:
    """What ``bench/peers/SIDE_sdxl.py`` says of a training."""
    how = [task.model, task.photos, task.steps, task.batch, task.resolution, task.precision]
    return run([sys.executable, PEERS / f"{side}_sdxl.py", "train", *how, home, *options], home)


def ours(task: Task, home: Path, *options: object) -> Report:
    return a_training("our", task, home, *options)


def plain(task: Task, home: Path) -> Report:
    return a_training("plain", task, home)


def script_side(python: str, script: Path, launch: bool = False) -> Callable[..., Report]:
    """The diffusers script as a side; ``launch``: begun by `accelerate launch`, as its documentation does it."""
    begin = [python, "-m", "accelerate.commands.launch", "--num_processes", 1] if launch else [python]

    def train(task: Task, home: Path, *options: object, checkpointing: bool = False) -> Report:
        mixed = {"float32": "no", "bfloat16": "bf16", "auto": "bf16", "float16": "fp16"}[task.precision]
        more = ["--gradient_checkpointing"] if checkpointing else []
        return run(
            [
                *begin,
                PEERS / "diffusers_script.py",
                script.resolve(),
                *options,
                "--pretrained_model_name_or_path",
                task.model,
                "--train_data_dir",
                task.photos,
                "--resolution",
                task.resolution,
                "--center_crop",
                "--train_batch_size",
                task.batch,
                "--max_train_steps",
                task.steps,
                "--rank",
                16,
                "--learning_rate",
                1e-4,
                "--seed",
                0,
                "--mixed_precision",
                mixed,
                "--output_dir",
                home / "script",
                *more,
            ],
            home,
            {LAUNCHED: "1"} if launch else {},
        )

    return train


def training_figures(report: Report, epoch: int) -> Figures:
    """Of one training: the steady step is the median of those after the first pass over the photos."""
    steps, marks = report["steps"], report["marks"]
    figures: Figures = {}
    for clock, unit in ((WALL, "s"), (PROCESSOR, "s of processor")):
        after_imports = steps[0][clock] - marks["imports"][clock]
        between = [after[clock] - before[clock] for before, after in pairwise(steps)]
        figures |= {
            f"start to imports done, {unit}": marks["imports"][clock],
            f"from there to the end of step 1, {unit}": after_imports,
            f"start to the end of step 1, {unit}": steps[0][clock],
            f"steady step, {unit}": statistics.median(between[epoch:]),
            f"whole training, {unit}": steps[-1][clock],
        }
    return figures | {"peak memory, MiB": report["peak"], "mean loss": statistics.mean(report["losses"])}


def compare(rounds: list[dict[str, Figures]]) -> None:
    """One line per figure: medians of both sides, and the median of ours over theirs in each turn."""
    us, them = rounds[0]
    print(f"{'':48} {us:>10} {them:>16} {'ratio':>7}")
    for name in rounds[0][us]:
        mine, theirs = ([entry[side][name] for entry in rounds] for side in (us, them))
        ratios = [a / b for a, b in zip(mine, theirs, strict=True) if b]
        ratio = f"{statistics.median(ratios):7.2f}" if ratios else f"{'-':>7}"
        print(f"{name:48} {statistics.median(mine):10.4f} {statistics.median(theirs):16.4f} {ratio}")


def compare_losses(task: Task, other: Callable[..., Report], home: Path) -> None:
    """Both sides with the same draws."""
    draws = home / "draws.safetensors"
    mine = ours(task, home, "--draws", draws)["losses"]
    theirs = other(task, home, "--draws", draws)["losses"]
    apart = [abs(a - b) / b for a, b in zip(mine, theirs, strict=True)]
    for step in sorted({1, 2, task.steps // 2, task.steps}):
        print(f"step {step:4}: ours {mine[step - 1]:.6f}, the script {theirs[step - 1]:.6f}")
    print(f"losses of {task.steps} steps: at most {max(apart):.1e} apart, as a share")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", type=Path, help="train_text_to_image_lora_sdxl.py")
    parser.add_argument("--python", default=sys.executable, help="of the script's environment")
    parser.add_argument(
        "--launch", action="store_true", help="begin the script by accelerate launch, as its documentation does"
    )
    parser.add_argument("--model", default="tiny", help="tiny, small, or an SDXL folder")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--photo-size", default="1024x768")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument(
        "--precision",
        default="float32",
        help="of both sides: float32, auto (the script: bf16), on a GPU also bfloat16 and float16",
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--same-draws", action="store_true", help="compare losses instead of times")
    parser.add_argument("--generation", action="store_true", help="also compare generation and the exchange of a LoRA")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    theirs, other = (
        ("diffusers script", script_side(args.python, args.script, args.launch))
        if args.script
        else ("plain loop", plain)
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        width, height = (args.resolution,) * 2 if args.same_draws else map(int, args.photo_size.split("x"))
        make_photos(home / "photos", args.photos, (width, height), "png" if args.same_draws else "jpg")
        task = Task(
            make_model(args.model, home), home / "photos", args.steps, args.batch, args.resolution, args.precision
        )
        if args.same_draws:
            compare_losses(task, other, home)
            return
        other(task, fresh(home, 0))  # compiles modules, fills caches
        turns = range(1, 1 + args.repeat)
        compare(
            [
                {
                    "twinloop": training_figures(ours(task, fresh(home, turn)), task.epoch),
                    theirs: training_figures(other(task, fresh(home, turn)), task.epoch),
                }
                for turn in turns
            ]
        )
        if args.generation:
            compare([generation(task, home / f"turn{turn}") for turn in turns])


def fresh(home: Path, turn: int) -> Path:
    folder = home / f"turn{turn}"
    folder.mkdir(exist_ok=True)
    return folder


def generation(task: Task, home: Path) -> dict[str, Figures]:
    """24 images by both, with the LoRA that ours trained."""
    given = ["generate", task.model, task.resolution, task.precision, home / "lora.safetensors"]
    return {
        side: dict(run([sys.executable, PEERS / script, *given], home)["figures"])
        for side, script in (("twinloop", "our_sdxl.py"), ("plain loop", "plain_sdxl.py"))
    }


if __name__ == "__main__":
    main()
