"""The loop's steps by hand: gap analysis, generation, validation and review."""

from __future__ import annotations

from pathlib import Path

from twinloop.menu import questions
from twinloop.menu.director import Option
from twinloop.menu.session import Session
from twinloop.menu.workflow import Workflow


def analyze(session: Session) -> None:
    dataset = questions.dataset(session)
    models = questions.models(session)
    output = session.new_path("gaps.output", "Write the gaps to:", "gaps.json", questions.not_empty)
    session.run("Gap analysis", ["analyze", dataset, "--models-dir", models, "--output", output])


def generate(session: Session) -> None:
    kind = session.choose(
        "generate.what", "What shall be drawn?",
        [
            Option("gaps", "images for the gaps of a dataset", "as a gap analysis found them"),
            Option("compare", "a LoRA at several strengths", "your own prompts, side by side"),
        ],
        "gaps",
    )  # fmt: skip
    (_compare if kind == "compare" else _fill_gaps)(session)


def _compare(session: Session) -> None:
    lora = session.path("lora", "LoRA of the person:", "lora.safetensors", questions.existing_file)
    base = questions.base_model(session)
    prompts = session.path("prompts", "Text file with one prompt a line:", "prompts.txt", questions.existing_file)
    strengths = session.text("strengths", "At which strengths:", "0.6,0.8,1.0,1.2", questions.not_empty)
    output = session.new_path("comparison.output", "Folder for the comparison:", "comparison", questions.not_empty)
    measured = session.confirm("comparison.measured", "Measure how like the person's photos the images are?")
    photos = ["--dataset", questions.dataset(session), "--models-dir", questions.models(session)] if measured else []
    asked = ["--lora", lora, "--base-model", base, "--prompts", prompts, "--strength", strengths, "--output", output]
    session.run("Compare", ["compare", *asked, *photos])


def _fill_gaps(session: Session) -> None:
    gaps = session.path("gaps", "Gap analysis:", "gaps.json", questions.existing_file)
    base = questions.base_model(session)
    lora = session.path("lora", "LoRA of the person:", "lora.safetensors", questions.existing_file)
    trigger = questions.known_trigger(session, lora)
    output = session.new_path("synthetic.output", "Folder for the images:", "synthetic_1", questions.not_empty)
    count = session.text("num_per_gap", "Images for each gap:", "5", _number)
    session.run(
        "Generate",
        [
            "generate",
            gaps,
            "--base-model",
            base,
            "--lora",
            lora,
            "--person",
            trigger,
            "--output",
            output,
            "--num-per-gap",
            count,
        ],
    )


def validate(session: Session) -> None:
    kind = session.choose(
        "validate.what", "What about the images?",
        [
            Option("validate", "check a folder of them", "every check with its value and limit"),
            Option("page", "look at those of a run, and decide", "in the browser, by keyboard"),
            Option("list", "list those of a run, with verdicts", "here"),
        ],
        "validate",
    )  # fmt: skip
    if kind == "validate":
        _check(session)
        return
    run = session.path("run", "Folder of the run (output_dir):", "outputs/bootstrap", questions.existing_folder)
    session.run(
        "Review",
        ["ui", "--run", run] if kind == "page" else ["review", run],
        "Ctrl-C ends it" if kind == "page" else "",
    )


def _check(session: Session) -> None:
    folder = session.path("synthetic", "Folder of generated images:", "synthetic_1", questions.folder_of_pictures)
    models = questions.models(session)
    approved = session.new_path(
        "approved", "Folder for approved images:", _beside(folder, "approved"), questions.not_empty
    )
    rejected = session.new_path(
        "rejected", "Folder for rejected images:", _beside(folder, "rejected"), questions.not_empty
    )
    session.run(
        "Validate", ["validate", folder, "--models-dir", models, "--approved", approved, "--rejected", rejected]
    )


def _beside(folder: str, word: str) -> str:
    path = Path(folder)
    name = path.name.replace("synthetic", word) if "synthetic" in path.name else f"{word}_{path.name}"
    return str(path.with_name(name))


def _number(text: str) -> str:
    return "" if text.isdigit() and int(text) > 0 else "a whole number of 1 or more"


GAPS = Workflow(
    "gaps",
    "Gap analysis",
    "what a dataset lacks",
    "twinloop analyze DATASET --models-dir DIR --output gaps.json",
    analyze,
)
GENERATE = Workflow(
    "generate",
    "Generate",
    "images for those gaps, or a LoRA at strengths",
    "twinloop generate GAPS --base-model NAME --lora FILE --person TRIGGER; twinloop compare --lora FILE --prompts"
    " FILE --base-model NAME",
    generate,
)
VALIDATE = Workflow(
    "validate",
    "Validate and review",
    "keep what the detectors and you find right",
    "twinloop validate FOLDER --models-dir DIR --approved DIR --rejected DIR; twinloop review RUN",
    validate,
)
