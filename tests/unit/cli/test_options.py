"""Runs and people that flags name."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from twinloop.cli import options
from twinloop.cli.commandline import build_parser
from twinloop.errors import InputError


def test_a_run_by_its_folder_or_by_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    needed = {"person_name": "ana", "person_trigger": "ohwx ana", "dataset_dir": "photos"}
    path.write_text(json.dumps({**needed, "output_dir": "out"}))

    def given(**values: Path | None) -> argparse.Namespace:
        return argparse.Namespace(**{"config": None, **values})

    assert options.run_folder(given(folder=Path("there"))) == Path("there")
    assert options.run_folder(given(folder=None, config=path)) == Path("out")
    for both in (given(folder=None), given(folder=Path("there"), config=path)):
        with pytest.raises(InputError, match="Which run"):
            options.run_folder(both)


@pytest.mark.parametrize(
    ("dataset", "config", "name"),
    [
        ("photos/ana", None, "ana"),
        ("out/dataset_iter2.json", None, "dataset_iter2"),
        ("/", None, "person"),
        (None, "here.json", "home"),
    ],
)
def test_a_person_is_called_after_the_photos(
    dataset: str | None, config: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    assert options.dataset_name(argparse.Namespace(dataset=dataset, config=config)) == name


def test_photos_that_nobody_named() -> None:
    with pytest.raises(InputError, match="Which photos"):
        options.dataset_name(argparse.Namespace(dataset=None, config=None))


@pytest.mark.parametrize(
    ("words", "fetched"),
    [
        (("generate",), "the base model"),
        (("train",), "the base model"),
        (("compare",), "the base model"),
        *((("vault", word), "the captioner's model") for word in ("caption", "prep", "run")),
    ],
)
def test_the_flag_that_allows_a_download_says_of_what(
    words: tuple[str, ...], fetched: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([*words, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"allow fetching {fetched} from the Hugging Face hub when it is not on this machine (default: never)" in said
