"""`twinloop demo`: the whole loop for real on the embedded world, from nothing, in one command."""

from __future__ import annotations

import shutil
from pathlib import Path

from twinloop.ports import Reporter

PERSON_SEED = 7
PHOTOS = 60

CONFIG: dict[str, object] = {
    "person_name": "mira",
    "person_trigger": "ohwx woman",
    "base_model": "nano",
    "models_dir": "nano",
    "max_iterations": 3,
    "convergence_threshold": 0.05,
    "generation": {"num_per_gap": 4},
    "validation": {"auto_filter": True},
    "training": {"preset": "nano"},
}


def run_demo(out: Path, reporter: Reporter) -> Path:
    """Write the photos and the configuration (once), run or resume the loop, and return the path of the report."""
    from twinloop.config import load_settings
    from twinloop.loop import run_loop, workspace_of
    from twinloop.store.workspace import shown_path
    from twinloop.wiring import build_toolbox

    photos, config = out / "photos", out / "bootstrap_config.json"
    _write_photos(photos, reporter)
    _write_config(config, out)
    settings = load_settings(config)
    reporter.line(f"Configuration: {shown_path(config)}")
    workspace = workspace_of(settings)
    run_loop(settings, build_toolbox(settings, reporter), workspace)
    return workspace.report


def _write_photos(photos: Path, reporter: Reporter) -> None:
    if photos.exists():
        return
    from twinloop.nano.world.photos import write_photo_set

    reporter.line("Rendering the photos of a fictional person (the first picture compiles the renderer, about 20 s)")
    unfinished = photos.with_name(f".{photos.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    records = write_photo_set(unfinished, seed=PERSON_SEED, count=PHOTOS)
    unfinished.rename(photos)
    reporter.line(f"Photos: {len(records)} files in {photos}")


def _write_config(path: Path, out: Path) -> None:
    if path.exists():
        return
    from twinloop.store.atomic import write_json
    from twinloop.store.workspace import shown_path

    folders = {
        "dataset_dir": shown_path(out / "photos"),
        "output_dir": shown_path(out / "bootstrap"),
        "lora_output_dir": shown_path(out / "lora_models"),
    }
    write_json(path, {**CONFIG, **folders})
