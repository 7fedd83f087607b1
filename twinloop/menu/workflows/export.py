"""Packages for other programs."""

from __future__ import annotations

from dataclasses import dataclass

from twinloop.domain.choices import SDXL
from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow


@dataclass(frozen=True)
class Target:
    """One of ``twinloop export``'s, and what it is made from.

    Attributes:
        output: where to write unless the person says otherwise.
    """

    label: str
    note: str
    output: str


PICTURES = {
    "did": Target("D-ID", "presenter pictures and request bodies", "did_package"),
    "facesheet": Target("Face sheet", "one labelled sheet; reference for MetaHuman", "facesheet.jpg"),
    "expressions": Target("Live2D", "aligned expressions, exp3.json drafts", "expressions"),
    "vrm": Target("VRM 1.0", "reference pictures by its expression names", "vrm"),
    "pngtuber": Target("PNGtuber", "mouth open or closed, eyes open or shut", "pngtuber"),
    "sillytavern": Target("SillyTavern", "a ZIP of sprites by emotion", "sillytavern"),
}
LORAS = {
    "a1111": Target("A1111, Forge", "the LoRA with preview and trigger words", "a1111"),
    "comfyui": Target("ComfyUI", "the LoRA with preview and trigger words", "comfyui"),
}
TRAINERS = {
    "kohya": Target("kohya sd-scripts", "dataset and configuration to train there", "kohya"),
    "ai-toolkit": Target("ai-toolkit", "dataset and configuration to train there", "ai-toolkit"),
    "onetrainer": Target("OneTrainer", "dataset and configuration to train there", "onetrainer"),
    "simpletuner": Target("SimpleTuner", "dataset and configuration to train there", "simpletuner"),
    "musubi-tuner": Target("musubi-tuner", "Z-Image, Qwen-Image, FLUX.2: dataset and script", "musubi_tuner"),
}
TARGETS = {**PICTURES, **LORAS, **TRAINERS}
NOT_SDXL = {"musubi-tuner"}
"""Trainers of other families than the usual base model's."""


def run(session: Session) -> None:
    """The program first: each kind is made from something else."""
    target = session.choose(
        "export.target",
        "For which program?",
        [Option(key, known.label, known.note) for key, known in TARGETS.items()],
        "did",
    )
    if target in TRAINERS:
        given = _from_captions(session, target)
    else:
        given = _from_pictures(session) if target in PICTURES else _from_lora(session)
    output = session.new_path(f"export.{target}.output", "Write to:", TARGETS[target].output, questions.not_empty)
    session.run("Export", ["export", target, *given, "--output", output])


def _from_pictures(session: Session) -> list[str]:
    return ["--dataset", questions.dataset(session), "--models-dir", questions.models(session)]


def _from_lora(session: Session) -> list[str]:
    lora = session.path("lora", "LoRA of the person:", "lora.safetensors", questions.existing_file)
    return ["--lora", lora, "--trigger", questions.known_trigger(session, lora)]


def _from_captions(session: Session, target: str) -> list[str]:
    key, usual = (f"export.{target}.base", "") if target in NOT_SDXL else ("export.base", SDXL)
    base = session.text(key, "Base model, as that program shall find it:", usual, questions.not_empty)
    photos = questions.dataset(session)
    return ["--dataset", photos, "--person", questions.known_trigger(session, photos), "--base-model", base]


WORKFLOW = Workflow(
    "export",
    "Export",
    "for avatar programs, image programs, trainers",
    "twinloop export TARGET --output PATH (--help lists the targets)",
    run,
)
