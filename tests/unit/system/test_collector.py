"""Python's garbage collector while large libraries are imported."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from twinloop.system.collector import importing


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = gc.get_freeze_count()
    yield
    gc.enable()
    if not before:
        gc.unfreeze()


def import_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imported_here", ModuleType("imported_here"))


def looked_at(thing: object) -> bool:
    return any(one is thing for one in gc.get_objects())


def test_what_imports_make_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"made": ["before"]}
    with importing():
        assert not gc.isenabled()
        import_something(monkeypatch)
        made = {"made": ["inside"]}
    later = {"made": ["later"]}
    assert gc.isenabled()
    assert not looked_at(made) and not looked_at(before) and looked_at(later)


def test_where_all_was_imported_before_garbage_is_still_found() -> None:
    with importing():
        made = {"made": ["inside"]}
    assert looked_at(made)


def test_one_inside_another_leaves_the_end_to_the_outer_one() -> None:
    with importing():
        with importing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failure_inside_switches_it_on_again() -> None:
    with pytest.raises(ModuleNotFoundError), importing():
        import no_such_library  # noqa: F401  # type: ignore[import-not-found]
    assert gc.isenabled()


def test_who_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    with importing():
        pass
    assert not gc.isenabled()
