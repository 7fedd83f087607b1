"""The one door for built-in and foreign facets."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinloop import registry
from twinloop.domain.facet import DefinedFacet, Phrase, one_of
from twinloop.errors import InputError
from twinloop.registry import Registry, load_plugin, register_facet

HAT = DefinedFacet(
    "hat",
    ("cap", "none"),
    {"cap": 0.2},
    {"cap": Phrase(("a cap",), ("cap",)), "none": Phrase(("no hat",), ("no hat",))},
    (),
    lambda seen: one_of(("cap", "none"), "none"),
)
PLUGIN = """
from twinloop.domain.facet import DefinedFacet, Phrase
from twinloop.domain.observation import Reading
from twinloop.registry import register_facet
words = {"rain": Phrase(("in the rain",), ("rain",))}
register_facet(DefinedFacet("weather", ("rain",), {"rain": 0.1}, words, (), lambda seen: Reading.unknown()))
"""


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "facets", Registry("facet"))
    yield
    for name in [name for name in sys.modules if name.startswith("twinloop_plugin_")]:
        del sys.modules[name]


def test_names_keep_their_order_and_a_new_thing_replaces_an_old_one() -> None:
    table: Registry[int] = Registry("number")
    for name, value in (("b", 1), ("a", 2), ("b", 3)):
        table.register(name, value)
    assert table.names() == ("b", "a")
    assert [table.get(name) for name in table.names()] == [3, 2]


def test_an_unknown_name_lists_the_known_ones() -> None:
    table: Registry[int] = Registry("number")
    with pytest.raises(InputError, match=r"Unknown number 'x'\. Known: none\."):
        table.get("x")
    table.register("a", 1)
    with pytest.raises(InputError, match=r"Known: a\."):
        table.get("x")


def test_a_facet_enters() -> None:
    assert register_facet(HAT) is HAT
    assert registry.facets.get("hat") is HAT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phrases": {"cap": HAT.phrases["cap"]}}, r"no phrases for \['none'\]"),
        ({"phrases": {**HAT.phrases, "none": Phrase((), ())}}, r"no phrases for \['none'\]"),
        ({"shares": {"helmet": 0.1}}, r"unknown values \['helmet'\]"),
        ({"shares": {"cap": 1.0}}, r"outside 0..1 for \['cap'\]"),
        ({"shares": {"cap": 0.6, "none": 0.5}}, "add up to 1.10"),
        ({"name": "a/b"}, r"file names .*'a/b'"),
        ({"name": "hat "}, "file names"),
    ],
)
def test_an_inconsistent_facet_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        register_facet(dataclasses.replace(HAT, **change))  # type: ignore[arg-type]


def test_several_values_at_once_may_add_up_to_more_than_one() -> None:
    register_facet(dataclasses.replace(HAT, shares={"cap": 0.6, "none": 0.5}, multiple=True))


def test_a_plugin_file_registers_what_it_brings(tmp_path: Path) -> None:
    path = tmp_path / "weather.py"
    path.write_text(PLUGIN)
    first = load_plugin(path)
    assert registry.facets.get("weather").values == ("rain",)
    path.write_text(PLUGIN + "# changed\n")
    assert load_plugin(path) != first, "what an older version measured is measured again"


def test_a_plugin_is_run_once_and_once_more_when_it_has_changed(tmp_path: Path) -> None:
    path, runs = tmp_path / "counting.py", tmp_path / "runs"
    text = f"with open({str(runs)!r}, 'a') as runs: runs.write('x')\n"
    path.write_text(text)
    assert load_plugin(path) == load_plugin(path) == load_plugin(tmp_path / ".." / tmp_path.name / path.name)
    assert runs.read_text() == "x"
    path.write_text(text + "# changed\n")
    load_plugin(path)
    assert runs.read_text() == "xx"


def test_what_a_plugin_brought_is_known_again_after_others_have_taken_its_name(tmp_path: Path) -> None:
    """As built-in facets do, which are registered whenever facets are chosen."""
    path = tmp_path / "weather.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    brought = registry.facets.get("weather")
    register_facet(dataclasses.replace(HAT, name="weather"))
    load_plugin(path)
    assert registry.facets.get("weather") is brought


def test_a_plugin_that_failed_is_run_again(tmp_path: Path) -> None:
    """What it lacked may be there now."""
    path = tmp_path / "needy.py"
    path.write_text(f"open({str(tmp_path / 'words')!r}).close()")
    with pytest.raises(InputError, match="FileNotFoundError"):
        load_plugin(path)
    (tmp_path / "words").touch()
    load_plugin(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("import not_there_at_all", "No module named"),
        (PLUGIN.replace("0.1", "1.5"), "outside 0..1"),
    ],
)
def test_a_plugin_that_fails_says_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_plugin(path)


def test_a_plugin_that_is_not_there_or_no_python(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Plug-in file not found"):
        load_plugin(tmp_path / "x.py")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match="Not a Python file"):
        load_plugin(tmp_path / "x.txt")
