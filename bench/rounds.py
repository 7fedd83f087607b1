r"""Whether rounds help in the embedded world: several people, the loop for each, and a control that gets no image.

    OMP_NUM_THREADS=1 python bench/rounds.py --work /tmp/rounds --people 8 \
        [--set training.steps=660 generation.num_per_gap=12]

For each person: sixty photos as the demo renders them, the demo's configuration (``--set`` changes fields of it), and
``run_loop``. Then a control is trained on the photos alone, with the settings of the first LoRA and another seed: what
it is better or worse by is chance. Another is trained with photos of what lacked (``--instead`` of them) beside the
person's own: the most that images for the gaps could bring. First, second and last LoRA and these two are measured on a
panel that the loop never saw, since a LoRA that was chosen by a panel is flattered by it. A person counts once, however
many images it has: intervals are over people (bootstrap).

A run that was stopped goes on; the figures of finished people lie in ``figures.jsonl`` of the folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twinloop import wiring
from twinloop.cli.demo import CONFIG
from twinloop.config import Settings, load_settings
from twinloop.domain.records import Dataset, PanelScore
from twinloop.domain.shots import derive_seed
from twinloop.domain.statistics import bootstrap_mean
from twinloop.loop import run_loop
from twinloop.nano.world.photos import SHARES, Shares, person_of, write_photo_set
from twinloop.ports import SilentReporter
from twinloop.stages import select
from twinloop.stages.assess import assess
from twinloop.stages.fixed_shots import plan_panel
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.identity import reference_from_json
from twinloop.stages.observe import observe_files
from twinloop.stages.selection_rules import READABLE_ONLY
from twinloop.stages.toolbox import Toolbox
from twinloop.stages.train import train_file
from twinloop.stages.training_spec import TrainingSpec
from twinloop.steps import dataset_of
from twinloop.store.atomic import read_json, write_json
from twinloop.store.journal import Journal
from twinloop.store.pictures.dataset_folders import PHOTOS_ONLY
from twinloop.store.pictures.images import find_images
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of

SHOWN = ("overall", "identity", "on_target", "quality")
CONTROL_SEED = 1000
MORE_SEED = 5000
SESSION: Shares = {
    "angle": {"front": 1.0}, "hands": {"0": 1.0}, "expression": {"smile": 1.0}, "setting": {"indoor": 1.0},
    "lighting": {"normal": 1.0}, "framing": {"portrait": 1.0}, "eyes": {"open": 1.0},
}  # fmt: skip
LACKING: Shares = {
    "angle": {"front": 0.2, "three_quarter": 0.4, "profile": 0.4},
    "hands": {"0": 0.6, "1": 0.25, "2": 0.15},
    "expression": {"neutral": 0.3, "serious": 0.2, "surprised": 0.2, "laughing": 0.15, "angry": 0.15},
    "setting": {"outdoor": 0.35, "casual": 0.35, "studio": 0.3},
    "lighting": {"normal": 0.5, "low_key": 0.25, "high_key": 0.25},
    "framing": {"close_up": 0.4, "half_body": 0.4, "portrait": 0.2},
    "eyes": {"open": 1.0},
}
"""What a session has not."""


def configured(folder: Path, changes: Mapping[str, Any]) -> Settings:
    """The demo's configuration with changes, in a folder of its own, which holds the person's photos."""
    places = {
        "dataset_dir": str(folder / "photos"),
        "output_dir": str(folder / "bootstrap"),
        "lora_output_dir": str(folder / "loras"),
    }
    config: dict[str, Any] = json.loads(json.dumps({**CONFIG, **places}))
    for field, value in changes.items():
        *section, name = field.split(".")
        target = config
        for key in section:
            target = target.setdefault(key, {})
        target[name] = value
    write_json(folder / "bootstrap_config.json", config)
    return load_settings(folder / "bootstrap_config.json")


def control(settings: Settings, toolbox: Toolbox, number: int) -> Path:
    """The first LoRA's photos and settings with another seed."""
    space = workspace_of(settings)
    photos = Dataset.from_json(read_json(space.dataset(0)))
    output = space.lora_dir / f"control_{number}.safetensors"
    wanted = dataclasses.replace(toolbox.makers.training(len(photos.members)), seed=CONTROL_SEED + number)
    train_file(photos, output, TrainingSpec(settings.person_trigger, wanted), toolbox)
    return output


def with_photos(settings: Settings, toolbox: Toolbox, seed: int, count: int) -> Path:
    """As the first LoRA, with photos of what lacks in a session beside the person's own."""
    space = workspace_of(settings)
    output = space.lora_dir / f"photos_{count}.safetensors"
    own = Dataset.from_json(read_json(space.dataset(0)))
    folder = space.root.parent / "more"
    if not folder.exists():
        records = write_photo_set(
            folder, seed=MORE_SEED + seed, count=5 * count, shares=LACKING, identity=person_of(seed)
        )
        for record in records:
            if record.kind != "person":
                (folder / record.file).unlink()
    with Catalog(None) as catalog:
        found = observe_files(find_images(folder), toolbox.observer, catalog, SilentReporter(), "Observing")
        chosen = select.select(list(found), READABLE_ONLY).photos[:count]
    photos = select.Photos(folder, (), select.Selection(chosen, ()), PHOTOS_ONLY)
    more = dataset_of(photos, settings, toolbox, held_out=frozenset(), made_in=0).dataset
    spec = TrainingSpec(settings.person_trigger, toolbox.makers.training(len(own.members)))
    train_file(Dataset((*own.members, *more.members)), output, spec, toolbox)
    return output


