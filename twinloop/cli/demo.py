"""``twinloop demo``: the whole loop for real on the embedded world, from nothing, in one command."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinloop.cli.command import Command
from twinloop.cli.terminal import Terminal
from twinloop.domain.choices import NANO

if TYPE_CHECKING:
    from twinloop.ports import Reporter

PERSON_SEED = 7
PHOTOS = 60
CONSENT = ("fictional", "twinloop demo, which rendered every photo")
"""On what ground the photos may be used: of what kind, and who says so."""

CONFIG: dict[str, object] = {
    "person_name": "mira",
    "person_trigger": "ohwx woman",
    "base_model": NANO,
    "models_dir": NANO,
    "max_iterations": 3,
    "convergence_threshold": 0.05,
    "analysis": {"shares": {"framing": {"close_up": 0.4, "portrait": 0.3, "half_body": 0.0}}},
    "generation": {"num_per_gap": 8, "from_photos": 0.6, "face_detail": 0.5},
    "validation": {"auto_filter": True},
    "merge": {"real_to_synthetic_weight": 5.0},
    "training": {"preset": NANO},
    "panel": {"images": 96},
    "stop": {"patience": 2},
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        "--out",
        type=Path,
        default=Path("outputs") / "demo",
        metavar="DIR",
        help="where everything goes (default: outputs/demo)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> Any:
    from twinloop.store.atomic import read_json
    from twinloop.store.run.workspace import Workspace

    folder = run_demo(args.output, terminal)
    space = Workspace(folder, folder)
    terminal.line(f"Report: {space.report}")
    return read_json(space.history)


def run_demo(out: Path, reporter: Reporter) -> Path:
    """Write the photos and the configuration (once), run or resume the loop, and return the folder of the run."""
    from twinloop.config import load_settings
    from twinloop.loop import run_loop
    from twinloop.store.run.workspace import shown_path, workspace_of
    from twinloop.wiring import build_toolbox, check_extras

    needed = {"train": "Training LoRAs and making images"}
    if not (out / "photos").exists():
        needed["nano"] = "Rendering the sample photos"
    check_extras(needed)
    config = out / "bootstrap_config.json"
    write_photos(out / "photos", reporter)
    _write_config(config, out)
    settings = load_settings(config)
    reporter.line(f"Configuration: {shown_path(config)}")
    run_loop(settings, build_toolbox(settings, reporter), workspace_of(settings))
    return out / "bootstrap"


def write_photos(photos: Path, reporter: Reporter) -> None:
    """The sample photos with a record that they show nobody real, whole or not at all."""
    if photos.exists():
        return
    from twinloop.domain.vault import Consent
    from twinloop.store.atomic import storage_errors, write_json
    from twinloop.store.pictures.sidecar import PERSON
    from twinloop.wiring import with_extra

    def load() -> Any:
        from twinloop.nano.world.photos import write_photo_set

        return write_photo_set

    write_photo_set = with_extra("Rendering the sample photos", "nano", load)
    reporter.line("Rendering the photos of a fictional person (the first picture compiles the renderer, about 20 s)")
    unfinished = photos.with_name(f".{photos.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with storage_errors(photos):
        records = write_photo_set(unfinished, seed=PERSON_SEED, count=PHOTOS)
        write_json(unfinished / PERSON, {"name": CONFIG["person_name"], "consent": Consent(*CONSENT).to_json()})
        unfinished.rename(photos)
    reporter.line(f"Photos: {len(records)} files in {photos}")


def _write_config(path: Path, out: Path) -> None:
    if path.exists():
        return
    from twinloop.store.atomic import write_json
    from twinloop.store.run.workspace import shown_path

    folders = {
        "dataset_dir": shown_path(out / "photos"),
        "output_dir": shown_path(out / "bootstrap"),
        "lora_output_dir": shown_path(out / "lora_models"),
    }
    write_json(path, {**CONFIG, **folders})


COMMAND = Command("demo", "Run the whole loop for real on the embedded world: no GPU, no download.", configure, run)
