r"""The fixed panel of a finished run, drawn by other LoRAs or with other settings of the generation: what guidance,
steps or a scheduler are worth.

    twinloop demo --out outputs/demo
    python bench/panel_settings.py outputs/demo/bootstrap_config.json [--lora FILE ...] \
        [--guidance 1.3 2.2 4] [--steps 20 30] [--scheduler euler_a]

Every combination draws the same prompts from the same seeds, and is measured as the loop measures a LoRA, against the
run's own identity reference. Several LoRAs that were trained on the same photos with other seeds show how far the score
moves by chance alone:

    twinloop train outputs/demo/photos --config outputs/demo/bootstrap_config.json --seed 1 --output seed1.safetensors
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

from twinloop import wiring
from twinloop.config import load_settings
from twinloop.domain.shots import Shot
from twinloop.ports import GenerationSettings, SilentReporter
from twinloop.stages.assess import METRICS, assess
from twinloop.stages.generate import generate
from twinloop.stages.generation_record import GenerationContext
from twinloop.stages.identity import reference_from_json
from twinloop.stages.toolbox import Toolbox
from twinloop.store.atomic import read_json
from twinloop.store.journal import Journal
from twinloop.store.run.catalog import Catalog
from twinloop.store.run.workspace import workspace_of

COLUMNS = (*METRICS, "overall")


def row(
    toolbox: Toolbox, settings: GenerationSettings, lora: Path, shots: list[Shot], identity: Path, folder: Path
) -> str:
    """Mean of each metric over the panel, and processor seconds an image."""
    context = GenerationContext(
        prefix="panel",
        folder=folder / "images",
        base_model=toolbox.makers.base_model,
        lora=lora,
        settings=settings,
        stamped=False,
    )
    began = time.process_time()
    made = generate(
        shots, context, toolbox.makers.generator, Journal(folder / "journal.jsonl"), toolbox.clock, SilentReporter()
    )
    seconds = (time.process_time() - began) / len(made)
    with Catalog(None) as catalog:
        score = assess(made, 1, toolbox.observer, catalog, reference_from_json(read_json(identity)), SilentReporter())
    return "".join(f"{score.metrics[name].value:11.3f}" for name in COLUMNS) + f"{seconds:9.2f}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="of a run whose first LoRA is measured")
    parser.add_argument("--lora", type=Path, nargs="+", help="default: the run's first")
    parser.add_argument("--guidance", type=float, nargs="+")
    parser.add_argument("--steps", type=int, nargs="+")
    parser.add_argument("--scheduler", nargs="+")
    parser.add_argument("--images", type=int, help="the first so many of the panel (default: all)")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    settings = load_settings(args.config)
    space, toolbox = workspace_of(settings), wiring.build_toolbox(settings, SilentReporter())
    shots = [Shot.from_json(item) for item in read_json(space.panel)["shots"]][: args.images]
    usual = toolbox.makers.generation
    print(
        f"{len(shots)} images\n{'LoRA, guidance, steps, scheduler':44}"
        + "".join(f"{name:>11}" for name in COLUMNS)
        + f"{'s each':>9}"
    )
    for lora, guidance, steps, scheduler in itertools.product(
        args.lora or [space.lora(1)],
        args.guidance or [usual.guidance],
        args.steps or [usual.steps],
        args.scheduler or [usual.scheduler],
    ):
        changed = dataclasses.replace(usual, guidance=guidance, steps=steps, scheduler=scheduler)
        with tempfile.TemporaryDirectory() as folder:
            figures = row(toolbox, changed, lora, shots, space.identity, Path(folder))
        name = f"{lora.stem}, {guidance:g}, {steps}, {scheduler or 'own'}"
        print(f"{name:44}{figures}", flush=True)


if __name__ == "__main__":
    main()
