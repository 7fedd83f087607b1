"""The menu asks once, prints what it runs, runs it in order, and goes on where it was left."""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.unit.menu.answering import answers
from tests.unit.menu.scripted import LEAVE, Machine, Person
from twinloop.cli.commandline import build_parser
from twinloop.domain.choices import SDXL
from twinloop.menu.app import SIGNS, menu, plain_commands
from twinloop.menu.director import Check
from twinloop.menu.memory import Memory
from twinloop.menu.questions import folder_of_pictures
from twinloop.menu.runner import INTERRUPTED, command_line
from twinloop.menu.workflows import WORKFLOWS
from twinloop.menu.workflows.export import NOT_SDXL, TARGETS, TRAINERS

PEOPLE = [
    {"id": "p001", "name": None, "faces": [{"path": "/a/1.jpg"}]},
    {"id": "p002", "name": None, "faces": [{"path": "/a/2.jpg"}, {"path": "/a/3.jpg"}]},
    {"id": None, "name": None, "faces": [{"path": "/a/9.jpg"}]},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my photos").mkdir()
    (tmp_path / "my photos" / "a.jpg").write_bytes(b"x")
    (tmp_path / "models").mkdir()
    return tmp_path


def test_workflow_1_is_the_pipeline_in_its_order(home: Path) -> None:
    person, machine = Person(**answers()), Machine({"vault clusters": PEOPLE})
    assert menu(person, machine, Memory(), WORKFLOWS) == 0
    assert [argv[:2] for argv in machine.ran] == [
        ["vault", "scan"],
        ["vault", "cluster"],
        ["vault", "dedup"],
        ["vault", "label"],
        ["vault", "caption"],
        ["vault", "prep"],
        ["init", "--person-name"],
        ["train", "--config"],
    ]
    assert machine.ran[3][:5] == ["vault", "label", "p002", "--name", "alice"], (
        "the person with most photos is the default"
    )
    assert Memory().unfinished is None


@pytest.mark.parametrize(
    ("base", "style"),
    [
        ({"base_model": "nano"}, "prose"),
        ({"base_model": "hub", "its_name": "cagliostrolab/animagine-xl-3.1"}, "tags"),
        ({"base_model": "hub", "its_name": "black-forest-labs/FLUX.1-dev"}, "prose"),
    ],
)
def test_captions_are_written_as_the_chosen_base_reads_them(home: Path, base: dict[str, str], style: str) -> None:
    machine = Machine({"vault clusters": PEOPLE})
    menu(Person(**answers(**base)), machine, Memory(), WORKFLOWS)
    assert [argv for argv in machine.ran if argv[:2] in (["vault", "caption"], ["vault", "prep"])] == [
        ["vault", "caption", "alice", "--style", style],
        ["vault", "prep", "alice", "--style", style],
    ]


def test_each_command_is_printed_as_it_is_run(home: Path) -> None:
    person, machine = Person(**answers()), Machine({"vault clusters": PEOPLE})
    menu(person, machine, Memory(), WORKFLOWS)
    printed = [
        line.strip().removeprefix("$ ") for text in person.said for line in text.splitlines() if line.startswith("  $ ")
    ]
    assert printed[: len(machine.ran)] == [command_line(argv) for argv in machine.ran]
    assert "twinloop vault scan 'my photos' --models-dir nano" in printed


def test_every_command_that_the_menu_runs_exists(home: Path) -> None:
    """The menu builds command lines; the parser of the program takes each of them."""
    (home / "gaps.json").write_text("{}")
    (home / "lora.safetensors").write_bytes(b"x")
    (home / "synthetic_1").mkdir()
    (home / "synthetic_1" / "a.png").write_bytes(b"x")
    (home / "bootstrap_config.json").write_text("{}")
    for workflow in WORKFLOWS:
        person = Person(
            **{**answers(), "shall_it_be": [workflow.key, "quit"]},
            person_s_photos="my photos",
            gap_analysis="gaps.json",
            lora_of="lora.safetensors",
            **{"person's_photos": "my photos"},
        )
        machine = Machine({"vault clusters": PEOPLE})
        menu(person, machine, Memory(), WORKFLOWS)
        assert machine.ran, workflow.key
        for argv in machine.ran:
            build_parser().parse_args(argv)


class Hasty(Person):
    """Somebody who presses Enter at every path, and types it only when that is refused."""

    def path(self, question: str, default: str = "", check: Check | None = None) -> str:
        assert check is not None and check(""), f"Enter alone is an answer to: {question}"
        return self.text(question, default, check)


@pytest.mark.parametrize("kind", ["list", "inspect", "add"])
def test_enter_alone_is_no_path(home: Path, kind: str) -> None:
    """An empty path would mean the working directory: everything in it would be scanned, exported or loaded."""
    for name in ("gaps.json", "lora.safetensors", "bootstrap_config.json", "synthetic_1/a.png"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_bytes(b"{}")
    for workflow in WORKFLOWS:
        given = {
            "shall_it_be": [workflow.key, "quit"],
            "base_model": "local",
            "about_the_model_files": kind,
            "which_detectors": "folder",
        }
        hasty = Hasty(**{**answers(), **given}, **{"person's photos": "my photos", "file or folder": "models"})
        machine = Machine({"vault clusters": PEOPLE})
        menu(hasty, machine, Memory(), WORKFLOWS)
        assert machine.ran, workflow.key


def test_a_folder_without_pictures_is_asked_for_again(home: Path) -> None:
    (home / "empty/below").mkdir(parents=True)
    assert "no pictures" in folder_of_pictures("empty") and folder_of_pictures("my photos") == ""
    (home / "empty/below/a.JPG").write_bytes(b"x")
    assert folder_of_pictures("empty") == ""


def test_interrupted_in_a_command_it_goes_on_with_that_command(home: Path) -> None:
    stop = {"armed": True}

    def code(argv: Any) -> int:
        return INTERRUPTED if argv[:2] == ["vault", "dedup"] and stop["armed"] else 0

    machine = Machine({"vault clusters": PEOPLE}, code)
    person = Person(**answers())
    menu(person, machine, Memory(), WORKFLOWS)
    assert [argv[1] for argv in machine.ran] == ["scan", "cluster"]
    assert any("Stopped" in text for text in person.said)
    stop["armed"] = False
    again = Person(shall_it_be=["continue", "quit"])
    menu(again, machine, Memory(), WORKFLOWS)
    assert [argv[1] for argv in machine.ran] == [
        "scan",
        "cluster",
        "dedup",
        "label",
        "caption",
        "prep",
        "--person-name",
        "--config",
    ]
    assert again.asked[0].startswith("What shall") and not any(
        "folder with the photos" in q.lower() for q in again.asked
    )


def test_photos_that_came_meanwhile_are_taken_up(home: Path) -> None:
    """They are scanned, told apart and cut before the training that the workflow was left at."""
    stop = {"armed": True}
    machine = Machine(
        {"vault clusters": PEOPLE}, lambda argv: INTERRUPTED if argv[0] == "train" and stop["armed"] else 0
    )
    menu(Person(**answers()), machine, Memory(), WORKFLOWS)
    before = [argv[1] for argv in machine.ran if argv[0] == "vault"]
    (home / "my photos/later.jpg").write_bytes(b"x")
    stop["armed"], again = False, Machine({"vault clusters": PEOPLE})
    menu(Person(shall_it_be=["continue", "quit"]), again, Memory(), WORKFLOWS)
    assert before == [argv[1] for argv in again.ran if argv[0] == "vault"] and again.ran[-1][0] == "train"


def test_a_configuration_that_is_there_is_used_and_what_is_other_in_it_is_told(home: Path) -> None:
    kept = {"person_name": "alice", "person_trigger": "zwx alice", "base_model": "other"}
    Path("bootstrap_config.json").write_text(json.dumps(kept))
    person = Person(**answers(configuration_to_write="bootstrap_config.json"))
    menu(person, Machine({"vault clusters": PEOPLE}), Memory(), WORKFLOWS)
    said = "\n".join(person.said)
    assert 'person_trigger is "zwx alice" in it, not "' in said and 'base_model is "other" in it, not "nano"' in said
    assert json.loads(Path("bootstrap_config.json").read_text()) == kept


def test_left_at_a_question_the_answers_are_kept(home: Path) -> None:
    machine = Machine({"vault clusters": PEOPLE})
    menu(Person(**answers(trigger_words=LEAVE)), machine, Memory(), WORKFLOWS)
    assert machine.ran == []
    again = Person(shall_it_be=["continue", "quit"], which_detectors="nano", base_model="nano")
    menu(again, machine, Memory(), WORKFLOWS)
    assert "Folder with the photos (they are only read):" not in again.asked
    assert machine.ran[0] == ["vault", "scan", "my photos", "--models-dir", "nano"]


def test_another_entry_in_between_loses_nothing(home: Path) -> None:
    """The pipeline waits; a look at the doctor, and an entry left at its first question, do not end its waiting."""
    machine = Machine({"vault clusters": PEOPLE}, lambda argv: INTERRUPTED if argv[:2] == ["vault", "dedup"] else 0)
    menu(Person(**answers()), machine, Memory(), WORKFLOWS)
    menu(Person(shall_it_be=["doctor", "quit"]), machine, Memory(), WORKFLOWS)
    left = Person(shall_it_be=["gaps", "quit"], **{"person's photos": LEAVE})
    menu(left, machine, Memory(), WORKFLOWS)
    assert left.said == ["\nLeft."]
    again = Machine({"vault clusters": PEOPLE})
    menu(Person(shall_it_be=["continue", "quit"]), again, Memory(), WORKFLOWS)
    assert [argv[1] for argv in again.ran][:2] == ["dedup", "label"]
    assert Memory().unfinished is None


def test_begun_again_it_waits_once(home: Path) -> None:
    machine = Machine({"vault clusters": PEOPLE}, lambda argv: INTERRUPTED if argv[0] == "train" else 0)
    menu(Person(**{**answers(), "shall_it_be": ["pipeline", "pipeline", "quit"]}), machine, Memory(), WORKFLOWS)
    memory = Memory()
    memory.finish()
    assert memory.unfinished is None


@pytest.mark.parametrize("target", TARGETS)
def test_every_export_target_can_be_chosen(home: Path, target: str) -> None:
    (home / "lora.safetensors").write_bytes(b"x")
    person = Person(
        shall_it_be=["export", "quit"], which_program=target, which_detectors="nano", **{"person's photos": "my photos"}
    )
    if target in NOT_SDXL:
        person.answers["base model"] = "z-image"
    machine = Machine()
    menu(person, machine, Memory(), WORKFLOWS)
    assert [argv[:2] for argv in machine.ran] == [["export", target]]
    (argv,) = machine.ran
    bases = [value for flag, value in pairwise(argv) if flag == "--base-model"]
    assert bases == (["z-image" if target in NOT_SDXL else SDXL] if target in TRAINERS else [])
    build_parser().parse_args(machine.ran[0])


def test_the_menu_offers_all_targets_of_the_command() -> None:
    assert set(TARGETS) == set(_subcommands(_subcommands(build_parser())["export"]))


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


@pytest.mark.parametrize("kind", ["page", "list"])
def test_a_round_can_be_reviewed(home: Path, kind: str) -> None:
    (home / "outputs/bootstrap").mkdir(parents=True)
    machine = Machine()
    menu(Person(shall_it_be=["validate", "quit"], about_the_images=kind), machine, Memory(), WORKFLOWS)
    assert machine.ran == [["ui", "--run", "outputs/bootstrap"] if kind == "page" else ["review", "outputs/bootstrap"]]
    build_parser().parse_args(machine.ran[0])


@pytest.mark.parametrize("measured", [True, False])
def test_strengths_can_be_compared(home: Path, measured: bool) -> None:
    for name in ("lora.safetensors", "prompts.txt"):
        (home / name).write_text("{}")
    given = {"person_s_photos": "my photos", "person's photos the images": measured, "person's photos": "my photos"}
    person = Person(
        **{**answers(), "shall_it_be": ["generate", "quit"], "shall_be_drawn": "compare", "strengths": "0.5,1"}, **given
    )
    machine = Machine()
    menu(person, machine, Memory(), WORKFLOWS)
    ((*asked,),) = machine.ran
    photos = ["--dataset", "my photos", "--models-dir", "nano"] if measured else []
    assert asked == [
        *("compare", "--lora", "lora.safetensors", "--base-model", "nano", "--prompts", "prompts.txt"),
        *("--strength", "0.5,1", "--output", "comparison", *photos),
    ]
    build_parser().parse_args(asked)


def test_a_failing_command_is_not_counted_as_done(home: Path) -> None:
    machine = Machine({}, lambda argv: 2 if argv[:2] == ["vault", "scan"] else 0)
    person = Person(**answers())
    menu(person, machine, Memory(), WORKFLOWS)
    waiting = Memory().unfinished
    assert machine.ran == [] and waiting is not None and waiting.done == []
    assert any("exit code 2" in text for text in person.said)


def test_a_round_that_waits_for_a_review_is_no_failure(home: Path) -> None:
    (home / "bootstrap_config.json").write_text("{}")
    waits = {"yes": True}
    machine = Machine({}, lambda argv: 3 if argv[:1] == ["run"] and waits["yes"] else 0)
    person = Person(shall_it_be=["loop", "quit"])
    menu(person, machine, Memory(), WORKFLOWS)
    assert "did not work" not in person.said[-1] and "waits for you" in person.said[-1]
    named = next(item.title for item in WORKFLOWS if item.key == "validate")
    assert f"choose {named}," in person.said[-1]
    waits["yes"] = False
    menu(Person(shall_it_be=["continue", "quit"]), machine, Memory(), WORKFLOWS)
    assert machine.ran == [["run", "--config", "bootstrap_config.json"]] and Memory().unfinished is None


@pytest.mark.parametrize(("entry", "code"), [("doctor", 2), ("models", 1), ("models", 2), ("models", 3)])
def test_what_a_command_finds_is_no_failure(home: Path, entry: str, code: int) -> None:
    said = []
    for given in (code, 64):
        person = Person(shall_it_be=[entry, "quit"], about_the_model_files="inspect")
        menu(person, Machine({}, lambda argv, given=given: given), Memory(), WORKFLOWS)  # type: ignore[misc]
        said.append(" ".join(person.said))
    assert "did not work" not in said[0] and "did not work (exit code 64)" in said[1]


def test_consent_goes_into_the_label(home: Path) -> None:
    machine = Machine({"vault clusters": PEOPLE})
    given = answers(what_ground="written", given_by="Alice", which_date="2026-05-01", for_what="training")
    menu(Person(**given), machine, Memory(), WORKFLOWS)
    label = next(argv for argv in machine.ran if argv[1] == "label")
    assert label[-8:] == ["--consent", "written", "--by", "Alice", "--on", "2026-05-01", "--scope", "training"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"last": 3}',
        '{"unfinished": {"workflow": "pipeline"}}',
        '{"last": {}, "unfinished": 5}',
        '{"unfinished": [{"workflow": "pipeline", "answers": null, "done": []}]}',
        '{"unfinished": [{"workflow": "pipeline", "answers": {"photos": 3}, "done": []}]}',
        '{"unfinished": [{"workflow": "pipeline", "answers": {}, "done": null}]}',
        '{"unfinished": [{"workflow": "pipeline", "answers": {}, "done": [3]}]}',
        '{"unfinished": [{"workflow": ["pipeline"], "answers": {}, "done": []}]}',
    ],
)
def test_a_damaged_memory_is_forgotten(home: Path, content: str) -> None:
    (home / "outputs").mkdir()
    (home / "outputs/menu.json").write_text(content)
    assert Memory().unfinished is None and Memory().last("x", "y") == "y"


def test_every_entry_has_a_key() -> None:
    assert len(WORKFLOWS) <= len(SIGNS)


def test_without_a_terminal_it_lists_the_commands() -> None:
    text = plain_commands(WORKFLOWS)
    assert all(workflow.title in text and workflow.commands in text for workflow in WORKFLOWS)
    for number, item in zip(SIGNS, WORKFLOWS, strict=False):
        assert f"  {number}. {item.title}: " in text, "numbered by its key"


def test_the_demo_asks_before_it_takes_minutes(home: Path) -> None:
    for answer, ran in ((False, []), (True, [["demo"]])):
        person, machine = Person(shall_it_be=["demo", "quit"], run_the_demo=answer), Machine()
        menu(person, machine, Memory(), WORKFLOWS)
        assert machine.ran == ran and any("about 8 minutes" in question for question in person.asked)
        assert Memory().unfinished is None
