"""Kill -9 at random file operations in every part of a real run of the embedded world; the resumed tree equals the
undisturbed one, byte for byte.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.functional.loops import tree

pytest.importorskip("torch")
pytest.importorskip("numba")

KILLS = 10
"""One in each of so many equal parts of the run."""
FURTHER = 20
"""Operations on files after a record among which one is drawn."""
HEAVY = (
    "torch",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl",
    "peft",
    "onnxruntime",
    "twinloop.cli.commandline",
    "twinloop.wiring",
    "twinloop.adapters.detectors.nano",
    "twinloop.adapters.generators.diffusers_generator",
    "twinloop.adapters.trainers.diffusers_lora",
)
"""What every run imports. One server imports it once; every run is a fork of it and dies alone."""
LONGEST = 300.0
"""Seconds after which a run that does not get on is a failure."""

# the smallest run that still has everything: two rounds, real diffusion, real training, real detectors
CONFIG = {
    "person_name": "mira",
    "person_trigger": "ohwx woman",
    "base_model": "nano",
    "models_dir": "nano",
    "dataset_dir": "photos",
    "output_dir": "out",
    "lora_output_dir": "loras",
    "max_iterations": 2,
    "analysis": {
        "facets": ["setting"],
        "shares": {"setting": {"indoor": 0.0, "outdoor": 0.7, "studio": 0.0, "casual": 0.0}},
    },
    "generation": {"num_per_gap": 2, "num_inference_steps": 2, "batch_size": 2},
    "validation": {
        "identity": False,
        "sharpness": "image",
        "blur_threshold": 0.0,
        "min_face_confidence": 0.0,
        "min_face_quality": 0.0,
        "min_brightness": 0.0,
        "max_brightness": 255.0,
    },
    "training": {"preset": "nano", "steps": 3, "checkpoint_every": 2, "rank": 4, "batch_size": 1},
    "panel": {"images": 2},
    "stop": {"patience": 9, "approval_rounds": 9, "drift_rounds": 9},
}


class _Death:
    """Kills the process that it listens in, before its ``further``-th operation on a file of the run after the
    ``moment``-th record.

    What is counted is the run's own: the kill comes at the same place however fast the machine is.
    """

    def __init__(self, moment: int, further: int) -> None:
        self._moment, self._left, self._looking = moment, further, False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove") or self._looking:
            return
        if not {"out", "loras"} & set(Path(str(arguments[0])).parts):
            return
        self._looking = True  # to look is an operation, too
        self._left -= _records(Path()) >= self._moment
        self._looking = False
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _run(home: str, moment: int | None, further: int) -> None:
    """The whole loop in a process of its own; killed at a moment, or not at all."""
    os.chdir(home)
    if moment is not None:
        sys.addaudithook(_Death(moment, further))
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"
    from twinloop.cli.app import main

    with open(os.devnull, "w") as quiet:
        os.dup2(quiet.fileno(), 1)
    raise SystemExit(main(["run", "--config", "bootstrap_config.json"]))


def _start(home: Path, moment: int | None = None, further: int = 0) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(HEAVY))
    process = context.Process(target=_run, args=(str(home), moment, further), daemon=True)
    process.start()
    return process


def _finish(process: BaseProcess) -> None:
    process.join(LONGEST)
    assert process.exitcode == 0, f"the run ended with {process.exitcode}"


def _records(home: Path) -> int:
    journal = home / "out" / "journal.jsonl"
    return len(journal.read_bytes().splitlines()) if journal.exists() else 0


def _home(folder: Path, photos: Path) -> Path:
    folder.mkdir()
    shutil.copytree(photos, folder / "photos")
    (folder / "bootstrap_config.json").write_text(json.dumps(CONFIG))
    return folder


def _tree(home: Path) -> dict[str, str]:
    return {
        path.removeprefix(f"{home}/"): digest for path, digest in tree(str(home / "out"), str(home / "loras")).items()
    }


@pytest.mark.slow
def test_killed_in_every_part_of_the_run(tmp_path: Path) -> None:
    from twinloop.nano.world.photos import write_photo_set

    photos = tmp_path / "photos"
    write_photo_set(photos, seed=7, count=14, size=320)
    undisturbed = _home(tmp_path / "undisturbed", photos)
    _finish(_start(undisturbed))
    expected, records = _tree(undisturbed), _records(undisturbed)
    assert {"out/verdicts_iter2.json", "out/report.html", "loras/lora_v3.safetensors", "loras/lora.safetensors"} <= set(
        expected
    )

    rng = random.Random(4)
    killed = _home(tmp_path / "killed", photos)
    for part in range(KILLS):
        moment = rng.randrange(1 + part * (records - 1) // KILLS, 1 + (part + 1) * (records - 1) // KILLS)
        process = _start(killed, moment, rng.randrange(FURTHER))
        process.join(LONGEST)
        assert process.exitcode == -signal.SIGKILL, f"not killed at record {moment} of {records}"
    _finish(_start(killed))
    assert _tree(killed) == expected
