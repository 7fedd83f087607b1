"""Which run folders a server shows, by the names that addresses have."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from twinloop.errors import InputError
from twinloop.web.site import Site


def run_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({}))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Site:
    run_in(tmp_path / "outputs/alice/bootstrap")
    run_in(tmp_path / "outputs/alice/bootstrap.old1")
    run_in(tmp_path / "outputs/.trash/run")
    run_in(tmp_path / "elsewhere/run")
    (tmp_path / "named").mkdir()
    return Site("token", home=tmp_path, named_runs=(Path("named"),))


def test_a_run_is_found_by_the_name_that_the_list_gives_it(site: Site) -> None:
    assert list(site.runs()) == ["named", "outputs/alice/bootstrap"]
    assert {name: site.run(name).root.resolve() for name in site.runs()} == {
        name: space.root.resolve() for name, space in site.runs().items()
    }


def test_a_pipe_in_the_place_of_a_run_s_record_makes_no_run(site: Site) -> None:
    (site.home / "outputs/piped").mkdir()
    os.mkfifo(site.home / "outputs/piped/run.json")
    assert list(site.runs()) == ["named", "outputs/alice/bootstrap"]


def test_what_a_run_makes_and_the_vault_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ana", "ana/second", "old/ana.old2/third", "facevault/persons/p001", "of_v2", "a_v1/b"):
        run_in(tmp_path / "outputs" / name)
    for number in range(1, 9):
        (tmp_path / f"outputs/ana/synthetic_iter{number}/in").mkdir(parents=True)
        (tmp_path / f"outputs/ana/checkpoints_v{number}/step_000100").mkdir(parents=True)
    (tmp_path / "outputs/ana/loras").mkdir()
    looked: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> Any:
        looked.append(Path(path).relative_to(tmp_path / "outputs").as_posix())
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    site = Site("token", home=tmp_path, vault_root=Path("outputs/facevault"))
    runs = site.runs()
    assert list(runs) == [f"outputs/{name}" for name in ("a_v1/b", "ana", "ana/second", "of_v2")]
    assert sorted(looked) == [".", "a_v1", "a_v1/b", "ana", "ana/loras", "ana/second", "of_v2", "old"]


def test_runs_are_searched_for_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda path: asked.append(path) or walk(path))
    runs = site.runs()
    assert site.configs(runs) == site.configs(runs) == {} and len(asked) == 1
    assert site.configs() == {} and len(asked) == 2


@pytest.mark.parametrize("vault", ["outputs", ".", "outputs/alice/vault", "elsewhere"])
def test_a_vault_around_the_runs_hides_none(site: Site, vault: str) -> None:
    around = Site("token", home=site.home, vault_root=Path(vault))
    assert list(around.runs()) == ["outputs/alice/bootstrap"]


@pytest.mark.parametrize(
    "name",
    [
        "outputs/alice",
        "outputs/alice/bootstrap.old1",
        "outputs/.trash/run",
        "elsewhere/run",
        "outputs/../elsewhere/run",
        "outputs/alice/../alice/bootstrap",
        "",
    ],
)
def test_no_other_folder_is_shown(site: Site, name: str) -> None:
    with pytest.raises(InputError, match="outputs/alice/bootstrap"):
        site.run(name)


def test_an_outputs_folder_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    run_in(tmp_path / "disk/alice/bootstrap")
    home = tmp_path / "home"
    home.mkdir()
    (home / "outputs").symlink_to(tmp_path / "disk")
    site = Site("token", home=home)
    (name,) = site.runs()
    assert site.run(name).root.resolve() == tmp_path / "disk/alice/bootstrap"


@pytest.mark.parametrize(
    "told", ["closed/config.json", "x" * 4000, "/etc/passwd", "list.json", "own.json", "deep.json"]
)
def test_a_run_can_name_nothing_but_a_configuration(site: Site, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.home / "list.json").write_text("[]")
    (site.home / "own.json").write_text('{"person_name": "ana", "person_trigger": "ohwx", "dataset_dir": 7}')
    (site.home / "deep.json").write_text("[" * 100_000)
    real = Path.is_file

    def is_file(path: Path) -> bool:  # root may look into every folder
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    (site.home / "outputs/alice/bootstrap/started_with.json").write_text(json.dumps({"config": told}))
    assert site.configs() == {} and site.told_config(site.run("outputs/alice/bootstrap")) is None


def test_a_run_s_configuration_is_listed(site: Site) -> None:
    (site.home / "own.json").write_text('{"person_name": "ana", "person_trigger": "ohwx", "dataset_dir": "photos"}')
    (site.home / "outputs/alice/bootstrap/started_with.json").write_text('{"config": "own.json"}')
    assert site.configs() == {"own.json": site.home / "own.json"}


def test_which_configurations_are_the_users_own(site: Site) -> None:
    own, stranger = site.home / "own.json", site.home / "outputs/alice/config.json"
    for path in (own, stranger):
        path.write_text("{}")
    linked, lent = site.home / "elsewhere/linked.json", site.home / "lent.json"
    linked.symlink_to(own)
    lent.symlink_to(stranger)
    assert all(map(site.is_the_users, (own, linked, lent))) and not site.is_the_users(stranger)
    assert Site("token", site.home, named_configs=(Path("outputs/alice/config.json"),)).is_the_users(stranger)
