"""A finished run on the fakes, and a client that holds the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.functional import loops, vaults
from twinloop.web.app import create_app
from twinloop.web.site import Site

TOKEN = "the-key"
BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a finished run in outputs/ana."""
    home = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        loops.write_photos(home / "photos")
        loops.run(loops.settings(output_dir="outputs/ana", lora_output_dir="outputs/loras"))
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    copy = tmp_path / "home"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Site(TOKEN, home)), base_url=BASE, headers={"origin": BASE}) as found:
        assert found.get(f"/?token={TOKEN}").status_code == 200
        yield found


@pytest.fixture(scope="session")
def made_vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vaults.make(tmp_path_factory.mktemp("vault"))


@pytest.fixture
def vault_home(made_vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a vault: ``ana`` (p001, prepared), p002, p003, a stranger."""
    home = vaults.copied(made_vault, tmp_path / "home")
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def vault_client(vault_home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Site(TOKEN, vault_home)), base_url=BASE, headers={"origin": BASE}) as found:
        assert found.get(f"/?token={TOKEN}").status_code == 200
        yield found
