"""The menu and a run that has begun: what came, changed or went since is told, and whether to begin anew is asked.

The menu runs the real commands, on the fakes.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.functional import vaults
from tests.functional.console import configuration
from tests.helpers.fake_photos import fake_photo
from tests.helpers.standing import Standing
from tests.unit.menu.scripted import LEAVE, Person
from twinloop.cli.app import main
from twinloop.domain.vault import FaceKey
from twinloop.menu.app import menu
from twinloop.menu.memory import Memory
from twinloop.menu.workflows import WORKFLOWS
from twinloop.stages.vault.opening import open_vault
from twinloop.stages.vault.people.record import find_person, read_people

ANEW, GO_ON, LEFT = "anew", "go on", "leave"
INTERRUPTED = 130


class Commands:
    """Runs what the menu asks for in this process. ``stop``: commands that are interrupted instead."""

    def __init__(self, stop: Callable[[Sequence[str]], bool] = lambda argv: False) -> None:
        self.ran: list[list[str]] = []
        self._stop = stop

    def run(self, argv: Sequence[str]) -> int:
        self.ran.append(list(argv))
        return INTERRUPTED if self._stop(argv) else main(list(argv))

    def ask(self, argv: Sequence[str]) -> Any:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main([*argv, "--json"])
        return json.loads(out.getvalue()) if code == 0 else None

    @property
    def words(self) -> list[str]:
        """The first words of the commands, those of the vault by their second."""
        return [argv[1] if argv[0] == "vault" else argv[0] for argv in self.ran]


VAULT = ["scan", "cluster", "dedup", "label", "caption", "prep"]


def training(argv: Sequence[str]) -> bool:
    return argv[0] == "train"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    Path("fake").mkdir()  # stands for a folder of models and for a base
    return tmp_path


@pytest.fixture(scope="module")
def began(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Standing]:
    return {name: Standing(tmp_path_factory.mktemp(name)) for name in ("trained", "prepared")}


def through_the_menu(stop: Callable[[Sequence[str]], bool] = lambda argv: False) -> None:
    """The menu's first way with photos of ana, as far as a command that ``stop`` says is interrupted."""
    Path("fake").mkdir()
    vaults.write_photos(Path("photos"))
    short_config()
    through(person(), Commands(stop))


