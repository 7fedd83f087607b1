"""Every command block of this tool's first description, run as it is written there: each script in a process of its
own, and what the description runs more than once the other times in this process, which has the heavy libraries
already.

Where the description stands, relative to this repository, the list below is compared with it, so that none is
forgotten. Base models are tiny ones with random weights in a hub cache that the test makes; detectors and photos are
real ones where the shared fixtures are.
"""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.functional.console import ROOT
from tests.helpers.tiny_models import build_tiny_sdxl
from twinloop.cli.app import main

pytest.importorskip("diffusers")

SHARED = ROOT / ".." / "shared"
FIXTURES = (SHARED / "fixtures").resolve()
SDXL, ANIMAGINE = "stabilityai/stable-diffusion-xl-base-1.0", "cagliostrolab/animagine-xl-3.1"
ALICE, PERSON = "outputs/facevault/organized/alice", "outputs/facevault/organized/person"

COMMANDS = {
    "analyze": f"python gap_analysis.py {PERSON} --models-dir models --output gaps.json",
    "generate": (
        f"python generate_synthetic.py gaps.json --base-model {SDXL} --lora outputs/lora_models/person/lora.safetensors"
        ' --person "ohwx person" --output outputs/synthetic/person --num-per-gap 5 --steps 30 --guidance 7.5'
    ),
    "validate": (
        "python validate_synthetic.py outputs/synthetic/person --models-dir models --approved outputs/curated/person"
        " --rejected outputs/rejected/person"
    ),
    "animagine": (
        f'python generate_synthetic.py gaps.json --base-model {ANIMAGINE} --lora lora.safetensors --person "1girl,'
        ' ohwx" --output outputs/synthetic/person'
    ),
    "loop": "python bootstrap_loop.py --config bootstrap_config.json",
    "menu": "python beaver.py",
    "models folder": "mkdir models",
    "inspect": "python inspect_pkl.py models/*.pkl --convert",
    "loop again": "python bootstrap_loop.py --config my_config.json",
    "analyze 1": f"python gap_analysis.py {ALICE} --output gaps_1.json",
    "generate 1": (
        f'python generate_synthetic.py gaps_1.json --base-model {SDXL} --lora lora_v1.safetensors --person "ohwx alice"'
        " --output synthetic_1/"
    ),
    "validate 1": "python validate_synthetic.py synthetic_1/ --approved approved_1/ --rejected rejected_1/",
    "analyze 2": f"python gap_analysis.py {ALICE} --output gaps_2.json",
    "generate 2": "python generate_synthetic.py gaps_2.json --lora lora_v2.safetensors ...",
    "did": f"python export_for_did.py --dataset {ALICE} --output alice_did_package/",
    "facesheet": (
        f"python export_facesheet.py --dataset {ALICE} --angles front,profile_left,profile_right,three_quarter --output"
        " alice_metahuman.jpg"
    ),
    "expressions": (
        f"python export_expressions.py --dataset {ALICE} --expressions neutral,smile,surprised,angry --output"
        " alice_live2d/"
    ),
}
"""All of them. ``...`` in "generate 2" stands for the flags of "generate 1"."""
MODELS = ("yunet/*.onnx", "mobilefacenet/*.onnx", "headpose/*.onnx", "mediapipe_face/*.task", "mediapipe_hands/*.onnx")
COMMIT = "0" * 40


def written(text: str) -> list[str]:
    """The commands of a page's bash blocks, with continued lines joined and comments taken away."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ")
    lines = re.sub(r"(?m)^\s*\.\.\.\s*$", "", lines)
    return [
        " ".join(line.split("  #")[0].split())
        for line in lines.splitlines()
        if line.strip() and not line.startswith("#")
    ]


@pytest.mark.skipif(
    not (SHARED / "SEED.md").is_file(),
    reason="the first description is not on this machine (looked for ../shared/SEED.md)",
)
def test_no_command_of_the_description_is_missing_here() -> None:
    listed = {" ".join(shlex.split(command)) for command in COMMANDS.values()}
    found = {" ".join(shlex.split(line.rstrip("."))) for line in written((SHARED / "SEED.md").read_text())}
    missing = {line for line in found if line.rstrip(" .") not in {item.rstrip(" .") for item in listed}}
    assert not missing and len(found) >= 15, missing


@dataclass
class Home:
    """A working directory right after a clone: scripts beside it, models, photos, LoRAs, and two base models in the
    hub's cache.
    """

    place: Path
    cache: Path
    ran: list[str] = field(default_factory=list)

    def run(self, name: str, command: str | None = None, code: int = 0) -> str:
        """One command as it is written; ``python`` is this interpreter, and the scripts lie in the repository."""
        line = command or COMMANDS[name]
        if line.startswith("python "):
            line = f"{shlex.quote(sys.executable)} {ROOT.as_posix()}/{line.removeprefix('python ')}"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "TWINLOOP_CACHE": str(self.place / ".cache"),
        }
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.place,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
        self.ran.append(name)
        return done.stdout + done.stderr

    def run_again(self, name: str, command: str | None = None) -> str:
        """A script that had its process: the file with this command line, in this process."""
        program, script, *argv = shlex.split(command or COMMANDS[name])
        assert program == "python" and any(COMMANDS[ran].split()[1] == script for ran in self.ran if ran in COMMANDS)
        said = self.here(lambda: runpy.run_path(str(ROOT / script), run_name="__main__"), script, *argv)
        self.ran.append(name)
        return said

    def here(self, work: Callable[[], object], *argv: str) -> str:
        """What ``work`` prints as if it had been called by this command line; it has to exit with 0."""
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
            patch.chdir(self.place)
            patch.setattr(sys, "argv", list(argv))
            patch.setenv("TWINLOOP_CACHE", str(self.place / ".cache"))
            patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(self.cache))
            patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            with pytest.raises(SystemExit) as end:
                work()
        assert end.value.code == 0, f"{argv}\n{said.getvalue()}"
        return said.getvalue()

    def one_gap(self, path: str) -> None:
        """Leave one gap in a file, so that a test has time for its images."""
        data = json.loads((self.place / path).read_text())
        assert data["recommendations"], f"{path} names no gap"
        data["recommendations"] = data["recommendations"][:1]
        (self.place / path).write_text(json.dumps(data))


def hub_cache(folder: Path, *names: str) -> Path:
    """The hub's cache with tiny models under these names, as its own library lays it out."""
    for seed, name in enumerate(names):
        home = folder / f"models--{name.replace('/', '--')}"
        (home / "snapshots").mkdir(parents=True)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)
        build_tiny_sdxl(home / "snapshots" / COMMIT, full_vae=True, seed=seed, large=True)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    if not FIXTURES.is_dir():
        pytest.skip("shared fixtures are not on this machine (looked for ../shared/fixtures)")
    place = tmp_path_factory.mktemp("clone")
    home = Home(place, hub_cache(tmp_path_factory.mktemp("hub"), SDXL, ANIMAGINE))
    home.run("models folder")
    weights = FIXTURES / "weights"
    for pattern in MODELS:
        for path in weights.glob(pattern):
            shutil.copy(path, place / "models")
    shutil.copy(weights / "yolov5_face" / "yolov5n-0.5-face.pt", place / "models" / "face.pkl")
    photos = sorted((FIXTURES / "photos" / "lfw" / "Alejandro_Toledo").glob("*.jpg"))[:10]
    for folder in (ALICE, PERSON):
        (place / folder).mkdir(parents=True)
        for photo in photos:
            shutil.copy(photo, place / folder)
    return home


