"""Every path of a run, in the seed's own tree. No other file puts names together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from twinloop.config import Settings

GENERATION_METADATA = "generation_metadata.json"
"""What lies beside made images, in any folder: the shot behind each."""


@dataclass(frozen=True)
class Workspace:
    """The output folder of a loop and the folder of its LoRAs."""

    root: Path
    lora_dir: Path

    @property
    def history(self) -> Path:
        return self.root / "iteration_history.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def run_record(self) -> Path:
        """The settings this folder was started with."""
        return self.root / "run.json"

    @property
    def started_with(self) -> Path:
        """Which configuration it was started with last, for the page."""
        return self.root / "started_with.json"

    @property
    def versions(self) -> Path:
        """Program and libraries it was begun with."""
        return self.root / "versions.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def identity(self) -> Path:
        return self.root / "identity_reference.json"

    @property
    def panel(self) -> Path:
        return self.root / "panel.json"

    def gaps(self, iteration: int) -> Path:
        return self.root / f"gaps_iter{iteration}.json"

    def shots(self, iteration: int) -> Path:
        return self.root / f"shots_iter{iteration}.json"

    def synthetic(self, iteration: int) -> Path:
        return self.root / f"synthetic_iter{iteration}"

    def approved(self, iteration: int) -> Path:
        return self.root / f"approved_iter{iteration}"

    def rejected(self, iteration: int) -> Path:
        return self.root / f"rejected_iter{iteration}"

    def unsure(self, iteration: int) -> Path:
        return self.root / f"unsure_iter{iteration}"

    def verdicts(self, iteration: int) -> Path:
        return self.root / f"verdicts_iter{iteration}.json"

    def review(self, iteration: int) -> Path:
        """What a person said of that iteration's images."""
        return self.root / f"review_iter{iteration}.json"

    def dataset(self, iteration: int) -> Path:
        """The dataset after that iteration; 0 = the real photos."""
        return self.root / f"dataset_iter{iteration}.json"

    @property
    def sources(self) -> Path:
        """The real photos that images start from, with what decides which of them."""
        return self.root / "sources.json"

    def panel_images(self, version: int) -> Path:
        return self.root / f"panel_v{version}"

    def panel_score(self, version: int) -> Path:
        return self.root / f"panel_v{version}.json"

    @property
    def checkpoint_panel(self) -> Path:
        """The prompts and seeds on which the checkpoints of a training are compared."""
        return self.root / "checkpoint_panel.json"

    def checkpoint_images(self, version: int, step: int) -> Path:
        return self.root / f"checkpoints_v{version}" / f"step_{step:06d}"

    def checkpoint_score(self, version: int, step: int) -> Path:
        return self.root / f"checkpoints_v{version}" / f"step_{step:06d}.json"

    def checkpoint_choice(self, version: int) -> Path:
        """Which checkpoint of a training was taken, and what the others came to."""
        return self.root / f"checkpoints_v{version}.json"

    def samples(self, version: int, step: int) -> Path:
        """What a training drew on its way, for people to look at."""
        return self.root / f"samples_v{version}" / f"step_{step:06d}"

    def training_work(self, version: int) -> Path:
        """Checkpoints and caches of one training; deleted when its LoRA is written."""
        return self.lora_dir / f".training_v{version}"

    def lora(self, version: int) -> Path:
        return self.lora_dir / f"lora_v{version}.safetensors"

    def lora_record(self, version: int) -> Path:
        return self.lora_dir / f"lora_v{version}.json"

    @property
    def final_lora(self) -> Path:
        """A copy of the best measured version: the file to use."""
        return self.lora_dir / "lora.safetensors"

    @property
    def in_one_folder(self) -> bool:
        """Whether the LoRAs lie in the output folder itself, not below it; it is there."""
        return self.lora_dir.is_dir() and self.lora_dir.samefile(self.root)

    def show(self, path: Path) -> str:
        """A path as artefacts hold it: relative to the working directory when below it, so a
        moved project still fits.
        """
        return shown_path(path)


def workspace_of(settings: Settings) -> Workspace:
    """Where a run of these settings lives."""
    return Workspace(Path(settings.output_dir), settings.lora_dir)


def same_place(folder: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, which need not be there."""
    return folder.resolve() == other.resolve()


def lies_in(place: Path, folder: Path) -> bool:
    """Whether a path leads into a folder (or is it), by the names or by where links lead."""
    return Path(os.path.abspath(place)).is_relative_to(os.path.abspath(folder)) or place.resolve().is_relative_to(
        folder.resolve()
    )


def shown_path(path: Path) -> str:
    """``path`` relative to the working directory when it lies below it, else absolute; forward slashes."""
    place, here = Path(os.path.abspath(path)), Path.cwd()
    return (place.relative_to(here) if place.is_relative_to(here) else place).as_posix()