@pytest.fixture
def trained(home: Path, began: dict[str, Standing], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The photos of a working directory in which the menu went through to a LoRA."""
    monkeypatch.chdir(began["trained"].again(through_the_menu))
    return Path.cwd() / "photos"


@pytest.fixture
def prepared(home: Path, began: dict[str, Standing], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the training was interrupted before it began."""
    monkeypatch.chdir(began["prepared"].again(lambda: through_the_menu(training)))
    return Path.cwd() / "photos"


def person(entry: str = "pipeline", **more: Any) -> Person:
    given: dict[str, Any] = {
        "shall_it_be": [entry, "quit"],
        "with_the_photos": "photos",
        "name_of_the_person": "ana",
        "which_detectors": "folder",
        "with_the_detector": "fake",
        "base_model": "local",
        "file_or_folder": "fake",
        **more,
    }
    return Person(**given)


def through(someone: Person, commands: Commands) -> str:
    """The menu to its end; what it said."""
    assert menu(someone, commands, Memory(), WORKFLOWS) == 0
    return "\n".join(someone.said)


def continued(**more: Any) -> Person:
    return Person(shall_it_be=["continue", "quit"], **more)


def trained_on() -> set[str]:
    members = json.loads(Path("out/dataset_iter0.json").read_text())["members"]
    return {Path(item["path"]).name for item in members}


def short_config(**changes: Any) -> Path:
    """A configuration for ana that trains three steps."""
    fields = {
        "dataset_dir": "outputs/facevault/organized/ana",
        "max_iterations": 1,
        "person_trigger": "ohwx ana person",
    }
    return configuration(Path(), **{**fields, **changes}).rename("bootstrap_config_ana.json")


def test_photos_that_came_are_told_and_a_run_begins_anew_where_that_is_wanted(trained: Path) -> None:
    before = trained_on()
    fake_photo(trained / "later.png", seed=501, size=256, person=15, yaw=20.0)
    commands = Commands()
    said = through(person(since_then=ANEW), commands)
    assert "1 picture came" in said
    assert commands.ran[-1] == ["train", "--config", "bootstrap_config_ana.json", "--restart"]
    assert trained_on() - before == {"later.png"} and Path("out.old1").is_dir()
    again = person()
    assert "since then" not in through(again, Commands()) and not Path("out.old2").exists()


def test_or_goes_on_with_those_that_it_began_with(trained: Path) -> None:
    before = trained_on()
    fake_photo(trained / "later.png", seed=501, size=256, person=15, yaw=20.0)
    commands = Commands()
    through(person(since_then=GO_ON), commands)
    assert commands.ran[-1] == ["train", "--config", "bootstrap_config_ana.json"]
    assert trained_on() == before and not Path("out.old1").exists()


def test_after_photos_went_the_run_cannot_go_on_and_the_menu_does_not_fail(trained: Path) -> None:
    gone = "IMG_0003.png"
    assert gone in trained_on()
    vaults.command("exclude", "ana", trained / gone)
    commands = Commands()
    someone = person(since_then=LEFT)
    said = through(someone, commands)
    assert "1 picture is gone" in said and "train" not in commands.words
    assert through(continued(since_then=ANEW), commands) and commands.words[-1] == "train"
    assert gone not in trained_on()


def test_a_restart_that_was_interrupted_is_not_begun_anew_once_more(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_photo(trained / "later.png", seed=501, size=256, person=15, yaw=20.0)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("twinloop.loop.steps.train", interrupted)
        said = through(person(since_then=ANEW), Commands())
    assert Path("out.old1").is_dir() and "later.png" in trained_on()
    assert "twinloop train --config bootstrap_config_ana.json\n" in f"{said}\n", "without --restart"
    commands = Commands()
    through(continued(), commands)
    assert commands.ran[-1] == ["train", "--config", "bootstrap_config_ana.json"] and not Path("out.old2").exists()


def merged_away() -> None:
    """Somebody takes a face of ana away: other photos are hers then."""
    with open_vault(Path("outputs/facevault")) as opened:
        faces = find_person(read_people(opened.vault), "ana").faces
        key: FaceKey = faces[-1]
        path = next(iter(opened.catalog.files.holding(key.sha256))).path
    vaults.command("reject", "ana", path)


def edited_caption() -> None:
    text = next(Path("outputs/facevault/organized/ana").glob("*.txt"))
    text.write_text("ohwx ana person, at sea")


@pytest.mark.parametrize("change", [merged_away, edited_caption])
def test_continue_does_the_steps_of_the_vault_again_after_decisions_changed(
    prepared: Path, change: Callable[[], None]
) -> None:
    idle = Commands(training)
    through(continued(), idle)
    assert idle.words == ["train"], "nothing was decided since"
    change()
    commands = Commands(training)
    said = through(continued(), commands)
    assert commands.words == [*VAULT, "train"] and "was said in the vault" in said
    again = Commands()
    through(continued(), again)
    assert again.words == ["train"]


def test_a_label_that_was_given_meanwhile_is_not_taken_back_without_a_word(prepared: Path) -> None:
    vaults.command("label", "ana", "--trigger", "zwx ana", "--class", "woman", "--consent", "self")
    someone = continued(
        which_words_count="vault", what_about_the_configuration="another", configuration_to_write="own.json"
    )
    commands = Commands(training)
    said = through(someone, commands)
    assert '"zwx ana"' in said
    (label,) = [argv for argv in commands.ran if argv[1] == "label"]
    assert label[label.index("--trigger") + 1] == "zwx ana" and "--consent" not in label
    written = json.loads(Path("own.json").read_text())
    assert written["person_trigger"] == "zwx ana woman"
    assert commands.ran[-1][:3] == ["train", "--config", "own.json"]
    record = json.loads(Path("outputs/facevault/organized/ana/person.json").read_text())
    assert record["trigger"] == "zwx ana" and record["consent"]["kind"] == "self"


def test_the_loop_asks_before_it_goes_on(home: Path) -> None:
    Path("photos").mkdir()
    for number in range(12):
        fake_photo(Path(f"photos/{number:02d}.png"), seed=number, yaw=(0.0, 5.0, 30.0)[number % 3])
    config = configuration(Path(), max_iterations=1)
    assert main(["run", "--config", str(config)]) == 0
    fake_photo(Path("photos/later.png"), seed=77, yaw=20.0)
    leaving = Person(shall_it_be=["loop", "quit"], since_then=LEAVE)
    commands = Commands()
    through(leaving, commands)
    assert commands.ran == []
    through(Person(shall_it_be=["loop", "quit"], since_then=ANEW), commands)
    assert commands.ran[-1] == ["run", "--config", "bootstrap_config.json", "--restart"]
    assert "later.png" in trained_on()
    configuration(Path(), max_iterations=1, training={"steps": 4})
    someone = Person(shall_it_be=["loop", "quit"], since_then=LEFT)
    assert "other settings (training.steps)" in through(someone, commands)


def test_a_round_that_waits_is_not_begun_anew_by_the_command_that_goes_on(home: Path) -> None:
    Path("photos").mkdir()
    for number in range(12):
        fake_photo(Path(f"photos/{number:02d}.png"), seed=number, yaw=(0.0, 5.0, 30.0)[number % 3])
    config = configuration(Path(), max_iterations=1, review="always")
    assert main(["run", "--config", str(config)]) == 3
    fake_photo(Path("photos/later.png"), seed=77, yaw=20.0)
    commands = Commands()
    said = through(Person(shall_it_be=["loop", "quit"], since_then=ANEW), commands)
    assert commands.ran == [["run", "--config", "bootstrap_config.json", "--restart"]]
    assert "waits for you" in said and said.endswith("  $ twinloop run --config bootstrap_config.json")
