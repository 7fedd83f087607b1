"""Workflow 1 holds a configuration that is there against the answers before it does anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.menu.answering import answers
from tests.unit.menu.scripted import LEAVE, Machine, Person
from twinloop.domain.vault import Consent
from twinloop.menu.app import menu
from twinloop.menu.memory import Memory
from twinloop.menu.workflows import WORKFLOWS
from twinloop.store.vault.decisions import DecisionLog
from twinloop.store.vault.folder import DEFAULT, Vault

PEOPLE = [{"id": "p001", "name": None, "faces": [{"path": "/a/1.jpg"}]}]
FITTING = {
    "person_name": "alice",
    "person_trigger": "ohwx alice person",
    "base_model": "nano",
    "models_dir": "nano",
    "dataset_dir": "outputs/facevault/organized/alice",
    "training": {"preset": "nano"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("my photos", "models"):
        Path(folder).mkdir()
    Path("my photos/a.jpg").write_bytes(b"x")
    return tmp_path


def written(**changes: Any) -> Path:
    path = Path("bootstrap_config_alice.json")
    path.write_text(json.dumps({**FITTING, **changes}))
    return path


def gone_through(**more: Any) -> tuple[Person, Machine]:
    person, machine = Person(**answers(**more)), Machine({"vault clusters": PEOPLE})
    menu(person, machine, Memory(), WORKFLOWS)
    return person, machine


def ran(machine: Machine, *words: str) -> list[str]:
    (found,) = [argv for argv in machine.ran if argv[: len(words)] == list(words)]
    return found


def after(argv: Sequence[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


QUESTION = "What about the configuration?"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"person_trigger": "ohwx alice"},
        {"person_trigger": "ohwx alice, 1girl, solo"},
        {"dataset_dir": "./outputs/facevault/organized/alice/10_ohwx alice person"},
        {"training": {"steps": 3}},
        {"training": None},
    ],
)
def test_what_says_the_same_is_used_without_a_question(home: Path, changes: dict[str, Any]) -> None:
    written(**changes)
    person, machine = gone_through()
    assert QUESTION not in person.asked and "used as it is" in "\n".join(person.said)
    assert ran(machine, "train")[2] == "bootstrap_config_alice.json"
    assert not [argv for argv in machine.ran if argv[0] == "init"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"person_trigger": "zwx alice"}, 'person_trigger is "zwx alice" in it, not "ohwx alice person"'),
        ({"person_trigger": "ohwx alice woman"}, 'person_trigger is "ohwx alice woman" in it'),
        ({"training": {"class_word": "woman"}}, 'training.class_word is "woman" in it, not "person"'),
        ({"base_model": "x/sdxl"}, 'base_model is "x/sdxl" in it, not "nano"'),
        ({"models_dir": "models"}, 'models_dir is "models" in it, not "nano"'),
        ({"dataset_dir": "my photos"}, 'dataset_dir is "my photos" in it, not "outputs/facevault/organized/alice"'),
        ({"training": {"preset": "sdxl"}}, 'training.preset is "sdxl" in it, not "nano"'),
    ],
)
def test_what_says_otherwise_is_told_and_asked_about_before_anything_is_done(
    home: Path, changes: dict[str, Any], told: str
) -> None:
    written(**changes)
    person, machine = gone_through(what_about_the_configuration=LEAVE)
    assert told in "\n".join(person.said) and person.asked.count(QUESTION) == 1
    assert machine.ran == []


def test_the_file_counts_where_that_is_chosen(home: Path) -> None:
    told = {"person_trigger": "zwx alice woman", "base_model": "cagliostrolab/animagine-xl-3.1", "models_dir": "models"}
    path = written(**told, training={"preset": "animagine"})
    before = path.read_bytes()
    _, machine = gone_through(what_about_the_configuration="file")
    label = ran(machine, "vault", "label")
    assert (after(label, "--trigger"), after(label, "--class")) == ("zwx alice woman", "woman")
    assert after(ran(machine, "vault", "scan"), "--models-dir") == "models"
    assert after(ran(machine, "vault", "prep"), "--style") == "tags"
    assert ran(machine, "train")[2] == str(path) and path.read_bytes() == before


def test_captions_are_those_of_the_files_preset_whatever_the_bases_name_tells(home: Path) -> None:
    Path("mine").mkdir()
    written(base_model="mine", training={"preset": "animagine"})
    _, machine = gone_through(base_model="local", file_or_folder="mine")
    assert after(ran(machine, "vault", "caption"), "--style") == "tags"


def test_another_file_is_written_under_a_new_name_where_that_is_chosen(home: Path) -> None:
    path = written(base_model="x/sdxl")
    Path("bootstrap_config_alice_2.json").write_text("{}")
    before = path.read_bytes()
    person, machine = gone_through(what_about_the_configuration="another")
    init = ran(machine, "init")
    assert after(init, "--output") == "bootstrap_config_alice_3.json" and after(init, "--base-model") == "nano"
    assert ran(machine, "train")[2] == "bootstrap_config_alice_3.json" and path.read_bytes() == before
    assert person.asked.count("Configuration to write:") == 2


def test_a_name_that_is_taken_is_no_new_one(home: Path) -> None:
    written(base_model="x/sdxl")
    with pytest.raises(AssertionError, match="that file exists"):
        gone_through(
            what_about_the_configuration="another",
            configuration_to_write=["bootstrap_config_alice.json", "bootstrap_config_alice.json"],
        )


def test_answered_once_it_is_asked_again_only_where_the_file_is_another(home: Path) -> None:
    written(base_model="x/sdxl")
    stopping = Machine({"vault clusters": PEOPLE}, lambda argv: 130 if argv[0] == "train" else 0)
    menu(Person(**answers()), stopping, Memory(), WORKFLOWS)
    same = Person(shall_it_be=["continue", "quit"])
    menu(same, stopping, Memory(), WORKFLOWS)
    assert QUESTION not in same.asked
    written(base_model="x/flux")
    other = Person(shall_it_be=["continue", "quit"])
    menu(other, stopping, Memory(), WORKFLOWS)
    assert QUESTION in other.asked


def labelled(trigger: str) -> None:
    """Somebody gave alice a label in the vault."""
    decisions = DecisionLog(Vault(DEFAULT).decisions)
    decisions.add("name", {"person": "p001", "name": "alice"})
    label = {"person": "p001", "trigger": trigger, "class_word": "woman", "consent": Consent("self").to_json()}
    decisions.add("label", label)


def test_that_a_configuration_fits_is_told_once_whatever_the_vault_says(home: Path) -> None:
    written(person_trigger="ohwx alice")
    labelled("ohwx alice")
    person, machine = gone_through(which_words_count="vault")
    assert "\n".join(person.said).count("used as it is") == 1
    assert after(ran(machine, "vault", "label"), "--class") == "woman"


def test_enter_does_not_take_the_vaults_words_back_which_count_and_an_unfit_file_is_not_called_fit(home: Path) -> None:
    path = written()
    labelled("zwx alice")
    person, machine = gone_through(which_words_count="vault")
    assert "used as it is" not in "\n".join(person.said)
    assert after(ran(machine, "vault", "label"), "--trigger") == "zwx alice"
    assert ran(machine, "train")[2] != str(path)


def test_what_the_vault_and_the_file_both_say_is_asked_about_once(home: Path) -> None:
    path = written(person_trigger="zwx alice woman")
    labelled("zwx alice")
    person, machine = gone_through(which_words_count="vault")
    assert QUESTION not in person.asked and ran(machine, "train")[2] == str(path)
