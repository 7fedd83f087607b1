"""What the menu learned about one person is not offered for the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from tests.unit.menu.answering import answers
from tests.unit.menu.scripted import Machine, Person
from twinloop.menu.app import menu
from twinloop.menu.memory import Memory
from twinloop.menu.workflows import WORKFLOWS

ALICE = {"id": "p001", "name": "alice", "faces": [{"path": "/a/1.jpg"}, {"path": "/a/2.jpg"}]}
NEW = {"id": "p002", "name": None, "faces": [{"path": "/a/3.jpg"}]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("my photos", "outputs/facevault/organized/alice", "outputs/facevault/organized/bob"):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "a.jpg").write_bytes(b"x")
    return tmp_path


class Writing(Machine):
    """A machine whose ``init`` leaves the file that the real one would."""

    def run(self, argv: Sequence[str]) -> int:
        if argv[0] == "init":
            given = dict(zip(argv[1::2], argv[2::2], strict=True))
            Path(given["--output"]).write_text(json.dumps({"person_name": given["--person-name"]}))
        return super().run(argv)


def ran(machine: Machine, *begins: str) -> list[str]:
    """The one command that begins so."""
    (found,) = [argv for argv in machine.ran if argv[: len(begins)] == list(begins)]
    return found


def pipeline(people: Sequence[dict[str, Any]], **more: Any) -> Machine:
    machine = Writing({"vault clusters": list(people)})
    menu(Person(**answers(**more)), machine, Memory(), WORKFLOWS)
    return machine


def test_enter_for_a_second_person_trains_the_second_person(home: Path) -> None:
    alice = {"what_the_person_is": "woman", "what_ground": "written", "given_by": "Alice", "trigger_words": "zwx alice"}
    first = pipeline([{**ALICE, "name": None}, NEW], **alice)
    assert ran(first, "vault", "label")[2] == "p001"
    second = pipeline([ALICE, NEW], name_of_the_person="bob")
    assert ran(second, "vault", "label") == [
        "vault", "label", "p002", "--name", "bob", "--trigger", "ohwx bob", "--class", "person",
    ]  # fmt: skip
    init = ran(second, "init")
    assert init[init.index("--output") + 1] == "bootstrap_config_bob.json"
    assert ran(second, "train")[2] == "bootstrap_config_bob.json"
    again = pipeline([ALICE, {**NEW, "name": "bob"}], name_of_the_person="Alice")
    assert ran(again, "vault", "label")[6] == "zwx alice", "the first person's own answers are still known"


def test_the_loop_offers_each_person_their_own_photos(home: Path) -> None:
    for name in ("alice", "bob"):
        person = Person(
            shall_it_be=["loop", "quit"],
            a_new_run="new",
            name_of_the_person=name,
            which_detectors="nano",
            base_model="nano",
        )
        machine = Writing()
        menu(person, machine, Memory(), WORKFLOWS)
        init = ran(machine, "init")
        assert init[4] == f"ohwx {name}"
        assert init[init.index("--dataset-dir") + 1] == f"outputs/facevault/organized/{name}"


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"person_name": "alice"}', "is for alice"), ("[]", "is for nobody"), ("{", "no configuration")],
)
def test_a_configuration_of_somebody_else_is_refused(home: Path, content: str, words: str) -> None:
    Path("c.json").write_text(content)
    with pytest.raises(AssertionError, match=words):  # the scripted person insists on an answer that the check refuses
        pipeline([ALICE, NEW], name_of_the_person="bob", configuration_to_write="c.json")


def test_ones_own_configuration_is_used_as_it_is(home: Path) -> None:
    Path("c.json").write_text('{"person_name": "Bob"}')
    machine = pipeline([ALICE, NEW], name_of_the_person="bob", configuration_to_write="c.json")
    assert ran(machine, "train")[2] == "c.json"
    assert not [argv for argv in machine.ran if argv[0] == "init"]


def test_the_only_person_is_not_renamed_without_a_word(home: Path) -> None:
    person = Person(**answers(name_of_the_person="bob"))
    menu(person, Writing({"vault clusters": [ALICE]}), Memory(), WORKFLOWS)
    assert "Which of these people is bob?" in person.asked
    other = Person(**answers(name_of_the_person="bob"))
    menu(other, Writing({"vault clusters": [NEW]}), Memory(), WORKFLOWS)
    assert "Which of these people is bob?" not in other.asked


@pytest.mark.parametrize("entry", ["pipeline", "loop"])
def test_a_configuration_in_the_home_folder(home: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("HOME", str(home / "me"))
    (home / "me").mkdir()
    given = answers(a_new_run="new", configuration_to_write="~/c.json", shall_it_be=[entry, "quit"])
    machine = Writing({"vault clusters": [NEW]})
    menu(Person(**given), machine, Memory(), WORKFLOWS)
    assert (home / "me/c.json").exists() and not Path("~").exists()
    assert machine.ran[-1][2] == str(home / "me/c.json")


def test_a_lora_brings_its_own_trigger(home: Path) -> None:
    for name in ("alice", "bob"):
        texts = {"modelspec.trigger_phrase": f"ohwx {name}"}
        Path("lora.safetensors").write_bytes(save({"a": np.zeros(2, np.float32)}, metadata=texts))
        machine = Machine()
        menu(Person(shall_it_be=["export", "quit"], which_program="comfyui"), machine, Memory(), WORKFLOWS)
        assert machine.ran[0][4:6] == ["--trigger", f"ohwx {name}"]
