"""A person gets another name, and configurations still name the folder of the earlier one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional import vaults
from tests.functional.console import Said, configuration, twinloop

OLD, NEW = "outputs/facevault/organized/ana", "outputs/facevault/organized/berta"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vaults.make(tmp_path_factory.mktemp("vault"))


@pytest.fixture
def home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = vaults.copied(prepared, tmp_path / "home")
    monkeypatch.chdir(home)
    return home


def configured(home: Path, **changes: object) -> Path:
    return configuration(home, **{"dataset_dir": OLD, "max_iterations": 1, **changes})


def renamed(capsys: pytest.CaptureFixture[str], name: str = "berta") -> Said:
    for argv in (("label", "ana", "--name", name), ("prep", name)):
        said = twinloop(capsys, "vault", *argv)
        assert said.code == 0, said.err
    return said


def test_the_run_names_the_new_folder_and_what_to_change(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(home)
    renamed(capsys)
    for command in (("run",), ("run", "--dry-run"), ("train",), ("doctor",)):
        said = twinloop(capsys, *command, "--config", config)
        assert said.code == 2 and f'"dataset_dir": "{NEW}"' in said.err, said.err
        assert "got another name" in said.err and "vault run FOLDER" not in said.err
        assert "--restart" not in said.err, "nothing has begun"
    configured(home, dataset_dir=NEW)
    assert twinloop(capsys, "run", "--config", config, "--dry-run").code == 0


def test_of_a_run_that_has_begun_it_says_how_it_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(home)
    assert twinloop(capsys, "train", "--config", config).code == 0
    renamed(capsys)
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and f'"dataset_dir": "{NEW}"' in said.err and "--restart" in said.err
    for argv in (("label", "berta", "--name", "ana"), ("prep", "ana")):  # called as before, it goes on
        assert twinloop(capsys, "vault", *argv).code == 0
    assert twinloop(capsys, "train", "--config", config).code == 0
    renamed(capsys)
    configured(home, dataset_dir=NEW)
    assert twinloop(capsys, "run", "--config", config).code == 2
    assert twinloop(capsys, "run", "--config", config, "--restart").code == 0
    used = {Path(item["path"]).parent.as_posix() for item in _members("out/dataset_iter0.json")}
    assert used == {NEW}


def _members(path: str) -> list[dict[str, str]]:
    members: list[dict[str, str]] = json.loads(Path(path).read_text())["members"]
    return members


def test_prep_lists_the_configurations_that_name_the_earlier_place(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(home).rename("first.json")
    configured(home, dataset_dir=f"./{OLD}/").rename("second.json")
    configured(home, dataset_dir="elsewhere").rename("other.json")
    Path("broken.json").write_text("{")
    before = Path("first.json").read_text()
    said = renamed(capsys)
    (line,) = [line for line in said.out.splitlines() if "dataset_dir" in line]
    assert "first.json, second.json" in line and f'"dataset_dir": "{NEW}"' in line and "other" not in line
    again = twinloop(capsys, "vault", "prep", "berta")
    assert line in again.out, "as long as they name it"
    assert Path("first.json").read_text() == before
    for name in ("first.json", "second.json"):
        Path(name).unlink()
    assert "dataset_dir" not in twinloop(capsys, "vault", "prep", "berta").out


def test_prepared_by_its_id_and_named_later(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert twinloop(capsys, "vault", "label", "p002", "--trigger", "ohwx two", "--class", "man").code == 0
    assert twinloop(capsys, "vault", "prep", "p002").code == 0
    config = configured(home, dataset_dir="outputs/facevault/organized/p002")
    assert twinloop(capsys, "vault", "name", "p002", "carlo").code == 0
    assert twinloop(capsys, "vault", "prep", "carlo").code == 0
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and '"dataset_dir": "outputs/facevault/organized/carlo"' in said.err


def test_named_twice_the_last_place_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(home)
    renamed(capsys)
    assert twinloop(capsys, "vault", "name", "berta", "cleo").code == 0
    # not prepared yet: the training set still lies under the name in between
    assert f'"dataset_dir": "{NEW}"' in twinloop(capsys, "run", "--config", config).err
    assert twinloop(capsys, "vault", "prep", "cleo").code == 0
    assert '"dataset_dir": "outputs/facevault/organized/cleo"' in twinloop(capsys, "run", "--config", config).err


def test_the_earlier_name_is_anothers_now(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What lies where the configuration says is then somebody else's: `prep` says so when it writes there."""
    configured(home)
    assert twinloop(capsys, "vault", "name", "ana", "berta").code == 0
    label = ("label", "p002", "--name", "ana", "--trigger", "ohwx two", "--class", "man")
    assert twinloop(capsys, "vault", *label).code == 0
    said = twinloop(capsys, "vault", "prep", "ana")
    assert said.code == 0, said.err
    (line,) = [line for line in said.out.splitlines() if "dataset_dir" in line]
    assert "bootstrap_config.json" in line and "another person's now" in line and f'"dataset_dir": "{NEW}"' in line


def test_a_folder_that_never_was_is_told_as_before(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(home, dataset_dir="outputs/facevault/organized/nobody")
    said = twinloop(capsys, "run", "--config", config)
    assert said.code == 2 and "vault run FOLDER --person" in said.err and "another name" not in said.err
    Path("outputs/facevault/decisions.jsonl").write_text("{\n{\n")
    config = configured(home, dataset_dir="outputs/facevault/organized/nobody")
    assert "vault run FOLDER --person" in twinloop(capsys, "run", "--config", config).err