def fresh_score(settings: Settings, toolbox: Toolbox, lora: Path, images: int) -> PanelScore:
    """A LoRA on a panel with other seeds than the run's own."""
    space, facets = workspace_of(settings), toolbox.observer.facets
    seed = derive_seed(settings.seed, "fresh panel")
    shots = plan_panel(facets, toolbox.makers.voice, seed, images)
    folder = space.root.parent / "fresh" / lora.stem
    context = GenerationContext(
        prefix="fresh",
        folder=folder,
        base_model=toolbox.makers.base_model,
        lora=lora,
        settings=toolbox.makers.generation,
        stamped=False,
    )
    journal = Journal(folder.with_suffix(".jsonl"))
    made = generate(shots, context, toolbox.makers.generator, journal, toolbox.clock, SilentReporter())
    with Catalog(None) as catalog:
        return assess(
            made, 1, toolbox.observer, catalog, reference_from_json(read_json(space.identity)), SilentReporter()
        )


def one_person(
    folder: Path, seed: int, changes: Mapping[str, Any], panel: int, photos: int, shares: Shares, instead: int
) -> dict[str, Any]:
    """The figures of one person."""
    settings = configured(folder, changes)
    if not (folder / "photos").exists():
        write_photo_set(folder / "photos", seed=seed, count=photos, shares=shares)
    toolbox = wiring.build_toolbox(settings, SilentReporter())
    outcome = run_loop(settings, toolbox, workspace_of(settings))
    space = workspace_of(settings)
    loras = {f"v{lora.version}": space.lora(lora.version) for lora in outcome.loras}
    loras["control"] = control(settings, toolbox, 1)
    if instead:
        loras["photos"] = with_photos(settings, toolbox, seed, instead)
    scores = {name: fresh_score(settings, toolbox, lora, panel) for name, lora in loras.items()}
    return {
        "seed": seed,
        "gaps": [*(len(done.gaps) for done in outcome.rounds), outcome.gaps_left],
        "joined": [done.merged for done in outcome.rounds],
        "kept": f"v{outcome.best}",
        "scores": {name: {key: value.value for key, value in score.metrics.items()} for name, score in scores.items()},
    }


def finished(record: Path) -> dict[int, dict[str, Any]]:
    """The figures of the people that are done, by seed."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return {entry["seed"]: entry for entry in map(json.loads, lines)}


def last_trained(entry: Mapping[str, Any]) -> str:
    scores: dict[str, Any] = entry["scores"]
    return max(name for name in scores if name.startswith("v"))


def differences(entries: list[dict[str, Any]]) -> str:
    """Mean change against the first LoRA over people, with its interval."""
    rows: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "second LoRA": lambda entry: "v2" if "v2" in entry["scores"] else "v1",
        "last LoRA": last_trained,
        "kept LoRA": lambda entry: entry["kept"],
        "control, another seed": lambda entry: "control",
    }
    if all("photos" in entry["scores"] for entry in entries):
        rows["photos of what lacked"] = lambda entry: "photos"
    lines = [f"{'against the first LoRA':24}" + "".join(f"{name:>30}" for name in SHOWN)]
    for label, chosen in rows.items():
        cells = []
        for metric in SHOWN:
            gains = [entry["scores"][chosen(entry)][metric] - entry["scores"]["v1"][metric] for entry in entries]
            gain = bootstrap_mean(gains)
            cells.append(f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})".rjust(30))
        lines.append(f"{label:24}" + "".join(cells))
    return "\n".join(lines)


def told(entry: Mapping[str, Any]) -> str:
    scores = ", ".join(
        f"{name} {values['overall']:.3f}/{values['identity']:.3f}" for name, values in entry["scores"].items()
    )
    return (
        f"person {entry['seed']}: gaps {entry['gaps']}, joined {entry['joined']}, kept {entry['kept']};"
        f" overall/identity {scores}"
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything; one per configuration")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--photos", type=int, default=60, help="of each person")
    parser.add_argument("--session", action="store_true", help="photos of one session: all frontal, smiling, indoors")
    parser.add_argument(
        "--instead", type=int, default=20, help="photos of what lacked that another LoRA gets; 0 = none"
    )
    parser.add_argument("--panel", type=int, default=96, help="images of the panel that the loop never saw")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the demo's configuration"
    )
    return parser.parse_args()


def main() -> None:
    args = parsed()
    pairs = (item.partition("=") for item in args.set)
    changes = {field: json.loads(value) for field, _, value in pairs}
    record = args.work / "figures.jsonl"
    args.work.mkdir(parents=True, exist_ok=True)
    done = finished(record)
    seeds = range(args.first_seed, args.first_seed + args.people)
    for seed in seeds:
        if seed not in done:
            done[seed] = one_person(
                args.work / f"person_{seed}",
                seed,
                changes,
                args.panel,
                args.photos,
                SESSION if args.session else SHARES,
                args.instead,
            )
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[seed]) + "\n")
        print(told(done[seed]), flush=True)
    print(differences([done[seed] for seed in seeds]))


if __name__ == "__main__":
    main()