def train(home: Home, output: str, seed: int) -> None:
    """A LoRA of two steps on the tiny base; the description says no command for this."""
    argv = shlex.split(
        f"train {ALICE} --person 'ohwx alice' --base-model {SDXL} --steps 2 --rank 4 --resolution 128 --seed {seed}"
        f" --output {output}"
    )
    home.here(lambda: sys.exit(main(argv)), "twinloop", *argv)


@pytest.mark.slow
def test_every_command_runs_as_written(home: Home) -> None:
    place = home.place
    for version in (1, 2):
        train(home, f"lora_v{version}.safetensors", version)
    shutil.copy(place / "lora_v1.safetensors", place / "lora.safetensors")
    (place / "outputs/lora_models/person").mkdir(parents=True)
    shutil.copy(place / "lora_v1.safetensors", place / "outputs/lora_models/person/lora.safetensors")

    home.run("analyze")
    home.one_gap("gaps.json")
    home.run("generate")
    assert len(list((place / "outputs/synthetic/person").glob("synthetic_*.png"))) == 5
    said = home.run("validate")
    assert re.search(r"Approved: \d+ \(\d+\.\d%\)\nRejected: \d+\n(.*\n)*?Avg Quality: \d\.\d\d", said), said
    shutil.rmtree(place / "outputs/synthetic/person")
    home.run_again("animagine")

    home.run("inspect")
    assert (place / "models/face.safetensors").is_file()
    home.run("menu", code=2)  # without a terminal it lists the commands; tests/functional/test_menu_terminal.py has one

    home.run_again("analyze 1")
    home.one_gap("gaps_1.json")
    home.run_again("generate 1")
    home.run_again("validate 1")
    home.run_again("analyze 2")
    home.one_gap("gaps_2.json")
    home.run_again(
        "generate 2",
        COMMANDS["generate 2"].replace("...", f"--base-model {SDXL} --person 'ohwx alice' --output synthetic_2/"),
    )

    for name in ("did", "facesheet", "expressions"):
        home.run(name)
    assert (place / "alice_metahuman.jpg").is_file() and (place / "alice_live2d/manifest.json").is_file()
    loops(home)
    assert set(COMMANDS) <= set(home.ran)


def loops(home: Home) -> None:
    """The loop's two command lines, on configurations that a test has time for."""
    small = {
        "person_name": "alice",
        "person_trigger": "ohwx alice",
        "base_model": SDXL,
        "dataset_dir": ALICE,
        "models_dir": "models",
        "max_iterations": 1,
        "lora_output_dir": "outputs/lora_models/alice",
        "analysis": {"facets": ["face_angle"]},
        "panel": {"images": 2},
        "generation": {"num_per_gap": 1, "num_inference_steps": 2, "guidance_scale": 7.5, "width": 128, "height": 128},
        "training": {"preset": "sdxl", "epochs": 10, "steps": 2, "rank": 4, "resolution": 128},
    }
    (home.place / "bootstrap_config.json").write_text(json.dumps({**small, "output_dir": "outputs/bootstrap"}))
    (home.place / "my_config.json").write_text(
        json.dumps({**small, "output_dir": "outputs/mine", "lora_output_dir": "outputs/lora_models/mine"})
    )
    for run, name, output in (
        (home.run, "loop", "outputs/bootstrap"),
        (home.run_again, "loop again", "outputs/mine"),
    ):
        said = run(name)
        assert "Iteration 1:" in said and "✓ Gap Analysis:" in said
        assert (home.place / output / "iteration_history.json").is_file()
