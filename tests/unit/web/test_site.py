"""Which run folders a server shows, by the names that addresses have."""

from __future__ import annotations

import json
from pathlib import Path

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
