"""What stands behind the figures: datasets, LoRAs, the frozen identity, what the numbers can and cannot say, and where
the files lie.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from twinloop.domain.choices import FAKE, NANO
from twinloop.domain.records import Dataset
from twinloop.domain.wording import some
from twinloop.report.model import RunRecord
from twinloop.report.words import METRICS, number, percent, words
from twinloop.stages.train import GIVEN
from twinloop.store.run.workspace import Workspace


@dataclass(frozen=True)
class DatasetRow:
    """What a dataset version is made of; weights are sums over its members.

    ``dropped``: its round was rolled back, and the next began without it.
    """

    name: str
    id: str
    real: int
    held_out: int
    synthetic: int
    share: str
    weights: str
    dropped: bool = False


@dataclass(frozen=True)
class LoraRow:
    """One trained file."""

    name: str
    remark: str
    picked: bool
    dataset: str
    preset: str
    steps: int
    seed: int
    loss: str
    validation: str
    sha256: str


@dataclass(frozen=True)
class BandRow:
    """How like themselves the real photos are at one head angle."""

    name: str
    mean: str
    spread: str
    photos: int


@dataclass(frozen=True)
class Link:
    """One artefact. ``href`` is relative to the page."""

    href: str
    name: str
    about: str


def dataset_rows(run: RunRecord) -> tuple[DatasetRow, ...]:
    """The real photos, then the dataset after every round."""
    photos = [] if run.photos is None else [_dataset_row("real photos", run.photos)]
    rounds = (
        _dataset_row(f"after round {number}", dataset, run.dropped(number))
        for number, dataset in enumerate(run.datasets, 1)
    )
    return (*photos, *rounds)


def _dataset_row(name: str, dataset: Dataset, dropped: bool = False) -> DatasetRow:
    real, made = dataset.real, dataset.synthetic
    weights = f"{number(sum(m.weight for m in real), 1)} : {number(sum(m.weight for m in made), 1)}"
    share = percent(len(made) / len(dataset.members)) if dataset.members else "none"
    return DatasetRow(name, dataset.id, len(real), sum(m.weight == 0 for m in real), len(made), share, weights, dropped)


def lora_rows(run: RunRecord) -> tuple[LoraRow, ...]:
    """Every trained version."""
    how = _special(run)
    rows = []
    for lora in run.loras:
        loss = "given, not trained here" if lora.preset == GIVEN else number(lora.final_loss, 4)
        rows.append(
            LoraRow(
                f"v{lora.version}",
                run.remark(lora.version),
                lora.version == run.picked,
                lora.dataset_id,
                lora.preset if lora.preset == GIVEN else ", ".join((lora.preset, *how)),
                lora.steps,
                lora.seed,
                loss,
                "none" if lora.validation is None else number(lora.validation.loss, 4),
                lora.sha256[:12],
            )
        )
    return tuple(rows)


def _special(run: RunRecord) -> tuple[str, ...]:
    """What of a training is not as usual and shows in the file: kind of adapter, text encoders, weights in fewer bits,
    another trainer.
    """
    asked = run.settings.get
    adapter, quantization, trainer = (
        asked("training.adapter", "lora"),
        asked("quantization", "default"),
        asked("training.trainer", "builtin"),
    )
    found = {
        {"dora": "DoRA", "lokr": "LoKr"}.get(adapter, adapter): adapter != "lora",
        "with text encoders": asked("training.text_encoder", "False") == "True",
        f"on {quantization} weights": quantization != "default",
        f"by {trainer}": trainer != "builtin",
    }
    return tuple(text for text, applies in found.items() if applies)


def band_rows(run: RunRecord) -> tuple[BandRow, ...]:
    """The frozen reference by head angle, and over all photos."""
    if run.identity is None or run.identity.overall is None:
        return ()
    left_out = len(run.identity.unlike)
    everyone = f"all photos but {left_out} unlike the rest" if left_out else "all photos"
    rows = [*run.identity.bands.items(), (everyone, run.identity.overall)]
    return tuple(BandRow(words(name), number(mean), number(spread), n) for name, (mean, spread, n) in rows)


def photos_unlike_the_rest(run: RunRecord) -> str:
    """Names of the photos that do not count in the frozen reference; "" where all do."""
    if run.identity is None or run.photos is None:
        return ""
    return some([Path(m.path).name for m in run.photos.members if m.sha256 in run.identity.unlike])


def world_note(run: RunRecord) -> str:
    """What kind of world the figures come from; empty for a real base model."""
    if run.base_model == NANO and not any(part.startswith(f"{NANO}+") for part in run.detectors.split("|")):
        return (
            "This run used the embedded nano base model, which cannot draw real people, with detectors for photos. Its"
            " figures show that the loop works; they say nothing about how well a full-size model would draw this"
            " person."
        )
    if run.base_model == NANO:
        return (
            "This run used the embedded nano base model and a fictional, rendered person. Its figures show that the"
            " loop works; they say nothing about real photos or about full-size models."
        )
    if run.base_model == FAKE:
        return "This was a dry run on fakes: no model took part. Its figures say nothing about any person or model."
    return ""


def meanings(run: RunRecord) -> tuple[tuple[str, str], ...]:
    """Each metric of this run and what it means."""
    known = {name for score in run.scores for name in score.metrics}
    return tuple((metric.label, metric.meaning) for metric in METRICS if metric.name in known)


def links(run: RunRecord, workspace: Workspace) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """The artefacts that are there, in groups; paths relative to the page."""
    groups = [("The LoRA", _lora_files(run, workspace)), ("The run", _run_files(workspace))]
    groups += [
        (_round_name(run, n), _round_files(workspace, n))
        for n in range(1, 1 + max(len(run.surveys), len(run.verdicts)))
    ]
    groups.append(("The panel", _panel_files(run, workspace)))
    found = [(name, tuple(_existing(workspace.root, files))) for name, files in groups]
    return tuple((name, entries) for name, entries in found if entries)


def lora_href(run: RunRecord, space: Workspace) -> str | None:
    """Where the LoRA of the answer lies; None when it is not there."""
    if run.chosen is None:
        return None
    path = space.final_lora if run.final else space.lora(run.chosen)
    return relative_href(path, space.root) if path.exists() else None


def _round_name(run: RunRecord, number: int) -> str:
    return "After the last round" if run.stop is not None and number > len(run.rounds) else f"Round {number}"


def _lora_files(run: RunRecord, space: Workspace) -> list[tuple[Path, str]]:
    why = "the best measured version" if run.picked is None else f"v{run.picked}, picked by a person"
    files = [(space.final_lora, f"{why}: the one to use")] if run.final else []
    for lora in run.loras:
        files += [
            (space.lora(lora.version), f"LoRA v{lora.version}"),
            (space.lora_record(lora.version), f"record of v{lora.version}"),
        ]
    return files


def _run_files(space: Workspace) -> list[tuple[Path, str]]:
    return [
        (space.history, "all metrics, the stop and its reason"), (space.run_record, "settings and detectors"),
        (space.dataset(0), "the real photos, what was left out and why"), (space.identity, "the frozen identity"),
    ]  # fmt: skip


def _round_files(space: Workspace, number: int) -> list[tuple[Path, str]]:
    return [
        (space.gaps(number), "gaps"),
        (space.shots(number), "shots"),
        (space.synthetic(number), "generated images"),
        (space.approved(number), "approved images"),
        (space.rejected(number), "rejected images"),
        (space.unsure(number), "unsure images"),
        (space.verdicts(number), "verdicts with every check"),
        (space.dataset(number), "dataset after the round"),
    ]


def _panel_files(run: RunRecord, space: Workspace) -> list[tuple[Path, str]]:
    files = [(space.panel, "prompts and seeds")]
    for score in run.scores:
        files += [
            (space.panel_images(score.version), f"images of v{score.version}"),
            (space.panel_score(score.version), f"figures of v{score.version}"),
        ]
    return files


def _existing(root: Path, files: list[tuple[Path, str]]) -> Iterator[Link]:
    for path, about in files:
        href = relative_href(path, root) if path.exists() else None
        if href is not None:
            yield Link(href + ("/" if path.is_dir() else ""), path.name + ("/" if path.is_dir() else ""), about)


def relative_href(path: Path, root: Path) -> str | None:
    """A relative URL from a page in ``root`` to ``path``; None when they share no folder but the file system's root."""
    target, start = os.path.abspath(path), os.path.abspath(root)
    try:
        shared = Path(os.path.commonpath([target, start]))
    except ValueError:  # two drives
        return None
    if shared == Path(shared.anchor):
        return None
    return quote(os.fsencode(Path(os.path.relpath(target, start)).as_posix()))
